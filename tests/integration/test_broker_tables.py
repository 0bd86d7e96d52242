"""The plugin's tables inside a real broker: revocation, snapshots, restarts, bad input, memory."""

import hashlib
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.fixtures.broker import Broker, build, running, until
from tests.fixtures.raw_mqtt import Will

SID = "c" * 32


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_line(project: str, token: str) -> str:
    return f"token {project} {digest(token)}"


def session_line(client: str, project: str, session: str = SID) -> str:
    return f"session {client} {project} {session} {int(time.time()) + 3600}"


# ── cutting off ──


def test_a_revoked_token_cuts_off_who_came_in_with_it(shared_broker: Broker) -> None:
    with shared_broker.hub() as hub:
        hub.token("prj_r", "old")
        hub.token("prj_r", "new")
        with (
            shared_broker.join("dev_r1", "prj_r", "old") as first,
            shared_broker.join("dev_r2", "prj_r", "new") as second,
        ):
            hub.session("dev_r1", "prj_r", SID)
            hub.say(f"untoken prj_r {digest('old')}")
            assert first.ended()
            assert not second.ended()
            with shared_broker.join("dev_r1", "prj_r", f"old/{SID}") as again:
                assert not again.admitted


@pytest.mark.parametrize("line", ["unsession dev_k", "kick dev_k"])
def test_a_client_is_cut_off_and_its_will_is_sent(shared_broker: Broker, line: str) -> None:
    with shared_broker.hub() as hub:
        hub.token("prj_k", "t")
        assert hub.subscribe("auth/+/up")
        will = Will("auth/dev_k/up", b"gone")
        with shared_broker.join("dev_k", "prj_k", "t", will=will) as device:
            hub.session("dev_k", "prj_k", SID)
            hub.say(line)
            assert device.ended()
            assert ("auth/dev_k/up", b"gone") in hub.settle()
            assert hub.status()["sessions"] == 0
            with shared_broker.join("dev_k", "prj_k", "t") as again:
                assert again.admitted  # the session is over, so nothing guards the client id


def test_a_disconnect_voids_the_session(shared_broker: Broker) -> None:
    with shared_broker.hub() as hub:
        hub.token("prj_d", "t")
        with shared_broker.join("dev_d", "prj_d", "t") as device:
            hub.session("dev_d", "prj_d", SID)
            device.leave()
        until(lambda: hub.status()["sessions"] == 0, "the end of the session")
        with shared_broker.join("dev_d", "prj_d", "t") as device:
            assert device.admitted
            assert not device.subscribe(f"c/prj_d/dev_d/{SID}/#")
            hub.session("dev_gone", "prj_d", SID)  # for a client that is not here: nothing opens
            assert hub.status()["sessions"] == 0


# ── snapshots from the hub ──


def test_a_snapshot_leaves_living_devices_alone(own_broker: Broker) -> None:
    with own_broker.hub() as hub:
        for project in ("prj_1", "prj_2"):
            hub.token(project, "t")
        with (
            own_broker.join("dev_1", "prj_1", "t") as kept,
            own_broker.join("dev_2", "prj_1", "t") as unknown,
            own_broker.join("dev_3", "prj_2", "t") as revoked,
            own_broker.join("new-4", "prj_1", "t") as fresh,
        ):
            hub.say(*(session_line(c, p) for c, p in (("dev_1", "prj_1"), ("dev_2", "prj_1"))))
            assert kept.subscribe(f"c/prj_1/dev_1/{SID}/#")
            with own_broker.hub("hub-restarted") as anew:
                anew.say("begin 9", token_line("prj_1", "t"), session_line("dev_9", "prj_1"))
                assert hub.status()["tokens"] == 2  # nothing is in force before the commit
                anew.say(session_line("dev_1", "prj_1"), "commit 9")
                anew.publish(f"c/prj_1/dev_1/{SID}/ack", b"goes on")
                anew.settle()
            assert [payload for _, payload in kept.settle()] == [b"goes on"]
            assert unknown.ended()
            assert revoked.ended()
            assert not fresh.ended()
            status = hub.status()
            assert (status["generation"], status["tokens"], status["sessions"]) == (9, 1, 1)


# ── the snapshot file ──


def load_tokens(broker: Broker, *lines: str, generation: int = 1) -> None:
    with broker.hub("hub-load") as hub:
        hub.say(f"begin {generation}", *lines, f"commit {generation}")
    until(
        lambda: broker.snapshot.exists() and f"begin {generation}\n" in broker.snapshot.read_text(),
        "the snapshot file",
    )


