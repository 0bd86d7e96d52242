"""How one integration fares: for its status, its metrics and its logs."""

import time
from enum import StrEnum

from hub.relay.contracts import IntegrationStatus
from hub.relay.meters import DeliveryMeters
from hub.relay.reader import StoredMessage


class State(StrEnum):
    """As in `IntegrationStatus`."""

    STARTING = "starting"
    DELIVERING = "delivering"
    WAITING = "waiting"
    RETRYING = "retrying"
    OPEN = "open"
    PAUSED = "paused"
    BROKEN = "broken"


class Progress:
    """Counts for one integration; kept over changes of it."""

    def __init__(self, integration: str, meters: DeliveryMeters) -> None:
        self.integration = integration
        self._delivered_meter = meters.delivered.labels(integration)
        self._rejected_meter = meters.rejected.labels(integration)
        self._retries_meter = meters.retries.labels(integration)
        self._gap_meter = meters.gaps.labels(integration)
        self._pending_meter = meters.pending.labels(integration)
        self._lag_meter = meters.lag.labels(integration)
        self._state_meters = {s: meters.state.labels(integration, s.value) for s in State}
        self._meters = meters
        self._state = State.STARTING
        self._delivered = 0
        self._rejected = 0
        self._pending = 0
        self._oldest = 0
        self._error = ""
        self._error_at = 0
        self._state_meters[self._state].set(1)

    def state(self, state: State) -> None:
        """Note what it does now."""
        if state is State.WAITING:
            self._pending = self._oldest = 0
        if state is not self._state:
            self._state_meters[self._state].set(0)
            self._state_meters[state].set(1)
            self._state = state

    def reading(self, since: int, waiting: int, last: StoredMessage | None) -> None:
        """Note what is in hand: since when it is stored (ns), and how much comes after it."""
        self._oldest = since
        if last is not None:
            self._pending = 1 + last.pending

        self._pending = max(self._pending, waiting + 1)

    def delivered(self, lines: int) -> None:
        """Count lines that were taken."""
        self._delivered += lines
        self._delivered_meter.inc(lines)

    def rejected(self, lines: int, reason: str) -> None:
        """Count lines that became dead letters."""
        self._rejected += lines
        self._rejected_meter.inc(lines)
        self._note(reason)

    def failed(self, state: State, reason: str) -> None:
        """Count an attempt that failed."""
        self._retries_meter.inc()
        self.note(state, reason)

    def note(self, state: State, reason: str) -> None:
        """Note a state and why it is so."""
        self.state(state)
        self._note(reason)

    def gap(self, positions: int) -> None:
        """Count what retention took away before it was read."""
        self._gap_meter.inc(positions)
        self._note(f"retention took {positions} stored batches away before they were delivered")

    def status(self, pending: int | None = None) -> IntegrationStatus:
        """Give the status; `pending` is what JetStream says is not yet read."""
        lag = max(0.0, time.time() - self._oldest / 1e9) if self._oldest else 0.0
        return IntegrationStatus(
            id=self.integration,
            state=self._state.value,
            pending=max(self._pending, pending or 0),
            lag_seconds=round(lag, 3),
            delivered=self._delivered,
            rejected=self._rejected,
            error=self._error,
            error_at=self._error_at,
        )

    def publish(self, pending: int | None) -> None:
        """Bring the gauges up to date."""
        status = self.status(pending)
        self._pending_meter.set(status.pending)
        self._lag_meter.set(status.lag_seconds)

    def remove(self) -> None:
        """Take the metrics of a deleted integration away."""
        meters, name = self._meters, self.integration
        for meter in (meters.delivered, meters.rejected, meters.retries, meters.gaps):
            meter.remove(name)
        meters.pending.remove(name)
        meters.lag.remove(name)
        for state in State:
            meters.state.remove(name, state.value)

    def _note(self, reason: str) -> None:
        self._error = reason
        self._error_at = time.time_ns() // 1_000
