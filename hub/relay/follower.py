"""Keeps the books of a stream: by its headers as they come, and by looks for what is gone.

What somebody takes out they say beforehand; what else is not there any more is lost.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from hub.errors import Unavailable
from hub.relay.books import Books, Note, Owner, owner_of
from hub.relay.locks import Locks
from hub.relay.reader import ordered
from hub.relay.shelf import Taken
from hub.relay.stored import MSG_ID

_log = structlog.stdlib.get_logger(__name__)

_LOOK: Final = 10.0  # seconds between looks for what is gone
_AGAIN: Final = 1.0  # seconds before the stream is followed again after trouble
_SOON: Final = 0.2  # seconds that a message needs until it is noted, as a rule
_BEHIND: Final = 5.0  # and at most
_AT_ONCE: Final = 100  # messages that are noted before others get their turn
_TRIES: Final = 5


class Follower:
    """Follows DEAD or REPLAY while `run` runs; a hub has one of each, in the relay's process.

    Args:
        locks: by source; whoever takes its messages out holds it.
        found: told of each message that the stream held at the start.
        lost: told of what is gone, and was not taken out.
        arrived: told of the id of each message that is noted.
        every: seconds between looks for what is gone.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        locks: Locks,
        *,
        found: Callable[[Note], None] = lambda _note: None,
        lost: Callable[[Owner, Taken], None] = lambda _owner, _taken: None,
        arrived: Callable[[str], None] = lambda _id: None,
        every: float = _LOOK,
    ) -> None:
        self._client = client
        self._js = client.jetstream()
        self._stream = stream
        self._root = stream.lower()
        self._locks = locks
        self._found = found
        self._lost = lost
        self._arrived = arrived
        self._every = every
        self._moved = asyncio.Event()
        self._reading: asyncio.Timeout | None = None
        self._odd: dict[Owner, tuple[int, int]] = {}
        self.books = Books()
        self.ready = asyncio.Event()
        """All that the stream held at the start is noted."""
        self.position = 0
        """Sequence of the stream up to which all is noted."""
        self.room = 0
        """Bytes that the stream may hold; 0: there is no limit."""

    async def run(self) -> None:
        """Follow the stream, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._look())

    # ── what is taken out ─────────────────────────────────────────────────────────────────────

    async def take_out(self, owner: Owner, places: Sequence[int]) -> None:
        """Note that these messages are about to be deleted: they are not lost.

        Raises:
            Unavailable: the stream is not known well enough yet.
        """
        await self._know(max(places, default=0))
        self.books.take(owner, places)

    async def take_out_before(self, owner: Owner, place: int) -> None:
        """Note that all of a source before this place are about to be deleted.

        Raises:
            Unavailable: the stream is not known well enough yet.
        """
        await self._know(place - 1)
        self.books.take_before(owner, place)

    async def _know(self, sequence: int) -> None:
        if not (self.ready.is_set() and await self._reach(sequence)):
            raise Unavailable("the dead letters are being counted: try again in a moment")

    # ── following ─────────────────────────────────────────────────────────────────────────────

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(None) as self._reading:
                    await self._read_on()
            except (nats.errors.Error, OSError) as error:
                self._reading = None
                _log.info("a stream cannot be followed now", stream=self._stream, error=str(error))
                await asyncio.sleep(_AGAIN)

    async def _read_on(self) -> None:
        state = await self._state()
        if state.last_seq < self.position:
            _log.error("a stream has lost its end", stream=self._stream)
            self.position = 0
            for owner in self.books.shelves:
                self._count(owner, self.books.take_before(owner, 1 << 63))
        async with ordered(
            self._client, self._stream, f"{self._root}.>", start=self.position + 1,
            headers_only=True,
        ) as reader:  # fmt: skip
            if not reader.available:
                self.position = max(self.position, state.last_seq)
                self.ready.set()
            while True:
                message = await reader.next()
                note = Note.of(message.subject, message.headers, message.sequence)
                self.books.put(note)
                if not self.ready.is_set():
                    self._found(note)
                self._arrived(message.headers.get(MSG_ID, ""))
                self.position = max(self.position, message.sequence)
                self._moved.set()
                if not message.pending:
                    self.ready.set()
                if not message.pending % _AT_ONCE:
                    await asyncio.sleep(0)  # there may be very many at the start

    async def _reach(self, sequence: int) -> bool:
        """Wait until all up to this sequence, which is stored, is noted; say whether it is.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        if await self._has_come_to(sequence, _SOON):
            return True
        try:
            after = self.position + 1
            await self._js.get_msg(self._stream, after, subject=f"{self._root}.>", next=True)
        except NotFoundError:  # what came last is gone already, and will not be seen here
            self.position = max(self.position, sequence)
            return True
        return await self._has_come_to(sequence, _BEHIND)

    async def _has_come_to(self, sequence: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while self.position < sequence:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def _state(self) -> api.StreamState:
        info = await self._js.stream_info(self._stream)
        self.room = max(0, info.config.max_bytes or 0)
        return info.state

    # ── looking for what is gone ──────────────────────────────────────────────────────────────

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.refresh()
            except (nats.errors.Error, OSError) as error:
                _log.info("nobody says what is gone", stream=self._stream, error=str(error))

    async def refresh(self) -> None:
        """See what the stream no longer has.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        for _ in range(_TRIES):
            state = await self._state()
            self._drop_before(state.first_seq)
            if not await self._reach(state.last_seq):
                return
            self.ready.set()
            if self.position > state.last_seq:
                continue  # more came meanwhile
            if self.books.letters == state.messages or not await self._compare():
                return
        if state.last_seq < self.position and self._reading is not None:
            self._reading.reschedule(0)  # it may have lost its end

    def _drop_before(self, first: int) -> None:
        """Count what is before the first message of the stream."""
        for owner, shelf in list(self.books.shelves.items()):
            if next(iter(shelf), first) >= first:
                continue
            # A letter that was fixed lies where it came from, and is stored anew.
            fixed = self.books.fixed(owner)
            before = list(takewhile(lambda place: place < first, shelf))
            self._count_places(owner, [p for p in before if fixed.get(p, 0) < first])

    async def _compare(self) -> bool:
        """Look at each source of which there is more, or less, than is noted; say whether any."""
        info = await self._js.stream_info(self._stream, subjects_filter=f"{self._root}.>")
        there: dict[Owner, int] = {}
        for subject, count in (info.state.subjects or {}).items():
            owner = owner_of(subject)
            there[owner] = there.get(owner, 0) + count
        noted = {owner: shelf.letters for owner, shelf in self.books.shelves.items()}
        odd = {
            owner: counts
            for owner in there.keys() | noted.keys()
            if (counts := (there.get(owner, 0), noted.get(owner, 0)))[0] != counts[1]
        }
        changed = [owner for owner, counts in odd.items() if self._odd.get(owner) != counts]
        for owner in changed:
            async with self._locks.of(owner.source):
                await self._recount(owner)
        # A fix that was left half done is two messages, and stays so.
        self._odd = odd
        return bool(changed)

    async def _recount(self, owner: Owner) -> None:
        subject, last = f"{self._root}.{owner.project}.{owner.source}", self.position
        if await self._only_the_oldest_are_gone(owner, subject, last):
            return
        there: dict[int, Note] = {}
        for filter_ in (subject, f"{subject}.>"):
            async with ordered(
                self._client, self._stream, filter_, start=1, headers_only=True
            ) as reader:
                async for message in reader.stored():
                    note = Note.of(message.subject, message.headers, message.sequence)
                    there[note.place] = note
        noted = set(self.books.shelves.get(owner, ()))
        self._count_places(owner, [p for p in noted if p <= last and p not in there])
        for place in there.keys() - noted:
            if there[place].sequence <= last:  # it was to be deleted, and was not
                self.books.put(there[place])

    async def _only_the_oldest_are_gone(self, owner: Owner, subject: str, last: int) -> bool:
        """Whether that is so, as it is where messages were delivered; then they are counted."""
        shelf = self.books.shelves.get(owner)
        if shelf is None or self.books.fixed(owner):
            return False
        try:
            first = (await self._js.get_msg(self._stream, 1, subject=subject, next=True)).seq or 0
        except NotFoundError:
            first = last + 1
        self._count(owner, self.books.take_before(owner, min(first, last + 1)))
        info = await self._js.stream_info(self._stream, subjects_filter=f"{subject}.>")
        plain = await self._js.stream_info(self._stream, subjects_filter=subject)
        counts = [*(info.state.subjects or {}).values(), *(plain.state.subjects or {}).values()]
        return sum(counts) == shelf.letters

    def _count_places(self, owner: Owner, places: Iterable[int]) -> None:
        self._count(owner, self.books.take(owner, places))

    def _count(self, owner: Owner, taken: Taken) -> None:
        if taken.letters:
            self._lost(owner, taken)
