"""Tokens: a prefix that scanners recognise, and 256 random bits; kept as their SHA-256."""

import hashlib
import secrets
from typing import Final

PREFIX: Final = "isx_"
"""Of API tokens."""
SESSION: Final = "iss_"
"""Of sessions."""


def new_token(prefix: str = PREFIX) -> str:
    """Make a token; it is shown once and kept only as its digest."""
    return prefix + secrets.token_urlsafe(32)


def digest_of(token: str) -> bytes:
    """Give what is kept of a token: of so many random bits, a plain hash is enough."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def shown_of(token: str) -> str:
    """Give as much of an API token as tells it from others."""
    return token[: len(PREFIX) + 6]
