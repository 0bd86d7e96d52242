"""Scripts on a device: bounded in time and in what they say, run once, told until it arrived."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import AGAIN_SECONDS, MOST_KEPT, MOST_WAITING, Commands, run_commands
from agent.linequeue import LineQueue
from agent.script import HEAD_BYTES, LOGGED_BYTES, TAIL_BYTES, Kept, Outcome, ScriptRunner
from hub.protocol import Known, Reply, RunScript
from tests.deadline import until


@pytest.fixture
def queue() -> LineQueue:
    return LineQueue(lambda: None)


@pytest.fixture
def runner(tmp_path: Path, queue: LineQueue) -> ScriptRunner:
    return ScriptRunner(tmp_path / "scripts", tmp_path, queue)


async def run(runner: ScriptRunner, body: str, timeout: float = 20.0, **values: str) -> Outcome:
    outcome = await runner.run("run_1", body, timeout=timeout, environment=values)
    assert list(runner.folder.iterdir()) == [], "nothing of it is left"
    return outcome


def said(queue: LineQueue) -> list[str]:
    return [getattr(one, "message", "") for one in queue.take()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# ── one script ────────────────────────────────────────────────────────────────────────────────


async def test_what_it_says_is_kept_and_logged(runner: ScriptRunner, queue: LineQueue) -> None:
    outcome = await run(runner, 'echo "$A in $(basename $PWD)"; echo no >&2; exit 21', A="here")
    place = runner.directory.name
    assert (outcome.code, outcome.output, outcome.timed_out) == (
        21,
        f"here in {place}\nno\n",
        False,
    )
    assert said(queue) == [f"here in {place}", "no"]


@pytest.mark.parametrize(
    ("body", "code"),
    [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("#!/bin/sh\nexit 4", 4), ("nonsense", 127),
     ("cat", 0)],
)  # fmt: skip
async def test_how_it_ends(runner: ScriptRunner, body: str, code: int) -> None:
    """A shell's, one with a line of its own, one that does not exist, one that would read."""
    assert (await run(runner, body)).code == code


async def test_what_cannot_be_started_says_why(runner: ScriptRunner, tmp_path: Path) -> None:
    for body in ("#!/nowhere/python\n", "#!/bin/sh \ud800"):
        outcome = await runner.run("run_1", body, timeout=5, environment={})
        assert outcome.code is None
        assert outcome.error
    astray = ScriptRunner(tmp_path / "scripts", tmp_path / "nowhere", runner.queue)
    assert "nowhere" in (await run(astray, "true")).error


