"""The way down to devices: what each is to have goes to its session, and what it has comes back.

Nothing is kept here. What is sent goes to who is connected now, and whoever sends it keeps what is
to be had under a version: a device reports the version that it has when its session is open and
whenever that changes, and is sent the newest when it is behind. So what is lost on the way, or
comes twice, does no harm.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Generic, TypeVar

import msgspec
import structlog

from hub.errors import IsaaxError
from hub.mqtt import Mqtt, MqttMessage
from hub.protocol import (
    Command,
    ProtocolError,
    Reply,
    Session,
    State,
    decode_reply,
    decode_state,
    parse_device_topic,
)

_log = structlog.stdlib.get_logger(__name__)

STATES: Final = "d/+/+/+/state"
REPLIES: Final = "d/+/+/+/reply/+"
_AT_ONCE: Final = 500
_AGAIN: Final = 1.0  # seconds after which reports that were not taken are offered again

R = TypeVar("R")
Hear = Callable[[list[R]], Awaitable[None]]


class DeviceReport(msgspec.Struct, frozen=True):
    """What a device says that it has; the broker saw to it that the session is its own."""

    session: Session
    state: State


class DeviceReply(msgspec.Struct, frozen=True):
    """What became of a command, or of a script in its moment, as a device says; likewise."""

    session: Session
    command: str
    reply: Reply


class Downlink:
    """Sends to devices, and hears from them. A part of the core: services ask for it by type."""

    def __init__(self, mqtt: Mqtt) -> None:
        self._mqtt = mqtt
        self._states = _Ear(mqtt, STATES, _report)
        self._replies = _Ear(mqtt, REPLIES, _replied)

    def send(self, session: Session, kind: str, payload: bytes) -> None:
        """Send to a device what it is to have; who is not connected does not get it.

        Args:
            kind: one of `hub.protocol.KINDS`.

        Raises:
            LimitReached: too much waits for the broker.
        """
        self._mqtt.publish(session.wanted(kind), payload)

    def command(self, session: Session, name: str, command: Command) -> None:
        """Ask a device to do something; who is not connected does not hear it.

        Args:
            name: id of the command: asked again, it is not done again.

        Raises:
            LimitReached: too much waits for the broker.
        """
        self._mqtt.publish(session.command(name), msgspec.json.encode(command))

    def hearing(self, hear: Hear[DeviceReport]) -> AbstractAsyncContextManager[None]:
        """Have reports heard while the context is open: some at a time, in their order.

        Args:
            hear: is given the same ones again when it fails.
        """
        return self._states.hearing(hear)

    def hearing_replies(self, hear: Hear[DeviceReply]) -> AbstractAsyncContextManager[None]:
        """Have replies to commands heard; as `hearing`."""
        return self._replies.hearing(_some(hear, lambda one: one.reply.ran is None))

    def hearing_moments(self, hear: Hear[DeviceReply]) -> AbstractAsyncContextManager[None]:
        """Have results of scripts heard that devices ran in their moments; as `hearing`."""
        return self._replies.hearing(_some(hear, lambda one: one.reply.ran is not None))


def _some(hear: Hear[R], wanted: Callable[[R], bool]) -> Hear[R]:
    """Have some of what is heard told to one who does not want the others."""

    async def tell(heard: list[R]) -> None:
        if some := [one for one in heard if wanted(one)]:
            await hear(some)

    return tell


def _report(message: MqttMessage) -> DeviceReport:
    where = parse_device_topic(message.topic)
    return DeviceReport(where.session, decode_state(message.payload))


def _replied(message: MqttMessage) -> DeviceReply:
    where = parse_device_topic(message.topic)
    return DeviceReply(where.session, where.name, decode_reply(message.payload))


class _Held(Generic[R]):
    """A message that is confirmed to the broker once every listener has had it."""

    __slots__ = ("_left", "_message", "content")

    def __init__(self, message: MqttMessage, content: R, listeners: int) -> None:
        self.content = content
        self._message = message
        self._left = listeners

    def done(self) -> None:
        """Take note that one listener has had it."""
        self._left -= 1
        if self._left <= 0:
            self._message.ack()


class _Ear(Generic[R]):
    """Hears one kind of message for all who listen.

    Args:
        topics: the filter.
        read: gives what is in a message, or raises a `ProtocolError`.
    """

    def __init__(self, mqtt: Mqtt, topics: str, read: Callable[[MqttMessage], R]) -> None:
        self._mqtt = mqtt
        self._topics = topics
        self._read = read
        self._queues: list[asyncio.Queue[_Held[R]]] = []

    @asynccontextmanager
    async def hearing(self, hear: Hear[R]) -> AsyncIterator[None]:
        queue: asyncio.Queue[_Held[R]] = asyncio.Queue()
        self._queues.append(queue)
        task = asyncio.create_task(_work(queue, hear), name="downlink-reports")
        try:
            if len(self._queues) == 1:
                await self._mqtt.subscribe(self._topics, self._take)
            yield
        finally:
            self._queues.remove(queue)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _take(self, message: MqttMessage) -> None:
        try:
            content = self._read(message)
        except ProtocolError as error:
            _log.info("what a device says cannot be read", topic=message.topic, error=str(error))
            message.ack()
            return
        held = _Held(message, content, len(self._queues))
        for queue in self._queues:
            queue.put_nowait(held)  # the broker's window bounds it


async def _work(queue: asyncio.Queue[_Held[R]], hear: Hear[R]) -> None:
    while True:
        batch = [await queue.get()]
        while len(batch) < _AT_ONCE and not queue.empty():
            batch.append(queue.get_nowait())
        while not await _heard(hear, [held.content for held in batch]):  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN)
        for held in batch:
            held.done()


async def _heard(hear: Hear[R], contents: list[R]) -> bool:
    try:
        await hear(contents)
    except IsaaxError as error:
        _log.warning("what devices say waits", messages=len(contents), error=str(error))
        return False
    except Exception:  # noqa: BLE001 - these must not hold up all that follow
        _log.exception("what devices say is dropped", messages=len(contents))
    return True


def new_client() -> str:
    """Name a client of the broker; each process has its own."""
    return f"hub-down-{secrets.token_hex(6)}"