def test_the_tokens_survive_a_kill(own_broker: Broker) -> None:
    load_tokens(own_broker, token_line("prj_s", "t"), generation=3)
    assert own_broker.end(signal.SIGKILL) == -signal.SIGKILL
    own_broker.start()
    with (
        own_broker.join("dev_s", "prj_s", "t") as device,
        own_broker.join("dev_x", "prj_s", "other") as stranger,
    ):
        assert device.admitted
        assert not stranger.admitted
        with own_broker.hub() as hub:
            status = hub.status()
    assert (status["generation"], status["tokens"], status["sessions"]) == (3, 1, 0)


def test_single_changes_reach_the_file_too(own_broker: Broker) -> None:
    load_tokens(own_broker, token_line("prj_s", "one"), token_line("prj_s", "two"))
    with own_broker.hub() as hub:
        hub.say(f"untoken prj_s {digest('one')}", token_line("prj_s", "three"))
    until(lambda: digest("three") in own_broker.snapshot.read_text(), "the snapshot file")
    assert digest("one") not in own_broker.snapshot.read_text()
    assert oct(own_broker.snapshot.stat().st_mode & 0o777) == "0o600"
    assert not own_broker.snapshot.with_suffix(".new").exists()


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "foreign", "folder"])
def test_a_damaged_file_is_refused_as_a_whole(own_broker: Broker, damage: str) -> None:
    load_tokens(own_broker, *(token_line("prj_s", f"t{n}") for n in range(50)))
    own_broker.end(signal.SIGKILL)
    text = own_broker.snapshot.read_bytes()
    own_broker.snapshot.unlink()
    match damage:
        case "truncated":
            own_broker.snapshot.write_bytes(text[: len(text) // 2])
        case "changed":
            own_broker.snapshot.write_bytes(text.replace(b"prj_s", b"prj_z", 1))
        case "empty":
            own_broker.snapshot.write_bytes(b"")
        case "foreign":
            own_broker.snapshot.write_bytes(os.urandom(5000))
        case _:
            own_broker.snapshot.mkdir()
    own_broker.start()
    assert f"broker_auth: snapshot {own_broker.snapshot} refused" in own_broker.log
    with own_broker.join("dev_s", "prj_s", "t1") as device, own_broker.hub() as hub:
        assert not device.admitted
        assert hub.status()["tokens"] == 0
        hub.token("prj_s", "t1")  # and it goes on working
    with own_broker.join("dev_s", "prj_s", "t1") as device:
        assert device.admitted


def test_a_file_that_cannot_be_written_stops_nothing(own_broker: Broker) -> None:
    own_broker.snapshot.with_name("snapshot.new").mkdir()
    with own_broker.hub() as hub:
        hub.say("begin 1", token_line("prj_s", "t"), "commit 1")
    until(lambda: "cannot write snapshot" in own_broker.log, "the log line")
    with own_broker.join("dev_s", "prj_s", "t") as device:
        assert device.admitted
    own_broker.snapshot.with_name("snapshot.new").rmdir()
    until(own_broker.snapshot.exists, "the snapshot file")


def test_a_reload_takes_the_file_and_keeps_sessions(own_broker: Broker) -> None:
    load_tokens(own_broker, token_line("prj_s", "one"), token_line("prj_s", "two"))
    other = own_broker.snapshot.read_bytes()
    with own_broker.hub() as hub:
        with (
            own_broker.join("dev_1", "prj_s", "one") as first,
            own_broker.join("dev_2", "prj_s", "two") as second,
        ):
            hub.session("dev_1", "prj_s", SID)
            assert first.subscribe(f"c/prj_s/dev_1/{SID}/#")
            own_broker.reload()
            hub.publish(f"c/prj_s/dev_1/{SID}/ack", b"still open")
            hub.settle()
            assert [payload for _, payload in first.settle()] == [b"still open"]
            load_tokens(own_broker, token_line("prj_s", "one"), generation=2)
            only_one = own_broker.snapshot.read_bytes()
            assert second.ended()
        assert only_one != other
        own_broker.snapshot.write_bytes(other)
        own_broker.reload()
        with own_broker.join("dev_2", "prj_s", "two") as second:
            assert second.admitted
            own_broker.snapshot.write_bytes(only_one)
            own_broker.reload()
            assert second.ended()  # the broker asks about everybody anew
        assert not hub.ended()


def test_a_reload_never_brings_a_revoked_token_back(own_broker: Broker) -> None:
    load_tokens(own_broker, token_line("prj_s", "one"), token_line("prj_s", "two"))
    own_broker.snapshot.with_name("snapshot.new").mkdir()  # the file cannot follow
    with own_broker.hub() as hub:
        hub.say(f"untoken prj_s {digest('one')}")
        own_broker.reload()
        assert hub.status()["tokens"] == 1
        with own_broker.join("dev_1", "prj_s", "one") as device:
            assert not device.admitted


# ── bad input ──


def test_malformed_control_messages_are_counted_and_passed_over(own_broker: Broker) -> None:
    with own_broker.hub() as hub:
        messages = [
            b"", b"\n\n\n", b"\x00\xff\xfe", b"token", b"token prj_b", b"kick hub-test",
            b"commit 1", b"begin x", b"token prj_b " + b"f" * 63, b"x" * 65536, b"\n" * 65536,
            b"k" * 70000, b"session dev_1 prj_1 short 1",
            token_line("prj_b", "good").encode() + b"\nbad\n" + token_line("prj_b", "too").encode(),
        ]  # fmt: skip
        for message in messages:
            hub.publish("$CONTROL/isaax/v1", message)
        hub.publish("$CONTROL/isaax/v2", b"kick dev_1")
        hub.settle()
        assert not hub.closed
        status = hub.status()
        assert status["tokens"] == 2
        assert status["bad_control_lines"] == 11
    assert "bad lines in a control message" in own_broker.log


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "does not hold"),
        ("xyz", "does not hold"),
        ("0" * 70, "does not hold"),
        (None, "cannot read"),
    ],
)
def test_a_bad_password_file_stops_the_start(
    broker_plugin: Path, text: str | None, complaint: str
) -> None:
    with running(broker_plugin) as broker:
        broker.end()
        (broker.folder / "hub.sha256").unlink()
        if text is not None:
            (broker.folder / "hub.sha256").write_text(text)
        with pytest.raises(AssertionError, match="broker_auth: "):
            broker.start()
        assert complaint in broker.log


