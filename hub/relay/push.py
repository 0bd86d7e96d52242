"""One call of a destination, fenced: whatever it does, it becomes an outcome, in time."""

import asyncio
import operator
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import structlog

from hub.destinations import Destination, MetricDestination
from hub.guard import Interrupted
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.relay.cutting import AnyBatch
from hub.relay.veil import NOTHING_SECRET, Veil

_log = structlog.stdlib.get_logger(__name__)

_MAX_REASON: Final = 500
_CANCEL_GRACE: Final = 1.0
"""Seconds that a call may take to end once it is cancelled; then it is left behind."""

current: ContextVar[str] = ContextVar("current", default="")
"""Id of the integration whose plugin runs, in its calls and in the tasks that they start."""


@contextmanager
def named(integration: str) -> Iterator[None]:
    """Say meanwhile whose plugin runs."""
    token = current.set(integration)
    try:
        yield
    finally:
        current.reset(token)


@dataclass(frozen=True, slots=True)
class Taken:
    """It took the batch."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not take the batch now.

    Args:
        broken: the call was cut short or raised what it must not: nothing is known of the
            state of this destination any more, so another one has to take its place.
        lost: the connection is gone, with what it had not confirmed.
    """

    reason: str
    after: float | None = None
    broken: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never take the batch."""

    reason: str


@dataclass(frozen=True, slots=True)
class TookSome:
    """It took the batch but for some lines; see `Partial`."""

    rejected: tuple[tuple[int, str], ...]
    retry: tuple[int, ...]
    reason: str = ""
    after: float | None = None


Outcome = Taken | Failed | Refused | TookSome


async def push(  # noqa: PLR0911 - one line for each outcome
    destination: Destination | MetricDestination,
    batch: AnyBatch,
    seconds: float,
    *,
    veil: Veil = NOTHING_SECRET,
) -> Outcome:
    """Send one batch, and say what came of it.

    Args:
        veil: hides the secrets of the config in the reasons: servers repeat what they were sent.
    """
    try:
        await fenced(_send(destination, batch), seconds)
    except Retry as retry:
        return Failed(_words(retry.reason, veil), after=_seconds(retry.after))
    except Rejected as rejected:
        return Refused(_words(rejected.reason, veil))
    except Partial as partial:
        return _took_some(partial, veil)
    except NotConnected as gone:
        return Failed(_words(gone.reason, veil), lost=True)
    except Interrupted as held_up:
        return Failed(_words(held_up.reason, veil), broken=True)
    except TimeoutError:
        return Failed(f"no answer within {seconds:g} s", broken=True)
    except Exception as error:  # noqa: BLE001 - the boundary to plugins: all is an outcome
        # Only the class: the text of a plugin's exception may hold a secret.
        _log.warning("the destination raised what it must not", error=type(error).__name__)
        return Failed(f"unexpected {type(error).__name__}", broken=True)
    return Taken()


def _send(destination: Any, batch: AnyBatch) -> Coroutine[Any, Any, None]:
    """Hand over a batch of the kind that this destination was made for."""
    call: Coroutine[Any, Any, None] = destination.send(batch)
    return call


def _took_some(partial: Partial, veil: Veil) -> TookSome | Failed:
    try:
        rejected = [(operator.index(at), str(why)) for at, why in partial.rejected]
        retry = tuple(map(operator.index, partial.retry))
    except (TypeError, ValueError):
        _log.warning("the destination said of lines what nobody understands")
        return Failed("unexpected Partial", broken=True)
    # There may be thousands, of which most are the same.
    words = {reason: _words(reason, veil) for reason in {why for _, why in rejected}}
    return TookSome(
        tuple((index, words[why]) for index, why in rejected),
        retry,
        _words(partial.reason, veil),
        _seconds(partial.after),
    )


def _words(reason: object, veil: Veil) -> str:
    """Give a plugin's reason as text of a sensible length and without secrets, whatever it is."""
    return veil.over(str(reason))[:_MAX_REASON]


def _seconds(after: object) -> float | None:
    return float(after) if isinstance(after, int | float) else None


class Escaped(Exception):  # noqa: N818
    """A plugin raised SystemExit, KeyboardInterrupt or a cancellation of its own."""


async def fenced(call: Coroutine[Any, Any, None], seconds: float) -> None:
    """Await a plugin's coroutine in a task of its own, for so long and no longer.

    It may ignore its cancellation, or raise what would end this process.

    Raises:
        TimeoutError: it took too long; it is cancelled, and left behind if it does not end.
        Exception: what it raised.
    """
    task = asyncio.ensure_future(_contained(call))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            raise TimeoutError
        if task.cancelled():
            raise Escaped("CancelledError")
        task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
            await asyncio.wait({task}, timeout=_CANCEL_GRACE)


async def _contained(call: Coroutine[Any, Any, None]) -> None:
    try:
        await call
    except (SystemExit, KeyboardInterrupt) as error:
        raise Escaped(type(error).__name__) from None


def _forget(task: "asyncio.Future[None]") -> None:
    """Read the result of a call that was left behind, so that nothing complains of it."""
    if not task.cancelled():
        task.exception()
