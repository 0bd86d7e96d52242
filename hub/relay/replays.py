"""Dead letters that are delivered once more: handed over, in order, and only then taken out."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from itertools import accumulate
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from hub.errors import Conflict, Invalid
from hub.relay.contracts import Counted, SomeDead
from hub.relay.letter_box import Letter, LetterBox, carried
from hub.relay.letter_content import Content
from hub.relay.letters import found, unavailable
from hub.relay.locks import Locks
from hub.relay.publisher import Outgoing, Publisher
from hub.relay.streams import REPLAY, replay_subject

_BUDGET: Final = 20.0  # seconds that one replay goes on for; then it says that there is more
_GROUP: Final = 200  # letters that are handed over, and taken out, at a time
_GROUP_BYTES: Final = 8 * 1024 * 1024
_OVERHEAD: Final = 2 * 1024  # bytes that a stored message's headers take at most
_FULL: Final = 0.9  # of what the replay stream may hold: what is there must not be displaced


class Replays:
    """Answers `relay.dead.replay`.

    A crash between the two steps repeats nothing: JetStream knows the ids of what was handed
    over, and the next replay takes it out.

    Args:
        locks: by source; whoever changes its letters holds it.
        replayed: told of an integration that has letters to deliver once more.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        nats: Client,
        locks: Locks,
        *,
        replayed: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._locks = locks
        self._replayed = replayed
        self._clock = clock
        self._publisher: Publisher[asyncio.Future[None]] = Publisher(nats, _stored)

    async def run(self) -> None:
        """Store what is replayed, until cancelled."""
        await self._publisher.run()

    async def replay(self, request: SomeDead) -> Counted:
        """Hand letters over to be delivered once more, in order, and take them out.

        Those that cannot be decoded stay, unless they are asked for by their ids.

        Raises:
            NotFound: there is none of one of these ids.
            Invalid: one of these cannot be decoded.
            Conflict: what was replayed before takes all the room.
        """
        box = LetterBox(self._nats, request.project, request.source)
        try:
            async with self._locks.of(request.source):
                await self._trim(request)
                if request.ids is None:
                    done = await self._replay_all(request, box)
                else:
                    done = await self._replay_some(request, box, request.ids)
        except nats.errors.Error as error:
            raise unavailable() from error
        if done.letters:
            self._replayed(request.source)
        return done

    async def _replay_some(self, request: SomeDead, box: LetterBox, ids: list[str]) -> Counted:
        letters = {letter.place: letter for letter in [await found(box, one) for one in ids]}
        chosen = [letters[place] for place in sorted(letters)]
        for letter in chosen:
            if Content.of(letter).decoded is None:
                raise Invalid(f"dead letter {letter.place} cannot be decoded: drop it")
        done = Counted(0, 0)
        for start in range(0, len(chosen), _GROUP):
            group = chosen[start : start + _GROUP]
            fitting = await self._fitting(group)
            await self._hand_over(request, fitting)
            await box.remove(fitting)
            done = _added(done, fitting)
            if len(fitting) < len(group):
                return _partly(done)
        return done

    async def _replay_all(self, request: SomeDead, box: LetterBox) -> Counted:
        until = await box.last()
        deadline = self._clock() + _BUDGET
        done, after = Counted(0, 0), 0
        while self._clock() < deadline:
            group = await self._next_group(box, after, until)
            if not group:
                return done
            readable = [letter for letter in group if Content.of(letter).decoded is not None]
            fitting = await self._fitting(readable)
            await self._hand_over(request, fitting)
            if fitting == group and not after:
                await box.remove_until(fitting)
            else:
                await box.remove(fitting)
            done = _added(done, fitting)
            if len(fitting) < len(readable):
                return _partly(done)
            if len(readable) < len(group):
                after = group[-1].place  # what cannot be read stays
        return Counted(done.letters, done.lines, more=True)

    async def _next_group(self, box: LetterBox, after: int, until: int) -> list[Letter]:
        group: list[Letter] = []
        size = 0
        async with aclosing(box.walk(after=after, until=until)) as letters:
            async for letter in letters:
                group.append(letter)
                size += len(letter.payload)
                if len(group) == _GROUP or size > _GROUP_BYTES:
                    break
        return group

    async def _hand_over(self, request: SomeDead, letters: list[Letter]) -> None:
        """Store them for the integration's replay; returning says that they are on disk."""
        loop = asyncio.get_running_loop()
        stored: list[asyncio.Future[None]] = []
        for letter in letters:
            future: asyncio.Future[None] = loop.create_future()
            stored.append(future)
            self._publisher.submit(
                Outgoing(
                    subject=replay_subject(request.project, request.source),
                    payload=letter.payload,
                    # By what holds it now: one that was fixed meanwhile is another message.
                    id=f"replay:{letter.sequence}",
                    order=request.source,
                    headers=carried(letter),
                    context=future,
                )
            )
        await asyncio.gather(*stored)

    async def _fitting(self, letters: list[Letter]) -> list[Letter]:
        """Give the first ones that there is room for."""
        info = await self._js.stream_info(REPLAY)
        most = info.config.max_bytes or -1
        if most < 0:
            return letters
        room = most * _FULL - info.state.bytes
        sizes = accumulate(len(letter.payload) + _OVERHEAD for letter in letters)
        return letters[: sum(size <= room for size in sizes)]

    async def _trim(self, request: SomeDead) -> None:
        """Take out of the replay stream what was delivered of it."""
        try:
            info = await self._js.consumer_info(REPLAY, f"{request.source}-replay")
        except NotFoundError:
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        if floor:
            subject = replay_subject(request.project, request.source)
            await self._js.purge_stream(REPLAY, subject=subject, seq=floor + 1)


def _added(done: Counted, letters: list[Letter]) -> Counted:
    lines = sum(Content.of(letter).count for letter in letters)
    return Counted(done.letters + len(letters), done.lines + lines)


def _partly(done: Counted) -> Counted:
    """Say that there is no room for the rest.

    Raises:
        Conflict: nothing was done.
    """
    if not done.letters:
        raise Conflict("what was replayed before is not delivered yet and takes all the room")
    return Counted(done.letters, done.lines, more=True)


def _stored(group: Sequence[Outgoing[asyncio.Future[None]]]) -> None:
    for message in group:
        if not message.context.done():
            message.context.set_result(None)
