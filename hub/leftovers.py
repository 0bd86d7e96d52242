"""What the core itself keeps of an account, or a person: answers kept for retries, keys, events.

Events name projects, accounts and people, and JetStream keeps them for two weeks (dead ones for
three months). Those of an account that has ended, or a person who is gone, are deleted one by one,
once whoever waits for them has had them.
"""

import re
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from hub.account_data import Counts, Erased, OfAccount
from hub.database import Connection, Database, Queries
from hub.errors import Unavailable
from hub.messaging.jetstream import DEAD, EVENTS
from hub.plugins import PluginHost
from hub.relay.reader import StoredMessage, ordered
from hub.services import switched_off
from hub.settings import HubSettings

_SQL: Final = Queries.load("hub.sql", "leftovers.sql")
_ID: Final = re.compile(rb"[a-z]{3}_[a-z0-9]+")
PATIENCE: Final = 86_400.0
"""Seconds that an event waits for a consumer that does not come: its plugin may be gone."""


class Leftovers:
    """Erases what names an account or a person, when all others have erased what is theirs.

    Args:
        off: services that are switched off: what waits for their consumers is not waited for.
        clock: Unix seconds.
    """

    def __init__(
        self,
        database: Database,
        nats: Client,
        *,
        off: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._off = off
        self._database = database
        self._nats = nats
        self._js = nats.jetstream()
        self._clock = clock

    async def count(self, request: OfAccount) -> Counts:
        """Count what is left.

        Raises:
            Unavailable: Postgres or JetStream does not answer.
        """
        names = _names(request)
        async with self._database.system() as tx:
            found = {
                "kept_answers": await tx.one(_SQL["count_answers"], int, account=request.account),
                "data_keys": await tx.one(_SQL["count_keys"], int, account=request.account),
                "waiting_events": await self._waiting(tx, names),
            }
        for stream in (EVENTS, DEAD):
            async for _ in self._events(stream, names):
                found["events"] = found.get("events", 0) + 1
        return Counts(found)

    async def erase(self, request: OfAccount) -> Erased:
        """Erase it; events that somebody has yet to handle stay until the next time.

        Raises:
            Unavailable: Postgres or JetStream does not answer.
        """
        names = _names(request)
        async with self._database.system() as tx:
            answers = await tx.run(_SQL["delete_answers"], account=request.account)
            keys = await tx.run(_SQL["delete_keys"], account=request.account)
            waiting = await self._waiting(tx, names)
        gone, left = await self._erase_events(names)
        removed = {"kept_answers": answers, "data_keys": keys, "events": gone}
        more = left + waiting > 0
        return Erased({name: number for name, number in removed.items() if number}, more=more)

    async def erase_person(self, ids: Sequence[str]) -> Erased:
        """Erase what names a person who is gone; events that somebody has yet to handle stay.

        Args:
            ids: that the person was known by: their own, and those of sessions and tokens.

        Raises:
            Unavailable: Postgres or JetStream does not answer.
        """
        names = frozenset(one.encode() for one in ids)
        async with self._database.system() as tx:
            answers = await tx.run(_SQL["delete_answers_to"], actors=list(ids))
            waiting = await self._waiting(tx, names)
        gone, left = await self._erase_events(names)
        removed = {"kept_answers": answers, "events": gone}
        more = left + waiting > 0
        return Erased({name: number for name, number in removed.items() if number}, more=more)

    async def _erase_events(self, names: frozenset[bytes]) -> tuple[int, int]:
        """Delete the events that name one of these; give how many went, and how many stay."""
        gone, left = 0, 0
        try:
            consumers = await self._consumers()
            for stream in (EVENTS, DEAD):
                async for message in self._events(stream, names):
                    if stream == EVENTS and not self._is_settled(message, consumers):
                        left += 1
                        continue
                    gone += await self._delete(stream, message.sequence)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"JetStream does not answer: {type(error).__name__}") from None
        return gone, left

    @staticmethod
    async def _waiting(tx: Connection, names: frozenset[bytes]) -> int:
        texts = sorted(name.decode() for name in names)
        return await tx.one(_SQL["waiting_events"], int, names=texts)

    async def _events(self, stream: str, names: frozenset[bytes]) -> AsyncIterator[StoredMessage]:
        """Give the messages of a stream that name one of these."""
        try:
            async with ordered(self._nats, stream, ">", start=1) as reader:
                async for message in reader.stored():
                    headers = "\n".join(message.headers.values()).encode()
                    said = b"\n".join((message.subject.encode(), headers, message.payload))
                    if not names.isdisjoint(_ID.findall(said)):
                        yield message
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"JetStream does not answer: {type(error).__name__}") from None

    async def _consumers(self) -> list[api.ConsumerInfo]:
        found: list[api.ConsumerInfo] = []
        while page := await self._js.consumers_info(EVENTS, offset=len(found)):
            found += page
        return [info for info in found if self._comes(info.config.durable_name or "")]

    def _comes(self, consumer: str) -> bool:
        """Say whether a consumer may still handle events: its name begins with its service's."""
        off = any(consumer == name or consumer.startswith(f"{name}-") for name in self._off)
        return bool(consumer) and not off

    def _is_settled(self, message: StoredMessage, consumers: Sequence[api.ConsumerInfo]) -> bool:
        """Say whether nobody has yet to handle an event, or has let it lie for too long."""
        if self._clock() - message.time / 1e9 > PATIENCE:
            return True
        return all(
            has_done(info, message.sequence)
            for info in consumers
            if _wants(info.config, message.subject)
        )

    async def _delete(self, stream: str, sequence: int) -> int:
        try:
            await self._js.delete_msg(stream, sequence)
        except NotFoundError:
            return 0
        return 1


def _names(request: OfAccount) -> frozenset[bytes]:
    return frozenset(
        name.encode() for name in (request.account, *request.projects, *request.integrations)
    )


def _wants(config: api.ConsumerConfig, subject: str) -> bool:
    filters = config.filter_subjects or [config.filter_subject or ">"]
    return any(
        subject == one or (one.endswith(">") and subject.startswith(one[:-1])) for one in filters
    )


def has_done(info: api.ConsumerInfo, sequence: int) -> bool:
    """Say whether a consumer that wants this message has handled it.

    Where nothing is pending, it has all that was delivered to it: of one that is just being made,
    nats-server says for a moment that nothing is, and nothing was.
    """
    idle = not info.num_pending and not info.num_ack_pending
    done = info.delivered if idle else info.ack_floor
    return done is not None and done.stream_seq >= sequence


@asynccontextmanager
async def leftovers(
    database: Database, client: Client, hub: HubSettings, plugins: PluginHost
) -> AsyncIterator[Leftovers]:
    """Give what erases the core's own traces of an account."""
    yield Leftovers(database, client, off=switched_off(hub, plugins.services))
