"""hub/mqtt.py and hub/broker.py against a real mosquitto with our plugin."""

import asyncio
import hashlib
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from hub.broker import BrokerControl, BrokerStatus, watch_status
from hub.embedded.mosquitto import Mosquitto
from hub.embedded.ports import free_port
from hub.embedded.tls import Authority
from hub.errors import Forbidden, Invalid, LimitReached, Unavailable
from hub.mqtt import QUEUE_BYTES, WINDOW, Mqtt, MqttMessage
from hub.secret import Secret
from hub.settings import MqttSettings
from tests.fixtures.broker import Broker

SID = "e" * 32


async def eventually(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)
    assert condition(), what


class Inbox:
    """Keeps what comes; acknowledges it unless told otherwise."""

    def __init__(self, *, ack: bool = True) -> None:
        self.messages: list[MqttMessage] = []
        self._ack = ack

    def __call__(self, message: MqttMessage) -> None:
        self.messages.append(message)
        if self._ack:
            message.ack()

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    async def have(self, count: int) -> list[bytes]:
        await eventually(lambda: len(self.messages) >= count, f"{count} messages")
        return self.payloads


# ── Mqtt ──


async def test_messages_come_in_order_whole_and_from_their_topics(shared_broker: Broker) -> None:
    sizes = [0, 1, 127, 128, 16_383, 16_384, 70_000, 512 * 1024, 3]
    inbox = Inbox()
    async with (
        Mqtt.connect(shared_broker.settings, client="hub-a") as sender,
        Mqtt.connect(shared_broker.settings, client="hub-b") as receiver,
    ):
        await receiver.subscribe("t/+/x", inbox)
        for number, size in enumerate(sizes):
            sender.publish(f"t/{number}/x", bytes([number]) * size)
        await inbox.have(len(sizes))
    assert [(m.topic, len(m.payload)) for m in inbox.messages] == [
        (f"t/{number}/x", size) for number, size in enumerate(sizes)
    ]
    assert all(m.payload == bytes([n]) * len(m.payload) for n, m in enumerate(inbox.messages))


async def test_each_filter_has_its_handler(shared_broker: Broker) -> None:
    one, two = Inbox(), Inbox()
    async with Mqtt.connect(shared_broker.settings, client="hub-c") as mqtt:
        await mqtt.subscribe("one/#", one)
        await mqtt.subscribe("two/#", two, qos=0)
        for number in range(5):
            mqtt.publish("one/a", b"%d" % number)
            mqtt.publish("two/a", b"%d" % number, qos=0)
        assert await one.have(5) == await two.have(5) == [b"0", b"1", b"2", b"3", b"4"]


async def test_what_is_not_acknowledged_comes_again(own_broker: Broker) -> None:
    settings = own_broker.settings
    silent = Inbox(ack=False)
    async with (
        Mqtt.connect(settings, client="hub-sender") as sender,
        Mqtt.connect(settings, client="hub-keeps", persistent=True) as mqtt,
    ):
        await mqtt.subscribe("t/#", silent)
        for number in range(6):
            sender.publish("t/x", b"%d" % number)
        await silent.have(6)
        for number in (0, 2, 3):
            silent.messages[number].ack()
            silent.messages[number].ack()  # twice is once
    anew = Inbox()
    async with Mqtt.connect(settings, client="hub-keeps", persistent=True) as mqtt:
        await eventually(mqtt.connected.is_set, "the connection")
        await mqtt.subscribe("t/#", anew)  # the broker sent them before we had asked
        assert await anew.have(3) == [b"1", b"4", b"5"]


async def test_a_late_ack_does_not_confirm_another_message(own_broker: Broker) -> None:
    settings = own_broker.settings
    silent = Inbox(ack=False)
    async with (
        Mqtt.connect(settings, client="hub-sender") as sender,
        Mqtt.connect(settings, client="hub-late", persistent=True) as mqtt,
    ):
        await mqtt.subscribe("t/#", silent)
        sender.publish("t/x", b"first")
        await silent.have(1)
        with own_broker.hub("hub-late", clean=False):  # takes the connection away
            await eventually(lambda: not mqtt.connected.is_set(), "the disconnect")
        await silent.have(2)
        silent.messages[0].ack()  # of the connection that is gone: means nothing now
        assert silent.payloads[:2] == [b"first", b"first"]
    again = Inbox()
    async with Mqtt.connect(settings, client="hub-late", persistent=True) as mqtt:
        await mqtt.subscribe("t/#", again)
        assert await again.have(1) == [b"first"]


