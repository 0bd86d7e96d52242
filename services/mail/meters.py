"""What Prometheus is told of mails."""

from collections.abc import Iterable

from hub import Metrics
from services.mail.store import Count

_STATES = ("waiting", "sent", "kept", "failed")


class Meters:
    """The metrics of mails; the gauges are of all hubs that share the database."""

    def __init__(self, metrics: Metrics) -> None:
        self._messages = metrics.gauge(
            "isaax_mail_messages",
            "Mails by state: waiting, sent (of the last day), kept (no mail server is configured), "
            "failed (given up in the last week).",
            ("state",),
        )
        self._oldest = metrics.gauge(
            "isaax_mail_oldest_waiting_seconds", "Age of the oldest mail that waits."
        )
        self._sent = metrics.counter("isaax_mail_sent_total", "Mails sent, or kept.", ("kind",))
        self._failures = metrics.counter(
            "isaax_mail_failures_total", "Attempts that failed and are made again.", ("kind",)
        )
        self._given_up = metrics.counter(
            "isaax_mail_given_up_total", "Mails that were given up.", ("kind",)
        )
        self._up = metrics.gauge(
            "isaax_mail_server_up", "Whether the mail server took, or looked at, the last mail."
        )

    def carried(self, kind: str) -> None:
        """Count a mail that is where it was to go."""
        self._sent.labels(kind).inc()
        self._up.set(1)

    def failed(self, kind: str, *, given_up: bool, reached: bool | None) -> None:
        """Count an attempt that failed."""
        (self._given_up if given_up else self._failures).labels(kind).inc()
        if reached is not None:
            self._up.set(int(reached))

    def measured(self, counts: Iterable[Count]) -> None:
        """Show how many there are."""
        found = {count.state: count for count in counts}
        for state in _STATES:
            self._messages.labels(state).set(found[state].messages if state in found else 0)
        self._oldest.set(found["waiting"].oldest if "waiting" in found else 0.0)
