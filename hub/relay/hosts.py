"""Host names and groups of devices, as the directory of devices knows them."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from hub.contracts import Bus
from hub.errors import IsaaxError, Unavailable
from hub.relay.contracts import DESCRIBE_DEVICES, DescribeDevices
from hub.relay.tasks import Tasks

_FRESH: Final = 600.0  # seconds that a name is used without asking again
_AGAIN: Final = 5.0  # seconds before a directory that did not answer is asked again
_PATIENCE: Final = 1.0
"""Seconds that lines wait for a name, once; then nobody waits until the directory has answered."""

_LATEST: Final = 5.0  # seconds after which an answer is no longer waited for at all
_MOST: Final = 100_000

DEFAULT_GROUP: Final = "default"
"""The group of a device that is in no other."""


class _Name:
    __slots__ = ("group", "host", "until")

    def __init__(self, host: str, group: str | None, until: float) -> None:
        self.host = host
        self.group = group
        self.until = until


class _Question:
    """Devices that are being asked about; those that change meanwhile are `changed`."""

    def __init__(self, project: str, devices: list[str]) -> None:
        self.project = project
        self.devices = devices
        self.changed: set[str] = set()
        self.is_answered = False


class HostNames:
    """A cache over `devices.describe`. Lines never wait long for a name: the id does as well.

    A directory that hangs is waited for once. From then on it is asked every few seconds, beside
    the lines, until it answers.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, bus: Bus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._names: dict[tuple[str, str], _Name] = {}
        self._open: set[_Question] = set()
        self._tasks = Tasks()
        self._hangs = False
        self._ask_at = 0.0

    async def close(self) -> None:
        """Ask no more."""
        await self._tasks.cancel()

    def known(self, project: str, device: str) -> str | None:
        """Give the name at once, or None when it has to be looked up."""
        name = self._fresh(project, device)
        return name.host if name is not None else None

    async def look_up(self, project: str, devices: Iterable[str]) -> dict[str, str]:
        """Give the name of each device; its id when it has none, or nobody answers."""
        hosts = {device: self.known(project, device) for device in devices}
        missing = [device for device, host in hosts.items() if host is None]
        if missing:
            await self._ask(project, missing)
            hosts |= {device: self._names[project, device].host for device in missing}
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
        for question in self._open:
            if question.project == project:
                question.changed.add(device)

    def _fresh(self, project: str, device: str) -> _Name | None:
        name = self._names.get((project, device))
        return name if name is not None and name.until > self._clock() else None

    # ── asking ────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, project: str, devices: list[str]) -> None:
        """See to it that each of these has a name, if only for a while."""
        if len(self._names) > _MOST:
            self._names.clear()
        question = _Question(project, devices)
        if not self._hangs:
            done, _ = await asyncio.wait(
                {self._tasks.start(self._answered(question))}, timeout=_PATIENCE
            )
            if not done:
                self._hangs, self._ask_at = True, self._clock() + _AGAIN
        elif self._clock() >= self._ask_at:
            self._ask_at = self._clock() + _AGAIN
            self._tasks.start(self._answered(question))
        for device in devices:
            known = (project, device) in self._names and question.is_answered
            if not known and self._fresh(project, device) is None:
                self._do_without(project, device)

    async def _answered(self, question: _Question) -> None:
        """Ask, and keep what the answer says; that there is none is fine."""
        self._open.add(question)
        try:
            answer = await self._bus.request(
                DESCRIBE_DEVICES,
                DescribeDevices(question.project, question.devices),
                timeout=_LATEST,
            )
        except IsaaxError:
            return
        finally:
            self._open.discard(question)
        self._hangs = False
        question.is_answered = True
        until = self._clock() + _FRESH
        for device in question.devices:
            self._names[question.project, device] = _Name(
                answer.hosts.get(device) or device,
                answer.groups.get(device, DEFAULT_GROUP),
                # The answer may be older than the change: the next one who needs it asks again.
                0.0 if device in question.changed else until,
            )

    def _do_without(self, project: str, device: str) -> None:
        """Go on with what was known of a device, or with nothing, for a while."""
        old = self._names.get((project, device)) or _Name(device, None, 0.0)
        self._names[project, device] = _Name(old.host, old.group, self._clock() + _AGAIN)
