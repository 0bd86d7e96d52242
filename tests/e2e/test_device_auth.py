"""What gets a device in, what does not, and what cuts it off: against the whole hub."""

from collections.abc import Callable, Iterator

import pytest

from tests.deadline import until
from tests.fixtures.rawdevice import RawDevice, batch
from tests.fixtures.spine import Project, Spine

NOT_AUTHORISED = 135  # paho's MQTT 5 name for return code 5 of MQTT 3.1.1
REFUSED = 128


@pytest.fixture
def project(spine: Spine) -> Project:
    """A project of the test's own."""
    return spine.project()


@pytest.fixture
def newcomer(spine: Spine, project: Project) -> Iterator[Callable[[], RawDevice]]:
    """Makes clients of the project that have not registered yet; all are closed at the end."""
    family: list[RawDevice] = []

    def make() -> RawDevice:
        port = spine.embedded.ports.mqtt
        return RawDevice(port, project.id, project.token, family=family)

    yield make
    for device in family:
        device.close()


async def let_in(make: Callable[[], RawDevice]) -> RawDevice:
    """Connect as soon as the broker has heard of the token, which the outbox carries there."""
    found: list[RawDevice] = []

    def admitted() -> bool:
        device = make()
        if device.connect() != 0:
            device.close()
            return False
        found.append(device)
        return True

    await until(admitted, what="the token at the broker")
    assert found[0].subscribe(f"auth/{found[0].client}/down") == 1
    return found[0]


async def test_a_device_registers_opens_a_session_and_is_acknowledged(
    spine: Spine, newcomer: Callable[[], RawDevice]
) -> None:
    """The whole of docs/protocol.md, by hand; JSON and binary batches."""
    device = (await let_in(newcomer)).register().open().hello()
    assert device.marks == {}
    assert device.send(batch("one", "two")) == {"op": "ack", "stream": "app", "boot": 1, "seq": 2}
    json_form = b'{"v":1,"boot":1,"first":3,"lines":["three",{"message":"four","priority":11}]}'
    assert device.send(json_form)["seq"] == 4
    assert device.send(batch("one", "two")) == {"op": "ack", "stream": "app", "boot": 1, "seq": 4}
    broken = b'{"v":1,"boot":1,"first":5,"lines":[{"message":7}],"unknown":true}'
    refused = device.send(broken)
    assert (refused["op"], refused["first"], refused["code"]) == ("reject", 5, "bad-body")
    assert device.answer(device.topics.ack)["seq"] == 5, "its place is taken, nothing stops"
    assert device.send(batch("far", first=10)) == {
        "op": "resume", "stream": "app", "boot": 1, "seq": 5,
    }  # fmt: skip
    lines = spine.api.get(f"/projects/{device.project}/logs")
    assert [line["message"] for line in lines] == ["one", "two", "three", "four"]
    assert lines[3]["severity"] == "err"
    device.close()
    again = device.again().open().hello()
    assert again.marks == {"app": {"boot": 1, "seq": 5}}
    assert again.send(batch("known", "five", first=5))["seq"] == 6
    lines = spine.api.get(f"/projects/{device.project}/logs")
    assert [line["message"] for line in lines] == ["one", "two", "three", "four", "five"]
    again.close()


async def test_replayed_and_forged_messages_are_refused(
    newcomer: Callable[[], RawDevice],
) -> None:
    """A spent nonce, another's nonce, a wrong proof, a stranger's device: each has its code."""
    client = await let_in(newcomer)
    claim = client.registration(client.nonce())
    registered = client.say(claim)
    assert registered["op"] == "registered"
    assert client.say(claim)["code"] == "nonce", "a spent claim registers nothing"
    forged = client.registration(client.nonce()) | {"proof": "0" * 64}
    assert client.say(forged)["code"] == "proof"
    assert client.say({"op": "nonsense"})["code"] == "malformed"
    client.close()

    device = client.again(client=registered["device"], key=registered["key"]).open()
    greeting = device.greeting(device.nonce())
    assert device.say(greeting)["op"] == "session"
    assert device.say(greeting)["code"] == "nonce", "a recorded hello opens nothing"
    wrong = device.again(key="00" * 32)
    wrong.connection = device.connection
    assert device.say(wrong.greeting(device.nonce()))["code"] == "proof"
    device.close()

    stranger = client.again(client="dev_" + "a" * 20, key="00" * 32).open()
    assert stranger.say(stranger.greeting(stranger.nonce()))["code"] == "unknown-device"
    for field in ("project", "previous"):
        odd = stranger.greeting(stranger.nonce()) | {field: "a\0b"}
        assert stranger.say(odd)["code"] == "malformed", "what Postgres cannot hold stays outside"
    stranger.close()


