"""Events on JetStream: a stream that keeps them, durable consumers, and the dead ones."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError

from hub.contracts import Consumer
from hub.errors import TooLarge, Unavailable
from hub.messaging import wire
from hub.messaging.events import Outcome, Pace, Verdict, attempt
from hub.messaging.meter import Meter

_log = structlog.stdlib.get_logger(__name__)

EVENTS: Final = "EVENTS"
DEAD: Final = "EVENTS_DEAD"

_DAY: Final = 86_400.0
_DEDUP_WINDOW: Final = 3_600.0
_STREAM_NAME_IN_USE: Final = 10058  # "stream name already in use with a different configuration"

DEAD_CONSUMER: Final = "Isaax-Dead-Consumer"
DEAD_SUBJECT: Final = "Isaax-Dead-Subject"
DEAD_ATTEMPTS: Final = "Isaax-Dead-Attempts"
DEAD_REASON: Final = "Isaax-Dead-Reason"
_MESSAGE_ID: Final = "Nats-Msg-Id"


def stream_configs(replicas: int) -> list[StreamConfig]:
    """Give the streams that events live in."""
    return [
        StreamConfig(
            name=name,
            subjects=subjects,
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            discard=DiscardPolicy.OLD,
            max_age=age,
            max_bytes=1024**3,
            duplicate_window=_DEDUP_WINDOW,
            num_replicas=replicas,
            allow_direct=True,
        )
        for name, subjects, age in (
            (EVENTS, ["event.>"], 14 * _DAY),
            (DEAD, ["event-dead.>"], 90 * _DAY),
        )
    ]


async def ensure_stream(js: JetStreamContext, config: StreamConfig) -> None:
    """Make a stream, or give the one that is there these settings.

    Raises:
        Unavailable: JetStream does not answer, or refuses.
    """
    try:
        try:
            await js.add_stream(config)
        except APIError as error:
            if error.err_code != _STREAM_NAME_IN_USE:
                raise
            await js.update_stream(config)
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(f"the stream {config.name}: {_words(error)}") from None


async def store(
    js: JetStreamContext, subject: str, data: bytes, message_id: str, headers: Mapping[str, str]
) -> None:
    """Publish and return once JetStream has it on disk.

    Raises:
        TooLarge: it does not fit into a message.
        Unavailable: it may or may not be stored; publish it again with the same id.
    """
    try:
        await js.publish(subject, data, headers={**headers, _MESSAGE_ID: message_id})
    except nats.errors.MaxPayloadError:
        raise TooLarge(f"an event of {len(data)} bytes") from None
    except (OSError, TimeoutError, nats.errors.Error) as error:
        raise Unavailable(f"JetStream did not store it: {_words(error)}") from None


def _words(error: Exception) -> str:
    if isinstance(error, APIError):
        return f"{error.description} ({error.err_code})"
    return type(error).__name__


# ── consumers ─────────────────────────────────────────────────────────────────────────────────


class Timing(msgspec.Struct, frozen=True):
    """Of a durable consumer, in seconds.

    Small, because a crash of NATS costs a consumer as much as the longest of them. nats-server
    writes a consumer's acknowledgements to disk a little after it has confirmed them; one that a
    crash takes comes again after `ack_wait`, and until then holds up what follows.
    """

    ack_wait: float = 6.0
    pull: float = 10.0
    beat: float = 1.0
    silence: float = 2.5
    pause: float = 0.25


class DurableConsumer:
    """Reads one topic under one durable name.

    With a concurrency of 1 the events come in order, over all processes that share the name: one
    that waits for its next attempt holds up those behind it.
    """

    def __init__(
        self,
        client: Client,
        consumer: Consumer[Any],
        pace: Pace,
        meter: Meter,
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._js = client.jetstream()
        self._consumer = consumer
        self._pace = pace
        self._meter = meter
        self._timing = timing or Timing()
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Handle events while the context is open; leaving it finishes what is at work.

        Raises:
            Unavailable: JetStream does not answer.
        """
        try:
            await self._ensure()
        except (OSError, TimeoutError, nats.errors.Error) as error:
            raise Unavailable(f"the consumer {self._consumer.name}: {_words(error)}") from None
        slots = [asyncio.create_task(self._slot()) for _ in range(self._consumer.concurrency)]
        try:
            yield
        finally:
            self._stopping.set()
            try:
                await asyncio.gather(*slots)
            finally:
                for slot in slots:
                    slot.cancel()
                await asyncio.gather(*slots, return_exceptions=True)

    async def _ensure(self) -> None:
        """Make the durable consumer, or give the one that is there these settings."""
        await self._js.add_consumer(EVENTS, self._config())

    def _config(self) -> ConsumerConfig:
        name = self._consumer.name
        return ConsumerConfig(
            durable_name=name,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._timing.ack_wait,
            max_deliver=-1,  # attempts are counted here, where a dead event can be kept
            max_ack_pending=self._consumer.concurrency,
            filter_subjects=[self._consumer.topic.wire_subject, f"event.again.{name}.>"],
        )

    async def _slot(self) -> None:
        """Handle one event after the other."""
        inbox = Inbox(self._client)
        try:
            while not self._stopping.is_set():
                message = await self._next(inbox)
                if message is not None:
                    await self._handle(message)
        finally:
            await inbox.close()

    async def _next(self, inbox: "Inbox") -> Msg | None:
        """Pull one event; None when there was none for a while, or NATS is away."""
        try:
            await inbox.open()
            await self._pull(inbox, self._wanted())
            while True:
                message = await inbox.next(self._timing.silence, self._stopping)
                status = (message.headers or {}).get("Status") if message else None
                if status is None:
                    return message
                if status == "100":  # idle heartbeat
                    continue
                if status not in {"404", "408"}:  # nothing there; this pull has expired
                    await self._recover(status)
                return None
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await self._recover(_words(error))
            return None

    def _wanted(self) -> dict[str, Any]:
        """Say what a pull asks for."""
        return {
            "batch": 1,
            "expires": round(self._timing.pull * 1e9),
            "idle_heartbeat": round(self._timing.beat * 1e9),
        }

    async def _pull(self, inbox: "Inbox", wanted: Mapping[str, Any]) -> None:
        await self._client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.{self._consumer.name}",
            json.dumps(wanted).encode(),
            reply=inbox.subject,
        )

    async def _recover(self, reason: str) -> None:
        """Wait a little and see that the consumer is there."""
        _log.debug("pull ended", consumer=self._consumer.name, reason=reason)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.pause):
                await self._stopping.wait()
            return
        with suppress(OSError, TimeoutError, nats.errors.Error):
            await self._ensure()

    async def _handle(self, message: Msg) -> None:
        number = message.metadata.num_delivered
        progress = asyncio.create_task(self._progress(message))
        try:
            headers = message.headers or {}
            outcome = await attempt(self._consumer, message.data, headers, number, self._meter)
            await self._settle(message, number, outcome)
        except (OSError, TimeoutError, Unavailable, nats.errors.Error) as error:
            # Not settled: JetStream delivers it again after the ack wait.
            _log.warning("event not settled", consumer=self._consumer.name, reason=str(error))
        finally:
            progress.cancel()
            await asyncio.gather(progress, return_exceptions=True)

    async def _settle(self, message: Msg, number: int, outcome: Outcome) -> None:
        match outcome.verdict:
            case Verdict.DONE:
                await self._tell(message, Msg.Ack.Ack)
            case Verdict.RETRY:
                delay = json.dumps({"delay": round(self._pace.wait(number) * 1e9)})
                await self._tell(message, Msg.Ack.Nak + b" " + delay.encode())
            case Verdict.DEAD:
                # Kept first, ended after: a crash between the two keeps it once more, deduplicated.
                await self._keep(message, number, outcome.reason)
                await self._tell(message, Msg.Ack.Term)

    async def _tell(self, message: Msg, answer: bytes) -> None:
        """Settle a message and have it confirmed: an answer that gets lost would bring it again.

        Raises:
            TimeoutError: not confirmed, for as long as it may stay unsettled.
        """
        async with asyncio.timeout(self._timing.ack_wait):
            while True:
                try:
                    await self._client.request(message.reply, answer, timeout=self._timing.silence)
                except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
                    await asyncio.sleep(self._timing.pause)
                else:
                    return

    async def _keep(self, message: Msg, number: int, reason: str) -> None:
        headers = dict(message.headers or {})
        subject = _original_subject(message.subject)
        name = self._consumer.name
        headers |= {
            DEAD_CONSUMER: name,
            DEAD_SUBJECT: subject,
            DEAD_ATTEMPTS: str(number),
            DEAD_REASON: wire.header_value(reason),
        }
        message_id = f"{name}:{message.metadata.sequence.stream}"
        await store(
            self._js,
            f"event-dead.{name}.{subject.removeprefix('event.')}",
            message.data,
            message_id,
            headers,
        )

    async def _progress(self, message: Msg) -> None:
        """Tell JetStream now and then that a slow handler is still at it."""
        while True:
            await asyncio.sleep(self._timing.ack_wait / 3)
            with suppress(OSError, nats.errors.Error):
                await message.in_progress()


