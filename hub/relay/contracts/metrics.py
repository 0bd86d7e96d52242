"""What devices measured last."""

import msgspec

from hub.contracts import Contract


class LatestMetrics(msgspec.Struct, frozen=True):
    """Ask for what each device of a project said last of each type of metric."""

    project: str


class LatestSamples(msgspec.Struct, frozen=True):
    """The samples of one device's last message of a type; `time` in microseconds."""

    device: str
    host: str
    type: str
    names: list[str]
    values: list[float]
    times: list[int]
    labels: list[dict[str, str]]
    counters: list[bool]


LATEST_METRICS = Contract("relay.metrics.latest", LatestMetrics, LatestSamples)
"""Answered as a stream: one item for each device and type."""
