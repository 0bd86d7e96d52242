"""Requests that another site has a browser send with our cookie (CSRF): told, and refused.

A change that is authenticated by a cookie must come from our own origin, by `Sec-Fetch-Site` (or
`Origin`, from browsers without it), and carry a token that only our own pages can know, because it
is derived from the cookie that scripts cannot read.
"""

import base64
import hashlib
import hmac
from typing import Final

from multidict import CIMultiDictProxy

HEADER: Final = "X-CSRF-Token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def csrf_token(credential: str) -> str:
    """Give the token that goes with a session's credential."""
    digest = hmac.digest(credential.encode(), b"isaax csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_of_our_own(headers: CIMultiDictProxy[str], origin: str) -> bool:
    """Say whether a browser sent this from one of our own pages.

    Args:
        origin: our own, as the browser knows it: `https://hub.example.com`.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return headers.get("Origin") == origin


def shows_token(credential: str, shown: str) -> bool:
    """Say whether this is the credential's token."""
    return hmac.compare_digest(csrf_token(credential).encode(), shown.encode(errors="replace"))