async def test_a_live_session_cannot_be_taken_over_by_the_token(
    newcomer: Callable[[], RawDevice],
) -> None:
    """Only its session id lets another connection have the client id; then the old one is void."""
    device = (await let_in(newcomer)).register().open().hello()
    intruder = device.again()
    assert intruder.connect() == NOT_AUTHORISED
    guess = device.again()
    assert guess.connect(password=f"{device.token}/{'0' * 32}") == NOT_AUTHORISED
    assert device.send(batch("still here"))["op"] == "ack"
    back = device.again()
    assert back.connect(password=f"{device.token}/{device.session}") == 0
    assert back.subscribe(f"{device.topics.down}/#") >= REFUSED, "the old session's topics closed"
    assert back.subscribe(f"auth/{back.client}/down") == 1
    back.hello()
    assert back.send(batch("back", first=2))["seq"] == 2


async def test_an_old_sessions_topics_stay_closed(newcomer: Callable[[], RawDevice]) -> None:
    """After a new hello nothing goes in or out under the old session id."""
    device = (await let_in(newcomer)).register().open().hello()
    old = device.topics
    device.hello()
    device.publish(old.log("app"), batch("replayed"))
    assert device.subscribe(f"{old.down}/ack") >= REFUSED
    assert device.send(batch("first"))["seq"] == 1, "the replayed batch was not taken"
    device.close()


async def test_revocation_cuts_a_device_off_at_once(
    spine: Spine, newcomer: Callable[[], RawDevice]
) -> None:
    """Deleting a device ends its connection, and its key opens nothing any more."""
    device = (await let_in(newcomer)).register().open().hello()

    def known() -> bool:
        return spine.api.ask("GET", f"/devices/{device.client}").status == 200

    await until(known, what="the device in the list")
    assert spine.api.ask("DELETE", f"/devices/{device.client}").status == 204
    device.drops.get(timeout=10)
    assert spine.api.ask("DELETE", f"/devices/{device.client}").status == 404
    again = device.again().open()
    assert again.say(again.greeting(again.nonce()))["code"] == "revoked"
    again.close()


async def test_a_revoked_token_cuts_off_who_used_it(
    spine: Spine, newcomer: Callable[[], RawDevice], project: Project
) -> None:
    """Two tokens are valid during a rotation; the deleted one is void, the other goes on."""
    second = spine.api.make(f"/projects/{project.id}/tokens", {"name": "second"})
    third = spine.api.ask("POST", f"/projects/{project.id}/tokens", {"name": "third"})
    assert third.status == 409
    first = (await let_in(newcomer)).register().open().hello()
    other = await let_in(
        lambda: first.again(client="new-other", previous="", token=second["token"])
    )
    tokens = spine.api.get(f"/projects/{project.id}/tokens")
    (used,) = [token["id"] for token in tokens if token["id"] != second["id"]]
    assert spine.api.ask("DELETE", f"/projects/{project.id}/tokens/{used}").status == 204
    first.drops.get(timeout=10)
    assert first.again().connect() == NOT_AUTHORISED
    assert other.register().open().hello().send(batch("rotated"))["seq"] == 1


async def test_a_clone_is_found_out(spine: Spine, newcomer: Callable[[], RawDevice]) -> None:
    """Two copies of one disk: when both have been in, they are quarantined."""
    original = (await let_in(newcomer)).register().open().hello()
    original.close()
    clone = original.again()
    original = original.again().open().hello()
    original.close()
    clone.open().hello()  # it might be the original, whose last answer was lost
    clone.close()
    original = original.again().open()
    answer = original.say(original.greeting(original.nonce()))
    assert answer["code"] == "revoked"
    assert "two machines" in answer["detail"]
    path = f"/devices/{original.client}"
    await until(
        lambda: bool(spine.api.get(path)["status"] == "quarantined"), what="the quarantine to show"
    )
    original.close()


async def test_presence_follows_the_will_and_ignores_a_late_one(
    spine: Spine, newcomer: Callable[[], RawDevice]
) -> None:
    """A broken connection is offline by its will; an older connection's will changes nothing."""
    device = (await let_in(newcomer)).register().open().hello()

    def online() -> bool:
        answer = spine.api.ask("GET", f"/devices/{device.client}")
        return answer.status == 200 and bool(answer.body["online"])

    await until(online, what="online")
    device.die()
    await until(lambda: not online(), what="offline by the will")
    back = device.again().open().hello()
    await until(online, what="online again")
    late = {"op": "gone", "connection": device.connection}
    back.publish(f"auth/{back.client}/up", str(late).replace("'", '"').encode())
    assert back.send(batch("still in"))["seq"] == 1
    assert online()
    back.close()


async def test_deleting_a_project_cuts_off_all_that_is_in_it(
    spine: Spine, newcomer: Callable[[], RawDevice], project: Project
) -> None:
    """Its devices, tokens and integrations go with it."""
    device = (await let_in(newcomer)).register().open().hello()
    made = spine.api.make(
        f"/projects/{project.id}/integrations",
        {"type": "syslog", "name": "s", "config": {"host": "127.0.0.1", "port": 9}},
    )
    assert spine.api.ask("DELETE", f"/projects/{project.id}").status == 204
    device.drops.get(timeout=10)
    assert device.again().connect() == NOT_AUTHORISED
    gone = [f"/projects/{project.id}", f"/devices/{device.client}", f"/integrations/{made['id']}"]
    await until(
        lambda: {spine.api.ask("GET", path).status for path in gone} == {404}, what="all of it gone"
    )
