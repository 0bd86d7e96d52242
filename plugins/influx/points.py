"""Samples and lines as line protocol.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/#special-characters
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from hub import (
    SEVERITIES,
    Batch,
    Chunk,
    MetricBatch,
    MetricChunk,
    join_rows,
    json_column,
    source_column,
)

_LAST: Final = 9_223_372_036_854_775  # int64 of nanoseconds, in microseconds
_MOST_PAIRS: Final = 4096  # most tags come again and again
_LINE_ENDS: Final = re.compile(r"[\r\n]+")
# Before what is escaped, and at the end, servers disagree about what a backslash escapes.
_AMBIGUOUS: Final = re.compile(r"\\(?=\\*(?:[,= ]|$))")
_MEASUREMENT: Final = str.maketrans({",": r"\,", " ": r"\ "})
_TAG: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\="})
_STRING: Final = {"\\": "\\\\", '"': r"\"", "\n": r"\n", "\r": r"\r"}  # the backslash first


def sample_points(batch: MetricBatch) -> list[bytes]:
    """Give each sample as a point: the measurement is its name, the field is `value`.

    Times are in microseconds.
    """
    return [point for chunk in batch.chunks for point in _samples(chunk)]


def _samples(chunk: MetricChunk) -> Iterator[bytes]:
    samples = chunk.samples
    rows = zip(
        samples.name_column(), samples.times, samples.values, samples.label_column(), strict=True
    )
    keys: dict[tuple[object, ...], str] = {}
    for name, time, value, own in rows:
        series = (name, *own.items())
        key = keys.get(series) or keys.setdefault(series, _series(chunk, name, own))
        yield f"{key} value={value!r} {_bounded(time)}".encode()


def _series(chunk: MetricChunk, name: str, own: Mapping[str, str]) -> str:
    tags = {**own, **chunk.labels}
    # A disk's own `device` stays what it is under another name.
    tags |= {f"own_{key}": tags[key] for key in _OURS if key in tags}
    return _key(name, tags | {"project": chunk.project, "device": chunk.device, "host": chunk.host})


_OURS: Final = ("device", "host", "project")


def line_points(batch: Batch, measurement: str) -> list[bytes]:
    """Give each line as a point; times are in nanoseconds.

    Two points of one series at one time are one point, of which the last stays. So the lowest three
    digits of the time, which no device tells, are those of the line's number.
    """
    return [point for chunk in batch.chunks for point in _lines(chunk, measurement)]


def _lines(chunk: Chunk, measurement: str) -> list[bytes]:
    lines, numbers = chunk.lines, chunk.numbers()
    place = {
        **chunk.labels,
        "project": chunk.project,
        "device": chunk.device,
        "host": chunk.host,
        "stream": chunk.stream,
    }

    def key(priority: int, program: str) -> bytes:
        own = {"program": program, "severity": SEVERITIES[priority & 7]}
        return _key(measurement, place | own).encode()

    times = [
        _bounded(time) * 1000 + number % 1000
        for time, number in zip(lines.times, numbers, strict=True)
    ]
    return join_rows(
        [
            source_column(lines, key), b' message="', _strings(lines.messages),
            b'",id="%b' % _strings([chunk.id_prefix])[0], json_column(numbers), b'",facility=',
            source_column(lines, lambda priority, _: b"%di " % (priority >> 3)), json_column(times),
        ],
        len(chunk),
    )  # fmt: skip


def _strings(texts: Sequence[str]) -> list[bytes]:
    """Escape what strings may not hold; for those that do not occur, nothing is done."""
    joined = "".join(texts)
    for char, escape in _STRING.items():
        if char in joined:
            texts = [text.replace(char, escape) for text in texts]
    return [text.encode() for text in texts]


def _key(measurement: str, tags: Mapping[str, str]) -> str:
    """Write measurement and tags; sorted, as the server stores them."""
    pairs = sorted([_pair(name, text) for name, text in tags.items()])
    return ",".join([_measurement(measurement), *[written for *_, written in pairs if written]])


@functools.lru_cache(_MOST_PAIRS)
def _pair(name: str, text: str) -> tuple[str, str, str]:
    """Give a tag's name and value as they are stored, and how they are written; "" without one."""
    name, text = _plain(name), _plain(text)
    is_tag = name and text  # neither can be empty
    return name, text, f"{name.translate(_TAG)}={text.translate(_TAG)}" if is_tag else ""


@functools.lru_cache(_MOST_PAIRS)
def _measurement(name: str) -> str:
    return _plain(name).translate(_MEASUREMENT)


def _plain(text: str) -> str:
    """Replace what no name can hold: line ends, and backslashes that are ambiguous."""
    return _AMBIGUOUS.sub("/", _LINE_ENDS.sub(" ", text))


def _bounded(microseconds: int) -> int:
    return min(max(microseconds, -_LAST), _LAST - 1)
