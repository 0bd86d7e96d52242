"""What a request holds, whatever its form: lines, and where each comes from."""

from collections.abc import Iterable

import msgspec

from hub import Lines


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line.

    Args:
        host: "" when it is not said.
        time: microseconds since the Unix epoch.
        priority: RFC 5424 PRI.
    """

    host: str
    stream: str
    time: int
    priority: int
    program: str
    message: str


def by_source(entries: Iterable[Entry], peer: str) -> dict[tuple[str, str], Lines]:
    """Give the lines by host and stream, in their order; `peer` is the host of who says none."""
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.host or peer, entry.stream), []).append(entry)
    return {
        key: Lines(
            [one.time for one in group],
            [one.priority for one in group],
            [one.program for one in group],
            [one.message for one in group],
        )
        for key, group in found.items()
    }
