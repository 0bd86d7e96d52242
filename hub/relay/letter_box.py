"""Dead letters as they lie in the stream DEAD: found, walked through in order, taken out.

A letter's id is its place: the stream sequence under which it was first stored. What JetStream
holds cannot be changed, so a letter that was fixed is another message, on a subject of its own
that names the place; the first one is deleted after that. Where a crash leaves both, the fixed
one counts.
"""

import base64
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from hub.relay.books import Owner
from hub.relay.follower import Follower
from hub.relay.reader import StoredMessage, ordered
from hub.relay.stored import FIXES
from hub.relay.streams import DEAD, dead_subject

DIED: Final = "Isaax-Died"
"""Of a letter that was fixed: when it became one, microseconds since the Unix epoch."""
_LAST: Final = (1 << 63) - 1


class Letter(msgspec.Struct, frozen=True):
    """One dead letter as it is stored.

    Args:
        place: its id.
        sequence: in the stream, of the message that holds it now.
        died: when it became one, microseconds since the Unix epoch.
    """

    place: int
    sequence: int
    died: int
    headers: dict[str, str]
    payload: bytes

    @property
    def is_fixed(self) -> bool:
        """Somebody has changed its texts."""
        return FIXES in self.headers


class LetterBox:
    """The dead letters of one source in one project.

    Every method raises `nats.errors.Error` when JetStream does not answer.

    Args:
        follower: of DEAD, told of what is about to be taken out: else it would count as lost.
    """

    def __init__(
        self, nats: Client, project: str, source: str, follower: Follower | None = None
    ) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self._owner = Owner(project, source)
        self._follower = follower
        self._subject = dead_subject(project, source)

    def fixed_subject(self, place: int) -> str:
        """Give the subject of the letter at this place once it is fixed."""
        return f"{self._subject}.fixed.{place}"

    # ── looking ───────────────────────────────────────────────────────────────────────────────

    async def count(self) -> int:
        """Say how many there are."""
        plain = await count_subjects(self._nats, self._subject)
        return sum(plain.values()) + len(await self._fixed_places())

    async def last(self) -> int:
        """Give the stream sequence of the newest message of the whole stream (0: none)."""
        return (await self._js.stream_info(DEAD)).state.last_seq

    async def find(self, id: str) -> Letter | None:  # noqa: A002
        """Give one by its id."""
        if not (len(id) < 20 and id.isascii() and id.isdecimal() and 0 < int(id) <= _LAST):
            return None
        place = int(id)
        fixed = await self._fixed(place)
        if fixed is not None:
            return fixed
        try:
            message = await self._js.get_msg(DEAD, place)
        except NotFoundError:
            return None
        return _letter(message) if message.subject == self._subject else None

    async def walk(self, *, after: int = 0, until: int = _LAST) -> AsyncGenerator[Letter, None]:
        """Give those whose place is after `after`, in order, as far as `until`.

        Close the iterator when it is left early (`contextlib.aclosing`).
        """
        places = deque(p for p in sorted(await self._fixed_places()) if after < p <= until)
        async with ordered(self._nats, DEAD, self._subject, start=after + 1) as reader:
            async for message in reader.stored():
                if message.sequence > until:
                    break
                while places and places[0] < message.sequence:
                    fixed = await self._fixed(places.popleft())
                    if fixed is not None:
                        yield fixed
                if not (places and places[0] == message.sequence):
                    yield _plain(message)
        for place in places:
            fixed = await self._fixed(place)
            if fixed is not None:
                yield fixed

    async def _fixed_places(self) -> list[int]:
        found = await count_subjects(self._nats, f"{self._subject}.fixed.*")
        return [int(subject.rpartition(".")[2]) for subject in found]

    async def _fixed(self, place: int) -> Letter | None:
        try:
            return _letter(await self._js.get_last_msg(DEAD, self.fixed_subject(place)))
        except NotFoundError:
            return None

    # ── taking out ────────────────────────────────────────────────────────────────────────────

    async def remove(self, letters: Sequence[Letter]) -> None:
        """Take these out; it is fine when some are gone already.

        Raises:
            Unavailable: how many there are is not known yet.
        """
        if self._follower is not None:
            await self._follower.take_out(self._owner, [letter.place for letter in letters])
        for letter in letters:
            await self._delete(letter.place)
            if letter.is_fixed:
                await self._purge(self.fixed_subject(letter.place))

    async def remove_until(self, letters: Sequence[Letter]) -> None:
        """Take these out, which are all that there are up to the last of them.

        Raises:
            Unavailable: how many there are is not known yet.
        """
        if self._follower is not None:
            await self._follower.take_out_before(self._owner, letters[-1].place + 1)
        await self._purge(self._subject, before=letters[-1].place + 1)
        for letter in letters:
            if letter.is_fixed:
                await self._purge(self.fixed_subject(letter.place))

    async def supersede(self, letter: Letter, sequence: int) -> None:
        """Take out what the message at `sequence` stands for now."""
        await self._purge(self.fixed_subject(letter.place), before=sequence)
        if not letter.is_fixed:
            await self._delete(letter.place)

    async def clear(self) -> None:
        """Take all out."""
        if self._follower is not None:
            self._follower.books.forget(self._owner.source)
        await self._purge(self._subject)
        await self._purge(f"{self._subject}.>")

    async def _delete(self, sequence: int) -> None:
        try:
            await self._js.delete_msg(DEAD, sequence)
        except APIError as error:
            if error.err_code not in _NOT_THERE:
                raise

    async def _purge(self, subject: str, *, before: int | None = None) -> None:
        await self._js.purge_stream(DEAD, subject=subject, seq=before)


# nats-server: "no message found", and "message delete failed" for one that is gone.
_NOT_THERE: Final = frozenset({10037, 10043, 10057})


async def count_subjects(nats: Client, subject: str, *, stream: str = DEAD) -> dict[str, int]:
    """Give how many messages there are on each subject that this filter takes in."""
    info = await nats.jetstream().stream_info(stream, subjects_filter=subject)
    return dict(info.state.subjects or {})


def letters_in(counts: Mapping[str, int]) -> dict[str, int]:
    """Give how many letters each source has, of the counts of all subjects."""
    letters: dict[str, int] = {}
    for subject, count in counts.items():
        _, _, source, *fixed = subject.split(".")
        # Of one that is being fixed once more there are two messages for a moment.
        letters[source] = letters.get(source, 0) + (1 if fixed else count)
    return letters


def carried(letter: Letter) -> dict[str, str]:
    """Give the headers that stay with a letter wherever it goes."""
    return {
        name: value
        for name, value in letter.headers.items()
        if name not in {FIXES, DIED} and not name.startswith("Nats-")
    }


def _plain(message: StoredMessage) -> Letter:
    return Letter(
        message.sequence,
        message.sequence,
        message.time // 1_000,
        message.headers,
        message.payload,
    )


def _letter(message: api.RawStreamMsg) -> Letter:
    headers = _headers(message.hdrs)
    sequence = message.seq or 0
    stored = int(message.time.timestamp() * 1e6) if message.time else 0
    return Letter(
        int(headers.get(FIXES, sequence)),
        sequence,
        int(headers.get(DIED, stored)),
        headers,
        message.data or b"",
    )


def _headers(encoded: bytes | str | None) -> dict[str, str]:
    """Read a message's headers: nats-py's own way here takes them for those of a mail, in ASCII."""
    lines = base64.b64decode(encoded or b"").decode("utf-8", "replace").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return {name: value.strip() for name, colon, value in pairs if colon}