async def test_one_that_hangs_is_ended_with_all_that_it_started(
    runner: ScriptRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where none of it listens to SIGTERM."""
    monkeypatch.setattr("agent.script.STOP_SECONDS", 0.1)
    pids = tmp_path / "pids"
    body = f'trap "" TERM\nfor n in 1 2 3; do sleep 1000 & echo $! >>{pids}; done\necho on\nwait'
    outcome = await run(runner, body, timeout=0.5)
    assert (outcome.code, outcome.timed_out, outcome.output) == (-9, True, "on\n")
    children = [int(pid) for pid in pids.read_text().split()]
    assert len(children) == 3
    await until(lambda: not any(map(is_running, children)), what="the children to be gone")


async def test_what_it_leaves_behind_is_ended(runner: ScriptRunner, tmp_path: Path) -> None:
    """A child in the background does not hold it up, though it has its output open."""
    pid = tmp_path / "pid"
    outcome = await run(runner, f"sleep 1000 & echo $! >{pid}; echo over")
    assert (outcome.code, outcome.output) == (0, "over\n")
    await until(lambda: not is_running(int(pid.read_text())), what="the child to be gone")


async def test_one_that_forks_without_end_is_ended(runner: ScriptRunner) -> None:
    body = "f() { for n in 1 2 3 4; do (sleep 100; f) & done; wait; }; f"
    outcome = await run(runner, body, timeout=0.3)
    assert outcome.timed_out
    assert outcome.code is not None


async def test_a_gigabyte_is_read_and_bounded(runner: ScriptRunner, queue: LineQueue) -> None:
    outcome = await run(
        runner, "echo begin; head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo end", 100.0
    )
    assert outcome.code == 0
    assert outcome.output.startswith("begin\nxxx")
    assert outcome.output.endswith("xxx\nend\n")
    assert "bytes left out" in outcome.output
    assert len(outcome.output) < HEAD_BYTES + TAIL_BYTES + 100
    logged = said(queue)
    assert logged[-1] == "more than is logged was written"
    assert sum(map(len, logged)) < 2 * LOGGED_BYTES


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_beginning_and_the_end_are_kept(size: int) -> None:
    text = "".join(f"{n}," for n in range(30_000)).encode()
    kept = Kept(10, 20)
    for start in range(0, len(text), size):
        kept.add(text[start : start + size])
    left_out = len(text) - 30
    wanted = f"{text[:10].decode()}\n… {left_out} bytes left out …\n{text[-20:].decode()}"
    assert kept.text == wanted
    short = Kept(10, 20)
    for start in range(0, 30, size):
        short.add(text[start : min(start + size, 30)])
    assert short.text == text[:30].decode()


# ── commands ──────────────────────────────────────────────────────────────────────────────────


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asked(commands: Commands, name: str, body: str = "true", within: float = 60.0) -> None:
    commands.receive(name, msgspec.json.encode(RunScript(body, 10.0, within)))


@asynccontextmanager
async def running(commands: Commands, runner: ScriptRunner) -> AsyncIterator[asyncio.Event]:
    woken = asyncio.Event()
    work = run_commands(commands, runner, dict, woken, lambda: None)
    task = asyncio.create_task(work)
    try:
        yield woken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_command_is_run_once_and_told_until_it_is_known(
    tmp_path: Path, runner: ScriptRunner
) -> None:
    commands, count = Commands(tmp_path, lambda: None), tmp_path / "count"
    told: dict[str, Reply] = {}
    async with running(commands, runner) as woken:
        for _ in range(3):  # it comes again
            asked(commands, "run_1", f"echo x >>{count}; echo hello")
            woken.set()

        def is_told() -> bool:
            told.update(commands.take())
            return told.get("run_1", Reply("started")).is_last

        await until(is_told, what="the reply")
        asked(commands, "run_1")
        again = commands.take()["run_1"]
    assert (again.status, again.code, again.output) == ("ended", 0, "hello\n")
    assert count.read_text() == "x\n"
    assert commands.take() == {}
    commands.begin()
    assert list(commands.take()) == ["run_1"], "the answer may have been lost with the session"
    later = Commands(tmp_path, lambda: None)
    assert later.take()["run_1"].output == "hello\n", "nor is it forgotten by a restart"
    later.receive("run_1", msgspec.json.encode(Known()))
    later.begin()
    assert later.take() == {}


def test_a_last_word_is_said_again_until_it_is_known(tmp_path: Path) -> None:
    """The hub may have been away when it was said, and the session lives on."""
    clock = Clock()
    commands = Commands(tmp_path, lambda: None, clock)
    commands.receive("bad", b"")
    assert commands.deadline is None
    assert list(commands.take()) == ["bad"]
    assert (commands.deadline, commands.take()) == (AGAIN_SECONDS, {})
    clock.now = AGAIN_SECONDS
    assert list(commands.take()) == ["bad"]
    assert commands.deadline == 2 * AGAIN_SECONDS
    commands.receive("bad", msgspec.json.encode(Known()))
    clock.now = 2 * AGAIN_SECONDS
    assert (commands.deadline, commands.take()) == (None, {})


async def test_what_waited_for_too_long_is_refused(tmp_path: Path, runner: ScriptRunner) -> None:
    """By a clock that only goes on: the device's own may be a day off."""
    clock = Clock()
    commands = Commands(tmp_path, lambda: None, clock)
    asked(commands, "run_old", within=5.0)
    clock.now = 6.0
    asked(commands, "run_new", within=5.0)
    assert commands.next() is not None
    told = commands.take()
    assert (told["run_old"].status, told["run_new"].status) == ("refused", "started")
    assert "in time" in told["run_old"].error


def test_an_agent_that_ended_meanwhile_says_so_and_does_not_run_it_again(tmp_path: Path) -> None:
    commands = Commands(tmp_path, lambda: None)
    asked(commands, "run_1")
    asked(commands, "run_2")
    assert commands.next() is not None
    commands.begin()
    assert commands.take() == {}, "it runs, or waits: there is no last word yet"
    later = Commands(tmp_path, lambda: None)
    assert {name: reply.status for name, reply in later.take().items()} == {
        "run_1": "interrupted", "run_2": "interrupted",
    }  # fmt: skip
    asked(later, "run_1")
    assert later.next() is None


def test_there_is_an_end_to_what_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(tmp_path, lambda: None)
    for n in range(MOST_WAITING + 1):
        asked(commands, f"run_{n}")
    told = commands.take()
    assert {name: reply.status for name, reply in told.items()} == {
        f"run_{MOST_WAITING}": "refused"
    }
    for garbage in (b"", b"{}", b'{"op":"reboot"}', b'{"op":"script","body":"x"}', b"\xff"):
        commands.receive("run_x", garbage)
        assert commands.take()["run_x"].status == "refused"
    for n in range(2 * MOST_KEPT):
        commands.receive(f"bad_{n}", b"")
        commands.take()
    assert len(Commands(tmp_path, lambda: None).take()) <= MOST_KEPT
    assert len(commands._said_at) <= MOST_KEPT
    for n in range(MOST_WAITING):
        asked(commands, f"run_{n}")  # sent again: what waits is known, whatever came meanwhile
    assert not any(name.startswith("run_") for name in commands.take())
    assert len([*iter(commands.next, None)]) == MOST_WAITING

    def fail(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.commands.write_atomic", fail)
    other = Commands(tmp_path / "other", lambda: None)
    asked(other, "run_1")
    assert "cannot be written" in other.take()["run_1"].error
    assert other.next() is None, "what might run twice does not run"


def test_no_body_is_in_a_repr() -> None:
    assert "t0p" not in repr(RunScript("t0p", 1.0, 1.0))
