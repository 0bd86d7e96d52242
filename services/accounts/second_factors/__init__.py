"""Second factors: authenticator apps, recovery codes, passkeys, and the challenges to show one."""
