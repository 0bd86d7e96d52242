"""The way down: what devices report is heard by all who listen, and none of it is lost or stuck."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec

from hub.downlink import REPLIES, STATES, DeviceReply, DeviceReport, Downlink
from hub.errors import Unavailable
from hub.mqtt import Mqtt, MqttMessage
from hub.mqtt_wire import Wire
from hub.protocol import Ran, Reply, Session, State
from tests.deadline import until

TOPIC = "d/prj_1/dev_1/s1/state"


class Broker:
    """Both ends of the hub's connection."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.published: list[tuple[str, bytes]] = []
        self._handler: Callable[[MqttMessage], None] | None = None
        self._given = 0

    async def subscribe(self, topics: str, handler: Callable[[MqttMessage], None]) -> None:
        assert topics in {STATES, REPLIES}
        self._handler = handler

    def publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, payload))

    def acknowledge(self, mid: int) -> None:
        self.acknowledged.append(mid)

    def bring(self, payload: Any, topic: str = TOPIC) -> int:
        """Bring a message; give its number."""
        self._given += 1
        data = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        message = MqttMessage(topic, data, retained=False, wire=cast("Wire", self), mid=self._given)
        assert self._handler is not None
        self._handler(message)
        return self._given


def down(broker: Broker) -> Downlink:
    return Downlink(cast("Mqtt", broker))


def state(version: int) -> State:
    return State({"envars": version})


def test_what_is_sent_goes_to_the_session() -> None:
    broker = Broker()
    down(broker).send(Session("prj_1", "dev_1", "s1"), "envars", b"x")
    assert broker.published == [("c/prj_1/dev_1/s1/envars", b"x")]


async def test_a_report_is_confirmed_once_everybody_has_had_it() -> None:
    broker, open_to = Broker(), asyncio.Event()
    first: list[DeviceReport] = []
    second: list[DeviceReport] = []

    async def quick(reports: list[DeviceReport]) -> None:
        first.extend(reports)

    async def slow(reports: list[DeviceReport]) -> None:
        await open_to.wait()
        second.extend(reports)

    downlink = down(broker)
    async with downlink.hearing(quick), downlink.hearing(slow):
        broker.bring(state(1))
        await until(lambda: len(first) == 1, what="the quick one")
        assert broker.acknowledged == []
        open_to.set()
        await until(lambda: broker.acknowledged == [1], what="the confirmation")
        for version in (2, 3, 4):
            broker.bring(state(version))
        await until(lambda: broker.acknowledged == [1, 2, 3, 4], what="the rest")
    assert [one.state.versions["envars"] for one in second] == [1, 2, 3, 4]
    assert first[0].session == Session("prj_1", "dev_1", "s1")


async def test_what_cannot_be_read_is_let_go_of() -> None:
    broker = Broker()
    heard: list[DeviceReport] = []

    async def hear(reports: list[DeviceReport]) -> None:
        heard.extend(reports)

    async with down(broker).hearing(hear):
        for garbage in (b"", b"[]", b"{", b'{"versions":{"envars":-1}}', b'{"versions":{"a":"1"}}',
                        b'{"errors":{"envars":"%b"}}' % (b"x" * 501), b" " * 5000):  # fmt: skip
            broker.bring(garbage)
        broker.bring(state(1), topic="d/prj_1/dev_1/state")
        assert broker.acknowledged == list(range(1, 9))
        broker.bring(b'{"versions":{"envars":7},"unknown":1}')
        await until(lambda: len(heard) == 1, what="the good one")
    assert heard[0].state == state(7)


async def test_what_cannot_be_taken_now_is_offered_again(monkeypatch: Any) -> None:
    monkeypatch.setattr("hub.downlink._AGAIN", 0.0)
    broker = Broker()
    tried: list[int] = []

    async def hear(reports: list[DeviceReport]) -> None:
        tried.append(len(reports))
        if len(tried) < 3:
            raise Unavailable("no database")
        if len(tried) == 4:
            raise KeyError("a fault of ours")

    async with down(broker).hearing(hear):
        broker.bring(state(1))
        await until(lambda: broker.acknowledged == [1], what="the third time")
        broker.bring(state(2))
        await until(lambda: broker.acknowledged == [1, 2], what="what cannot be helped let go of")
    assert tried == [1, 1, 1, 1]


async def test_what_was_run_by_itself_is_told_apart_from_what_was_asked_for() -> None:
    """So that nobody confirms what somebody else is to keep; both are confirmed to the broker."""
    broker = Broker()
    asked: list[str] = []
    by_itself: list[str] = []

    async def hear(replies: list[DeviceReply]) -> None:
        asked.extend(one.command for one in replies)

    async def hear_moments(replies: list[DeviceReply]) -> None:
        by_itself.extend(one.command for one in replies)

    ran = Reply("ended", 0, ran=Ran("pre-install", 1, 0.0))
    downlink = down(broker)
    async with downlink.hearing_replies(hear), downlink.hearing_moments(hear_moments):
        broker.bring(Reply("ended", 0), "d/prj_1/dev_1/s1/reply/cmd_1")
        broker.bring(ran, "d/prj_1/dev_1/s1/reply/mom_1")
        await until(lambda: sorted(broker.acknowledged) == [1, 2], what="the confirmations")
    assert (asked, by_itself) == (["cmd_1"], ["mom_1"])
