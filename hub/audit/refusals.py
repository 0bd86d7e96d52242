"""Refused attempts: the first of a kind is recorded at once, those that follow are counted.

Whoever tries tokens or routes by the thousand fills neither the log nor the disk.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import msgspec

from hub.audit.deeds import Deed

WINDOW: Final = 60.0
"""Seconds for which attempts are counted together."""
_MOST: Final = 1_000  # kinds of attempts that are told apart in a window
_NETWORK: Final = 64  # bits of an IPv6 address that tell one client from another


class _Kind(NamedTuple):
    account: str
    actor: str
    network: str
    action: str
    code: str


class Refusals:
    """Counts attempts, and has them recorded.

    Args:
        note: records a deed.
    """

    def __init__(self, note: Callable[[Deed], None], *, window: float = WINDOW) -> None:
        self._note = note
        self._window = window
        self._repeated: dict[_Kind, Deed] = {}
        self._seen: set[_Kind] = set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Record what was counted at the end of each window, and at the end."""
        task = asyncio.create_task(self._work(), name="audit-refusals")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.settle()

    def add(self, deed: Deed) -> None:
        """Take one attempt."""
        kind = _Kind(deed.account, deed.actor.id, _network_of(deed), deed.action, deed.code)
        if kind not in self._seen and len(self._seen) >= _MOST:
            kind = _Kind(deed.account, "", "", "", deed.code)
            deed = _of_many(deed)
        if kind not in self._seen:
            self._seen.add(kind)
            self._note(deed)
            return
        known = self._repeated.get(kind)
        self._repeated[kind] = deed if known is None else _one_more(known)

    def settle(self) -> None:
        """Record what was counted, and begin anew."""
        repeated, self._repeated, self._seen = self._repeated, {}, set()
        for deed in repeated.values():
            self._note(deed)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._window)
            self.settle()


def _one_more(deed: Deed) -> Deed:
    return msgspec.structs.replace(deed, count=deed.count + 1)


def _of_many(deed: Deed) -> Deed:
    """Give an attempt that stands for those of many clients."""
    return Deed(
        action="refused",
        summary="Attempts of too many clients to tell them apart",
        account=deed.account,
        outcome="refused",
        status=deed.status,
        code=deed.code,
    )


def _network_of(deed: Deed) -> str:
    """Give the address, or of IPv6 the network that one client has."""
    address = deed.client.address if deed.client else ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _NETWORK), strict=False))
