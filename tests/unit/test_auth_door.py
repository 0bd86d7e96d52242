"""The door and the gate of the service `auth`: what must not overtake what."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest

from hub.broker import CONTROL_TOPIC, BrokerControl
from hub.contracts import Endpoint, EventInfo
from hub.memory_bus import MemoryBus
from hub.mqtt import Mqtt, MqttMessage
from hub.mqtt_wire import Wire
from hub.protocol import Hello, Opened
from services.auth import peers
from services.auth.door import MAX_MESSAGE, UNCONFIRMED, Door
from services.auth.gate import Gate
from services.auth.nonces import Nonces
from services.auth.registration import Registration
from services.auth.rules import Admission, Rules
from services.auth.service import Auth
from services.auth.sessions import LiveSession
from services.auth.settings import AuthSettings
from services.auth.tokens import TokenTable
from tests.deadline import until

DEVICE, SESSION, DIGEST = "dev_1", "a" * 32, "d" * 64
SETTINGS = AuthSettings(workers=4)
HELLO = {
    "op": "hello", "project": "prj_1", "nonce": "n", "proof": "p", "connection": "c" * 16,
}  # fmt: skip


class Wires:
    """The wire of a message that came with QoS 1: counts the acknowledgements."""

    def __init__(self) -> None:
        self.acknowledged = 0

    def acknowledge(self, _mid: int) -> None:
        self.acknowledged += 1


class Broker:
    """Both ends of the hub's MQTT connection: hands messages in and keeps what is said."""

    def __init__(self) -> None:
        self.wire = Wires()
        self.said: list[tuple[str, str]] = []
        self._handler: Callable[[MqttMessage], None] | None = None

    async def subscribe(self, _topics: str, handler: Callable[[MqttMessage], None]) -> None:
        self._handler = handler

    def publish(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload.decode()))

    def hand_in(self, client: str, message: Any, *, qos: int = 1) -> None:
        """Bring a client's message, as the connection does."""
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        wire = cast("Wire", self.wire) if qos else None
        assert self._handler is not None
        self._handler(
            MqttMessage(
                f"auth/{client}/up", payload, retained=False, wire=wire, mid=1 if qos else 0
            )
        )

    def control(self) -> list[str]:
        """Give the lines that were said to the broker's plugin."""
        return [
            line for topic, text in self.said if topic == CONTROL_TOPIC for line in text.split("\n")
        ]


class SlowRules:
    """Rules whose hello takes as long as the test likes; keeps what was done, in order."""

    def __init__(self) -> None:
        self.nonces = Nonces(60)
        self.go_on = asyncio.Event()
        self.committed = asyncio.Event()
        self.live: list[LiveSession] = []
        self.done: list[str] = []

    async def hello(self, device: str, _request: Hello) -> Admission:
        session = LiveSession(device, "prj_1", SESSION, 4_000_000_000)
        self.live.append(session)
        self.committed.set()
        await self.go_on.wait()
        self.done.append(f"hello {device}")
        return Admission(Opened(SESSION, session.expires_at, 0), session)

    async def gone(self, device: str, _connection: str) -> None:
        self.done.append(f"gone {device}")

    async def live_sessions(self) -> list[LiveSession]:
        return [*self.live]


class Hall:
    """A door with all that is around it, on one broker."""

    def __init__(self, settings: AuthSettings = SETTINGS) -> None:
        self.broker, self.rules, self.bus = Broker(), SlowRules(), MemoryBus()
        mqtt, rules = cast("Mqtt", self.broker), cast("Rules", self.rules)
        self.tokens, gate, control = TokenTable(), Gate(), BrokerControl(mqtt)
        nobody = cast("Registration", None)  # registers here
        self.door = Door(settings, rules, nobody, mqtt, control, gate)
        self.auth = Auth(rules, self.tokens, control, self.bus, gate)


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    """A door that is open."""
    hall = Hall()
    async with hall.door.open():
        yield hall
        hall.rules.go_on.set()


async def test_a_will_does_not_overtake_the_hello(hall: Hall) -> None:
    """A device that dies right after its hello is offline: else it would seem online for a day."""
    hall.broker.hand_in(DEVICE, HELLO)
    hall.broker.hand_in(DEVICE, {"op": "gone", "connection": "c" * 16})
    others = [f"dev_other{n}" for n in range(32)]
    for other in others:
        hall.broker.hand_in(other, {"op": "gone", "connection": "c" * 16})
    await until(lambda: len(hall.rules.done) > 0, what="another client is answered meanwhile")
    assert f"gone {DEVICE}" not in hall.rules.done
    hall.rules.go_on.set()
    await until(lambda: len(hall.rules.done) == len(others) + 2, what="all of them")
    assert hall.rules.done.index(f"hello {DEVICE}") < hall.rules.done.index(f"gone {DEVICE}")


async def test_messages_without_confirmation_do_not_pile_up(hall: Hall) -> None:
    """QoS 0 has no window: what is too much of it is dropped, what is confirmed never is."""
    hall.broker.hand_in(DEVICE, HELLO)
    await hall.rules.committed.wait()
    for _ in range(10 * UNCONFIRMED):
        hall.broker.hand_in(DEVICE, {"op": "gone", "connection": "d" * 16}, qos=0)
    hall.broker.hand_in(DEVICE, HELLO)
    hall.rules.go_on.set()
    await until(lambda: hall.rules.done.count(f"hello {DEVICE}") == 2, what="the last message")
    assert hall.rules.done.count(f"gone {DEVICE}") == UNCONFIRMED


