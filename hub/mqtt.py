"""MQTT for the hub: paho-mqtt on the event loop, without threads and with acks by hand.

MQTT 3.1.1. A message at QoS 1 is the broker's until `ack()`; what is not acknowledged comes again
after a reconnect, if the session is persistent. What is published goes out in the order of the
calls, over reconnects too: what was not confirmed is sent again first.
"""

import asyncio
import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import paho.mqtt.client as paho
import structlog

from hub.errors import Forbidden, LimitReached, Unavailable
from hub.mqtt_wire import Wire, WiredClient
from hub.settings import MqttSettings

_log = structlog.get_logger("mqtt")

WINDOW: Final = 1_000  # messages that may be out without a PUBACK
QUEUE_MESSAGES: Final = 100_000
QUEUE_BYTES: Final = 64 * 1024 * 1024
KEEPALIVE: Final = 15  # seconds; a half-open connection is noticed after twice that
CONNECT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 5.0
BACKOFF_SECONDS: Final = (0.1, 5.0)  # first and longest
ORPHANS: Final = 1_000  # messages kept for a filter that nobody has subscribed yet
ROUTES: Final = 10_000  # topics whose handler is remembered

Handler = Callable[["MqttMessage"], None]
Count = Callable[[str, int], None]
"""Takes note of a message: its topic, and the bytes of its payload."""


def _no_count(_topic: str, _size: int) -> None:
    """Nobody wants to know."""


