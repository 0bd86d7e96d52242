"""What clients with and without a valid token try on the broker, judged by what is delivered."""

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.fixtures.broker import Broker, RawHub
from tests.fixtures.raw_mqtt import RawClient, Will

SID_A = "a" * 32
SID_B = "b" * 32
OLD = "0" * 32
_numbers = itertools.count()


@dataclass
class Tenant:
    """A project with one device in session."""

    project: str
    token: str
    device: str
    session: str
    client: RawClient

    @property
    def up(self) -> str:
        return f"d/{self.project}/{self.device}/{self.session}"

    @property
    def down(self) -> str:
        return f"c/{self.project}/{self.device}/{self.session}"


@dataclass
class Scene:
    """Two tenants and a hub that listens to everything."""

    broker: Broker
    hub: RawHub
    alice: Tenant
    mallory: Tenant


def _tenant(broker: Broker, hub: RawHub, name: str, session: str) -> Tenant:
    number = next(_numbers)
    tenant = Tenant(f"prj_{name}{number}", f"token-{name}", f"dev_{name}{number}", session, None)  # type: ignore[arg-type]
    hub.token(tenant.project, tenant.token)
    tenant.client = broker.join(tenant.device, tenant.project, tenant.token)
    assert tenant.client.admitted
    hub.session(tenant.device, tenant.project, session)
    return tenant


@pytest.fixture
def scene(shared_broker: Broker) -> Iterator[Scene]:
    with shared_broker.hub(f"hub-{next(_numbers)}") as hub:
        alice = _tenant(shared_broker, hub, "alice", SID_A)
        mallory = _tenant(shared_broker, hub, "mallory", SID_B)
        try:
            assert alice.client.subscribe(f"{alice.down}/#")
            assert alice.client.subscribe(f"auth/{alice.device}/down")
            for topics in ("#", "$SYS/broker/uptime", "$isaax/#"):
                assert hub.subscribe(topics)
            hub.settle()
            yield Scene(shared_broker, hub, alice, mallory)
        finally:
            alice.client.drop()
            mallory.client.drop()


def rejoin(scene: Scene, tenant: Tenant) -> None:
    """Come back after the broker has ended the connection."""
    tenant.client = scene.broker.join(tenant.device, tenant.project, tenant.token)
    assert tenant.client.admitted
    scene.hub.session(tenant.device, tenant.project, tenant.session)


def seen_by_hub(scene: Scene) -> list[tuple[str, bytes]]:
    """What reached the hub's `#`, without the broker's own."""
    return [m for m in scene.hub.settle() if not m[0].startswith("$")]


def test_a_session_opens_its_own_topics_and_nothing_is_lost_on_them(scene: Scene) -> None:
    device, hub = scene.alice, scene.hub
    device.client.publish(f"{device.up}/log/app", b"lines")
    device.client.publish(f"auth/{device.device}/up", b"hello")
    device.client.settle()
    assert seen_by_hub(scene) == [
        (f"{device.up}/log/app", b"lines"),
        (f"auth/{device.device}/up", b"hello"),
    ]
    hub.publish(f"{device.down}/ack", b"ack")
    hub.publish(f"{device.down}/command/cmd_1", b"do")
    hub.publish(f"auth/{device.device}/down", b"opened")
    hub.settle()
    assert [payload for _, payload in device.client.settle()] == [b"ack", b"do", b"opened"]


