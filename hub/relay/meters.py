"""The relay's metrics."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

from hub.relay.streams import Kind
from hub.telemetry import Metrics

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class IntakeMeters:
    """What comes in from devices and sources."""

    lines: Counter
    samples: Counter
    batches: Counter
    bytes: Counter
    duplicates: Counter
    resumes: Counter
    rejects: Counter
    slowed: Counter
    publish: Histogram

    def taken(self, kind: Kind, lines: int, size: int) -> None:
        """Count a batch that is stored."""
        (self.samples if kind == "metric" else self.lines).inc(lines)
        self.bytes.inc(size)

    @classmethod
    def of(cls, metrics: Metrics) -> "IntakeMeters":
        """Register them."""
        return cls(
            metrics.counter("isaax_intake_lines_total", "Lines stored."),
            metrics.counter("isaax_intake_samples_total", "Samples stored."),
            metrics.counter("isaax_intake_batches_total", "Batches stored."),
            metrics.counter("isaax_intake_bytes_total", "Bytes of batches stored."),
            metrics.counter("isaax_intake_duplicates_total", "Batches that were known already."),
            metrics.counter("isaax_intake_resumes_total", "Batches that did not follow the last."),
            metrics.counter(
                "isaax_intake_rejects_total", "Messages that could not be taken.", ("code",)
            ),
            metrics.counter(
                "isaax_intake_slowed_total",
                "Batches put off: over the project's limits, or more than its share.",
                ("reason",),
            ),
            metrics.histogram(
                "isaax_intake_publish_seconds", "Group commit into JetStream.", buckets=_LATENCY
            ),
        )


@dataclass(frozen=True, slots=True)
class DeliveryMeters:
    """What goes out; each has the label `integration`."""

    delivered: Counter
    rejected: Counter
    retries: Counter
    gaps: Counter
    left_out: Counter
    pending: Gauge
    lag: Gauge
    lag_lines: Gauge
    dead: Gauge
    state: Gauge

    @classmethod
    def of(cls, metrics: Metrics) -> "DeliveryMeters":
        """Register them."""
        label = ("integration",)
        return cls(
            metrics.counter("isaax_delivery_lines_total", "Lines taken.", label),
            metrics.counter("isaax_delivery_rejected_total", "Lines that became dead.", label),
            metrics.counter("isaax_delivery_retries_total", "Attempts that failed.", label),
            metrics.counter(
                "isaax_delivery_gap_lines_total", "Lines (at most) lost to retention.", label
            ),
            metrics.counter(
                "isaax_delivery_left_out_lines_total",
                "Lines that a step of the shape left out, or changed.",
                ("integration", "step"),
            ),
            metrics.gauge("isaax_delivery_pending", "Batches not yet delivered.", label),
            metrics.gauge("isaax_delivery_lag_seconds", "Age of the oldest of them.", label),
            metrics.gauge("isaax_delivery_lag_lines", "Lines in them.", label),
            metrics.gauge("isaax_delivery_dead_letters", "Dead letters that are kept.", label),
            metrics.gauge(
                "isaax_delivery_state", "1 for the state it is in.", ("integration", "state")
            ),
        )

    def remove(self, integration: str, states: Iterable[str], steps: Iterable[str]) -> None:
        """Take away all that has this integration's label, with these labels beside it."""
        for counter in (self.delivered, self.rejected, self.retries, self.gaps):
            counter.remove(integration)
        for gauge in (self.pending, self.lag, self.lag_lines, self.dead):
            gauge.remove(integration)
        for state in states:
            self.state.remove(integration, state)
        for step in steps:
            self.left_out.remove(integration, step)
