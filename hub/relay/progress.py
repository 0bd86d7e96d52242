"""How one integration fares: for its status, its metrics and its logs."""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import structlog

from hub.relay.contracts import IntegrationStatus
from hub.relay.meters import DeliveryMeters

_log = structlog.stdlib.get_logger(__name__)


class State(StrEnum):
    """As in `IntegrationStatus`."""

    STARTING = "starting"
    DELIVERING = "delivering"
    WAITING = "waiting"
    RETRYING = "retrying"
    OPEN = "open"
    PAUSED = "paused"
    BROKEN = "broken"


_WORST: Final = (
    State.BROKEN, State.OPEN, State.RETRYING, State.STARTING, State.DELIVERING, State.PAUSED,
    State.WAITING,
)  # fmt: skip


class Lag:
    """How far a lane is behind, when it was last looked at.

    Args:
        pending: batches stored and not yet delivered.
        lines: in them, as far as that is known.
        oldest: when the oldest was stored, nanoseconds since the Unix epoch; 0: there is none.
        sequence: of the oldest, in the stream.
    """

    __slots__ = ("lines", "oldest", "pending", "sequence")

    def __init__(
        self, pending: int = 0, lines: int = 0, oldest: int = 0, sequence: int = 0
    ) -> None:
        self.pending = pending
        self.lines = lines
        self.oldest = oldest
        self.sequence = sequence

    @property
    def seconds(self) -> float:
        """The age of the oldest."""
        return max(0.0, time.time() - self.oldest / 1e9) if self.oldest else 0.0


class LaneProgress:
    """What one delivery tells of itself."""

    def __init__(self, whole: "Progress") -> None:
        self._whole = whole
        self.current = State.STARTING
        self.lag = Lag()

    def state(self, state: State) -> None:
        """Note what it does now."""
        if state is not self.current:
            self.current = state
            self._whole.changed()

    def delivered(self, lines: int) -> None:
        """Count lines that were taken."""
        self._whole.delivered(lines)

    def rejected(self, lines: int, reason: str) -> None:
        """Count lines that became dead letters."""
        self._whole.rejected(lines, reason)

    def left_out(self, step: str, lines: int) -> None:
        """Count lines that a step of the shape left out, or changed."""
        self._whole.left_out(step, lines)

    def failed(self, state: State, reason: str) -> None:
        """Count an attempt that failed."""
        self._whole.retried()
        self.note(state, reason)

    def note(self, state: State, reason: str) -> None:
        """Note a state and why it is so."""
        self.state(state)
        self._whole.note(reason)

    def gap(self, lines: int, *, damage: bool = False) -> None:
        """Count lines (at most) that retention, or damage, took before they were delivered."""
        self._whole.gap(lines, damage=damage)

    def behind(self, words: str) -> None:
        """Note that it is about to lose lines to retention; "" when it no longer is."""
        self._whole.behind(self, words)


