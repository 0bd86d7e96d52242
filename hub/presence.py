"""Sessions of many devices, taken up together by a service that sends devices something."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from hub.contracts import EventInfo
from hub.database import Database
from hub.errors import Conflict
from hub.messaging.events import in_rounds
from hub.outbox import all_first_time
from hub.pushing import Pusher
from hub.sql.queries import Queries


class SessionEvent(Protocol):
    """What is read of an event of the service `auth`."""

    @property
    def kind(self) -> str:
        """`opened`, `closed`, or something else."""

    @property
    def account(self) -> str:
        """Whose the device is."""

    @property
    def device(self) -> str:
        """Its id."""

    @property
    def session(self) -> str:
        """The session's id."""


class _Opened(msgspec.Struct, frozen=True):
    device: str
    behind: bool


class Presence:
    """Takes up which sessions are open; `changed` is for a consumer that takes events `together`.

    Args:
        consumer: its durable name.
        queries: `open_sessions` takes lists of `devices`, `accounts` and `sessions`, and gives
            `device` and `behind` of those that are known; `close_sessions` takes the same.
        pusher: sends to those that are behind.
    """

    def __init__(self, database: Database, consumer: str, queries: Queries, pusher: Pusher) -> None:
        self._database = database
        self._consumer = consumer
        self._queries = queries
        self._pusher = pusher

    async def changed(self, events: Sequence[tuple[SessionEvent, EventInfo]]) -> None:
        """Take up sessions that many devices opened or closed.

        Raises:
            Conflict: there are others among the events, or some that were taken up before, or of
                devices that are not known here yet: each is to be taken up by itself.
        """
        if any(event.kind not in {"opened", "closed"} for event, _ in events):
            raise Conflict("not all of these are sessions")
        behind: set[str] = set()
        async with self._database.system() as tx:
            if not await all_first_time(tx, self._consumer, [info.id for _, info in events]):
                raise Conflict("some of these were taken up before")
            for round_ in in_rounds(events):
                opened = [event for event in round_ if event.kind == "opened"]
                closed = [event for event in round_ if event.kind == "closed"]
                found = await tx.all(self._queries["open_sessions"], _Opened, **_of(opened))
                if len(found) < len(opened):
                    raise Conflict("not all of these devices are known")
                await tx.run(self._queries["close_sessions"], **_of(closed))
                behind |= {one.device for one in found if one.behind}
        self._pusher.push(sorted(behind))


def _of(events: Sequence[SessionEvent]) -> dict[str, list[str]]:
    return {
        "devices": [event.device for event in events],
        "accounts": [event.account for event in events],
        "sessions": [event.session for event in events],
    }