# ── the C parts by themselves, and memory ──


def test_the_parts_under_sanitizers(tmp_path: Path) -> None:
    build(tmp_path, "check", "FUZZ_RUNS=5000")


def exercise(broker: Broker) -> None:
    """Walk through everything that makes, moves or frees memory in the plugin."""
    with broker.hub() as hub:
        hub.say("begin 1", *(token_line("prj_v", f"t{n}") for n in range(100)))
        hub.say(session_line("dev_0", "prj_v"), "commit 1", "commit 1", "nonsense")
        devices = [
            broker.join(
                f"dev_{n}", "prj_v", f"t{n}", will=Will(f"auth/dev_{n}/up", b"gone")
            )
            for n in range(20)
        ]  # fmt: skip
        assert all(device.admitted for device in devices)
        hub.say(*(session_line(f"dev_{n}", "prj_v") for n in range(20)))
        for n, device in enumerate(devices):
            assert device.subscribe(f"c/prj_v/dev_{n}/{SID}/#")
            device.publish(f"d/prj_v/dev_{n}/{SID}/log/app")
            device.publish("d/other")
            device.settle()
        with broker.join("dev_1", "prj_v", "wrong") as stranger:
            assert not stranger.admitted
        taken = broker.join("dev_1", "prj_v", f"t1/{SID}")
        hub.say(f"untoken prj_v {digest('t2')}", "unsession dev_3", "kick dev_4")
        broker.reload()
        hub.say("begin 2", session_line("dev_5", "prj_v"))
        hub.say(token_line("prj_v", "t5"), "commit 2")  # cuts off everybody else
        assert devices[6].ended()
        assert not devices[5].ended()
        hub.say("begin 3", token_line("prj_v", "t5"))  # left open at the end
        for device in (*devices, taken):
            device.drop()
        hub.settle()


def test_no_memory_error_in_a_broker_under_valgrind(broker_plugin: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "valgrind.log"
        options = (
            "valgrind", "--leak-check=full", "--show-leak-kinds=definite,indirect",
            "--keep-debuginfo=yes", "--fullpath-after=", f"--log-file={report}",
        )  # fmt: skip
        with running(broker_plugin, options) as broker:
            exercise(broker)
            assert broker.end() == 0
        text = report.read_text()
    assert "ERROR SUMMARY" in text  # valgrind has run to its end
    assert "Invalid" not in text
    assert "uninitialised" not in text
    frames = [line for line in text.splitlines() if " by 0x" in line or " at 0x" in line]
    assert [line for line in frames if "broker_auth/" in line] == []  # of leaks and of errors
