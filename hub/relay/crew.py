"""The processes that deliver: each takes its share of the integrations, by their ids.

One process does everything unless `relay.parts` says otherwise. Whoever asks about an integration
asks any process that serves the relay's contracts, and that one asks the right one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import msgspec
import structlog

from hub.contracts import Bus, Consumer, Contract, Endpoint, EventInfo, Nothing
from hub.errors import IsaaxError, Unavailable
from hub.relay import contracts as c
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.share import Share, part_of
from hub.relay.tasks import Tasks

Q = TypeVar("Q", bound=msgspec.Struct)
_log = structlog.stdlib.get_logger(__name__)

_APPLY: Final = 2.0  # seconds that an `apply` is waited for; it goes on by itself


class EraseProject(msgspec.Struct, frozen=True):
    """Leave nothing of a project whose account ends."""

    project: str


class ErasedProject(msgspec.Struct, frozen=True):
    """What there was: deliveries that had not ended yet, and files on the hub's disk."""

    deliveries: int
    files: int


class Member:
    """The deliveries of this process, and what it answers for them."""

    def __init__(self, share: Share, integrations: Integrations, hosts: HostNames) -> None:
        self.share = share
        self.integrations = integrations
        self._hosts = hosts
        self._applying = Tasks()

    async def apply(self, request: c.ApplyIntegration) -> Nothing:
        """Take up one integration now.

        Raises:
            Unavailable: it is not of our share: whoever asks counts the parts otherwise.
        """
        if not self.share.holds(request.id):
            raise Unavailable(f"part {self.share.part} of {self.share.parts} does not deliver it")
        # A stalled destination may need long to end: the caller does not wait for that.
        await asyncio.wait(
            {self._applying.start(self.integrations.apply(request.id, request.spec))},
            timeout=_APPLY,
        )
        return Nothing()

    async def status(self, request: c.StatusOf) -> c.Statuses:
        """Say how these fare, as it is now."""
        return c.Statuses(await self.integrations.statuses(request.integrations))

    async def everyone(self, _: Nothing) -> c.Statuses:
        """Say how all fare, as it was a few seconds ago."""
        return c.Statuses(await self.integrations.all_statuses())

    async def erase(self, request: EraseProject) -> ErasedProject:
        """End the deliveries of a project, and remove the files that they wrote."""
        running = self.integrations.of_project(request.project)
        for integration in running:
            await self.integrations.apply(integration, None)
        files = await self.integrations.workshop.remove_files(request.project)
        return ErasedProject(len(running), files)

    @asynccontextmanager
    async def serving(self, bus: Bus) -> AsyncIterator[None]:
        """Answer, and follow what is said of integrations and devices, while this is open."""
        part = self.share.part
        endpoints: list[Endpoint[Any, Any]] = [
            Endpoint(_apply_at(part), self.apply),
            Endpoint(_status_at(part), self.status),
            Endpoint(_all_at(part), self.everyone),
            Endpoint(_erase_at(part), self.erase, concurrency=4),
        ]
        # Part 0 goes on under the names of a hub that has no other.
        suffix = f"-{part}" if part else ""
        consumers = (
            Consumer(c.INTEGRATION_CHANGED, f"relay-integrations{suffix}", self._changed),
            Consumer(c.DEVICE_CHANGED, f"relay-hosts{suffix}", self._device_changed),
        )
        try:
            async with (
                bus.serve(f"relay-part-{part}", "1.0.0", endpoints),
                bus.consume(*consumers),
            ):
                self.integrations.look_soon()
                yield
        finally:
            await self._applying.cancel()

    async def _changed(self, event: c.IntegrationChanged, _: EventInfo) -> None:
        """Take up a change that no `apply` told of."""
        self.integrations.look_soon()
        if event.deleted and self.share.holds(event.id):
            await self.integrations.apply(event.id, None)

    async def _device_changed(self, event: c.DeviceChanged, _: EventInfo) -> None:
        """Look its name and its group up again."""
        self._hosts.forget(event.project, event.device)


