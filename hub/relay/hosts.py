"""Host names and groups of devices, as the directory of devices knows them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from hub.contracts import Bus
from hub.errors import IsaaxError, Unavailable
from hub.relay.contracts import DESCRIBE_DEVICES, DescribeDevices

_FRESH: Final = 600.0  # seconds that a name is used without asking again
_AGAIN: Final = 5.0  # seconds before a directory that did not answer is asked again
_PATIENCE: Final = 1.0  # seconds that lines wait for a name
_MOST: Final = 100_000

DEFAULT_GROUP: Final = "default"
"""The group of a device that is in no other."""


class _Name:
    __slots__ = ("group", "host", "until")

    def __init__(self, host: str, group: str | None, until: float) -> None:
        self.host = host
        self.group = group
        self.until = until


class HostNames:
    """A cache over `devices.describe`. Lines never wait long for a name: the id does as well."""

    def __init__(self, bus: Bus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._names: dict[tuple[str, str], _Name] = {}

    def known(self, project: str, device: str) -> str | None:
        """Give the name at once, or None when it has to be looked up."""
        name = self._fresh(project, device)
        return name.host if name is not None else None

    async def look_up(self, project: str, devices: Iterable[str]) -> dict[str, str]:
        """Give the name of each device; its id when it has none, or nobody answers."""
        hosts = {device: self.known(project, device) for device in devices}
        missing = [device for device, host in hosts.items() if host is None]
        if missing:
            hosts |= await self._ask(project, missing)
        return {device: host or device for device, host in hosts.items()}

    async def group(self, project: str, device: str) -> str:
        """Give the name of the group of a device.

        Raises:
            Unavailable: nobody knows it now, and nobody ever did.
        """
        name = self._fresh(project, device)
        if name is None:
            await self._ask(project, [device])
            name = self._names[project, device]
        if name.group is None:
            raise Unavailable("the groups of the devices are not known now")
        return name.group

    def forget(self, project: str, device: str) -> None:
        """Look this one up again: it changed."""
        self._names.pop((project, device), None)

    def _fresh(self, project: str, device: str) -> _Name | None:
        name = self._names.get((project, device))
        return name if name is not None and name.until > self._clock() else None

    async def _ask(self, project: str, devices: list[str]) -> dict[str, str]:
        fresh = _FRESH
        groups: dict[str, str | None]
        try:
            async with asyncio.timeout(_PATIENCE):
                answer = await self._bus.request(
                    DESCRIBE_DEVICES, DescribeDevices(project, devices), timeout=_PATIENCE
                )
            hosts = answer.hosts
            groups = {device: answer.groups.get(device, DEFAULT_GROUP) for device in devices}
        except (IsaaxError, TimeoutError):
            fresh = _AGAIN
            old = {d: name for d in devices if (name := self._names.get((project, d)))}
            hosts = {device: name.host for device, name in old.items()}
            groups = {device: name.group for device, name in old.items()}
        if len(self._names) > _MOST:
            self._names.clear()
        until = self._clock() + fresh
        for device in devices:
            host = hosts.get(device) or device
            self._names[project, device] = _Name(host, groups.get(device), until)
        return {device: self._names[project, device].host for device in devices}
