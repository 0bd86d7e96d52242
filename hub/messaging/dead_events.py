"""The dead events of JetStream: read them, and give them another chance."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import nats.errors
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from hub.errors import NotFound, Unavailable
from hub.messaging.events import EVENT_ID, EVENT_KEY, DeadEvent, topic_of
from hub.messaging.jetstream import (
    DEAD,
    DEAD_ATTEMPTS,
    DEAD_CONSUMER,
    DEAD_REASON,
    DEAD_SUBJECT,
    store,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def browse(js: JetStreamContext, consumer: str, after: int, limit: int) -> list[DeadEvent]:
    """Give the dead events of a consumer ("" for all) after a position, oldest first.

    Raises:
        Unavailable: JetStream does not answer.
    """
    subject = f"event-dead.{consumer}.>" if consumer else "event-dead.>"
    found: list[DeadEvent] = []
    try:
        while len(found) < limit:
            message = await js.get_msg(DEAD, seq=after + 1, subject=subject, next=True)
            found.append(_dead_event(message))
            after = found[-1].position
    except NotFoundError:
        return found
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(f"the dead events: {type(error).__name__}") from None
    return found


async def replay(js: JetStreamContext, position: int) -> None:
    """Deliver a dead event to its consumer again, as a first attempt, and bury it no more.

    Raises:
        NotFound: there is none at this position (any more).
        Unavailable: JetStream does not answer.
    """
    try:
        message = await js.get_msg(DEAD, seq=position)
    except NotFoundError:
        raise NotFound(f"no dead event at {position}") from None
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(f"the dead events: {type(error).__name__}") from None
    headers = message.headers or {}
    kept = {
        name: value
        for name, value in headers.items()
        if not name.startswith("Isaax-Dead-") and name != "Nats-Msg-Id"
    }
    subject = headers[DEAD_SUBJECT].removeprefix("event.")
    await store(
        js,
        f"event.again.{headers[DEAD_CONSUMER]}.{subject}",
        message.data or b"",
        f"again:{position}",
        kept,
    )
    try:
        await js.delete_msg(DEAD, position)
    except NotFoundError:
        return  # somebody else replayed it too; the id made it one
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(f"the dead events: {type(error).__name__}") from None


def _dead_event(message: RawStreamMsg) -> DeadEvent:
    headers = message.headers or {}
    return DeadEvent(
        position=message.seq or 0,
        consumer=headers.get(DEAD_CONSUMER, ""),
        topic=topic_of(headers.get(DEAD_SUBJECT, "")),
        id=headers.get(EVENT_ID, ""),
        key=headers.get(EVENT_KEY, ""),
        attempts=int(headers.get(DEAD_ATTEMPTS, "0")),
        reason=headers.get(DEAD_REASON, ""),
        at=((message.time or _EPOCH) - _EPOCH) // timedelta(microseconds=1),
        payload=msgspec.Raw(message.data or b"null"),
    )
