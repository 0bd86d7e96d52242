"""What is done of each message that was read and is not yet acknowledged.

JetStream knows one place per consumer: all before it is acknowledged (AckPolicy.ALL). Lines are
finer than that: a message may be sent in pieces, its last line may wait for one that continues
it, and of a batch some lines may be left. The ledger knows them, and says how far may be
acknowledged. It outlives a change of the integration, so that a change repeats nothing.
"""

from collections import deque
from collections.abc import Collection
from typing import Final, NamedTuple

from hub.relay.reader import StoredMessage
from hub.relay.stored import LINE

_NONE: Final[frozenset[int]] = frozenset()


class Entry:
    """One message that was read, and is not yet acknowledged.

    Args of it that others use:
        first: sequence number (of the device's stream) of its first line.
        total: its lines; -1 until they are decoded.
        done: how many of the first ones are done with.
        beyond: indexes of others that are, after one that is not.
        written: how many of the first ones were written to a destination that never answers.
        line: lines of the project that the stream had taken before it; -1 when it does not say.
        counts: for how many lines it counts there.
        time: when it was stored, nanoseconds since the Unix epoch.
    """

    __slots__ = (
        "beyond", "counts", "done", "epoch", "first", "line", "reply", "sequence", "time", "total",
        "written",
    )  # fmt: skip

    def __init__(self, message: StoredMessage, line: int, counts: int) -> None:
        self.sequence = message.sequence
        self.time = message.time
        self.line = line
        self.counts = counts
        self.first = 0
        self.total = -1
        self.done = 0
        self.beyond: frozenset[int] = _NONE
        self.written = 0
        self.reply = message.reply
        self.epoch = message.epoch

    @property
    def resume(self) -> int:
        """How many of the first lines are not to be handed out again."""
        return max(self.done, self.written)

    @property
    def is_done(self) -> bool:
        """Nothing of it is left."""
        return 0 <= self.total <= self.done


class Place(NamedTuple):
    """Where the acknowledgement of a message, and of all before it, goes."""

    sequence: int
    reply: str
    epoch: int


class Missing(NamedTuple):
    """Lines that should have come between a message and the line `next`, and did not."""

    after: int
    lines: int
    next: int


