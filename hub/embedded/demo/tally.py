"""Counts numbered lines: what came, what is missing, what came twice or out of order."""

import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

# RFC 5424, section 6: PRI VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP SD SP
_MESSAGE: Final = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<program>\S+) \S+ \S+"
    r" (?:-|(?:\[(?:\\.|[^\]\\])*\])+)(?: (?P<text>.*))?",
    re.DOTALL,
)
_NUMBERED: Final = re.compile(r"demo (?P<stream>app|sys) line (?P<number>\d+)")


class NotSyslogError(ValueError):
    """A message is not RFC 5424."""


@dataclass(frozen=True, slots=True)
class Message:
    """A syslog message, as far as the demo shows it."""

    time: datetime
    host: str
    program: str
    text: str


def parse(raw: bytes) -> Message:
    """Read one RFC 5424 message.

    Raises:
        NotSyslogError: it is none.
    """
    try:
        match = _MESSAGE.fullmatch(raw.decode())
        if match is None:
            raise NotSyslogError(repr(raw[:200]))
        written = datetime.fromisoformat(match["time"])
    except ValueError as error:
        raise NotSyslogError(repr(raw[:200])) from error
    text = (match["text"] or "").removeprefix("\ufeff")
    return Message(written, match["host"], match["program"], text)


@dataclass(slots=True)
class StreamTally:
    """The numbers 1, 2, 3, … of one stream, in the order in which they came."""

    complete_to: int = 0
    ahead: set[int] = field(default_factory=set)
    duplicates: int = 0
    disordered: int = 0

    def add(self, number: int) -> None:
        """Take note of one."""
        if number <= self.complete_to or number in self.ahead:
            self.duplicates += 1
            return
        if number != self.complete_to + 1:
            self.disordered += 1
        self.ahead.add(number)
        while self.complete_to + 1 in self.ahead:
            self.complete_to += 1
            self.ahead.remove(self.complete_to)

    @property
    def delivered(self) -> int:
        """How many different numbers came."""
        return self.complete_to + len(self.ahead)


class Tally:
    """All streams of the demo's device."""

    def __init__(self) -> None:
        self.streams: Final = {"app": StreamTally(), "sys": StreamTally()}
        self.malformed = 0
        self.lag = 0.0

    def add(self, message: Message) -> None:
        """Take note of a message; those that bear no number do not count."""
        if found := _NUMBERED.search(message.text):
            self.streams[found["stream"]].add(int(found["number"]))
            self.lag = max(0.0, time.time() - message.time.timestamp())

    @property
    def delivered(self) -> int:
        """How many different lines came."""
        return sum(stream.delivered for stream in self.streams.values())

    @property
    def duplicates(self) -> int:
        """How many came again."""
        return sum(stream.duplicates for stream in self.streams.values())

    def missing(self, sent: dict[str, int]) -> int:
        """Say how many of the lines 1 to `sent` of each stream have not come."""
        return sum(
            count - stream.complete_to - sum(1 for number in stream.ahead if number <= count)
            for name, count in sent.items()
            if count > (stream := self.streams[name]).complete_to
        )
