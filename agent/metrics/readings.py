"""What a sensor read, and the columns of a batch that it becomes."""

from collections.abc import Sequence
from typing import Final

import msgspec

from agent.lines import now
from hub.protocol import MAX_LABEL_CHARACTERS, MAX_LINES, Samples

_NO_LABELS: Final[dict[str, str]] = {}


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value.

    Args:
        name: with its unit at the end, as OpenMetrics has it (`_bytes`, `_seconds`, `_ratio`).
        counter: it only grows, but for a restart; then `name` ends with `_total`.
    """

    name: str
    value: float
    labels: dict[str, str] = _NO_LABELS
    counter: bool = False


def gauge(name: str, value: float, **labels: str) -> Reading:
    """Make a reading of what goes up and down."""
    return Reading(name, value, _fit(labels))


def counter(name: str, value: float, **labels: str) -> Reading:
    """Make a reading of what only grows; `_total` is put behind its name."""
    return Reading(f"{name}_total", value, _fit(labels), counter=True)


def samples_of(readings: Sequence[Reading], time: int | None = None) -> list[Samples]:
    """Make batches of what was read at one moment: one, unless it is more than a batch holds.

    Args:
        time: microseconds since the Unix epoch; None for now.
    """
    time = now() if time is None else time
    pieces = (readings[n : n + MAX_LINES] for n in range(0, len(readings), MAX_LINES))
    return [
        Samples(
            [time] * len(piece),
            [one.name for one in piece],
            [one.value for one in piece],
            [one.labels for one in piece],
            [one.counter for one in piece],
        )
        for piece in pieces
    ]


def missing_samples(span: int, time: int) -> Samples:
    """Make the one sample that stands for some that were lost on the device."""
    return Samples([time], "isaax_missing_samples", [float(span)])


def _fit(labels: dict[str, str]) -> dict[str, str]:
    """Make label values that the wire takes: names of files may be any bytes."""
    return {
        name: value.encode("utf-8", "replace").decode()[:MAX_LABEL_CHARACTERS]
        for name, value in labels.items()
    }
