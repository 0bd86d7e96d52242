"""Batching, storing and sending, with a clock that the test turns."""

import errno
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.appreport import AppReport
from agent.batcher import Batch, Batcher, Gap, Limits
from agent.commands import Commands
from agent.dialogue import LONG_SECONDS, Dialogue, Leave
from agent.linequeue import LineQueue, Missing
from agent.lines import Line
from agent.sender import ACK_SECONDS, DOUBT, RESUME_SECONDS, SLOWEST_SECONDS, WINDOW, Sender
from agent.settings import AgentConfig, Hidden
from agent.spool import Spool
from agent.spooler import Feed, Spooler
from agent.state import Identity, SessionFile
from agent.variables import Variables
from hub import protocol
from hub.protocol import Ack, Lines, Mark, Reject, Resume, Slow, decode_header, decode_lines


def line(text: str, **more: object) -> Line:
    return Line(1, 14, "app", text, **more)  # type: ignore[arg-type]


def batch(*texts: str) -> Batch:
    return Batch(Lines([1] * len(texts), 14, "app", list(texts)), {})


# ── batches ───────────────────────────────────────────────────────────────────────────────────


def test_a_batch_ends_with_its_lines_its_bytes_or_its_time() -> None:
    batcher = Batcher(Limits(lines=3, bytes=100, seconds=0.25))
    assert batcher.deadline is None
    batcher.add([line("a"), line("b"), line("c"), line("d")], at=1.0)
    assert [len(entry.lines) for entry in batcher.take(at=1.0) if isinstance(entry, Batch)] == [3]
    assert batcher.deadline == 1.25
    assert batcher.take(at=1.24) == []
    assert len(batcher.take(at=1.25)) == 1
    batcher.add([line("x" * 60), line("é" * 30)], at=2.0)
    assert len(batcher.take(at=2.0)) == 1
    assert len(batcher.take(at=2.0, flush=True)) == 1


def test_columns_are_one_value_where_they_can_be() -> None:
    batcher = Batcher(Limits())
    batcher.add([line("a"), Line(2, 11, "app", "b", "file:/x", "7")], at=0.0)
    (entry,) = batcher.take(at=0.0, flush=True)
    assert entry == Batch(Lines([1, 2], [14, 11], "app", ["a", "b"]), {"file:/x": "7"})


def test_what_was_dropped_keeps_its_place() -> None:
    batcher = Batcher(Limits())
    batcher.add([line("a"), Missing(4), line("b")], at=0.0)
    first, gap, last = batcher.take(at=0.0, flush=True)
    assert isinstance(gap, Gap)
    assert gap.span == 4
    assert isinstance(first, Batch)
    assert isinstance(last, Batch)


# ── to the disk ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.open(tmp_path / "spool", max_bytes=1 << 20)
    yield spool
    spool.close()


def test_a_full_disk_is_tried_again_and_what_did_not_fit_is_counted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = LineQueue(lambda: None, max_lines=3)
    feed = Feed("app", queue, spool, Batcher(Limits(lines=1)))

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("agent.segment.os.pwrite", fail)
        queue.put([line("a")])
        assert not feed.move(at=0.0)
        assert "No space" in feed.error
        queue.put([line(text) for text in "bcdefg"])
        assert not feed.move(at=0.5)
        assert feed.deadline == 1.0
    assert feed.move(at=1.0)
    assert feed.move(at=1.0)
    assert feed.error == ""
    texts, after = [], 0
    while (stored := spool.next(after)) is not None:
        texts += decode_lines(stored.wire).messages
        after = stored.last
    assert texts == ["a", "b", "c", "d", "3 lines missing"]
    assert spool.last == 7