def hostile_topics(me: Tenant, other: Tenant) -> list[str | bytes]:
    return [
        # another tenant's
        f"{other.up}/log/app", f"{other.down}/ack", f"auth/{other.device}/up",
        f"auth/{other.device}/down", f"d/{other.project}/{me.device}/{me.session}/log/app",
        f"d/{me.project}/{other.device}/{me.session}/log/app",
        f"d/{me.project}/{me.device}/{other.session}/log/app",
        # my own, in the wrong direction or from a session that is over
        f"{me.down}/ack", f"auth/{me.device}/down", f"d/{me.project}/{me.device}/{OLD}/log/app",
        # the broker's
        "$SYS/broker/uptime", "$CONTROL/isaax/v1", "$CONTROL/isaax/v2", "$isaax/status", "$x/y",
        # shapes
        "auth", "d", "/", "//", f"/{me.up}/log/app", f"{me.up}", f"{me.up}/", f"{me.up}//log",
        f"{me.up}/log/", f"{me.up}/../x", f"{me.up}/log/..", f"{me.up}/log/äpp",
        f"{me.up}/log app", f"{me.up}/" + "x" * 600, "x" * 65000, f"{me.up}\u0001/log",
        f"{me.up.upper()}/log/app", f"{me.up}/$SYS", "anything/else", f"{me.up}/\U0001f4a3",
    ]  # fmt: skip


def test_publishing_outside_the_session_reaches_nobody(scene: Scene) -> None:
    me, other = scene.mallory, scene.alice
    before = scene.hub.status()
    topics = hostile_topics(me, other)
    for topic in topics:
        for retain in (False, True):
            attacker = me.client
            attacker.publish(topic, b"evil", retain=retain)
            attacker.publish(topic, b"evil", qos=0, retain=retain)
        if attacker.ended():  # the broker itself ends some of them: that is a refusal as well
            rejoin(scene, me)
    assert b"evil" not in [payload for _, payload in seen_by_hub(scene)]
    assert other.client.settle() == []
    after = scene.hub.status()
    assert after["refused_publishes"] > before["refused_publishes"]
    assert after["tokens"] == before["tokens"]


def test_nothing_of_it_is_retained(scene: Scene) -> None:
    me = scene.mallory
    me.client.publish(f"{me.up}/log/app", b"kept", retain=True)
    me.client.publish(f"auth/{me.device}/up", b"kept", retain=True)
    me.client.settle()
    assert seen_by_hub(scene) == []
    with scene.broker.hub(f"hub-late{next(_numbers)}") as late:
        assert late.subscribe("#")
        assert [m for m in late.settle() if not m[0].startswith("$")] == []


def hostile_filters(me: Tenant, other: Tenant) -> list[str]:
    return [
        "#", "+", "+/#", "+/+/+/+/#", "/#", "/", "$SYS/#", "$SYS/broker/+", "$CONTROL/#",
        "$CONTROL/isaax/v1", "$isaax/#", "$isaax/status", f"{other.down}/#", f"{other.down}/ack",
        f"{other.up}/#", f"auth/{other.device}/down", f"auth/{other.device}/up", "auth/#",
        "auth/+/down", "auth/+/up", f"auth/{me.device}/#", f"auth/{me.device}/+",
        f"auth/{me.device}/up", "c/#", "c/+/#", f"c/{me.project}/#", f"c/{me.project}/+/#",
        f"c/+/{me.device}/{me.session}/#", f"c/{me.project}/+/{me.session}/#",
        f"c/{me.project}/{me.device}/#", f"c/{me.project}/{me.device}/+/#", f"{me.down}/+",
        f"{me.down}/+/#", f"{me.down}/command/#", f"{me.down}/command/+/+", f"{me.down}/../#",
        f"c/{me.project}/{me.device}/{OLD}/#", f"{me.up}/#", "d/#",
        f"$share/group/{me.down}/#", f"$share/group/{other.down}/#", "$share/g/#",
        f"{me.down}//ack", f"{me.down}/", me.down, "x" * 65000, f"{me.down}/\u00e4",
    ]  # fmt: skip


def test_subscribing_outside_the_session_delivers_nothing(scene: Scene) -> None:
    me, other, hub = scene.mallory, scene.alice, scene.hub
    for topics in hostile_filters(me, other):
        assert not me.client.subscribe(topics), topics
        if me.client.closed:  # the broker itself ends it for a malformed filter
            rejoin(scene, me)
    hub.publish(f"{other.down}/ack", b"for alice")
    hub.publish(f"auth/{other.device}/down", b"for alice")
    hub.publish("anything", b"for nobody")
    other.client.publish(f"{other.up}/log/app", b"alice's lines")
    hub.settle()
    assert me.client.settle() == []
    assert [payload for _, payload in other.client.settle()] == [b"for alice", b"for alice"]


