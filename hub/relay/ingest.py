"""The way in for sources that are no devices: what a listener takes goes the way of all lines.

Their lines enter the same streams, under the same limits, as those of devices; whoever hands them
over waits until they are on disk.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from hub.contracts import Bus
from hub.errors import Invalid, LimitReached, Unavailable
from hub.protocol import (
    MAX_LINES,
    MAX_MESSAGE_BYTES,
    MAX_PAYLOAD_BYTES,
    STREAMS,
    Codec,
    Header,
    Lines,
    ProtocolError,
    check_lines,
    encode_batch,
    renumber,
)
from hub.relay.contracts import PROJECT_OF_TOKEN, TokenDigest
from hub.relay.counts import CountKey
from hub.relay.limits import Gate
from hub.relay.marks import ZERO, MarkKey, MarkTable
from hub.relay.writer import Entry, Writer
from hub.secret import Secret

PREFIX: Final = "src_"  # of the ids that stand in for those of devices
_PATIENCE: Final = 10.0  # seconds that a commit is waited for
_MOST_CHARACTERS: Final = 512 * 1024  # of one batch's texts: far below what a body may have
_FULL: Final = 1.0  # seconds after which there may be room again
_MOST_WAITING: Final = 64 * 1024 * 1024  # bytes that wait to be stored
_MOST_HOSTS: Final = 10_000  # of a project's source
OTHER: Final = "other"  # the host of those that are too many
_LONGEST_HOST: Final = 255
_CUT: Final = " [cut here]"
_TOKEN_KNOWN: Final = 15.0  # seconds; a revoked token is let in for so long at most
_TOKEN_UNKNOWN: Final = 5.0
_MOST_TOKENS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    project: str | None
    until: float


@dataclass(frozen=True, slots=True)
class _Waiter:
    future: asyncio.Future[None]
    size: int


@dataclass(frozen=True, slots=True)
class _Key:
    """One stream of a source, and the host to show for it."""

    mark: MarkKey
    host: str


class Ingest:
    """Takes lines of sources that are no devices.

    Args:
        writer: stores; marks: how far each source has come.
        gate: says what each project may send.
        clock: Unix seconds.
    """

    def __init__(
        self,
        writer: Writer,
        marks: MarkTable,
        gate: Gate,
        bus: Bus,
        *,
        clock: Callable[[], float] = time.time,
        patience: float = _PATIENCE,
        most_waiting: int = _MOST_WAITING,
        most_hosts: int = _MOST_HOSTS,
    ) -> None:
        self._writer = writer
        self._marks = marks
        self._gate = gate
        self._init_tokens(bus, clock)
        self._patience = patience
        self._most_waiting = most_waiting
        self._most_hosts = most_hosts
        # Larger than any before, should the clock have gone back.
        self._boot = max(int(clock() * 1_000_000), marks.newest_boot(PREFIX) + 1)
        self._waiting: dict[str, int] = {}  # bytes, by project
        self._hosts: dict[tuple[str, str], set[str]] = {}

    def _init_tokens(self, bus: Bus, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._tokens: dict[bytes, _Known] = {}

    def wait(self, project: str) -> float:
        """Give the seconds until a project may hand over more; 0 when it may now."""
        wait = self._gate.wait(CountKey("log", project))
        has_room = self._room(project, self._most_waiting // 64)
        return wait if has_room else max(wait, _FULL)

    async def submit(
        self,
        project: str,
        source: str,
        host: str,
        lines: Lines,
        *,
        stream: str = "sys",
        overdraw: bool = False,
    ) -> None:
        """Have lines stored; returning says that they are on disk.

        What fails may be handed over again. Lines of which it is not known whether they were
        stored (`Unavailable`, or cancelled while waiting) are then there twice.

        Args:
            project: whose they are.
            source: name of the listener, with what tells it from another of its kind.
            host: to show for them; a source has 10,000 at most, and the rest are called `other`.
            lines: any number of them; a text of more than 64 KiB is cut.
            stream: `app`, `sys` or `agent`.
            overdraw: take them though the project is over its limits, for which they count all the
                same: what has been read, and would be lost otherwise.

        Raises:
            LimitReached: the project is over its limits; `retry_after` says for how long.
            Unavailable: JetStream does not store them in time.
            Invalid: the columns do not fit, or a priority is none.
        """
        key = self._key(project, source, host, stream)
        await self.take(key, lines, self._boot, overdraw=overdraw)

    def series(
        self, project: str, source: str, host: str, *, boot: int, stream: str = "sys"
    ) -> "Series":
        """Take lines that have numbers of their own, 1, 2, 3, …, each of them once.

        Args:
            boot: names this numbering; larger than that of any before for the same source.
            project, source, host, stream: as for `submit`.

        Raises:
            Invalid: there is no such stream.
        """
        return Series(self, self._marks, self._key(project, source, host, stream), boot)

    async def project_of(self, token: Secret) -> str | None:
        """Say which project a project token is for; None when it is no live token.

        Answers are used again for some seconds. The token is looked up by its SHA-256, so the
        time that this takes says nothing about tokens that are like it.

        Raises:
            Unavailable: nobody who keeps the tokens answers.
        """
        digest = hashlib.sha256(token.reveal().encode(errors="surrogateescape")).digest()
        known = self._tokens.get(digest)
        now = self._clock()
        if known is not None and known.until - _TOKEN_KNOWN <= now < known.until:
            return known.project
        owner = await self._bus.request(PROJECT_OF_TOKEN, TokenDigest(digest.hex()))
        project = owner.project or None
        if len(self._tokens) >= _MOST_TOKENS:  # first of all, what a stranger made up
            self._tokens = {key: one for key, one in self._tokens.items() if one.project}
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()  # those that are used are soon back
        fresh = _TOKEN_KNOWN if project else _TOKEN_UNKNOWN
        self._tokens[digest] = _Known(project, now + fresh)
        return project

    def _key(self, project: str, source: str, host: str, stream: str) -> "_Key":
        if stream not in STREAMS:
            raise Invalid(f"no such stream: {stream!r}")
        host = self._host(project, source, host)
        return _Key(MarkKey(project, device_id(project, source, host), stream), _shown(host))

    async def take(self, key: "_Key", lines: Lines, boot: int, *, overdraw: bool = False) -> None:
        """Have lines stored under the next numbers of `boot`: see `submit`."""
        if not len(lines):
            return
        batches = list(encoded(lines))
        size = sum(len(payload) for _, payload in batches)
        project = key.mark.project
        if not self._room(project, size):
            raise Unavailable("more waits to be stored than may")
        wait = self._gate.ask(CountKey("log", project), len(lines), size, overdraw=overdraw)
        if wait:
            raise LimitReached("the project sends more than it may", retry_after=wait)
        await self._stored(key, batches, size, boot)

    async def _stored(
        self, of: "_Key", batches: Sequence[tuple[int, bytes]], size: int, boot: int
    ) -> None:
        key, host = of.mark, of.host
        loop = asyncio.get_running_loop()
        waiters = [_Waiter(loop.create_future(), len(payload)) for _, payload in batches]
        self._waiting[key.project] = self._waiting.get(key.project, 0) + size
        for (count, payload), waiter in zip(batches, waiters, strict=True):
            header = self._marks.extend(key, boot, count)
            wire = renumber(payload, boot=header.boot, first=header.first)
            self._writer.submit(Entry(key, header, wire, self._settled, waiter, host))
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(waiter.future for waiter in waiters))
        except TimeoutError:
            raise Unavailable("JetStream has not stored these lines in time") from None

    def _settled(self, entries: Sequence[Entry[_Waiter]]) -> None:
        for entry in entries:
            self._waiting[entry.key.project] -= entry.context.size
            if not self._waiting[entry.key.project]:
                del self._waiting[entry.key.project]
            if not entry.context.future.done():
                entry.context.future.set_result(None)

    def _room(self, project: str, size: int) -> bool:
        """Say whether so many bytes may wait: a quarter of all is the most for one project."""
        own = self._waiting.get(project, 0)
        if own and own + size > self._most_waiting // 4:
            return False
        return sum(self._waiting.values()) + size <= self._most_waiting

    def _host(self, project: str, source: str, host: str) -> str:
        """Give the host, or `other` when the source has as many as it may have."""
        hosts = self._hosts.setdefault((project, source), set())
        if host not in hosts:
            if not host or len(hosts) >= self._most_hosts:
                return OTHER
            hosts.add(host)
        return host


class Series:
    """Lines of a source that numbers them itself, so that none is stored twice.

    Which of them are stored is known from the relay's streams, also after a restart: whoever hands
    lines over goes on after `taken`, and needs to remember nothing.
    """

    def __init__(self, ingest: Ingest, marks: MarkTable, key: _Key, boot: int) -> None:
        self._ingest = ingest
        self._marks = marks
        self._key = key
        self._boot = boot

    @property
    def taken(self) -> int:
        """Number of the last line that is stored, or on its way."""
        mark = self._marks.offered(self._key.mark)
        return mark.seq if mark.boot == self._boot else 0

    @property
    def stored(self) -> int:
        """Number of the last line that is on disk."""
        of_device = self._marks.of_device(self._key.mark.project, self._key.mark.device)
        mark = of_device.get(self._key.mark.stream, ZERO)
        return mark.seq if mark.boot == self._boot else 0

    async def look(self) -> None:
        """Find out how far it is, where another process counts; `taken` and `stored` say it."""

    async def submit(self, lines: Lines) -> None:
        """Have the lines that follow `taken` stored; returning says that they are on disk.

        After `Unavailable` they may be on their way: `taken` counts them then.

        Raises:
            LimitReached, Unavailable, Invalid: as `Ingest.submit`.
        """
        await self._ingest.take(self._key, lines, self._boot)


def device_id(project: str, source: str, host: str) -> str:
    """Give the id that stands in for a device's: the same for the same source and host.

    Each project has its own: JetStream would take one's batch for a copy of another's.
    """
    digest = hashlib.sha256(f"{project}\n{source}\n{host}".encode()).digest()
    return PREFIX + base64.b32encode(digest).decode()[:20].lower()


def _shown(host: str) -> str:
    """Write a host as RFC 5424 has it (6.2.4): 255 printable characters of US-ASCII."""
    return "".join(c if "!" <= c <= "~" else "_" for c in host[:_LONGEST_HOST])


def encoded(lines: Lines, *, most: int = MAX_PAYLOAD_BYTES) -> Iterator[tuple[int, bytes]]:
    """Encode lines as batches of a size that every reader takes: how many lines, and the bytes.

    Args:
        most: bytes of a batch; a single line of the longest that there may be always fits.

    Raises:
        Invalid: they cannot be encoded.
    """
    for piece in _pieces(lines):
        try:
            check_lines(piece, Header(Codec.ZSTD, 1, 1, len(piece)))
            payload = encode_batch(piece, boot=1, first=1, codec=Codec.ZSTD)
        except (ProtocolError, OverflowError, UnicodeEncodeError) as error:
            raise Invalid(f"these lines cannot be stored: {error}") from None
        if len(payload) <= most:
            yield len(piece), payload
        else:  # texts that do not compress; a single one of 64 KiB always fits
            half = len(piece) // 2
            yield from encoded(piece.slice(0, half), most=most)
            yield from encoded(piece.slice(half), most=most)


def _pieces(lines: Lines) -> Iterator[Lines]:
    """Cut after 1,000 lines, or before there is more text than a body should have."""
    start = size = 0
    for index, text in enumerate(lines.messages):
        length = len(text)
        if index > start and (index - start == MAX_LINES or size + length > _MOST_CHARACTERS):
            yield _shortened(lines.slice(start, index))
            start, size = index, 0
        size += length
    yield _shortened(lines.slice(start))


def _shortened(lines: Lines) -> Lines:
    """Cut texts that are longer than a line may be, and say so in them."""
    longest = MAX_MESSAGE_BYTES // 4  # characters that fit, whatever they are
    if all(len(text) <= longest for text in lines.messages):
        return lines
    messages = [text if len(text) <= longest else _cut(text) for text in lines.messages]
    return msgspec.structs.replace(lines, messages=messages)


def _cut(text: str) -> str:
    data = text.encode(errors="replace")
    if len(data) <= MAX_MESSAGE_BYTES:
        return text
    return data[: MAX_MESSAGE_BYTES - len(_CUT)].decode(errors="ignore") + _CUT
