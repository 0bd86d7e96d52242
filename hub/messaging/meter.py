"""What the bus counts for Prometheus."""

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

    def answered(self, contract: str, outcome: str, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(contract, outcome).inc()
        self._seconds.labels(contract).observe(seconds)

    def handled(self, consumer: str, outcome: str) -> None:
        """Count one attempt at an event."""
        self._events.labels(consumer, outcome).inc()