async def test_who_begins_is_answered_though_the_door_is_busy(hall: Hall) -> None:
    """With the same nonce when it asks again: a slow answer must not be void when it comes."""
    hall.broker.hand_in(DEVICE, HELLO)
    await hall.rules.committed.wait()
    for _ in range(2):
        hall.broker.hand_in(DEVICE, {"op": "begin"})
    first, again = (json.loads(text) for topic, text in hall.broker.said)
    assert first["op"] == "nonce"
    assert again == first


async def test_when_a_fleet_comes_at_once_each_is_told_another_time() -> None:
    """Nobody beyond the first ones waits for an answer: they come again one after the other."""
    hall = Hall(AuthSettings(workers=4, hellos_at_once=10, hellos_per_second=10))
    async with hall.door.open():
        for number in range(50):
            hall.broker.hand_in(f"dev_{number}", {"op": "begin"})
        said = [json.loads(text) for topic, text in hall.broker.said]
        assert [one["op"] for one in said] == ["nonce"] * 10 + ["refused"] * 40
        waits = [one["retry"] for one in said[10:]]
        assert {one["code"] for one in said[10:]} == {"unavailable"}
        gaps = [later - sooner for sooner, later in itertools.pairwise(waits)]
        assert gaps == pytest.approx([0.1] * 39, abs=0.05)
        hall.broker.hand_in("dev_0", {"op": "begin"})
        assert json.loads(hall.broker.said[-1][1]) == said[0], "who has a nonce may use it"


async def test_a_message_that_is_too_long_is_not_kept(hall: Hall) -> None:
    """It is refused where it comes in, though the door is busy with that client."""
    hall.broker.hand_in(DEVICE, HELLO)
    await hall.rules.committed.wait()
    hall.broker.hand_in(DEVICE, b"x" * (MAX_MESSAGE + 1))
    assert hall.broker.wire.acknowledged == 1
    assert msgspec.json.decode(hall.broker.said[-1][1])["code"] == "malformed"


async def test_a_will_that_names_no_connection_is_refused_at_the_door(hall: Hall) -> None:
    """Wills are ended together: what Postgres takes from nobody would fail those of others."""
    hall.broker.hand_in(DEVICE, {"op": "gone", "connection": "c" * 15 + "\0"})
    assert hall.broker.wire.acknowledged == 1
    assert msgspec.json.decode(hall.broker.said[-1][1])["code"] == "malformed"


async def sync_and(hall: Hall, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Sync; when the tokens have been read, something else begins and gets as far as it can."""
    begun: list[asyncio.Task[None]] = []

    async def page(_: peers.ListDigests) -> peers.Digests:
        read = peers.Digests([peers.TokenDigest(1, "acc_1", "prj_1", DIGEST)])
        begun.append(asyncio.ensure_future(meanwhile()))
        for _turn in range(10):
            await asyncio.sleep(0)
        return read

    async with hall.bus.serve("projects", "1.0.0", [Endpoint(peers.LIST_DIGESTS, page)]):
        await hall.auth.sync()
    await asyncio.gather(*begun)


async def test_a_token_that_is_revoked_during_a_sync_stays_revoked(hall: Hall) -> None:
    """What was read before the revocation must not bring the token back."""
    revoked = peers.TokenChanged("acc_1", "prj_1", DIGEST, live=False)
    await sync_and(hall, lambda: hall.auth.token_changed(revoked, EventInfo("e", "prj_1", 1)))
    assert not hall.tokens.of("prj_1")
    assert hall.broker.control()[-1] == f"untoken prj_1 {DIGEST}"


async def test_a_session_that_is_granted_during_a_sync_is_not_cut_off(hall: Hall) -> None:
    """A snapshot ends sessions that it does not list: it is whole before the next grant."""

    async def hello() -> None:
        hall.broker.hand_in(DEVICE, HELLO)
        hall.rules.go_on.set()

    await sync_and(hall, hello)
    await until(lambda: bool(hall.rules.done), what="the hello")
    await until(lambda: "session" in hall.broker.control()[-1], what="the grant")
    assert hall.broker.control()[-2].startswith("commit ")


async def test_a_sync_waits_for_the_session_that_is_being_opened(hall: Hall) -> None:
    """A renewal that is committed and not yet granted would end the session that the broker has."""
    hall.broker.hand_in(DEVICE, HELLO)
    await hall.rules.committed.wait()

    async def none(_: peers.ListDigests) -> peers.Digests:
        return peers.Digests([])

    async with hall.bus.serve("projects", "1.0.0", [Endpoint(peers.LIST_DIGESTS, none)]):
        sync = asyncio.ensure_future(hall.auth.sync())
        for _turn in range(20):
            await asyncio.sleep(0)
        assert hall.broker.control() == []
        hall.rules.go_on.set()
        await sync
    verbs = [line.split()[0] for line in hall.broker.control()]
    assert verbs == ["session", "begin", "session", "commit"]
