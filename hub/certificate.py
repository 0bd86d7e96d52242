"""The certificate of something that listens: taken up anew when its files change.

Who listens keeps its sockets and its connections; only handshakes from then on see the new one.
"""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog

from hub.errors import StartError

EVERY: Final = 5.0
"""Seconds between two looks at the files."""

_log = structlog.stdlib.get_logger(__name__)

_Stamp = tuple[tuple[int, int, int], ...]


class ServerCertificate:
    """A TLS server's context, TLS 1.2 or newer, whose certificate follows its files.

    Args:
        certificate, key: PEM files; the first with the chain, the second not encrypted.

    Raises:
        StartError: they cannot be used.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._stamp = self._look()
        try:
            self._load(self.context)
        except (OSError, ValueError) as error:
            raise StartError(f"{certificate} and {key} cannot be used: {_words(error)}") from None

    @contextlib.asynccontextmanager
    async def following(self, *, every: float = EVERY) -> AsyncIterator[ssl.SSLContext]:
        """Give the context, and take up what changes in the files while this is open.

        Args:
            every: seconds between two looks.
        """
        task = asyncio.create_task(self._follow(every), name="certificate")
        try:
            yield self.context
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _follow(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            # On the loop: a handshake in the middle of it would meet a key that does not fit.
            self.refresh()

    def refresh(self) -> bool:
        """Take up the files when they have changed; say whether a new certificate is in use.

        What cannot be used, such as a certificate whose key is still to come, is logged, and the
        old one stays in use.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            # A pair that does not fit would leave the context that is in use without one.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except (OSError, ValueError) as error:
            _log.warning(
                "the new certificate cannot be used; the old one stays",
                file=str(self._files[0]), reason=_words(error),
            )  # fmt: skip
            return False
        _log.info("the new certificate is in use", file=str(self._files[0]))
        return True

    def _look(self) -> _Stamp:
        """Give what changes when a file does."""
        stamps = []
        for path in self._files:
            try:
                found = path.stat()
            except OSError:
                stamps.append((0, 0, 0))
            else:
                stamps.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(stamps)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key = (os.fspath(path) for path in self._files)
        context.load_cert_chain(certificate, key, password=_no_password)


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
