"""Trying a destination now: one line, by an object made for it, and what came of it in words."""

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog

from hub.batches import Batch, Chunk, MetricBatch, MetricChunk
from hub.destinations import (
    Destination,
    DestinationType,
    MetricDestination,
    StreamDestination,
    Tools,
)
from hub.errors import Invalid
from hub.outcomes import NotConnected
from hub.protocol import Lines, Samples
from hub.push import Answer, trace
from hub.relay.contracts import IntegrationSpec, TestIntegration, TestResult
from hub.relay.push import Failed, Outcome, Refused, Taken, TookSome, fenced, named, push
from hub.relay.veil import Veil
from hub.relay.workshop import Workshop
from hub.structs import secrets_in

_log = structlog.stdlib.get_logger(__name__)

DEVICE: Final = "dev_test"
HOST: Final = "isaax-test"
METRIC: Final = "isaax_test"
_NOTICE: Final = 13  # RFC 5424, 6.2.1: user.notice
_SEND: Final = 12.0  # seconds that a destination has to take the line
_CLOSE: Final = 5.0  # seconds that it has to close
_LISTEN: Final = 0.5  # seconds that a peer which never answers has to break the connection
_SHOWN: Final = 200  # characters of an answer


class Trials:
    """Answers `relay.test`.

    Args:
        now: microseconds since the Unix epoch.
    """

    def __init__(
        self, workshop: Workshop, *, now: Callable[[], int] = lambda: time.time_ns() // 1_000
    ) -> None:
        self._workshop = workshop
        self._now = now

    async def run(self, request: TestIntegration) -> TestResult:
        """Send one line, close, and say what came of it; no secret is in what is said."""
        spec = request.spec
        kind = self._workshop.type_of(spec)
        if kind is None:
            return TestResult("failed", f"there is no destination type {spec.type!r} here")
        try:
            config = await self._workshop.config_of(spec, kind)
        except Invalid as error:
            return TestResult("failed", f"the config is not valid: {error.detail}")
        answers: list[Answer] = []
        tracing = trace.set(answers)
        started = time.monotonic()
        try:
            with named(spec.id):
                async with self._workshop.tools_of(spec) as tools:
                    outcome, reason = await self._try(spec, kind, config, tools, request.message)
                    if not spec.revision and tools.folder is not None:
                        await asyncio.to_thread(shutil.rmtree, tools.folder, ignore_errors=True)
        finally:
            trace.reset(tracing)
        seconds = round(time.monotonic() - started, 3)
        return _told(TestResult(outcome, reason, seconds), answers, Veil(secrets_in(config)))

    async def _try(
        self,
        spec: IntegrationSpec,
        kind: DestinationType[Any],
        config: msgspec.Struct,
        tools: Tools,
        message: str,
    ) -> tuple[str, str]:
        batch: Batch | MetricBatch
        destination: Destination | MetricDestination
        try:
            if kind.build is not None:
                destination, batch = kind.build(config, tools), _line(spec, message, self._now())
            else:
                assert kind.metrics is not None, f"{kind.name} takes nothing"
                destination, batch = kind.metrics(config, tools), _sample(spec, self._now())
        except Exception as error:  # noqa: BLE001 - the boundary to plugins: all is an outcome
            _log.warning("a destination cannot be built", error=type(error).__name__)
            return "failed", f"cannot be built: {type(error).__name__}"
        outcome = await push(destination, batch, min(kind.timeout, _SEND))
        if (
            isinstance(outcome, Taken)
            and kind.window is not None
            and isinstance(destination, StreamDestination)
        ):
            return await _unanswered(destination)
        await _close(destination)
        return _answered(outcome)


def _answered(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Taken():
            return "taken", ""
        case Refused(reason):
            return "rejected", reason
        case TookSome(rejected=[(_, why), *_]):
            return "rejected", str(why)
        case TookSome(reason=reason):
            return "failed", reason or "it asked for the line again"
        case Failed(reason):
            return "failed", reason


async def _unanswered(destination: StreamDestination) -> tuple[str, str]:
    """See what becomes of a connection that carries a line which nobody will confirm."""
    lost = asyncio.ensure_future(_wait_lost(destination))
    done, _ = await asyncio.wait({lost}, timeout=_LISTEN)
    lost.cancel()
    await asyncio.wait({lost}, timeout=_LISTEN)
    if done:
        await _close(destination)
        return "failed", "the connection was lost as soon as the line was written"
    try:
        await fenced(destination.close(), _CLOSE)
    except NotConnected as error:
        return "failed", error.reason
    except TimeoutError:
        return "written", "the other side did not end the connection in time"
    except Exception as error:  # noqa: BLE001 - the boundary to plugins
        _log.warning("a destination did not close well", error=type(error).__name__)
    return "written", ""


async def _wait_lost(destination: StreamDestination) -> None:
    with suppress(Exception):  # a plugin that raises has lost it too
        await destination.wait_lost()


async def _close(destination: Destination | MetricDestination) -> None:
    try:
        await fenced(destination.close(), _CLOSE)
    except Exception as error:  # noqa: BLE001 - the boundary to plugins; the outcome is known
        _log.info("a destination did not close well", error=type(error).__name__)


def _line(spec: IntegrationSpec, message: str, now: int) -> Batch:
    # Another id each time: some destinations take an id once.
    chunk = Chunk(
        spec.project, DEVICE, HOST, "app", now, 1, now, Lines([now], _NOTICE, "isaax", [message])
    )
    return Batch(f"{DEVICE}-app-{now}-1-1", (chunk,))


def _sample(spec: IntegrationSpec, now: int) -> MetricBatch:
    samples = Samples([now], METRIC, [1.0])
    chunk = MetricChunk(spec.project, DEVICE, HOST, "metric.device", now, 1, now, samples)
    return MetricBatch(f"{DEVICE}-metric.device-{now}-1-1", (chunk,))


def _told(result: TestResult, answers: list[Answer], veil: Veil) -> TestResult:
    """Add what the server said last, and hide the secrets in all of it."""
    reason, status, shown = result.reason, None, ""
    for answer in answers:
        body = " ".join(veil.over(answer.body.decode("utf-8", "replace")).split())
        status, shown = answer.status, body[:_SHOWN]
        # What was cut before a secret could be found in it is told from the whole.
        whole = f"answered {status}: {shown}" if shown else f"answered {status}"
        reason = reason.replace(answer.words, whole)
    return msgspec.structs.replace(
        result, reason=veil.over(reason), status=status, answer=veil.over(shown)
    )