async def test_it_comes_back_after_the_brokers_kill(own_broker: Broker) -> None:
    inbox, connects = Inbox(), []
    async with (
        Mqtt.connect(own_broker.settings, client="hub-sender") as sender,
        Mqtt.connect(own_broker.settings, client="hub-back") as receiver,
    ):
        receiver.on_connect(lambda: connects.append(time.monotonic()))
        await receiver.subscribe("t/#", inbox)
        sender.publish("t/x", b"before")
        await inbox.have(1)
        own_broker.end(signal.SIGKILL)
        await eventually(lambda: not receiver.connected.is_set(), "the loss")
        await eventually(lambda: not sender.connected.is_set(), "the loss")
        own_broker.start()
        await eventually(receiver.connected.is_set, "the reconnect")
        await eventually(lambda: len(connects) == 2, "the callback")
        for number in range(100):
            sender.publish("t/x", b"%d" % number)
        assert await inbox.have(101) == [b"before", *(b"%d" % n for n in range(100))]
        await sender.flush(10)


async def test_the_order_of_what_is_published_holds_over_a_kill(own_broker: Broker) -> None:
    """More than a window, before, during and after the broker's absence."""
    count = 3 * WINDOW
    inbox = Inbox()
    async with Mqtt.connect(own_broker.settings, client="hub-sender") as sender:
        for number in range(WINDOW // 2):
            sender.publish("t/x", b"%d" % number)
        own_broker.end(signal.SIGKILL)
        for number in range(WINDOW // 2, count):
            sender.publish("t/x", b"%d" % number)
        await eventually(lambda: not sender.connected.is_set(), "the loss")
        own_broker.start()
        # A receiver that is there before the sender is not to be had for sure: take what it sees.
        async with Mqtt.connect(own_broker.settings, client="hub-seer") as receiver:
            await receiver.subscribe("t/#", inbox)
            await sender.flush(20)
            sender.publish("t/x", b"%d" % count)
            await eventually(lambda: inbox.payloads[-1:] == [b"%d" % count], "the last one")
    seen = [int(payload) for payload in inbox.payloads]
    assert seen == sorted(set(seen))


async def test_flush_waits_for_the_broker(own_broker: Broker) -> None:
    async with Mqtt.connect(own_broker.settings, client="hub-flush") as mqtt:
        await mqtt.flush(1)
        own_broker.end(signal.SIGKILL)
        mqtt.publish("t", b"x")
        with pytest.raises(TimeoutError):
            await mqtt.flush(0.05)
        own_broker.start()
        await mqtt.flush(20)
        assert mqtt.connected.is_set()


async def test_the_outgoing_queue_is_bounded(own_broker: Broker) -> None:
    large = bytes(512 * 1024)
    async with Mqtt.connect(own_broker.settings, client="hub-full") as mqtt:
        own_broker.end(signal.SIGKILL)
        await eventually(lambda: not mqtt.connected.is_set(), "the loss")
        for _ in range(QUEUE_BYTES // len(large)):
            mqtt.publish("t", large)
        with pytest.raises(LimitReached, match="too much"):
            mqtt.publish("t", b"x")
        own_broker.start()
        await mqtt.flush(60)
        mqtt.publish("t", b"there is room again")


async def test_a_topic_that_cannot_be_is_refused_at_the_call(shared_broker: Broker) -> None:
    async with Mqtt.connect(shared_broker.settings, client="hub-topic") as mqtt:
        for topic in ("", "a/+", "a/#", "a\0"):
            with pytest.raises(ValueError, match="no topic"):
                mqtt.publish(topic, b"x")
        await mqtt.flush(5)
        assert mqtt.connected.is_set()


async def test_what_a_handler_fails_on_does_not_come_again(own_broker: Broker) -> None:
    """Else a few such messages would fill the broker's window, and stop all others."""
    failed = asyncio.Event()

    def fail(_message: MqttMessage) -> None:
        failed.set()
        raise RuntimeError("cannot handle this")

    async with (
        Mqtt.connect(own_broker.settings, client="hub-sender") as sender,
        Mqtt.connect(own_broker.settings, client="hub-fails", persistent=True) as mqtt,
    ):
        await mqtt.subscribe("t/#", fail)
        sender.publish("t/x", b"poison")
        await failed.wait()
    inbox = Inbox()
    async with (
        Mqtt.connect(own_broker.settings, client="hub-sender") as sender,
        Mqtt.connect(own_broker.settings, client="hub-fails", persistent=True) as mqtt,
    ):
        await mqtt.subscribe("t/#", inbox)
        sender.publish("t/x", b"next")
        assert await inbox.have(1) == [b"next"]


async def test_a_failing_handler_stops_nothing(shared_broker: Broker) -> None:
    inbox = Inbox()

    def handler(message: MqttMessage) -> None:
        if message.payload == b"poison":
            raise RuntimeError("no")
        inbox(message)

    async with Mqtt.connect(shared_broker.settings, client="hub-fail") as mqtt:
        await mqtt.subscribe("f/#", handler)
        for payload in (b"1", b"poison", b"2"):
            mqtt.publish("f/x", payload)
        assert await inbox.have(2) == [b"1", b"2"]


async def test_a_broker_that_is_not_there_or_refuses_is_named(shared_broker: Broker) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=rf"127.0.0.1:{port}"):
        async with Mqtt.connect(MqttSettings(port=port), client="hub-x", timeout=0.3):
            raise AssertionError("connected to nobody")
    wrong = MqttSettings(port=shared_broker.port, password=Secret("wrong-password"))
    with pytest.raises(Unavailable, match="Not authorized") as refused:
        async with Mqtt.connect(wrong, client="hub-x", timeout=0.5):
            raise AssertionError("let in with a wrong password")
    assert "wrong-password" not in str(refused.value)


def test_it_works_on_uvloop(own_broker: Broker) -> None:
    async def talk() -> list[bytes]:
        inbox = Inbox()
        async with Mqtt.connect(own_broker.settings, client="hub-uv") as mqtt:
            await mqtt.subscribe("t/#", inbox)
            mqtt.publish("t/x", b"1")
            await inbox.have(1)
            own_broker.end(signal.SIGKILL)
            await eventually(lambda: not mqtt.connected.is_set(), "the loss")
            mqtt.publish("t/x", bytes(300_000))
            own_broker.start()
            return await inbox.have(2)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert [len(payload) for payload in runner.run(talk())] == [1, 300_000]


async def test_it_speaks_tls_and_checks_the_certificate(
    mosquitto_broker: Mosquitto, tmp_path: Path
) -> None:
    plain = mosquitto_broker.settings
    port = mosquitto_broker.listeners.tls_port
    secure = MqttSettings(plain.host, port, plain.username, plain.password, mosquitto_broker.ca)
    inbox = Inbox()
    async with Mqtt.connect(secure, client="hub-tls") as mqtt:
        await mqtt.subscribe("tls/#", inbox)
        mqtt.publish("tls/x", bytes(200_000))
        assert await inbox.have(1) == [bytes(200_000)]
    other = Authority(tmp_path / "other").certificate_file
    foreign = MqttSettings(plain.host, port, plain.username, plain.password, other)
    with pytest.raises(Unavailable, match="certificate verify failed"):
        async with Mqtt.connect(foreign, client="hub-tls2", timeout=0.5):
            raise AssertionError("trusted a certificate of an unknown authority")


async def test_a_refused_filter_is_an_error(shared_broker: Broker) -> None:
    with shared_broker.hub() as hub:
        hub.token("prj_mq", "t")
        device = MqttSettings(port=shared_broker.port, username="prj_mq", password=Secret("t"))
        async with Mqtt.connect(device, client="dev_mq") as mqtt:
            with pytest.raises(Forbidden, match="refuses"):
                await mqtt.subscribe("#", Inbox())


# ── BrokerControl and watch_status ──


async def test_control_lines_are_in_force_before_what_is_said_next(shared_broker: Broker) -> None:
    digest = hashlib.sha256(b"t").digest()
    async with Mqtt.connect(shared_broker.settings, client="hub-control") as mqtt:
        control = BrokerControl(mqtt)
        control.token("prj_c", digest)
        await mqtt.flush(5)
        with shared_broker.join("dev_c", "prj_c", "t") as device:
            assert device.subscribe("auth/dev_c/down")
            control.session("dev_c", "prj_c", SID, int(time.time()) + 60)
            mqtt.publish("auth/dev_c/down", b"opened")
            await mqtt.flush(5)
            assert device.settle() == [("auth/dev_c/down", b"opened")]
            assert device.subscribe(f"c/prj_c/dev_c/{SID}/#")
            control.untoken("prj_c", digest)
            await mqtt.flush(5)
            assert device.ended()


async def test_a_session_is_only_for_the_connection_that_asked(shared_broker: Broker) -> None:
    name = "connection-0123456789abcdef"
    hello = f'{{"op":"hello","connection":"{name}"}}'.encode()
    async with Mqtt.connect(shared_broker.settings, client="hub-control") as mqtt:
        control = BrokerControl(mqtt)
        control.token("prj_n", hashlib.sha256(b"t").digest())
        await mqtt.flush(5)

        async def open_session() -> None:
            control.session("dev_n", "prj_n", SID, int(time.time()) + 60, name)
            await mqtt.flush(5)

        with shared_broker.join("dev_n", "prj_n", "t") as device:
            device.publish("auth/dev_n/up", hello)
            device.settle()
        with shared_broker.join("dev_n", "prj_n", "t") as other:  # in its place, in time
            other.publish("auth/dev_n/up", b'{"op":"begin"}')
            other.settle()
            await open_session()
            assert not other.subscribe(f"c/prj_n/dev_n/{SID}/#")
            other.publish("auth/dev_n/up", hello)
            other.settle()
            await open_session()
            assert other.subscribe(f"c/prj_n/dev_n/{SID}/#")
        with pytest.raises(Invalid, match="16 to 64"):
            control.session("dev_n", "prj_n", SID, 1, "x 1\nkick dev_1")


async def test_a_large_snapshot_goes_over_in_pieces(own_broker: Broker) -> None:
    tokens = [(f"prj_{n}", hashlib.sha256(b"%d" % n).digest()) for n in range(3000)]
    sessions = [(f"dev_{n}", f"prj_{n}", SID, int(time.time()) + 60) for n in range(500)]
    async with Mqtt.connect(own_broker.settings, client="hub-control") as mqtt:
        control = BrokerControl(mqtt)
        control.snapshot(tokens, [])
        await mqtt.flush(5)
        with (
            own_broker.join("dev_7", "prj_7", "7") as kept,
            own_broker.join("dev_600", "prj_600", "600") as unlisted,
        ):
            control.session("dev_7", "prj_7", SID, int(time.time()) + 60)
            control.snapshot(tokens[:600], sessions)
            control.kick("dev_1")
            await mqtt.flush(5)
            assert kept.subscribe(f"c/prj_7/dev_7/{SID}/#")
            assert unlisted.ended()
            with own_broker.hub() as hub:
                status = hub.status()
    assert (status["tokens"], status["sessions"], status["bad_control_lines"]) == (600, 1, 0)


async def test_the_status_tells_a_restart(own_broker: Broker) -> None:
    seen: list[BrokerStatus] = []

    async def handler(status: BrokerStatus) -> None:
        seen.append(status)
        if len(seen) == 1:
            raise RuntimeError("the next one comes all the same")

    async with (
        Mqtt.connect(own_broker.settings, client="hub-watch") as mqtt,
        watch_status(mqtt, handler),
    ):
        await eventually(lambda: len(seen) >= 1, "the status")
        BrokerControl(mqtt).token("prj_w", hashlib.sha256(b"t").digest())
        await eventually(lambda: seen[-1].tokens == 1, "the new token")
        first = seen[-1]
        own_broker.end(signal.SIGKILL)
        own_broker.start()
        await eventually(lambda: seen[-1].instance != first.instance, "the new broker")
        assert seen[-1].started >= first.started
