"""From MQTT into the writer: each batch measured, stored in order, and acknowledged when synced.

PUBACK is withheld until a batch is stored or known not to be: the broker's inflight window then
bounds what is held here, and what the broker could not hold is a hole that the device fills. What
a project may not send now is confirmed to the broker at once, so that it holds nobody's place
there, and asked for again later (`Slow`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog

from hub.errors import LimitReached
from hub.protocol import (
    MAX_PAYLOAD_BYTES,
    Ack,
    AckMessage,
    Header,
    Mark,
    ProtocolError,
    Reject,
    Resume,
    Session,
    Slow,
    decode_header,
    is_json,
    json_to_binary,
    json_to_samples,
    parse_device_topic,
    read_position,
)
from hub.relay.admission import Share
from hub.relay.counts import CountKey
from hub.relay.dead_letters import DeadLetters
from hub.relay.limits import Gate
from hub.relay.marks import Hole, Known, MarkKey, MarkTable
from hub.relay.meters import IntakeMeters
from hub.relay.stored import BatchId, lines_in
from hub.relay.streams import Kind
from hub.relay.tasks import Tasks
from hub.relay.trimming import beyond, trim
from hub.relay.writer import Entry, Writer

_log = structlog.stdlib.get_logger(__name__)

LOG_TOPICS: Final = "d/+/+/+/log/#"
METRIC_TOPICS: Final = "d/+/+/+/metric/#"
WINDOW: Final = 1_000  # the broker's `max_inflight_messages` (broker_auth/README.md)
SOURCE: Final = "intake"
_ASK_AGAIN: Final = 1_000_000  # µs before the same batch is asked for again
_MOST_CHANNELS: Final = 200_000
_SHARE_WAIT: Final = 1.0  # seconds that a project waits that holds more than its share
_encode: Final = msgspec.json.Encoder().encode
_FROM_JSON: Final[dict[Kind, Callable[..., bytes]]] = {
    "log": json_to_binary,
    "metric": json_to_samples,
}


class Message(Protocol):
    """One MQTT message (see hub/mqtt.py)."""

    @property
    def topic(self) -> str:
        """Where it was published."""
        ...

    @property
    def payload(self) -> bytes:
        """What was published."""
        ...

    def ack(self) -> None:
        """Send PUBACK."""
        ...


@dataclass(frozen=True, slots=True)
class Channel:
    """What a topic leads to, worked out once."""

    session: Session
    key: MarkKey
    count: CountKey


@dataclass(frozen=True, slots=True)
class Taken:
    """What has to happen when a message is stored."""

    message: Message
    reject: Reject | None = None


class Intake:
    """Takes what devices publish, of one client of the broker.

    Args:
        gate: says what each project may send.
        answer: publishes to a topic (QoS 1).
        clock: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        writer: Writer,
        *,
        marks: MarkTable,
        gate: Gate,
        dead: DeadLetters,
        answer: Callable[[str, bytes], None],
        meters: IntakeMeters,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
        window: int = WINDOW,
    ) -> None:
        self._writer = writer
        self._marks = marks
        self._gate = gate
        self._share = Share(window)
        self._dead = dead
        self._answer = answer
        self._meters = meters
        self._tasks = Tasks()
        self._clock = clock
        self._channels: dict[str, Channel | None] = {}
        self._sessions: dict[MarkKey, Session] = {}
        self._resumed: dict[MarkKey, tuple[Mark, int]] = {}
        self._slowed: dict[MarkKey, tuple[Mark, int]] = {}

    async def drain(self) -> None:
        """Wait until all that was accepted is stored and answered."""
        await self._tasks.drain()
        await self._writer.drain()

    # ── what arrives ──────────────────────────────────────────────────────────────────────────

    def accept(self, message: Message) -> None:
        """Handle one message; never raises for what a device sent."""
        try:
            channel = self._channel(message.topic)
        except ProtocolError as error:
            self._unknown(message, error)
            return
        if channel is None:
            message.ack()  # somebody else's
            return
        # Answers go to the session that spoke last: an older one of this device is void.
        self._sessions[channel.key] = channel.session
        payload = message.payload
        try:
            if is_json(payload):
                payload = _FROM_JSON[channel.count.kind](payload, now=self._clock())
            header = decode_header(payload)
        except ProtocolError as error:
            self._refuse(message, channel, payload, error, read_position(payload))
            return
        self._offer(message, channel, payload, header, None)

    def _offer(
        self,
        message: Message,
        channel: Channel,
        payload: bytes,
        header: Header,
        error: ProtocolError | None,
    ) -> None:
        """Measure a batch against the mark; `error` says why it will be a dead letter."""
        verdict = self._marks.measure(channel.key, header)
        if isinstance(verdict, Hole):
            self._resume(channel.key, verdict.mark)
            message.ack()
            return
        if isinstance(verdict, Known):
            self._meters.duplicates.inc()
            if verdict.durable is not None:
                self._tell_mark(channel.key, verdict.durable)
            message.ack()
            return
        rest = beyond(header, verdict.skip)
        if wait := self._over(channel, rest, len(payload)):
            self._put_off(channel.key, wait)
            message.ack()
            return
        self._slowed.pop(channel.key, None)
        self._marks.offer(channel.key, header)
        if error is None:
            try:
                kind = channel.count.kind
                stored = trim(kind, payload, rest, verdict.skip) if verdict.skip else payload
            except ProtocolError as bad:
                error = bad
            else:
                self._store(message, channel, stored, rest)
                return
        self._void(message, channel, payload, rest, error)

    def _over(self, channel: Channel, header: Header, size: int) -> float:
        """Give the seconds that a batch has to wait; 0 when it is let in."""
        project = channel.key.project
        if not self._share.has_place(project, self._clock() / 1e6):
            self._meters.slowed.labels("share").inc()
            return _SHARE_WAIT
        wait = self._gate.ask(channel.count, lines_in(header.span), size)
        if wait:
            self._meters.slowed.labels("limit").inc()
        return wait

    def _put_off(self, key: MarkKey, wait: float) -> None:
        mark = self._marks.offered(key)
        self._slowed[key] = (mark, self._clock() + int(wait * 1e6))
        self._tell(key, Slow(key.stream, mark.boot, mark.seq, round(wait, 3)))

    def _resume(self, key: MarkKey, mark: Mark) -> None:
        """Ask for what is missing: once, not for each batch that was under way behind it."""
        now = self._clock()
        slowed = self._slowed.get(key)
        if slowed is not None and slowed[0] == mark and now < slowed[1]:
            return  # it was told where to go on, and when
        asked = self._resumed.get(key)
        if asked is not None and asked[0] == mark and now - asked[1] < _ASK_AGAIN:
            return
        self._meters.resumes.inc()
        self._resumed[key] = (mark, now)
        self._tell(key, Resume(key.stream, mark.boot, mark.seq))

    def _store(self, message: Message, channel: Channel, payload: bytes, header: Header) -> None:
        self._share.take(channel.key.project)
        self._writer.submit(Entry(channel.key, header, payload, self._stored, Taken(message)))

    # ── what cannot be taken ──────────────────────────────────────────────────────────────────

    def _refuse(
        self,
        message: Message,
        channel: Channel,
        payload: bytes,
        error: ProtocolError,
        header: Header | None,
    ) -> None:
        """A batch whose head is wrong: a dead letter, in its place if that can be read."""
        if header is not None:
            self._offer(message, channel, payload, header, error)
            return
        self._meters.rejects.labels(error.code).inc()
        reject = Reject(channel.key.stream, 0, 0, error.code, error.detail)

        async def keep() -> None:
            await self._keep(channel, payload, error, f"{channel.key.device}:{self._clock()}")
            self._tell(channel.key, reject)
            message.ack()

        self._tasks.start(keep())

    def _void(
        self,
        message: Message,
        channel: Channel,
        payload: bytes,
        header: Header,
        error: ProtocolError,
    ) -> None:
        """Keep the batch as a dead letter, and its place in the stream by an empty message."""
        key = channel.key
        self._meters.rejects.labels(error.code).inc()
        identity = BatchId(key.device, key.stream, header.boot, header.first, header.span)

        async def keep() -> None:
            await self._keep(channel, payload, error, str(identity))

        reject = Reject(key.stream, header.boot, header.first, error.code, error.detail)
        self._share.take(key.project)
        self._writer.submit(
            Entry(key, header, b"", self._stored, Taken(message, reject), prepare=keep)
        )

    def _unknown(self, message: Message, error: ProtocolError) -> None:
        """A topic that leads nowhere: a dead letter of the project that its second level names."""
        self._meters.rejects.labels(error.code).inc()
        _, project, device, *_ = [*message.topic.split("/"), "", ""]
        safe = all(part.isascii() and part.replace("_", "").isalnum() for part in (project, device))
        _log.warning("unknown topic", topic=message.topic[:200])

        async def keep() -> None:
            await self._dead.put(
                project=project if safe else "unknown",
                source=SOURCE,
                id=f"{device if safe else ''}:{self._clock()}",
                payload=message.payload[:MAX_PAYLOAD_BYTES],
                reason=str(error),
                device=device if safe else "",
                received=self._clock(),
            )
            message.ack()

        self._tasks.start(keep())

    async def _keep(
        self, channel: Channel, payload: bytes, error: ProtocolError, identity: str
    ) -> None:
        _log.warning(
            "a batch cannot be taken",
            device=channel.key.device,
            stream=channel.key.stream,
            error=str(error),
        )
        await self._dead.put(
            project=channel.key.project,
            source=SOURCE,
            id=identity,
            payload=payload[:MAX_PAYLOAD_BYTES],
            reason=str(error),
            device=channel.key.device,
            stream=channel.key.stream,
            received=self._clock(),
        )

    # ── what is stored ────────────────────────────────────────────────────────────────────────

    def _stored(self, entries: Sequence[Entry[Taken]]) -> None:
        """Tell the devices what JetStream has synced, each once."""
        told: dict[MarkKey, Mark] = {}
        for entry in entries:
            self._share.give_back(entry.key.project)
            told[entry.key] = Mark(entry.header.boot, entry.header.last)
            entry.context.message.ack()
            if entry.context.reject is not None:
                self._tell(entry.key, entry.context.reject)
        for key, mark in told.items():
            self._tell_mark(key, mark)

    def _tell_mark(self, key: MarkKey, mark: Mark) -> None:
        self._tell(key, Ack(key.stream, mark.boot, mark.seq))

    def _tell(self, key: MarkKey, message: AckMessage) -> None:
        try:
            self._answer(self._sessions[key].ack, _encode(message))
        except LimitReached as error:  # the device asks again by sending again
            _log.warning("an answer is dropped", device=key.device, error=str(error))

    def _channel(self, topic: str) -> Channel | None:
        try:
            return self._channels[topic]
        except KeyError:
            if len(self._channels) >= _MOST_CHANNELS:
                self._channels.clear()  # sessions come and go; those that live are soon back
            channel = self._channels[topic] = _parse(topic)
            return channel


def _parse(topic: str) -> Channel | None:
    """Take a topic apart; None when it is neither of logs nor of metrics."""
    parsed = parse_device_topic(topic)
    session = parsed.session
    key = MarkKey(session.project, session.device, parsed.name)
    if parsed.kind == "log":
        return Channel(session, key, CountKey("log", session.project))
    if parsed.kind == "metric":
        key = key._replace(stream=f"metric.{parsed.name}")
        return Channel(session, key, CountKey("metric", session.project))
    return None
