"""Passwords and keys of an installation, made at its first start and kept in its data folder."""

import base64
import secrets
from pathlib import Path

from hub.embedded.account import make_folder, write_private
from hub.secret import Secret


class SecretFiles:
    """A folder of secrets, each in a file that we alone can read."""

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder, None)

    def path(self, name: str) -> Path:
        """Give the file of a secret, whether it exists or not."""
        return self._folder / name

    def password(self, name: str) -> Secret:
        """Give a password (192 random bits), made when there is none yet."""
        path = self.path(name)
        if not path.exists():
            write_private(path, f"{secrets.token_urlsafe(24)}\n")
        return Secret(path.read_text().strip())

    def key(self, name: str) -> Path:
        """Give the file of a key: 32 random bytes in base64, made when there is none yet."""
        path = self.path(name)
        if not path.exists():
            write_private(path, base64.b64encode(secrets.token_bytes(32)) + b"\n")
        return path

    def keep(self, name: str, value: Secret) -> Path:
        """Write down a secret that somebody else made."""
        path = self.path(name)
        write_private(path, f"{value.reveal()}\n")
        return path