class Inbox:
    """Where one slot's events arrive. Nothing that arrived is lost by an end: it goes back."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.subject = client.new_inbox()
        self._subscription: Any = None
        self._arrived: deque[Msg] = deque()
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Begin to listen; again does nothing."""
        if self._subscription is None:
            self._subscription = await self._client.subscribe(self.subject, cb=self._receive)

    async def _receive(self, message: Msg) -> None:
        self._arrived.append(message)
        self._wake.set()

    async def next(self, timeout: float, stopping: asyncio.Event) -> Msg | None:
        """Give what arrives; None when it is time to stop.

        Raises:
            TimeoutError: nothing arrived, no heartbeat either.
        """
        until = asyncio.get_running_loop().time() + timeout
        while not self._arrived:
            if stopping.is_set():
                return None
            self._wake.clear()
            waiting = [asyncio.create_task(event.wait()) for event in (self._wake, stopping)]
            try:
                left = until - asyncio.get_running_loop().time()
                done, _ = await asyncio.wait(
                    waiting, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                for task in waiting:
                    task.cancel()
            if not done:
                raise TimeoutError
        return self._arrived.popleft()

    async def close(self) -> None:
        """Give back what nobody took."""
        with suppress(OSError, TimeoutError, nats.errors.Error):
            if self._subscription is not None:
                await self._subscription.drain()
            for message in self._arrived:
                if message.reply and not (message.headers or {}).get("Status"):
                    await message.nak()


def _original_subject(subject: str) -> str:
    """Give the subject of a replayed event's topic: `event.again.<consumer>.<rest>`."""
    parts = subject.split(".", 3)
    return f"event.{parts[3]}" if parts[:2] == ["event", "again"] else subject
