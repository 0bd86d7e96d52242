"""Host names of devices, as the directory of devices knows them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.relay.contracts import DESCRIBE_DEVICES, DescribeDevices

_FRESH: Final = 600.0  # seconds that a name is used without asking again
_AGAIN: Final = 5.0  # seconds before a directory that did not answer is asked again
_PATIENCE: Final = 1.0  # seconds that lines wait for a name
_MOST: Final = 100_000


class _Name:
    __slots__ = ("host", "until")

    def __init__(self, host: str, until: float) -> None:
        self.host = host
        self.until = until


class HostNames:
    """A cache over `devices.describe`. Lines never wait long for a name: the id does as well."""

    def __init__(self, bus: Bus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._names: dict[tuple[str, str], _Name] = {}

    def known(self, project: str, device: str) -> str | None:
        """Give the name at once, or None when it has to be looked up."""
        name = self._names.get((project, device))
        return name.host if name is not None and name.until > self._clock() else None

    async def look_up(self, project: str, devices: Iterable[str]) -> dict[str, str]:
        """Give the name of each device; its id when it has none, or nobody answers."""
        hosts = {device: self.known(project, device) for device in devices}
        missing = [device for device, host in hosts.items() if host is None]
        if missing:
            hosts |= await self._ask(project, missing)
        return {device: host or device for device, host in hosts.items()}

    def forget(self, project: str, device: str) -> None:
        """Look this one up again: it changed."""
        self._names.pop((project, device), None)

    async def _ask(self, project: str, devices: list[str]) -> dict[str, str]:
        fresh = _FRESH
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._bus.request(
                    DESCRIBE_DEVICES, DescribeDevices(project, devices), timeout=_PATIENCE
                )
            found = answer.hosts
        except (IsaaxError, TimeoutError):
            fresh = _AGAIN
            found = {d: n.host for d in devices if (n := self._names.get((project, d)))}
        if len(self._names) > _MOST:
            self._names.clear()
        until = self._clock() + fresh
        for device in devices:
            self._names[project, device] = _Name(found.get(device) or device, until)
        return {device: self._names[project, device].host for device in devices}