class MqttMessage:
    """A message that came.

    Args:
        retained: the broker kept it from before we subscribed.
    """

    __slots__ = ("_mid", "_wire", "payload", "retained", "topic")

    def __init__(
        self, topic: str, payload: bytes, *, retained: bool, wire: Wire | None, mid: int
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.retained = retained
        self._wire = wire
        self._mid = mid

    @property
    def confirmed(self) -> bool:
        """Whether the broker waits for `ack`, and so sends no more than its window (QoS 1)."""
        return self._wire is not None

    def ack(self) -> None:
        """Tell the broker that the work is done (once; later calls do nothing).

        Nothing happens either when the connection that it came over is gone: the message comes
        again, and that one is to be acknowledged.
        """
        wire, self._wire = self._wire, None
        if wire is not None and self._mid:
            wire.acknowledge(self._mid)


class _Subscription:
    """A filter, who handles its messages, and who waits for the broker's word on it."""

    __slots__ = ("answers", "filter", "handler", "qos")

    def __init__(self, topics: str, handler: Handler, qos: int) -> None:
        self.filter = topics
        self.handler = handler
        self.qos = qos
        self.answers: list[asyncio.Future[None]] = []

    def settle(self, code: int) -> None:
        """Take the broker's word; 128 is a refusal (MQTT 3.1.1, 3.9.3)."""
        for answer in self.answers:
            if answer.done():
                continue
            if code < 128:
                answer.set_result(None)
            else:
                answer.set_exception(Forbidden(f"the broker refuses to subscribe {self.filter}"))
        if code >= 128 and not self.answers:
            _log.error("the broker refuses a subscription", filter=self.filter)
        self.answers.clear()


class _Outgoing:
    """What is to be published: queued until the window lets it out, and counted until confirmed."""

    def __init__(self, client: WiredClient) -> None:
        self._client = client
        self._queue: deque[tuple[str, bytes, int]] = deque()
        self._bytes = 0
        self._unconfirmed: set[int] = set()
        self.idle = asyncio.Event()
        self.idle.set()

    def add(self, topic: str, payload: bytes, qos: int) -> None:
        if len(self._queue) >= QUEUE_MESSAGES or self._bytes + len(payload) > QUEUE_BYTES:
            raise LimitReached("too much waits to be sent to the broker")
        self._queue.append((topic, payload, qos))
        self._bytes += len(payload)
        self.idle.clear()

    def pump(self) -> None:
        """Give paho what the window allows; only while connected."""
        while self._queue and len(self._unconfirmed) < WINDOW:
            topic, payload, qos = self._queue.popleft()
            self._bytes -= len(payload)
            info = self._client.publish(topic, payload, qos)
            if qos:
                self._unconfirmed.add(info.mid)
        if not self._queue and not self._unconfirmed:
            self.idle.set()

    def confirmed(self, mid: int) -> None:
        self._unconfirmed.discard(mid)


class Mqtt:
    """One connection to the broker that comes back by itself. Made by `Mqtt.connect`."""

    def __init__(
        self,
        settings: MqttSettings,
        client: str,
        *,
        persistent: bool,
        sent: Count = _no_count,
        came: Count = _no_count,
    ) -> None:
        self._settings = settings
        self._sent = sent
        self._came = came
        self._client = WiredClient(client, clean=not persistent)
        self._client.username_pw_set(settings.username, settings.password.reveal())
        self._client.connect_async(settings.host, settings.port, KEEPALIVE)
        self._client.on_connect = self._on_connack
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_puback
        self._client.on_subscribe = self._on_suback
        self._outgoing = _Outgoing(self._client)
        self._subscriptions: dict[str, _Subscription] = {}
        self._asked: dict[int, list[_Subscription]] = {}
        self._routes: dict[str, _Subscription] = {}
        self._orphans: deque[MqttMessage] = deque()
        self._unwanted: set[str] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._trouble = "no answer"
        self._closing = False
        self.connected: Final = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        settings: MqttSettings,
        *,
        client: str,
        persistent: bool = False,
        timeout: float = CONNECT_SECONDS,
        sent: Count = _no_count,
        came: Count = _no_count,
    ) -> AsyncIterator["Mqtt"]:
        """Be connected while the context is open, and connect again whenever that is lost.

        Args:
            client: client id; the broker lets only the hub have one that begins with `hub-`.
            persistent: the broker keeps our subscriptions and messages while we are away.
            timeout: seconds for the first connection.
            sent: told of each message that is published.
            came: told of each message that comes, but for one that the broker brings again.

        Raises:
            Unavailable: there is no broker, or it refuses us.
        """
        mqtt = cls(settings, client, persistent=persistent, sent=sent, came=came)
        keeper = asyncio.create_task(mqtt._keep_connected(), name=f"mqtt {client}")
        try:
            await mqtt._first_connection(timeout)
            yield mqtt
            await mqtt._say_goodbye()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    # ── for the caller ──

    async def subscribe(self, topics: str, handler: Handler, *, qos: int = 1) -> None:
        """Have the messages of a topic filter handled; again after every reconnect.

        Args:
            topics: the filter. Filters of one connection must not overlap.
            handler: called in the order of the messages, on the loop; it must not block. A message
                that it fails on is logged and acknowledged.

        Raises:
            Forbidden: the broker refuses the filter.
        """
        subscription = _Subscription(topics, handler, qos)
        self._unwanted.discard(topics)
        self._subscriptions[topics] = subscription
        self._routes.clear()
        self._deliver_orphans()
        answer = asyncio.get_running_loop().create_future()
        subscription.answers.append(answer)
        if self.connected.is_set():
            self._ask([subscription])
        await answer

    def unsubscribe(self, topics: str) -> None:
        """Take no more messages of a topic filter that a persistent session still has.

        What the broker kept of it is dropped, but for what another filter subscribes.
        """
        self._unwanted.add(topics)
        self._subscriptions.pop(topics, None)
        self._routes.clear()
        self._deliver_orphans()
        if self.connected.is_set():
            self._client.unsubscribe(topics)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1) -> None:
        """Send a message, at the next turn of the loop or when the broker is back.

        Raises:
            LimitReached: 100,000 messages or 64 MiB wait already.
            ValueError: nobody can publish to this topic (MQTT 3.1.1, 4.7).
        """
        if not topic or "+" in topic or "#" in topic or "\0" in topic:
            raise ValueError(f"no topic to publish to: {topic!r}")
        self._outgoing.add(topic, payload, qos)
        self._sent(topic, len(payload))
        if self.connected.is_set():
            self._outgoing.pump()

    async def flush(self, timeout: float) -> None:
        """Wait until the broker has confirmed everything that was published at QoS 1.

        Raises:
            TimeoutError: it has not, `timeout` seconds later.
        """
        async with asyncio.timeout(timeout):
            await self._outgoing.idle.wait()

    def on_connect(self, callback: Callable[[], None]) -> None:
        """Have a function called after every connect from now on; at once when connected now."""
        self._callbacks.append(callback)
        if self.connected.is_set():
            callback()

    # ── staying connected ──

    async def _first_connection(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        except TimeoutError:
            at = f"{self._settings.host}:{self._settings.port}"
            raise Unavailable(
                f"no connection to the MQTT broker at {at}: {self._trouble}"
            ) from None

    async def _keep_connected(self) -> None:
        first, longest = BACKOFF_SECONDS
        ceiling = first
        while True:
            try:
                wire = await self._open_wire()
            except (OSError, TimeoutError) as error:
                self._trouble = str(error) or "no answer"
            else:
                if await self._until_closed(wire):
                    ceiling = first
            if self._closing:
                return
            pause = random.uniform(first / 2, ceiling)
            _log.warning("no connection to the broker", reason=self._trouble, retry=round(pause, 2))
            await asyncio.sleep(pause)
            ceiling = min(longest, ceiling * 2)

    async def _open_wire(self) -> Wire:
        settings = self._settings
        tls = ssl.create_default_context(cafile=settings.ca) if settings.ca else None
        async with asyncio.timeout(CONNECT_SECONDS):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(self._client), settings.host, settings.port, ssl=tls
            )
        self._client.attach(wire)
        return wire

    async def _until_closed(self, wire: Wire) -> bool:
        """Say whether the broker had let us in before the connection ended."""
        admitted = False
        try:
            while not wire.closed.done():
                await asyncio.wait([wire.closed], timeout=1.0)
                admitted = admitted or self.connected.is_set()
                self._client.loop_misc()  # pings, and gives up a broker that does not answer them
            return admitted
        finally:
            wire.close()
            self.connected.clear()
            self._asked.clear()

    async def _say_goodbye(self) -> None:
        if not self.connected.is_set():
            return
        try:
            await self.flush(CLOSE_SECONDS)
        except TimeoutError:
            _log.warning("closed with messages that the broker has not confirmed")
        self._closing = True
        wire = self._client.wire
        if wire is not None:
            wire.lingers = True
            self._client.disconnect()
            await asyncio.wait([wire.closed], timeout=CLOSE_SECONDS)

    # ── what paho calls ──

    def _on_connack(self, _client: Any, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        wire = self._client.wire
        if code.is_failure or wire is None:
            self._trouble = str(code)
            return
        self._trouble = "connection lost"
        # Only after this call does paho send again what was not confirmed; new messages come later.
        asyncio.get_running_loop().call_soon(self._on_connected, wire)

    def _on_connected(self, wire: Wire) -> None:
        if wire.closed.done():
            return
        self.connected.set()
        if self._unwanted:
            self._client.unsubscribe(list(self._unwanted))
        if self._subscriptions:
            self._ask(list(self._subscriptions.values()))
        self._outgoing.pump()
        for callback in self._callbacks:
            callback()

    def _ask(self, subscriptions: list[_Subscription]) -> None:
        _, mid = self._client.subscribe([(each.filter, each.qos) for each in subscriptions])
        if mid is not None:
            self._asked[mid] = subscriptions

    def _on_suback(self, _client: Any, _data: Any, mid: int, codes: Any, _props: Any) -> None:
        for subscription, code in zip(self._asked.pop(mid, ()), codes, strict=False):
            subscription.settle(code.value)

    def _on_puback(self, _client: Any, _data: Any, mid: int, _code: Any, _props: Any) -> None:
        self._outgoing.confirmed(mid)
        if self.connected.is_set():
            self._outgoing.pump()

    def _on_message(self, _client: Any, _data: Any, raw: paho.MQTTMessage) -> None:
        wire = self._client.wire if raw.qos else None
        try:
            topic = raw.topic
        except UnicodeDecodeError:  # a broker that checks, as mosquitto does, never sends it
            topic = ""
        message = MqttMessage(
            topic, bytes(raw.payload), retained=raw.retain, wire=wire, mid=raw.mid
        )
        if not raw.dup:
            self._came(topic, len(message.payload))
        subscription = self._route(message.topic)
        if subscription is None:
            self._keep_orphan(message)
        else:
            self._handle(subscription, message)

    # ── routing ──

    def _route(self, topic: str) -> _Subscription | None:
        found = self._routes.get(topic)
        if found is None:
            for subscription in self._subscriptions.values():
                if paho.topic_matches_sub(subscription.filter, topic):
                    if len(self._routes) >= ROUTES:
                        self._routes.clear()
                    self._routes[topic] = found = subscription
                    break
        return found

    def _handle(self, subscription: _Subscription, message: MqttMessage) -> None:
        try:
            subscription.handler(message)
        except Exception:  # noqa: BLE001 - one message must not end the connection of all
            _log.exception("a message was not handled", topic=message.topic)
            message.ack()  # else a few of its kind would fill the broker's window for all

    def _keep_orphan(self, message: MqttMessage) -> None:
        """Keep what a persistent session brings before its filter is subscribed again."""
        if any(paho.topic_matches_sub(topics, message.topic) for topics in self._unwanted):
            message.ack()
            return
        if len(self._orphans) >= ORPHANS:
            dropped = self._orphans.popleft()
            _log.warning("message dropped that nobody has subscribed", topic=dropped.topic)
            dropped.ack()
        self._orphans.append(message)

    def _deliver_orphans(self) -> None:
        waiting, self._orphans = self._orphans, deque()
        for message in waiting:
            subscription = self._route(message.topic)
            if subscription is None:
                self._keep_orphan(message)
            else:
                self._handle(subscription, message)
