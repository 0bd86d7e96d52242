"""Batches for tests: of lines, and of samples."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hub.batches import Batch, Chunk, MetricBatch, MetricChunk
from hub.protocol import Lines, Samples

PROJECT = "prj_aaaaaaaaaaaaaaaaaaaa"
DEVICE = "dev_aaaaaaaaaaaaaaaaaaaa"


def make_chunk(
    messages: Sequence[str],
    *,
    device: str = DEVICE,
    host: str = "pump-1",
    stream: str = "app",
    first: int = 1,
    time_us: int | None = None,
    priorities: int | list[int] = 14,
    programs: str | list[str] = "demo",
) -> Chunk:
    """Make a chunk of these messages, a millisecond apart.

    Args:
        time_us: microseconds since the Unix epoch of the first line; now by default.
    """
    start = time.time_ns() // 1000 if time_us is None else time_us
    times = [start + 1000 * number for number in range(len(messages))]
    return Chunk(
        project=PROJECT,
        device=device,
        host=host,
        stream=stream,
        boot=1,
        first=first,
        received=start,
        lines=Lines(times, priorities, programs, list(messages)),
    )


def make_batch(*messages: str, id: str = "batch-1", **chunk: Any) -> Batch:  # noqa: A002
    """Make a batch of one chunk; the named arguments are those of `make_chunk`."""
    return Batch(id, (make_chunk(messages, **chunk),))


def make_metric_chunk(
    values: Sequence[float],
    *,
    names: str | list[str] = "demo_temperature_celsius",
    labels: Mapping[str, str] | Sequence[Mapping[str, str]] = {},
    counters: bool | list[bool] = False,
    device: str = DEVICE,
    host: str = "pump-1",
    type: str = "demo",  # noqa: A002
    first: int = 1,
    time_us: int | None = None,
) -> MetricChunk:
    """Make a chunk of samples with these values, a millisecond apart.

    Args:
        names, counters: of all of them, or one for each.
        labels: of all of them, or one mapping for each.
        type: of metric: `cpu`, …
        time_us: microseconds since the Unix epoch of the first sample; now by default.
    """
    start = time.time_ns() // 1000 if time_us is None else time_us
    count = len(values)
    own = [labels] * count if isinstance(labels, Mapping) else labels
    return MetricChunk(
        project=PROJECT,
        device=device,
        host=host,
        stream=f"metric.{type}",
        boot=1,
        first=first,
        received=start,
        samples=Samples(
            names=names,
            times=[start + 1000 * number for number in range(count)],
            values=list(values),
            counters=counters,
            labels=[dict(one) for one in own],
        ),
    )


def make_metric_batch(
    *values: float,
    id: str = "batch-1",  # noqa: A002
    **chunk: Any,
) -> MetricBatch:
    """Make a batch of one chunk; the named arguments are those of `make_metric_chunk`."""
    return MetricBatch(id, (make_metric_chunk(values, **chunk),))
