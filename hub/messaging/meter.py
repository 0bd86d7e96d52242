"""What the bus counts for Prometheus."""

import functools

from prometheus_client import Counter, Histogram

from hub.telemetry import Metrics


class Meter:
    """The bus's metrics; two buses of one process share them."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter(
            "isaax_bus_requests_total",
            "Requests answered, by contract and outcome (ok, or the code of the error).",
            ("contract", "outcome"),
        )
        self._seconds = metrics.histogram(
            "isaax_bus_request_seconds", "Time from a request's start to its answer.", ("contract",)
        )
        self._events = metrics.counter(
            "isaax_bus_events_total",
            "Attempts at events, by consumer and outcome (done, retry or dead).",
            ("consumer", "outcome"),
        )

        # There are few contracts and outcomes; to find them by their labels takes long.
        self._of = functools.cache(self._find)

    def _find(self, contract: str, outcome: str) -> tuple[Counter, Histogram]:
        return self._requests.labels(contract, outcome), self._seconds.labels(contract)

    def answered(self, contract: str, outcome: str, seconds: float) -> None:
        """Count one request."""
        count, took = self._of(contract, outcome)
        count.inc()
        took.observe(seconds)

    def handled(self, consumer: str, outcome: str) -> None:
        """Count one attempt at an event."""
        self._events.labels(consumer, outcome).inc()
