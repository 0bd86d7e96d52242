"""Stored lines: read, followed, and tried on a shape."""

import msgspec

from hub.contracts import Contract
from hub.shaping.rules import Shape


class LogLine(msgspec.Struct, frozen=True):
    """One line as the API shows it; `time` and `received` are RFC 3339 in UTC."""

    id: str
    time: str
    received: str
    device: str
    host: str
    stream: str
    severity: str
    facility: str
    program: str
    message: str


class ReadLogs(msgspec.Struct, frozen=True):
    """Ask for stored lines of a project, newest last.

    Args:
        before: cursor from an earlier answer: lines older than that; "" for the newest.
        device, stream: only these, when given.
    """

    project: str
    limit: int = 100
    before: str = ""
    device: str = ""
    stream: str = ""


class LogPage(msgspec.Struct, frozen=True):
    """Lines in the order in which they were stored; `before` is the cursor of older ones."""

    lines: list[LogLine]
    before: str = ""


READ_LOGS = Contract("relay.logs.read", ReadLogs, LogPage)


class TailLogs(msgspec.Struct, frozen=True):
    """Follow a project's lines from now on, or after the position `after` of an earlier tail."""

    project: str
    after: str = ""
    device: str = ""
    stream: str = ""


class TailItem(msgspec.Struct, frozen=True):
    """One line of a tail.

    Args:
        position: resumes after it.
        line: None in the first item, that only says where a new tail begins.
        missed: lines were skipped before it.
    """

    position: str
    line: LogLine | None
    missed: int = 0


TAIL_LOGS = Contract("relay.logs.tail", TailLogs, TailItem)


class DryRun(msgspec.Struct, frozen=True):
    """Ask what a shape would do to the last lines of a project; nothing is sent."""

    project: str
    shape: Shape
    limit: int = 100


class ShapedLine(msgspec.Struct, frozen=True):
    """What became of one stored line.

    Args:
        outcome: `sent`, or the step that leaves it out (`filter`, `sample`, `rate_limit`), or
            `joined` to the line before it.
        after: as it would be sent; None when it is left out.
    """

    line: LogLine
    outcome: str
    after: LogLine | None = None


class DryRunResult(msgspec.Struct, frozen=True):
    """One for each stored line, oldest first."""

    lines: list[ShapedLine]


DRY_RUN = Contract("relay.dry-run", DryRun, DryRunResult, timeout=10.0)
