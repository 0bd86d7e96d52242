"""What both buses do with one event: run the handler, and say what comes next."""

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec
import structlog

from hub import structs
from hub.contracts import Consumer, EventInfo, Topic
from hub.errors import Invalid, IsaaxError
from hub.messaging import wire
from hub.messaging.endpoint import internal_error
from hub.messaging.meter import Meter
from hub.scope import hiding
from hub.telemetry import with_traceparent

E = TypeVar("E")

_log = structlog.stdlib.get_logger(__name__)

EVENT_ID: Final = "Isaax-Event-Id"
EVENT_KEY: Final = "Isaax-Event-Key"

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits between the attempts at one event: growing, and never the same for all.

    Args:
        first, limit: seconds before the second attempt, and at most before any.
        factor: of growth from one attempt to the next.
        jitter: share of a wait by which it varies to either side.
    """

    first: float = 0.5
    limit: float = 300.0
    factor: float = 2.0
    jitter: float = 0.25

    def wait(self, attempt: int) -> float:
        """Give the seconds to wait after this attempt (the first is 1)."""
        seconds = min(self.limit, self.first * self.factor ** min(attempt - 1, 64))
        return seconds * random.uniform(1 - self.jitter, 1 + self.jitter)


class DeadEvent(msgspec.Struct, frozen=True):
    """An event that its consumer could not handle.

    Args:
        position: names it for `replay_event`; grows.
        consumer: who could not; topic: on which subject it was (`projects.project.created`).
        id, key, payload: the event's own; `payload` is JSON.
        attempts: how often it was tried; reason: what came of the last one, for people.
        at: when it was given up, microseconds since the Unix epoch.
    """

    position: int
    consumer: str
    topic: str
    id: str
    key: str
    attempts: int
    reason: str
    at: int
    payload: msgspec.Raw


class Verdict(Enum):
    """What comes next for an event."""

    DONE = "done"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Verdict and, unless it is done, the reason in words."""

    verdict: Verdict
    reason: str = ""


def event_headers(id: str, key: str) -> dict[str, str]:  # noqa: A002 - as in Bus.publish
    """Make the headers of an event, with the trace of the running task.

    Raises:
        ValueError: id or key do not fit into a header.
    """
    for name, value in (("id", id), ("key", key)):
        if not _PRINTABLE.fullmatch(value):
            raise ValueError(f"event {name} {value!r}: 1 to 200 printable ASCII characters")
    return {EVENT_ID: id, EVENT_KEY: key, **wire.trace_headers()}


def check_consumer(consumer: Consumer[Any]) -> None:
    """Check what a consumer declares.

    Raises:
        ValueError: it cannot be.
    """
    if not _TOKEN.fullmatch(consumer.name):
        raise ValueError(f"consumer name {consumer.name!r}: letters, digits, - and _ only")
    if consumer.attempts < 1 or consumer.concurrency < 1:
        raise ValueError(f"consumer {consumer.name}: attempts and concurrency are 1 or more")
    if consumer.together is not None and consumer.concurrency != 1:
        raise ValueError(f"consumer {consumer.name}: what it is given together comes in order")


async def attempt(
    consumer: Consumer[Any], data: bytes, headers: Mapping[str, str], number: int, meter: Meter
) -> Outcome:
    """Let a consumer handle an event once.

    Args:
        number: of this attempt, 1 at the first.
    """
    outcome = await _attempt(consumer, data, headers, number)
    meter.handled(consumer.name, outcome.verdict.value)
    if outcome.verdict is not Verdict.DONE:
        _log.warning(
            "event given up" if outcome.verdict is Verdict.DEAD else "event comes again",
            consumer=consumer.name,
            event_id=headers.get(EVENT_ID, ""),
            attempt=number,
            reason=outcome.reason,
        )
    return outcome


async def attempt_together(
    consumer: Consumer[Any], events: Sequence[tuple[bytes, Mapping[str, str]]], meter: Meter
) -> bool:
    """Let a consumer handle events at once; False: each is to be handled by itself."""
    if consumer.together is None or len(events) < 2:
        return False
    try:
        given = [(structs.decode(consumer.topic.payload, data), _info(h, 1)) for data, h in events]
    except Invalid:
        return False
    with hiding(()), wire.deadline(None):
        try:
            await consumer.together(given)
        except IsaaxError as error:
            _log.info("events are handled one by one", consumer=consumer.name, reason=str(error))
            return False
        except Exception:  # noqa: BLE001 - the one that is the reason shows when it comes alone
            internal_error(consumer.name)
            return False
    for _ in events:
        meter.handled(consumer.name, Verdict.DONE.value)
    return True


def in_rounds(events: Sequence[tuple[E, EventInfo]]) -> list[list[E]]:
    """Deal events into rounds: none holds two of one key, and those of a key stay in order."""
    rounds: list[list[E]] = []
    seen: Counter[str] = Counter()
    for event, info in events:
        if seen[info.key] == len(rounds):
            rounds.append([])
        rounds[seen[info.key]].append(event)
        seen[info.key] += 1
    return rounds


def _info(headers: Mapping[str, str], number: int) -> EventInfo:
    return EventInfo(headers.get(EVENT_ID, ""), headers.get(EVENT_KEY, ""), number)


async def _attempt(
    consumer: Consumer[Any], data: bytes, headers: Mapping[str, str], number: int
) -> Outcome:
    if number > consumer.attempts:
        # No attempt came back with an outcome: each ended the process, or was never finished.
        return Outcome(Verdict.DEAD, "no attempt was finished")
    info = _info(headers, number)
    try:
        event = structs.decode(consumer.topic.payload, data)
    except Invalid as error:
        return Outcome(Verdict.DEAD, f"not a {consumer.topic.payload.__name__}: {error.detail}")
    with with_traceparent(headers.get(wire.TRACE)), hiding(()), wire.deadline(None):
        reason = await _run(consumer.handler, event, info, consumer.name)
    if reason is None:
        return Outcome(Verdict.DONE)
    return Outcome(Verdict.DEAD if number >= consumer.attempts else Verdict.RETRY, reason)


async def _run(
    handler: Callable[[Any, EventInfo], Awaitable[None]], event: Any, info: EventInfo, name: str
) -> str | None:
    """Run the handler; give the reason why it failed, fit to be shown."""
    try:
        await handler(event, info)
    except IsaaxError as error:
        return str(error)
    except Exception:  # noqa: BLE001 - one bad event must not end a consumer
        return str(internal_error(name))
    return None


def topic_of(wire_subject: str) -> str:
    """Give a topic's subject without what the wire adds: `event.<subject>.v<n>`."""
    return wire_subject.removeprefix("event.").rpartition(".v")[0]


def encode_event(topic: Topic[Any], event: msgspec.Struct) -> bytes:
    """Make the payload of an event.

    Raises:
        TypeError: it is not of the topic's type.
    """
    if not isinstance(event, topic.payload):
        raise TypeError(f"{topic.subject} carries {topic.payload.__name__}, not {type(event)}")
    return wire.encode(event)