def test_a_fault_in_one_stream_does_not_end_the_others(
    spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Spool.open(tmp_path / "other", max_bytes=1 << 20)
    spooler = Spooler(feeds := [], lambda: None)  # type: ignore[var-annotated]
    bad, good = LineQueue(spooler.wake), LineQueue(spooler.wake)
    feeds += [
        Feed("app", bad, spool, Batcher(Limits())),
        Feed("sys", good, other, Batcher(Limits())),
    ]
    spooler.start()
    bad.put([line("\ud800"), line("b")])
    good.put([line("c")])
    assert spooler.finish(10)
    assert "a fault of the agent" in caplog.text
    stored = spool.next(0)
    assert stored is not None
    assert decode_lines(stored.wire).messages == ["2 lines missing"]
    assert other.last == 1
    other.close()


# ── to the hub ────────────────────────────────────────────────────────────────────────────────


class Wire:
    """Takes what a sender publishes."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def __call__(self, payload: bytes) -> None:
        self.payloads.append(payload)

    def take(self) -> list[tuple[int, int]]:
        """Give boot and first sequence number of what was published since the last time."""
        headers = [decode_header(payload) for payload in self.payloads]
        self.payloads.clear()
        return [(header.boot, header.first) for header in headers]


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def sender(spool: Spool, tmp_path: Path) -> Sender:
    for n in range(1, 21):
        spool.append([batch(f"{n}a", f"{n}b")])
    sender = Sender("app", spool, tmp_path / "spool", clock=lambda: 0)
    sender.open({}, at=0.0)
    return sender


def test_nothing_is_sent_before_a_session(spool: Spool, tmp_path: Path, wire: Wire) -> None:
    spool.append([batch("a")])
    Sender("app", spool, tmp_path / "spool", clock=lambda: 0).pump(wire, at=0.0)
    assert wire.take() == []


def test_a_window_of_batches_is_on_its_way(sender: Sender, spool: Spool, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    assert wire.take() == [(1, 1 + 2 * n) for n in range(WINDOW)]
    sender.on_ack(Ack("app", 1, 4), at=1.0)
    assert spool.acked == 4
    sender.pump(wire, at=1.0)
    assert wire.take() == [(1, 17), (1, 19)]
    sender.on_ack(Ack("app", 2, 40), at=1.0)
    assert spool.acked == 4, "of another boot"
    sender.on_ack(Ack("app", 1, 999), at=1.0)
    assert spool.acked == 20, "no more than was sent"
    assert not sender.is_done


def test_without_progress_everything_goes_again(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    first = wire.payloads[:]
    wire.take()
    assert sender.deadline == ACK_SECONDS
    sender.pump(wire, at=ACK_SECONDS - 0.1)
    assert wire.take() == []
    sender.pump(wire, at=ACK_SECONDS)
    assert wire.payloads == first, "the same bytes"
    assert sender.silent == 1
    sender.on_ack(Ack("app", 1, 2), at=ACK_SECONDS)
    assert sender.silent == 0


def test_one_hole_is_filled_once(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_ack(Ack("app", 1, 2), at=0.1)
    for _ in range(5):  # one for each batch behind the hole
        sender.on_resume(Resume("app", 1, 2), at=0.2)
        sender.pump(wire, at=0.2)
    assert wire.take() == [(1, 3 + 2 * n) for n in range(WINDOW)]
    sender.on_resume(Resume("app", 1, 2), at=0.3 + RESUME_SECONDS)
    sender.pump(wire, at=0.3 + RESUME_SECONDS)
    assert wire.take()[0] == (1, 3)


def test_a_resume_frees_nothing(sender: Sender, spool: Spool, wire: Wire) -> None:
    """The hub has taken what comes before it, but perhaps not to its disk."""
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_resume(Resume("app", 1, 4), at=0.1)
    assert spool.acked == 0
    sender.pump(wire, at=0.1)
    assert wire.take()[0] == (1, 5), "what the hub holds already does not go again"
    sender.on_ack(Ack("app", 1, 2), at=0.2)
    assert spool.acked == 2
    sender.on_resume(Resume("app", 1, 2), at=0.3)  # of a hub that was killed meanwhile
    sender.pump(wire, at=0.3)
    assert wire.take()[0] == (1, 3)


def test_without_an_ack_after_a_resume_everything_goes_again(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    sender.on_resume(Resume("app", 1, 4), at=0.1)
    sender.pump(wire, at=0.1)
    wire.take()
    sender.pump(wire, at=0.1 + ACK_SECONDS)
    assert wire.take()[0] == (1, 1)


def test_it_waits_as_the_hub_asks_and_goes_on_after_what_was_taken(
    sender: Sender, spool: Spool, wire: Wire
) -> None:
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_slow(Slow("app", 1, 4, 40.0), at=1.0)
    assert sender.deadline is not None
    assert 41.0 <= sender.deadline <= 51.0
    sender.pump(wire, at=40.0)
    assert wire.take() == []
    assert sender.silent == 0, "the hub is not silent: it asked to wait"
    sender.on_ack(Ack("app", 1, 4), at=41.0)
    assert spool.acked == 4
    sender.pump(wire, at=51.0)
    assert wire.take()[0] == (1, 5)
    assert sender.deadline == 51.0 + ACK_SECONDS


def test_it_waits_no_longer_than_is_sane(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_slow(Slow("app", 1, 0, 1e12), at=0.0)
    sender.pump(wire, at=2 * SLOWEST_SECONDS)
    assert wire.take()[0] == (1, 1)


def test_a_wait_of_an_old_life_of_the_hub_asks_for_a_hello(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    sender.on_slow(Slow("app", 9, 4, 1.0), at=0.0)
    assert sender.silent == DOUBT


def test_a_new_session_waits_for_nothing(sender: Sender, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_slow(Slow("app", 1, 4, 40.0), at=0.0)
    sender.close()
    sender.open({"app": Mark(1, 4)}, at=1.0)
    sender.pump(wire, at=1.0)
    assert wire.take()[0] == (1, 5)


def test_a_rejected_batch_is_not_sent_again(sender: Sender, spool: Spool, wire: Wire) -> None:
    sender.pump(wire, at=0.0)
    wire.take()
    sender.on_reject(Reject("app", 1, 3, "bad-body", "no"), at=0.1)
    assert spool.acked == 0
    sender.on_ack(Ack("app", 1, 2), at=0.1)
    assert spool.acked == 4
    sender.pump(wire, at=ACK_SECONDS + 1)
    assert wire.take()[0] == (1, 5)


def test_a_restarted_agent_sends_the_same_bytes(
    sender: Sender, spool: Spool, tmp_path: Path, wire: Wire
) -> None:
    sender.pump(wire, at=0.0)
    first = wire.payloads[:]
    wire.take()
    again = Sender("app", spool, tmp_path / "spool", clock=lambda: 0)
    again.open({"app": Mark(1, 2)}, at=0.0)
    again.pump(wire, at=0.0)
    assert wire.payloads[: WINDOW - 1] == first[1:]


def test_a_hub_that_forgot_gets_what_is_left_as_a_new_boot(
    sender: Sender, spool: Spool, wire: Wire
) -> None:
    sender.pump(wire, at=0.0)
    sender.on_ack(Ack("app", 1, 6), at=0.0)
    wire.take()
    sender.on_resume(Resume("app", 0, 0), at=0.0)
    assert sender.silent >= DOUBT, "an old word may say that too: only a hello tells"
    sender.open({}, at=0.0)
    sender.pump(wire, at=0.0)
    assert wire.take()[0] == (2, 1)
    sender.on_ack(Ack("app", 2, 2), at=0.0)
    assert spool.acked == 8


def test_an_old_word_begins_no_new_life(sender: Sender, spool: Spool, wire: Wire) -> None:
    """A `resume` that was overtaken by an `ack` must not have lines sent under other numbers."""
    sender.pump(wire, at=0.0)
    sender.on_ack(Ack("app", 1, 6), at=0.0)
    wire.take()
    sender.on_resume(Resume("app", 1, 2), at=0.0)
    sender.open({"app": Mark(1, 8)}, at=0.0)
    sender.pump(wire, at=0.0)
    assert wire.take()[0] == (1, 9)
    assert spool.acked == 8


def test_the_first_boot_of_a_spool_is_newer_than_any_of_one_that_was_lost(
    spool: Spool, tmp_path: Path, wire: Wire
) -> None:
    """What that one sent may not be in the hub's marks yet."""
    spool.append([batch("1")])
    sender = Sender("app", spool, tmp_path / "spool", clock=lambda: 1_700_000_000.5)
    sender.open({"app": Mark(7, 9)}, at=0.0)
    sender.pump(wire, at=0.0)
    assert wire.take()[0] == (1_700_000_000, 1)


def test_lines_do_not_hide_behind_numbers_that_the_hub_has(
    spool: Spool, tmp_path: Path, wire: Wire
) -> None:
    """A spool that lost its newest lines gives their numbers out again."""
    (tmp_path / "spool" / "life.json").write_text('{"boot":1,"base":0}')
    spool.append([batch("1", "2")])
    sender = Sender("app", spool, tmp_path / "spool", clock=lambda: 0)
    spool.append([batch("new 3", "new 4")])
    sender.open({"app": Mark(1, 4)}, at=0.0)
    sender.pump(wire, at=0.0)
    assert wire.take() == [(2, 1)]


# ── the dialogue ──────────────────────────────────────────────────────────────────────────────

CONFIG = AgentConfig(project="prj_a", project_token=Hidden("t"), server="mqtt://127.0.0.1")


class Port:
    """Takes what a dialogue asks of its connection."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.topics: list[str] = []

    def publish(self, topic: str, payload: bytes) -> None:
        self.said.append((topic, payload))

    def subscribe(self, topic: str) -> None:
        self.topics.append(topic)

    def take(self) -> list[protocol.Up]:
        """Give what was said on auth/…/up since the last time."""
        said, self.said = self.said, []
        return [
            msgspec.json.decode(payload, type=protocol.Up)
            for topic, payload in said
            if topic.startswith("auth/")
        ]


class Talk:
    """A dialogue of a registered device, and the hub's side of it."""

    def __init__(self, folder: Path, device: str = "dev_a") -> None:
        self.port = Port()
        path = folder / "isaax.conf"
        path.write_text('project = "prj_a"\nprojectToken = "t"\n')
        identity = Identity(path, CONFIG, folder)
        identity.device, identity.key = device, "0f" * 32
        self.identity = identity
        self.sessions = SessionFile(folder)
        self.variables = Variables(folder, lambda: None)
        self.app = AppReport(dict, None, lambda: None)
        commands = Commands(folder, lambda: None)
        self.dialogue = Dialogue(
            self.port, identity, self.sessions, [], [self.variables], commands, self.app,
            client="dev_a", connection="c" * 32, at=0.0,
        )  # fmt: skip

    def hear(self, message: protocol.Down, at: float = 0.0) -> list[protocol.Up]:
        """Have the hub say something; give what is answered."""
        self.port.take()
        payload = msgspec.json.encode(message)
        self.dialogue.on_message("auth/dev_a/down", payload, at=at)
        return self.port.take()

    def open(self, session: str = "s1") -> None:
        self.dialogue.on_subscribed(granted=True, at=0.0)
        self.hear(protocol.Nonce("n", 60))
        self.hear(protocol.Opened(session, 1100, 1000))
        self.dialogue.on_subscribed(granted=True, at=0.0)


def test_a_session_is_opened_and_renewed(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.open()
    assert talk.dialogue.is_open
    assert talk.port.topics == ["auth/dev_a/down", "c/prj_a/dev_a/s1/#"]
    assert talk.dialogue.deadline == 80.0
    talk.dialogue.tick(at=79.0)
    assert talk.port.take() == []
    talk.dialogue.tick(at=80.0)
    assert talk.port.take() == [protocol.Begin()]
    (hello,) = talk.hear(protocol.Nonce("n2", 60), at=80.0)
    assert isinstance(hello, protocol.Hello)
    assert hello.previous == "s1"
    proof = protocol.hello_proof("0f" * 32, "prj_a", "dev_a", "n2", "c" * 32, "s1")
    assert hello.proof == proof


def test_a_silent_hub_is_asked_again_ever_more_slowly(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.dialogue.on_subscribed(granted=True, at=0.0)
    talk.port.take()
    at, waits = 0.0, []
    for _ in range(8):
        deadline = talk.dialogue.deadline
        waits.append(deadline - at)
        at = deadline
        talk.dialogue.tick(at=at)
        assert talk.port.take() == [protocol.Begin()]
    assert waits[0] <= 4
    assert 30 <= waits[-1] <= 60
    assert all(wait >= 2 for wait in waits)


def test_a_refusal_for_good_is_not_tried_again_soon(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.dialogue.on_subscribed(granted=True, at=0.0)
    with pytest.raises(Leave, match="revoked: gone") as leave:
        talk.hear(protocol.Refused("revoked", "gone"))
    assert leave.value.seconds == LONG_SECONDS


def test_a_nonce_that_a_restart_of_the_hub_has_taken_along_costs_nothing(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.dialogue.on_subscribed(granted=True, at=0.0)
    waits, at = [], 0.0
    for number in range(5):
        talk.hear(protocol.Nonce(f"n{number}", 60), at=at)
        talk.hear(protocol.Refused("nonce", "begin again"), at=at)
        waits.append(talk.dialogue.deadline - at)
        at = talk.dialogue.deadline
        talk.dialogue.tick(at=at)
        assert talk.port.take() == [protocol.Begin()]
    assert waits[0] == 0
    assert waits[1:] == sorted(waits[1:]), "a hub that refuses each is not asked all the time"
    assert waits[-1] > 10


def test_a_refused_subscription_and_another_version(tmp_path: Path) -> None:
    with pytest.raises(Leave, match="refused a subscription"):
        Talk(tmp_path).dialogue.on_subscribed(granted=False, at=0.0)
    talk = Talk(tmp_path)
    talk.dialogue.on_subscribed(granted=True, at=0.0)
    with pytest.raises(Leave, match="update the agent"):
        talk.hear(protocol.Nonce("n", 60, versions=[2]))


@pytest.mark.parametrize("payload", [b"", b"{", b'{"op":"x"}', b"\xff", b'{"op":"nonce"}', b"[]"])
def test_garbage_from_the_hub_changes_nothing(tmp_path: Path, payload: bytes) -> None:
    talk = Talk(tmp_path)
    talk.open()
    for topic in ("auth/dev_a/down", "c/prj_a/dev_a/s1/ack", "elsewhere"):
        talk.dialogue.on_message(topic, payload, at=1.0)
    assert talk.dialogue.is_open


def test_answers_that_nobody_asked_for_change_nothing(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.open()
    assert talk.hear(protocol.Nonce("x", 60)) == []
    assert talk.hear(protocol.Registered("dev_evil", "00" * 32)) == []
    assert talk.hear(protocol.Opened("evil", 1, 1)) == []
    assert talk.identity.device == "dev_a"
    assert talk.sessions.last == "s1"


def test_no_registration_is_asked_for_that_could_not_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(tmp_path, device="")
    talk.dialogue.on_subscribed(granted=True, at=0.0)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("agent.files.tempfile.mkstemp", fail)
    with pytest.raises(PermissionError):
        talk.hear(protocol.Nonce("n", 60))
    assert talk.port.take() == []


def test_the_last_session_is_known_after_a_restart(tmp_path: Path) -> None:
    talk = Talk(tmp_path)
    talk.open("s7")
    assert SessionFile(tmp_path).unfinished == "s7"
    talk.sessions.end()
    assert (SessionFile(tmp_path).unfinished, SessionFile(tmp_path).last) == ("", "s7")
    assert (tmp_path / "session").stat().st_mode & 0o777 == 0o600
