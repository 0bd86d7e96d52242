"""API tokens: `isx_` and 256 random bits, so that a leaked one is recognised by scanners."""

import hashlib
import secrets

PREFIX = "isx_"


def new_token() -> str:
    """Make a token; it is shown once and kept only as its digest."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> bytes:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()
