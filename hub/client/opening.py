"""The way to a hub."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from hub.client.api import Api
from hub.client.calls import ANSWER, CONNECT, Calls
from hub.client.errors import BadUrl
from hub.client.patience import Patience
from hub.client.urls import base_url
from hub.secret import Secret

USUAL: Final = Patience()


@contextmanager
def connect(
    url: str,
    token: Secret | None = None,
    *,
    ca_file: Path | None = None,
    account: str = "",
    patience: Patience = USUAL,
    timeout: float | None = None,
) -> Iterator[Api]:
    """Use a hub; the arguments are those of `calling`."""
    with calling(
        url, token, ca_file=ca_file, account=account, patience=patience, timeout=timeout
    ) as calls:
        yield Api(calls)


@contextmanager
def calling(
    url: str,
    token: Secret | None = None,
    *,
    ca_file: Path | None = None,
    account: str = "",
    patience: Patience = USUAL,
    timeout: float | None = None,
) -> Iterator[Calls]:
    """Open the way to a hub, without the names of its operations.

    Args:
        url: `https://hub.example.com`; what a path below it says counts for nothing.
        token: an API token; None for what is open to everyone.
        ca_file: PEM file of the authorities to trust instead of the system's.
        account: id of the one that is meant, of a person who is a member of several.
        patience: with a hub that is away, or asks to wait.
        timeout: seconds that each step of a request may take; by default `CONNECT` and `ANSWER`.

    Raises:
        BadUrl: it is no URL, or the CA file cannot be used.
    """
    base = base_url(url)
    headers = {"Accept": "application/json", "User-Agent": "isaax-client"}
    if token:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    if account:
        headers["Isaax-Account"] = account
    with httpx.Client(
        base_url=base,
        headers=headers,
        verify=_trusting(ca_file) if base.startswith("https:") else False,
        timeout=httpx.Timeout(timeout or ANSWER, connect=timeout or CONNECT),
    ) as http:
        yield Calls(http, base, patience)


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadUrl(f"{ca_file} is not a PEM file of certificates: {error}") from None