class Crew:
    """Reaches the process that delivers an integration.

    Args:
        parts: how many shares there are.
        own: the deliveries of this very process; None when it has none.
    """

    def __init__(self, bus: Bus, parts: int, own: Member | None) -> None:
        self._bus = bus
        self._parts = parts
        self._own = own

    async def apply(self, request: c.ApplyIntegration) -> Nothing:
        """Take up one integration now, wherever it belongs.

        Raises:
            Unavailable: the process that delivers it does not answer; it looks by itself later.
        """
        part = part_of(request.id, self._parts)
        own = self._own_of(part)
        if own is not None:
            return await own.apply(request)
        return await self._bus.request(_apply_at(part), request)

    async def statuses(self, wanted: Iterable[str]) -> list[c.IntegrationStatus]:
        """Say how these fare; those of a process that does not answer are left out."""
        by_part: dict[int, list[str]] = {}
        for integration in wanted:
            by_part.setdefault(part_of(integration, self._parts), []).append(integration)
        asked = (self._status(part, c.StatusOf(ids)) for part, ids in by_part.items())
        return _flat(await asyncio.gather(*asked))

    async def all_statuses(self) -> list[c.IntegrationStatus]:
        """Say how all fare, as it was a few seconds ago."""
        return _flat(await asyncio.gather(*map(self._everyone, range(self._parts))))

    async def erase(self, project: str) -> dict[str, int]:
        """Leave nothing of a project in any of the processes; say what there was.

        Raises:
            Unavailable: one does not answer.
        """
        found = {"deliveries": 0, "files": 0}
        for part in range(self._parts):
            own, request = self._own_of(part), EraseProject(project)
            answer = await (
                self._bus.request(_erase_at(part), request) if own is None else own.erase(request)
            )
            found["deliveries"] += answer.deliveries
            found["files"] += answer.files
        return found

    def replay_soon(self, integration: str) -> None:
        """Deliver what is to be replayed now; another process finds it within seconds."""
        if self._own is not None:
            self._own.integrations.replay_soon(integration)

    def _own_of(self, part: int) -> Member | None:
        return self._own if self._own is not None and self._own.share.part == part else None

    async def _status(self, part: int, wanted: c.StatusOf) -> c.Statuses:
        own = self._own_of(part)
        if own is not None:
            return await own.status(wanted)
        return await self._ask(part, _status_at(part), wanted)

    async def _everyone(self, part: int) -> c.Statuses:
        own = self._own_of(part)
        if own is not None:
            return await own.everyone(Nothing())
        return await self._ask(part, _all_at(part), Nothing())

    async def _ask(self, part: int, contract: Contract[Q, c.Statuses], request: Q) -> c.Statuses:
        try:
            return await self._bus.request(contract, request)
        except IsaaxError as error:
            _log.warning("a part of the deliveries does not answer", part=part, error=str(error))
            return c.Statuses([])


async def is_delivered(bus: Bus, part: int) -> bool:
    """Say whether a process that delivers this part answers."""
    try:
        await bus.request(_status_at(part), c.StatusOf([]))
    except IsaaxError:
        return False
    return True


def _flat(answers: Iterable[c.Statuses]) -> list[c.IntegrationStatus]:
    return [status for answer in answers for status in answer.items]


def _apply_at(part: int) -> Contract[c.ApplyIntegration, Nothing]:
    return Contract(f"relay-part-{part}.apply", c.ApplyIntegration, Nothing)


def _status_at(part: int) -> Contract[c.StatusOf, c.Statuses]:
    return Contract(f"relay-part-{part}.status", c.StatusOf, c.Statuses, timeout=2.0)


def _all_at(part: int) -> Contract[Nothing, c.Statuses]:
    return Contract(f"relay-part-{part}.all", Nothing, c.Statuses, timeout=2.0)


def _erase_at(part: int) -> Contract[EraseProject, ErasedProject]:
    return Contract(f"relay-part-{part}.erase", EraseProject, ErasedProject, timeout=10.0)
