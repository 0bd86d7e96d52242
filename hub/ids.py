"""Identifiers: a three-letter prefix that says what it names, and 100 random bits."""

import base64
import re
import secrets
from typing import Final

PATTERN: Final = re.compile(r"[a-z]{3}_[a-z2-7]{20}")


def new(prefix: str) -> str:
    """Make an identifier such as `prj_k3v5…`.

    Args:
        prefix: three lower-case letters: `acc`, `prj`, `dev`, `int`, `tok`, …
    """
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(13)).decode().lower()[:20]}"


def is_valid(text: str, prefix: str) -> bool:
    """Say whether `text` is an identifier of this kind."""
    return text.startswith(f"{prefix}_") and PATTERN.fullmatch(text) is not None
