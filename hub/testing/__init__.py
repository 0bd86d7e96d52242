"""What authors of destinations test with: batches, a server for any destination, and a suite.

    class TestMine(DestinationConformance):
        type = my_destination_type

It needs pytest and pytest-asyncio; see docs/plugins.md.
"""

from hub.testing.batches import make_batch, make_chunk, make_metric_batch, make_metric_chunk
from hub.testing.bodies import mark
from hub.testing.conformance import (
    ODD_LINES,
    ODD_VALUES,
    DestinationConformance,
    MetricConformance,
)
from hub.testing.loopback import Loopback, Reply, Request
from hub.testing.receiver import PATIENCE, Receiver, deliver, eventually
from hub.testing.suite import MOST_IN_FLIGHT

__all__ = [
    "MOST_IN_FLIGHT",
    "ODD_LINES",
    "ODD_VALUES",
    "PATIENCE",
    "DestinationConformance",
    "Loopback",
    "MetricConformance",
    "Receiver",
    "Reply",
    "Request",
    "deliver",
    "eventually",
    "make_batch",
    "make_chunk",
    "make_metric_batch",
    "make_metric_chunk",
    "mark",
]