class Ledger:
    """The messages of one consumer beyond its last acknowledgement, in order."""

    def __init__(self) -> None:
        self._open: deque[Entry] = deque()
        self._by_sequence: dict[int, Entry] = {}
        self._awaited: deque[Entry] = deque()
        self._again: Place | None = None
        self._is_set_back = False
        self.missing: Missing | None = None
        """What was found missing; only the stream knows why it is."""
        self.until = 0
        """Stream sequence of the last message that may be acknowledged (0: none yet)."""
        self.done_until = 0
        """The same, where an earlier process wrote it down: at the least."""
        self.done_line: int | None = None
        """Lines of the project that the stream had taken up to there, where that is known."""
        self.done_time = 0
        """When the last message that is done was stored, nanoseconds since the Unix epoch."""
        self.read_until = 0
        """Stream sequence of the last message that was handed out, or counted as missing."""
        self.next_line: int | None = None
        """The line that has to come after it."""

    def restore(self, sequence: int, line: int) -> None:
        """Go on where an earlier process was, at most: all up to this message was done."""
        self.done_line = self.next_line = line
        self.done_until = self.read_until = sequence

    @property
    def oldest(self) -> Entry | None:
        """The first message that was handed out and is not done."""
        return next((entry for entry in self._open if not entry.is_done), None)

    def __len__(self) -> int:
        return len(self._open)

    # ── what comes in ─────────────────────────────────────────────────────────────────────────

    def admit(self, message: StoredMessage, lines: int) -> Entry | None:
        """Take a message in; None when nothing of it is to be handed out (again).

        Messages come in order, but may come again from the last acknowledged one on.

        Args:
            lines: that it counts for (see `BatchId.lines`).
        """
        line = line_of(message)
        if self._is_another(message, line, lines):
            self._forget(message.sequence)
        if message.sequence <= self.until:
            # A NATS that was killed may forget its last acknowledgements.
            self._again = Place(message.sequence, message.reply, message.epoch)
            return None
        if self._awaited:
            self._come_back(message.sequence)
        if line >= 0:
            if self.next_line is not None and line > self.next_line:
                self._miss(line - self.next_line, line)
            self.next_line = max(line + lines, self.next_line or 0)
        elif self.next_line is not None:
            self.next_line += lines
        self.read_until = max(self.read_until, message.sequence)
        entry = self._by_sequence.get(message.sequence)
        if entry is None:
            entry = Entry(message, line, lines)
            self._open.append(entry)
            self._by_sequence[message.sequence] = entry
            if self._was_done(message, line + lines):
                self.drop(entry)
                return None
            return entry
        entry.reply, entry.epoch = message.reply, message.epoch
        return None if 0 <= entry.total <= entry.resume else entry

    def rewind(self) -> None:
        """Note that reading begins again with the first message that is not done."""
        self._awaited = deque(self._open)
        first = self.oldest
        if first is not None:
            self.read_until = first.sequence - 1
            if first.line >= 0:
                self.next_line = first.line

    def _come_back(self, sequence: int) -> None:
        """Drop what was read before and does not come again: the stream no longer has it."""
        while self._awaited and self._awaited[0].sequence <= sequence:
            entry = self._awaited.popleft()
            if entry.sequence < sequence and not entry.is_done:
                self.drop(entry)

    def _is_another(self, message: StoredMessage, line: int, lines: int) -> bool:
        """Whether this sequence was that of another message, which the stream has lost.

        Time passes, and lines are counted on, whatever becomes of a stream: what is later, under
        the sequence of something earlier, is another.
        """
        sequence, last = message.sequence, self._open[-1] if self._open else None
        if sequence <= self.until:
            counted = line >= 0 and lines > 0 and self.done_line is not None
            return message.time > self.done_time or (counted and line >= (self.done_line or 0))
        if last is None or sequence > last.sequence:
            return False
        return message.time > last.time or (lines > 0 and 0 <= last.line < line)

    def _was_done(self, message: StoredMessage, until: int) -> bool:
        """Whether a message, the last line of which is this, was done under another sequence."""
        if not self._is_set_back or self.done_line is None:
            return False
        return message.time <= self.done_time and until <= self.done_line

    def _forget(self, sequence: int) -> None:
        """Forget what had this sequence, and what came after it."""
        while self._open and self._open[-1].sequence >= sequence:
            del self._by_sequence[self._open.pop().sequence]
        self._awaited = deque(entry for entry in self._awaited if entry.sequence < sequence)
        before = sequence - 1
        self.until = min(self.until, before)
        self.done_until = min(self.done_until, before)
        self.read_until = min(self.read_until, before)

    def set_back(self) -> None:
        """Note that the stream lost its end: sequences no longer say what is done."""
        self.rewind()
        self._forget(0)
        self.until = self.done_until = self.read_until = 0
        self._again = None
        self._is_set_back = True

    def _miss(self, lines: int, line: int) -> None:
        missing = self.missing or Missing(self.read_until, 0, line)
        self.missing = Missing(missing.after, missing.lines + lines, line)

    def counted(self, missing: Missing) -> None:
        """Note that what was found missing is counted: whoever goes on from here does not again."""
        self.missing = None
        self.done_line = max(missing.next, self.done_line or 0)

    def pass_over(self, sequence: int, line: int) -> int:
        """Note that what is before this message is gone; give the lines that were not done."""
        since = line if self.next_line is None else self.next_line
        for entry in self._open:
            if entry.sequence < sequence and not entry.is_done:
                since = min(since, entry.line) if entry.line >= 0 else since
                self.drop(entry)
        missing = Missing(self.read_until, max(0, line - since), line)
        self.read_until = max(self.read_until, sequence - 1)
        self.next_line = line
        self.counted(missing)
        return missing.lines

    # ── what becomes of it ────────────────────────────────────────────────────────────────────

    def drop(self, entry: Entry) -> None:
        """Note that nothing of a message is to be sent."""
        entry.total = entry.done = max(entry.total, 0)

    def done(self, entry: Entry, count: int) -> None:
        """Note that the first `count` lines of a message are done."""
        if count <= entry.done:
            return
        entry.done = count
        if entry.beyond:
            while entry.done in entry.beyond:
                entry.done += 1
            entry.beyond = frozenset(index for index in entry.beyond if index > entry.done)

    def done_but(self, entry: Entry, count: int, left: Collection[int]) -> None:
        """Note that the first `count` lines are done, but for these (by their index)."""
        left = sorted(index for index in left if entry.done <= index < count)
        if not left:
            self.done(entry, count)
            return
        among = set(range(left[0], count)).difference(left)
        entry.beyond = frozenset(entry.beyond | among)
        self.done(entry, left[0])

    def written(self, entry: Entry, count: int) -> None:
        """Note that the first `count` lines are on their way, and may yet be lost."""
        entry.written = max(entry.written, count)

    def lost(self) -> None:
        """Note that what was written is not to be counted on."""
        for entry in self._open:
            entry.written = 0

    def advance(self) -> Place | None:
        """Give the newest message up to which all is done, if there is news of it."""
        last: Entry | None = None
        while self._open and self._open[0].is_done:
            last = self._open.popleft()
            del self._by_sequence[last.sequence]
            if last.line >= 0:
                self.done_line = max(last.line + last.counts, self.done_line or 0)
            self.done_time = last.time
        again, self._again = self._again, None
        if last is None:
            return again
        self.until = self.done_until = last.sequence
        return Place(last.sequence, last.reply, last.epoch)


def line_of(message: StoredMessage) -> int:
    """Read how many lines of the project came before a message; -1 when it does not say."""
    text = message.headers.get(LINE)
    return int(text) if text is not None and text.isdecimal() else -1
