"""Samples and lines as line protocol.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/#special-characters
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from hub import SEVERITIES, Batch, Chunk, MetricBatch, MetricChunk

_LAST: Final = 9_223_372_036_854_775  # int64 of nanoseconds, in microseconds
_LINE_ENDS: Final = re.compile(r"[\r\n]+")
# Before what is escaped, and at the end, servers disagree about what a backslash escapes.
_AMBIGUOUS: Final = re.compile(r"\\(?=\\*(?:[,= ]|$))")
_MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ "})
_TAG: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_STRING: Final = str.maketrans({"\\": "\\\\", '"': r"\"", "\n": r"\n", "\r": r"\r"})


def sample_points(batch: MetricBatch) -> list[bytes]:
    """Give each sample as a point: the measurement is its name, the field is `value`.

    Times are in microseconds.
    """
    return [point.encode() for chunk in batch.chunks for point in _samples(chunk)]


def _samples(chunk: MetricChunk) -> Iterator[str]:
    samples = chunk.samples
    rows = zip(
        samples.name_column(), samples.times, samples.values, samples.label_column(), strict=True
    )
    for name, time, value, own in rows:
        tags = {**own, **chunk.labels}
        # A disk's own `device` stays what it is under another name.
        tags |= {f"own_{key}": tags[key] for key in _OURS if key in tags}
        place = {"project": chunk.project, "device": chunk.device, "host": chunk.host}
        yield f"{_key(name, tags | place)} value={value!r} {_bounded(time)}"


_OURS: Final = ("device", "host", "project")


def line_points(batch: Batch, measurement: str) -> list[bytes]:
    """Give each line as a point; times are in nanoseconds.

    Two points of one series at one time are one point, of which the last stays. So the lowest three
    digits of the time, which no device tells, are those of the line's number.
    """
    return [point.encode() for chunk in batch.chunks for point in _lines(chunk, measurement)]


def _lines(chunk: Chunk, measurement: str) -> Iterator[str]:
    lines = chunk.lines
    place = {
        **chunk.labels,
        "project": chunk.project,
        "device": chunk.device,
        "host": chunk.host,
        "stream": chunk.stream,
    }
    rows = zip(
        chunk.ids(),
        chunk.numbers(),
        lines.times,
        lines.priority_column(),
        lines.program_column(),
        lines.messages,
        strict=True,
    )
    for identifier, number, time, priority, program, message in rows:
        key = _key(measurement, place | {"program": program, "severity": SEVERITIES[priority & 7]})
        yield (
            f'{key} message="{message.translate(_STRING)}",id="{identifier.translate(_STRING)}",'
            f"facility={priority >> 3}i {_bounded(time) * 1000 + number % 1000}"
        )


def _key(measurement: str, tags: Mapping[str, str]) -> str:
    """Write measurement and tags; sorted, as the server stores them."""
    clean = ((_plain(name), _plain(value)) for name, value in tags.items())
    return ",".join([
        _plain(measurement).translate(_MEASUREMENT),
        *(
            f"{name.translate(_TAG)}={value.translate(_TAG)}"
            for name, value in sorted(clean)
            if name and value  # a tag cannot be empty
        ),
    ])  # fmt: skip


def _plain(text: str) -> str:
    """Replace what no name can hold: line ends, and backslashes that are ambiguous."""
    return _AMBIGUOUS.sub("/", _LINE_ENDS.sub(" ", text))


def _bounded(microseconds: int) -> int:
    return min(max(microseconds, -_LAST), _LAST - 1)
