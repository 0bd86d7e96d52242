"""Sending one batch to a lane's destination, and what follows from the outcome."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import structlog

from hub.batches import Batch
from hub.destinations import Limits, StreamDestination, Window
from hub.relay.cursor import Source
from hub.relay.cutting import AnyBatch, AnyChunk, subset
from hub.relay.dead_letters import DeadLetters
from hub.relay.life import AnyDestination, Life
from hub.relay.progress import LaneProgress, State
from hub.relay.push import Failed, Outcome, Refused, Taken, TookSome, named, push
from hub.relay.retry import Breaker, Circuit
from hub.relay.veil import NOTHING_SECRET, Veil

_log = structlog.stdlib.get_logger(__name__)

_NOTHING: Final = Batch("", ())

_REFUSALS: Final = 10
"""Batches refused in a row, from which on a destination is only probed: a wrong token would else
make dead letters of all there is, in the place of other tenants' letters."""


_LEAST_PATIENCE: Final = 0.7
"""Seconds: a change of an integration takes effect within one."""


class Rewind(Exception):  # noqa: N818 - moves the loop to its start
    """What is unconfirmed has to be read and sent again."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.reason)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Rules:
    """How one destination is served.

    Args:
        limits: what one batch may hold, and how long it is waited for.
        timeout, window: as in `DestinationType`.
        memory: gives the bytes of stored batches that may be held ahead at present.
        veil: hides the secrets of the config in what a destination says.
    """

    limits: Limits
    timeout: float
    window: Window | None
    memory: Callable[[], int]
    veil: Veil = NOTHING_SECRET


class Sender:
    """Makes attempts; between two of them, `pause` says how long to wait."""

    def __init__(
        self,
        integration: str,
        source: Source,
        life: Life,
        rules: Rules,
        *,
        dead: DeadLetters,
        progress: LaneProgress,
        breaker: Breaker,
    ) -> None:
        self._integration = integration
        self._source = source
        self._life = life
        self._rules = rules
        self._dead = dead
        self._progress = progress
        self._breaker = breaker
        self._log = _log.bind(integration=integration)
        self._pause = 0.0
        self._refusals = 0
        self._slowest = 0.0
        self.is_sending = False
        """A call of the destination is under way."""
        self.answers = rules.window is None
        """What `send` returned from is taken; otherwise it has to be confirmed."""

    @property
    def is_open(self) -> bool:
        """The circuit is: the destination is only probed."""
        return self._breaker.circuit is Circuit.OPEN

    def take_pause(self) -> float:
        """Give the seconds that the last failure asks to wait."""
        pause, self._pause = self._pause, 0.0
        return pause

    def confirmed(self) -> None:
        """Note that something arrived."""
        self._breaker.succeeded()

    async def attempt(self, batch: AnyBatch) -> AnyBatch:
        """Send once; give what is left to send.

        Raises:
            Rewind: the connection is gone, and with it what was unconfirmed.
        """
        destination = await self._ready()
        if destination is None:
            return batch
        self._progress.state(State.DELIVERING)
        outcome = await self._push(destination, batch)
        match outcome:
            case Taken():
                self._progress.delivered(len(batch))
                self._succeeded()
                return _NOTHING
            case Refused(reason):
                await self._dead.put_batch(
                    self._integration, batch, reason, attempt=self._attempt_name()
                )
                self._progress.rejected(len(batch), reason)
                self._refused(reason)
                return _NOTHING
            case TookSome():
                return await self._took_some(batch, outcome)
            case Failed():
                await self._failed(outcome)
                return batch

    @property
    def patience(self) -> float:
        """Seconds that a send in hand is worth waiting for, by how long others took lately.

        One that was slow before is waited for, so that nothing is sent twice; one that hangs is
        given up soon, so that a change of it takes effect.
        """
        return max(_LEAST_PATIENCE, 2 * self._slowest)

    async def _push(self, destination: AnyDestination, batch: AnyBatch) -> Outcome:
        started = time.monotonic()
        self.is_sending = True
        try:
            with named(self._integration):
                outcome = await push(destination, batch, self._rules.timeout, veil=self._rules.veil)
        finally:
            self.is_sending = False
        if not isinstance(outcome, Failed):
            self._slowest = max(time.monotonic() - started, 0.9 * self._slowest)
        return outcome

    async def _took_some(self, batch: AnyBatch, some: TookSome) -> AnyBatch:
        reasons = {index: reason for index, reason in some.rejected if 0 <= index < len(batch)}
        left = subset(batch, [index for index in some.retry if index not in reasons])
        letters: list[tuple[AnyChunk, str]] = [
            (chunk, reason)
            for reason, indexes in groupby(sorted(reasons), key=reasons.__getitem__)
            for chunk in subset(batch, list(indexes)).chunks
        ]
        await self._dead.put_chunks(self._integration, letters, attempt=self._attempt_name())
        if reasons:
            self._progress.rejected(len(reasons), reasons[min(reasons)])
        self._progress.delivered(len(batch) - len(reasons) - len(left))
        if len(left) < len(batch):
            self._succeeded()
        if left.chunks:
            reason = some.reason or f"it asked for {len(left)} lines again"
            await self._failed(Failed(reason, some.after))
        return left

    def _refused(self, reason: str) -> None:
        """Go on with the next batch; but slowly, when it takes none at all."""
        self._refusals += 1
        if self._refusals >= _REFUSALS:
            self.put_off(Failed(f"it refuses every batch: {reason}"))
        elif self.answers:
            self._breaker.succeeded()

    def _succeeded(self) -> None:
        self._refusals = 0
        # Where nothing is answered, only a confirmation is a success: a peer that takes lines
        # and drops the connection must meet a growing wait.
        if self.answers:
            self._breaker.succeeded()

    async def _failed(self, failed: Failed) -> None:
        if not self.answers and (failed.lost or failed.broken):
            raise Rewind(failed)
        if failed.broken:
            await self._life.end()
        self.put_off(failed)

    def put_off(self, failed: Failed) -> None:
        """Note a failure, and how long to wait after it."""
        delay = self._breaker.failed(failed.after)
        opened = self._breaker.circuit is Circuit.OPEN
        self._progress.failed(State.OPEN if opened else State.RETRYING, failed.reason)
        self._log.info("not delivered", reason=failed.reason, again_in=round(delay, 3))
        self._pause = delay

    def _attempt_name(self) -> str:
        """Name what is delivered, so that a letter of lines that come again is a new one.

        Of a replay each is: that a crash may leave one twice is better than that one is missed.
        """
        start_at = self._source.start_at
        return secrets.token_hex(8) if start_at is None else str(start_at)

    async def _ready(self) -> AnyDestination | None:
        """Give the destination, made if need be; None when it cannot be made now."""
        if self._life.destination is not None:
            return self._life.destination
        try:
            destination = await self._life.begin()
        except Exception as error:  # noqa: BLE001 - the boundary to plugins
            self._progress.failed(State.BROKEN, f"cannot be built: {type(error).__name__}")
            self._pause = self._breaker.failed()
            return None
        # A type may offer both: syslog over TLS, which is never answered, and HTTPS, which is.
        streams = isinstance(destination, StreamDestination)
        self.answers = self._rules.window is None or not streams
        return destination
