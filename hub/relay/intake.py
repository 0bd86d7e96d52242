"""From MQTT into JetStream: each batch measured, stored in order, and acknowledged when synced.

PUBACK is withheld until a batch is stored or known not to be: the broker's inflight window then
bounds what is held here, and what the broker could not hold is a hole that the device fills.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
import structlog
from nats.aio.client import Client

from hub.errors import LimitReached
from hub.protocol import (
    MAX_PAYLOAD_BYTES,
    Ack,
    AckMessage,
    Codec,
    Header,
    Mark,
    ProtocolError,
    Reject,
    Resume,
    Session,
    decode_header,
    decode_lines,
    encode_batch,
    is_json,
    json_to_binary,
    parse_device_topic,
    read_position,
)
from hub.relay.dead_letters import DeadLetters
from hub.relay.marks import Hole, Known, MarkKey, MarkTable
from hub.relay.meters import IntakeMeters
from hub.relay.publisher import Outgoing, Publisher, patience
from hub.relay.retry import Backoff
from hub.relay.stored import RECEIVED, BatchId
from hub.relay.streams import batch_subject, shard_of, void_subject
from hub.relay.tasks import Tasks

_log = structlog.stdlib.get_logger(__name__)

TOPICS: Final = "d/#"
SOURCE: Final = "intake"
_ASK_AGAIN: Final = 1_000_000  # µs before the same batch is asked for again
_MOST_CHANNELS: Final = 200_000
_encode: Final = msgspec.json.Encoder().encode


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
    shard: int
    subject: str
    kind: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What has to happen when a message is stored."""

    message: Message
    key: MarkKey
    mark: Mark
    lines: int
    reject: Reject | None = None


