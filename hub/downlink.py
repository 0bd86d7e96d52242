"""The way down to devices: what each is to have goes to its session, and what it has comes back.

Nothing is kept here. What is sent goes to who is connected now, and whoever sends it keeps what is
to be had under a version: a device reports the version that it has when its session is open and
whenever that changes, and is sent the newest when it is behind. So what is lost on the way, or
comes twice, does no harm.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from hub.errors import IsaaxError
from hub.mqtt import Mqtt, MqttMessage
from hub.protocol import ProtocolError, Session, State, decode_state, parse_device_topic

_log = structlog.stdlib.get_logger(__name__)

STATES: Final = "d/+/+/+/state"
_AT_ONCE: Final = 500
_AGAIN: Final = 1.0  # seconds after which reports that were not taken are offered again


class DeviceReport(msgspec.Struct, frozen=True):
    """What a device says that it has; the broker saw to it that the session is its own."""

    session: Session
    state: State


Hear = Callable[[list[DeviceReport]], Awaitable[None]]


class _Held:
    """A message that is confirmed to the broker once every listener has had it."""

    __slots__ = ("_left", "_message", "report")

    def __init__(self, message: MqttMessage, report: DeviceReport, listeners: int) -> None:
        self.report = report
        self._message = message
        self._left = listeners

    def done(self) -> None:
        """Take note that one listener has had it."""
        self._left -= 1
        if self._left <= 0:
            self._message.ack()


class Downlink:
    """Sends to devices, and hears from them. A part of the core: services ask for it by type."""

    def __init__(self, mqtt: Mqtt) -> None:
        self._mqtt = mqtt
        self._queues: list[asyncio.Queue[_Held]] = []

    def send(self, session: Session, kind: str, payload: bytes) -> None:
        """Send to a device what it is to have; who is not connected does not get it.

        Args:
            kind: one of `hub.protocol.KINDS`.

        Raises:
            LimitReached: too much waits for the broker.
        """
        self._mqtt.publish(session.wanted(kind), payload)

    @asynccontextmanager
    async def hearing(self, hear: Hear) -> AsyncIterator[None]:
        """Have reports heard while the context is open: some at a time, in their order.

        Args:
            hear: is given the same ones again when it fails.
        """
        queue: asyncio.Queue[_Held] = asyncio.Queue()
        self._queues.append(queue)
        task = asyncio.create_task(_work(queue, hear), name="downlink-reports")
        try:
            if len(self._queues) == 1:
                await self._mqtt.subscribe(STATES, self._take)
            yield
        finally:
            self._queues.remove(queue)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _take(self, message: MqttMessage) -> None:
        try:
            where = parse_device_topic(message.topic)
            report = DeviceReport(where.session, decode_state(message.payload))
        except ProtocolError as error:
            _log.info("a device's state cannot be read", topic=message.topic, error=str(error))
            message.ack()
            return
        held = _Held(message, report, len(self._queues))
        for queue in self._queues:
            queue.put_nowait(held)  # the broker's window bounds it


async def _work(queue: "asyncio.Queue[_Held]", hear: Hear) -> None:
    while True:
        batch = [await queue.get()]
        while len(batch) < _AT_ONCE and not queue.empty():
            batch.append(queue.get_nowait())
        while not await _heard(hear, [held.report for held in batch]):  # noqa: ASYNC110
            await asyncio.sleep(_AGAIN)
        for held in batch:
            held.done()


async def _heard(hear: Hear, reports: list[DeviceReport]) -> bool:
    try:
        await hear(reports)
    except IsaaxError as error:
        _log.warning("reports of devices wait", reports=len(reports), error=str(error))
        return False
    except Exception:  # noqa: BLE001 - these reports must not hold up all that follow
        _log.exception("reports of devices are dropped", reports=len(reports))
    return True


def new_client() -> str:
    """Name a client of the broker; each process has its own."""
    return f"hub-down-{secrets.token_hex(6)}"