class Progress:
    """One integration: its lanes' states and what they count; kept over changes of it."""

    def __init__(self, integration: str, meters: DeliveryMeters) -> None:
        self.integration = integration
        self._meters = meters
        self._delivered_meter = meters.delivered.labels(integration)
        self._rejected_meter = meters.rejected.labels(integration)
        self._retries_meter = meters.retries.labels(integration)
        self._gap_meter = meters.gaps.labels(integration)
        self._state_meters = {s: meters.state.labels(integration, s.value) for s in State}
        gauges = (meters.pending, meters.lag, meters.lag_lines, meters.dead)
        self._gauges = tuple(gauge.labels(integration) for gauge in gauges)
        self._lanes: dict[str, LaneProgress] = {}
        self._state = State.STARTING
        self._delivered = 0
        self._rejected = 0
        self._left_out: dict[str, int] = {}
        self._gaps = 0
        self._error = ""
        self._error_at = 0
        self._behind: dict[LaneProgress, str] = {}
        self._state_meters[self._state].set(1)

    # ── lanes ─────────────────────────────────────────────────────────────────────────────────

    def lane(self, name: str) -> LaneProgress:
        """Give a lane's part, made if need be."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = LaneProgress(self)
            self.changed()
        return lane

    def end_lane(self, name: str) -> None:
        """Forget a lane that is no more."""
        lane = self._lanes.pop(name, None)
        if lane is not None:
            self._behind.pop(lane, None)
            self.changed()

    def changed(self) -> None:
        """Bring the whole's state in line: it is the worst of its lanes'."""
        states = {lane.current for lane in self._lanes.values()} or {State.STARTING}
        state = next(s for s in _WORST if s in states)
        if state is not self._state:
            self._state_meters[self._state].set(0)
            self._state_meters[state].set(1)
            self._state = state

    # ── what they count ───────────────────────────────────────────────────────────────────────

    def delivered(self, lines: int) -> None:
        """Count lines that were taken."""
        self._delivered += lines
        self._delivered_meter.inc(lines)

    def rejected(self, lines: int, reason: str) -> None:
        """Count lines that became dead letters."""
        self._rejected += lines
        self._rejected_meter.inc(lines)
        self.note(reason)

    def left_out(self, step: str, lines: int) -> None:
        """Count lines that a step of the shape left out, or changed."""
        self._left_out[step] = self._left_out.get(step, 0) + lines
        self._meters.left_out.labels(self.integration, step).inc(lines)

    def retried(self) -> None:
        """Count an attempt that failed."""
        self._retries_meter.inc()

    def restore_gaps(self, lines: int) -> None:
        """Go on counting gaps where an earlier process was."""
        self._gaps = max(self._gaps, lines)

    @property
    def gaps(self) -> int:
        """Lines (at most) that retention, or damage, took."""
        return self._gaps

    def gap(self, lines: int, *, damage: bool = False) -> None:
        """Count lines (at most) that retention, or damage, took before they were delivered."""
        self._gaps += lines
        self._gap_meter.inc(lines)
        taker = "damage to JetStream's files" if damage else "retention"
        self.note(f"{taker} took up to {lines} lines before they were delivered")
        _log.error(
            "stored lines are gone before they were delivered",
            integration=self.integration,
            at_most=lines,
            taken_by=taker,
        )

    def behind(self, lane: LaneProgress, words: str) -> None:
        """Note that a lane is about to lose lines to retention; "" when it no longer is."""
        if not words:
            self._behind.pop(lane, None)
            return
        if lane not in self._behind:
            _log.warning(
                "an integration is falling behind retention",
                integration=self.integration,
                reason=words,
            )
        self._behind[lane] = words

    def note(self, reason: str) -> None:
        """Note an error, in words a user understands."""
        self._error = reason
        self._error_at = time.time_ns() // 1_000

    # ── what others see ───────────────────────────────────────────────────────────────────────

    def status(self) -> IntegrationStatus:
        """Give the status, with the lag as it was last looked at, and no dead letters."""
        lags = [lane.lag for lane in self._lanes.values()]
        words = [self._error, *self._behind.values()]
        return IntegrationStatus(
            id=self.integration,
            state=self._state.value,
            pending=sum(lag.pending for lag in lags),
            lag_lines=sum(lag.lines for lag in lags),
            lag_seconds=round(max((lag.seconds for lag in lags), default=0.0), 3),
            delivered=self._delivered,
            rejected=self._rejected,
            left_out=dict(self._left_out),
            gap_lines=self._gaps,
            error="; ".join(word for word in words if word),
            error_at=self._error_at,
        )

    def publish(self, dead_letters: Mapping[str, int]) -> None:
        """Bring the gauges up to date."""
        status = self.status()
        dead = dead_letters.get(self.integration, 0)
        values = (status.pending, status.lag_seconds, status.lag_lines, dead)
        for gauge, value in zip(self._gauges, values, strict=True):
            gauge.set(value)

    def remove(self) -> None:
        """Take the metrics of a deleted integration away."""
        self._meters.remove(self.integration, list(State), self._left_out)