class Intake:
    """Takes what devices publish.

    Args:
        places: for each shard, the stream sequence that the marks have come to.
        answer: publishes to a topic (QoS 1).
        clock: microseconds since the Unix epoch.
    """

    def __init__(
        self,
        nats: Client,
        *,
        places: Sequence[int],
        marks: MarkTable,
        dead: DeadLetters,
        answer: Callable[[str, bytes], None],
        meters: IntakeMeters,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000,
        backoff: Callable[[], Backoff] = patience,
    ) -> None:
        self._marks = marks
        self.publishers = [
            Publisher(
                nats,
                self._stored,
                observe=meters.publish.observe,
                sequence=place,
                backoff=backoff,
            )
            for place in places
        ]
        self._dead = dead
        self._answer = answer
        self._meters = meters
        self._tasks = Tasks()
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._sessions: dict[MarkKey, Session] = {}
        self._resumed: dict[MarkKey, tuple[Mark, int]] = {}

    async def run(self) -> None:
        """Store what is accepted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for publisher in self.publishers:
                group.create_task(publisher.run())

    async def drain(self) -> None:
        """Wait until all that was accepted is stored and answered."""
        await self._tasks.drain()
        for publisher in self.publishers:
            await publisher.drain()

    # ── what arrives ──────────────────────────────────────────────────────────────────────────

    def accept(self, message: Message) -> None:
        """Handle one message; never raises for what a device sent."""
        try:
            channel = self._channel(message.topic)
        except ProtocolError as error:
            self._unknown(message, error)
            return
        if channel.kind not in {"log", "metric"}:
            message.ack()  # somebody else's
            return
        # Answers go to the session that spoke last: an older one of this device is void.
        self._sessions[channel.key] = channel.session
        payload = message.payload
        try:
            if is_json(payload):
                payload = json_to_binary(payload, now=self._clock())
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
        verdict = self._marks.offer(channel.key, header)
        if isinstance(verdict, Hole):
            self._meters.resumes.inc()
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
        if error is None:
            try:
                stored = trim(payload, rest, verdict.skip) if verdict.skip else payload
            except ProtocolError as bad:
                error = bad
            else:
                self._store(message, channel, stored, rest)
                return
        self._void(message, channel, payload, rest, error)

    def _resume(self, key: MarkKey, mark: Mark) -> None:
        """Ask for what is missing: once, not for each batch that was under way behind it."""
        asked = self._resumed.get(key)
        now = self._clock()
        if asked is not None and asked[0] == mark and now - asked[1] < _ASK_AGAIN:
            return
        self._resumed[key] = (mark, now)
        self._tell(key, Resume(key.stream, mark.boot, mark.seq))

    def _store(self, message: Message, channel: Channel, payload: bytes, header: Header) -> None:
        key = channel.key
        taken = Taken(message, key, Mark(header.boot, header.last), header.span)
        self.publishers[channel.shard].submit(
            Outgoing(
                subject=channel.subject,
                payload=payload,
                id=str(BatchId(key.device, key.stream, header.boot, header.first, header.span)),
                order=key,
                headers={RECEIVED: str(self._clock())},
                context=taken,
            )
        )

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
        self.publishers[channel.shard].submit(
            Outgoing(
                subject=void_subject(channel.shard, key.project, key.stream),
                payload=b"",
                id=str(identity),
                order=key,
                headers={RECEIVED: str(self._clock())},
                context=Taken(message, key, Mark(header.boot, header.last), 0, reject),
                prepare=keep,
            )
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

    def _stored(self, group: Sequence[Outgoing[Taken]]) -> None:
        """Take note of a group that JetStream has synced, and tell the devices, each once."""
        lines = size = 0
        marks: dict[MarkKey, Mark] = {}
        for outgoing in group:
            taken = outgoing.context
            marks[taken.key] = self._marks.stored(taken.key, taken.mark)
            lines += taken.lines
            size += len(outgoing.payload)
            taken.message.ack()
            if taken.reject is not None:
                self._tell(taken.key, taken.reject)
        for key, mark in marks.items():
            self._tell_mark(key, mark)
        self._meters.batches.inc(len(group))
        self._meters.lines.inc(lines)
        self._meters.bytes.inc(size)

    def _tell_mark(self, key: MarkKey, mark: Mark) -> None:
        self._tell(key, Ack(key.stream, mark.boot, mark.seq))

    def _tell(self, key: MarkKey, message: AckMessage) -> None:
        try:
            self._answer(self._sessions[key].ack, _encode(message))
        except LimitReached as error:  # the device asks again by sending again
            _log.warning("an answer is dropped", device=key.device, error=str(error))

    def _channel(self, topic: str) -> Channel:
        channel = self._channels.get(topic)
        if channel is None:
            if len(self._channels) >= _MOST_CHANNELS:
                self._channels.clear()  # sessions come and go; those that live are soon back
            channel = self._channels[topic] = self._parse(topic)
        return channel

    def _parse(self, topic: str) -> Channel:
        parsed = parse_device_topic(topic)
        session = parsed.session
        stream = parsed.name if parsed.kind == "log" else f"{parsed.kind}.{parsed.name}"
        shard = shard_of(session.project, len(self.publishers))
        return Channel(
            session=session,
            key=MarkKey(session.project, session.device, stream),
            shard=shard,
            subject=batch_subject(shard, session.project, stream),
            kind=parsed.kind,
        )


def beyond(header: Header, skip: int) -> Header:
    """Give the head of what is left of a batch without its first `skip` sequence numbers."""
    if not skip:
        return header
    return Header(header.codec, header.boot, header.first + skip, header.span - skip)


def trim(payload: bytes, rest: Header, skip: int) -> bytes:
    """Leave out the first `skip` sequence numbers of a batch; `rest` is its head then.

    Raises:
        ProtocolError: its lines cannot be read.
    """
    lines = decode_lines(payload)
    # A batch that covers more numbers than it has lines keeps at least the line that says so.
    kept = lines.slice(min(skip, len(lines) - 1))
    trimmed = encode_batch(
        kept, boot=rest.boot, first=rest.first, span=rest.span, codec=Codec(rest.codec)
    )
    if len(trimmed) > MAX_PAYLOAD_BYTES:
        raise ProtocolError("too-large", "without its known lines the batch is larger than before")
    return trimmed