def test_one_of_many_filters_is_judged_by_itself(scene: Scene) -> None:
    me, other = scene.mallory, scene.alice
    both = [f"{me.down}/#", f"{other.down}/#"]
    body = b"\x00\x63" + b"".join(
        struct.pack(">H", len(t)) + t.encode() + b"\x01" for t in both
    )  # fmt: skip
    me.client._send(b"\x82" + _length(body) + body)
    answer = me.client._until(0x90)
    assert answer is not None
    assert list(answer[2:]) == [1, 128]
    scene.hub.publish(f"{other.down}/ack", b"x")
    scene.hub.settle()
    assert me.client.settle() == []


def _length(body: bytes) -> bytes:
    return bytes([len(body) % 128 | 128, len(body) // 128])


def test_topics_of_an_earlier_session_are_shut(scene: Scene) -> None:
    device, hub = scene.alice, scene.hub
    old_up, old_down = device.up, device.down
    hub.session(device.device, device.project, OLD)
    device.client.publish(f"{old_up}/log/app", b"late")
    device.client.settle()
    assert seen_by_hub(scene) == []
    hub.publish(f"{old_down}/ack", b"late")  # still subscribed: refused at delivery
    hub.settle()
    assert device.client.settle() == []
    assert hub.status()["refused_deliveries"] >= 1


def test_an_expired_session_is_shut_by_the_servers_clock(scene: Scene) -> None:
    device = scene.alice
    scene.hub.session(device.device, device.project, device.session, seconds=0)
    scene.hub.publish(f"{device.down}/ack", b"x")
    scene.hub.settle()
    assert len(device.client.settle()) == 1  # an end that has passed opens and closes nothing
    scene.hub.session(device.device, device.project, SID_B, seconds=-5)
    device.client.publish(f"d/{device.project}/{device.device}/{SID_B}/log/app", b"x")
    device.client.settle()
    assert seen_by_hub(scene) == []


@pytest.mark.parametrize("retain", [False, True])
def test_a_will_goes_nowhere_but_to_its_own_door(scene: Scene, retain: bool) -> None:
    me, other = scene.mallory, scene.alice
    topics = [
        f"{other.up}/log/app", f"{other.down}/ack", f"auth/{other.device}/down",
        f"auth/{other.device}/up", "$SYS/x", "$isaax/status", "x",
        f"{me.up}/log/app",  # its session is over when the will is sent
    ]  # fmt: skip
    for number, topic in enumerate(topics):
        name = f"new-{number}{retain}"
        will = Will(topic, b"evil", retain)
        scene.broker.join(name, me.project, me.token, will=will).drop()
        with scene.broker.join(name, me.project, me.token, will=will) as again:
            assert again.admitted
        scene.broker.join(name, me.project, me.token).drop()  # takes it over: the will is due
    assert b"evil" not in [payload for _, payload in seen_by_hub(scene)]
    assert other.client.settle() == []


def test_a_will_cannot_command_the_broker(scene: Scene) -> None:
    me, other = scene.mallory, scene.alice
    will = Will("$CONTROL/isaax/v1", f"kick {other.device}".encode())
    scene.broker.join("new-will", me.project, me.token, will=will).drop()
    scene.broker.join("new-will", me.project, me.token).drop()
    scene.hub.settle()
    assert not other.client.ended()


def test_a_refused_connect_leaves_no_will(scene: Scene) -> None:
    me = scene.mallory
    for user, password in ((me.project, "wrong"), ("hub", "wrong"), (None, None)):
        will = Will("auth/new-r/up", b"evil")
        with RawClient(scene.broker.port, "new-r", user, password, will=will) as stranger:
            assert not stranger.admitted
    assert seen_by_hub(scene) == []


@pytest.mark.parametrize(
    ("client", "user", "password"),
    [
        ("new-x", None, None),
        ("new-x", "{project}", None),
        ("new-x", "{project}", ""),
        ("new-x", "{project}", "wrong"),
        ("new-x", "{other}", "{token}"),
        ("new-x", "hub", "{token}"),
        ("new-x", "hub", "hub-password"),
        ("hub-x", "hub", "{token}"),
        ("hub-x", "{project}", "{token}"),
        ("", "{project}", "{token}"),
        ("a/b", "{project}", "{token}"),
        ("+", "{project}", "{token}"),
        ("#", "{project}", "{token}"),
        ("a b", "{project}", "{token}"),
        ("é", "{project}", "{token}"),
        ("x" * 65, "{project}", "{token}"),
        ("new-x", "{project}\n", "{token}"),
        ("new-x", "", "{token}"),
    ],
)
def test_who_is_not_let_in(
    scene: Scene, client: str, user: str | None, password: str | None
) -> None:
    words = {
        "project": scene.mallory.project,
        "other": scene.alice.project,
        "token": scene.mallory.token,
    }
    with RawClient(
        scene.broker.port,
        client,
        user.format(**words) if user is not None else None,
        password.format(**words) if password is not None else None,
    ) as stranger:
        assert not stranger.admitted


def test_only_mqtt_3_1_1_with_a_clean_session(scene: Scene) -> None:
    me = scene.mallory
    with scene.broker.join("new-v5", me.project, me.token, level=5) as five:
        assert five.code != 0
    with scene.broker.join("new-kept", me.project, me.token, clean=False) as kept:
        assert not kept.admitted


def test_a_live_session_is_not_taken_over(scene: Scene) -> None:
    me, other, broker = scene.mallory, scene.alice, scene.broker
    for user, password in (
        (other.project, other.token),
        (other.project, f"{other.token}/{OLD}"),
        (other.project, f"{other.token}/"),
        (other.project, f"{me.token}/{other.session}"),
        (other.project, other.session),
        (me.project, me.token),
        (me.project, f"{me.token}/{other.session}"),
    ):
        with broker.join(other.device, user, password) as thief:
            assert not thief.admitted, (user, password)
    scene.hub.publish(f"{other.down}/ack", b"still here")
    scene.hub.settle()
    assert [payload for _, payload in other.client.settle()] == [b"still here"]


def test_who_knows_the_session_takes_it_over_and_begins_anew(scene: Scene) -> None:
    device, hub = scene.alice, scene.hub
    device.client.leave()
    with scene.broker.join(
        device.device, device.project, device.token,
        will=Will(f"auth/{device.device}/up", b"gone 1"),
    ) as first:  # fmt: skip
        hub.session(device.device, device.project, device.session)
        with scene.broker.join(
            device.device, device.project, f"{device.token}/{device.session}"
        ) as second:
            assert second.admitted
            assert first.ended()
            # The old session is void at once, and the old connection's end hurts nobody.
            assert not second.subscribe(f"{device.down}/#")
            second.publish(f"{device.up}/log/app", b"old session")
            second.settle()
            assert seen_by_hub(scene) == [(f"auth/{device.device}/up", b"gone 1")]
            hub.session(device.device, device.project, OLD)
            second.publish(f"d/{device.project}/{device.device}/{OLD}/log/app", b"new session")
            second.settle()
            assert [payload for _, payload in seen_by_hub(scene)] == [b"new session"]


def test_refusals_are_logged_without_secrets(scene: Scene) -> None:
    me = scene.mallory
    with scene.broker.join("new-log", me.project, "a-secret-password") as stranger:
        assert not stranger.admitted
    me.client.publish(f"c/{me.project}/x/{SID_A}/ack")
    me.client.settle()
    log = scene.broker.log
    assert "broker_auth: refused connect" in log
    assert "broker_auth: refused publish" in log
    for secret in ("a-secret-password", me.token, SID_A, SID_B, "hub-password"):
        assert secret not in log
