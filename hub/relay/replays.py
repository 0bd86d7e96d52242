"""Dead letters that are delivered once more: handed over, in order, and only then taken out."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

import nats.errors
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from hub.errors import Conflict, Invalid
from hub.relay.books import lines_of, weight_of
from hub.relay.contracts import Counted, SomeDead
from hub.relay.keeping import Keeping
from hub.relay.lanes import LaneKind
from hub.relay.letter_box import Letter, LetterBox, carried
from hub.relay.letter_content import Content
from hub.relay.letters import found, unavailable
from hub.relay.looks import Looks
from hub.relay.publisher import Outgoing, Publisher
from hub.relay.stored import LINE
from hub.relay.streams import REPLAY, replay_subject

_BUDGET: Final = 20.0  # seconds that one replay goes on for; then it says that there is more
_GROUP: Final = 200  # letters that are handed over, and taken out, at a time
_GROUP_BYTES: Final = 8 * 1024 * 1024
_MORE: Final = 64  # bytes of the headers that a letter gets besides its own


@dataclass(slots=True)
class _Handed:
    """A letter that is being handed over.

    Args:
        stored: done once it is on disk.
        was_there: JetStream had it already.
    """

    lines: int
    stored: asyncio.Future[None]
    was_there: bool = False


class Replays:
    """Answers `relay.dead.replay`.

    A crash between the two steps repeats nothing: JetStream knows the ids of what was handed
    over, and the next replay takes it out.

    Args:
        kept: who holds how much, and what was replayed before.
        replayed: told of an integration that has letters to deliver once more.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        nats: Client,
        kept: Keeping,
        *,
        replayed: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._kept = kept
        self._looks = Looks(nats)
        self._replayed = replayed
        self._clock = clock
        self._publisher: Publisher[_Handed] = Publisher(nats, _stored, known=_known)

    async def run(self) -> None:
        """Store what is replayed, until cancelled."""
        await self._publisher.run()

    async def replay(self, request: SomeDead) -> Counted:
        """Hand letters over to be delivered once more, in order, and take them out.

        Those that cannot be decoded stay, unless they are asked for by their ids.

        Raises:
            NotFound: there is none of one of these ids.
            Invalid: one of these cannot be decoded.
            Conflict: what was replayed before takes all the room that there is for it.
            Unavailable: JetStream does not answer, or Postgres does not.
        """
        box = LetterBox(self._nats, request.project, request.source, self._kept.dead)
        try:
            async with self._kept.locks.of(request.source):
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
            fitting, taken_by = await self._fitting(request, group)
            await self._hand_over(request, fitting)
            await box.remove(fitting)
            done = _added(done, fitting)
            if len(fitting) < len(group):
                return _partly(done, taken_by)
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
            fitting, taken_by = await self._fitting(request, readable)
            await self._hand_over(request, fitting)
            if fitting == group and not after:
                await box.remove_until(fitting)
            else:
                await box.remove(fitting)
            done = _added(done, fitting)
            if len(fitting) < len(readable):
                return _partly(done, taken_by)
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
        """Store them for the integration's replay; returning says that they are on disk.

        Their lines are numbered, so that whoever delivers them sees it when age takes some.
        """
        if not letters:
            return
        subject = replay_subject(request.project, request.source)
        first = await self._lines_before(request, subject)
        loop = asyncio.get_running_loop()
        handed = [_Handed(lines_of(letter.headers), loop.create_future()) for letter in letters]
        for index, letter in enumerate(letters):
            self._publisher.submit(
                Outgoing(
                    subject=subject,
                    payload=letter.payload,
                    # By what holds it now: one that was fixed meanwhile is another message.
                    id=f"replay:{letter.sequence}",
                    order=request.source,
                    headers=carried(letter),
                    context=handed[index],
                    late=partial(_number, first, handed[:index]),
                )
            )
        await asyncio.gather(*(one.stored for one in handed))
        newest = await self._looks.last(REPLAY, subject)
        lines = max(_lines_up_to(first, handed), newest.line + newest.lines if newest else 0)
        await self._kept.places.note_replayed(request.source, lines)

    async def _lines_before(self, request: SomeDead, subject: str) -> int:
        """Give how many lines of an integration were handed over before."""
        places = self._kept.places
        done = (await places.of(request.source)).get(LaneKind.REPLAY.value)
        newest = await self._looks.last(REPLAY, subject)
        return max(
            await places.replayed(request.source),
            done.line if done else 0,
            newest.line + newest.lines if newest else 0,
        )

    async def _fitting(self, request: SomeDead, letters: list[Letter]) -> tuple[list[Letter], str]:
        """Give the first ones that there is room for, and in words what takes the rest of it."""
        subject = replay_subject(request.project, request.source)
        weights = [weight_of(subject, carried(one), len(one.payload)) + _MORE for one in letters]
        fitting = await self._kept.replay_room.fitting(request.project, weights)
        return letters[: fitting.letters], fitting.taken_by

    async def _trim(self, request: SomeDead) -> None:
        """Take out of the replay stream what was delivered of it."""
        try:
            info = await self._js.consumer_info(REPLAY, f"{request.source}-replay")
        except NotFoundError:
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        if floor > 1:
            subject = replay_subject(request.project, request.source)
            # The last one stays: it says how far this is, should the hub be killed now.
            await self._js.purge_stream(REPLAY, subject=subject, seq=floor)


def _number(first: int, before: Sequence[_Handed]) -> dict[str, str]:
    """Number the first line of a letter; those that JetStream had already count for none."""
    return {LINE: str(_lines_up_to(first, before))}


def _lines_up_to(first: int, handed: Sequence[_Handed]) -> int:
    return first + sum(one.lines for one in handed if not one.was_there)


def _added(done: Counted, letters: list[Letter]) -> Counted:
    lines = sum(Content.of(letter).count for letter in letters)
    return Counted(done.letters + len(letters), done.lines + lines)


def _partly(done: Counted, taken_by: str) -> Counted:
    """Say that there is no room for the rest.

    Raises:
        Conflict: nothing was done.
    """
    if not done.letters:
        raise Conflict(f"{taken_by} is not delivered yet and takes all the room")
    return Counted(done.letters, done.lines, more=True)


def _stored(group: Sequence[Outgoing[_Handed]]) -> None:
    for message in group:
        if not message.context.stored.done():
            message.context.stored.set_result(None)


def _known(message: Outgoing[_Handed]) -> None:
    message.context.was_there = True
