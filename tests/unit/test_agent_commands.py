"""Commands on a device: bounded in time and in what they say, once, told until it arrived."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.commands import AGAIN_SECONDS, MOST_KEPT, MOST_WAITING, SLOWEST_SECONDS, Commands
from agent.doing import Allowed, Doer, boot_id, do_commands
from agent.linequeue import LineQueue
from agent.programs import ProgramError
from agent.script import HEAD_BYTES, LOGGED_BYTES, TAIL_BYTES, Kept, Outcome, ScriptRunner
from hub.protocol import (
    Action,
    Cancel,
    Do,
    Known,
    Ran,
    Reboot,
    ReloadPrograms,
    Reply,
    RestartPrograms,
    RunCustom,
    RunScript,
    StartPrograms,
    StopPrograms,
)
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
    outcome = await run(runner, f"sleep 1000 & echo $! >{pid}; sleep 0.3; echo over")
    assert (outcome.code, outcome.output, outcome.timed_out) == (0, "over\n", False)
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
    commands.receive(name, msgspec.json.encode(Do(RunScript(body), 10.0, within)))


class Told:
    """Stands for the programs, and notes what they are told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.hangs = False

    async def _do(self, what: str, name: str) -> None:
        self.said.append(f"{what} {name}".rstrip())
        if name == "nothing":
            raise ProgramError("there is no program 'nothing'")
        if self.hangs:
            await asyncio.Event().wait()

    async def start(self, name: str = "") -> None:
        await self._do("start", name)

    async def stop(self, name: str = "") -> None:
        await self._do("stop", name)

    async def restart(self, name: str = "") -> None:
        await self._do("restart", name)

    async def reload(self, name: str = "") -> None:
        await self._do("reload", name)


def doer(
    runner: ScriptRunner,
    programs: Any = None,
    custom: dict[str, str | list[str]] | None = None,
    reboot: list[str] | None = None,
) -> Doer:
    return Doer(runner, programs or Told(), Allowed(custom or {}, reboot), dict)


async def done(doer: Doer, action: Action, timeout: float = 10.0) -> Reply:
    return await doer.do("cmd_1", Do(action, timeout, 60.0))


@asynccontextmanager
async def running(commands: Commands, runner: ScriptRunner) -> AsyncIterator[asyncio.Event]:
    woken = asyncio.Event()
    work = do_commands(commands, doer(runner), woken, lambda: None)
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


async def test_a_fault_of_one_command_is_not_the_end_of_all(
    tmp_path: Path, runner: ScriptRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Told):
        async def stop(self, name: str = "") -> None:
            raise ZeroDivisionError

    commands, woken = Commands(tmp_path, lambda: None), asyncio.Event()
    faulty = doer(runner, Faulty())
    task = asyncio.create_task(do_commands(commands, faulty, woken, lambda: None))
    commands.receive("cmd_1", msgspec.json.encode(Do(StopPrograms(), 10.0, 60.0)))
    asked(commands, "cmd_2")
    woken.set()
    told: dict[str, Reply] = {}

    def is_told() -> bool:
        told.update(commands.take())
        return told.get("cmd_2", Reply("started")).is_last

    await until(is_told, what="the reply of the second")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (told["cmd_1"].outcome, told["cmd_2"].outcome) == ("failed", "done")
    assert "ZeroDivisionError" in caplog.text


async def test_a_script_that_cannot_be_removed_has_its_result(
    runner: ScriptRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be one that makes the disk read-only again when it is done."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        outcome = await runner.run("run_1", "exit 3", timeout=20.0, environment={})
        assert outcome.code == 3
        runner.tidy()
    assert [*runner.folder.iterdir()]
    runner.tidy()
    assert not [*runner.folder.iterdir()]


async def test_nothing_is_left_of_a_script_for_which_there_is_no_room(
    runner: ScriptRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.script.os.fchmod", fail)
    assert "No space" in (await run(runner, "true")).error
    assert not [*runner.folder.iterdir()]


def test_a_last_word_is_said_again_until_it_is_known(tmp_path: Path) -> None:
    """The hub may have been away when it was said, and the session lives on."""
    clock = Clock()
    commands = Commands(tmp_path, lambda: None, clock=clock)
    commands.receive("bad", b"")
    assert commands.deadline is None
    assert list(commands.take()) == ["bad"]
    assert (commands.deadline, commands.take()) == (AGAIN_SECONDS, {})
    clock.now = AGAIN_SECONDS
    assert list(commands.take()) == ["bad"]
    for _ in range(10):  # ever more seldom: the hub's service may be switched off
        due = commands.deadline
        assert due is not None
        clock.now = due
        assert list(commands.take()) == ["bad"]
    assert commands.deadline == clock.now + SLOWEST_SECONDS
    commands.begin()
    assert (list(commands.take()), commands.deadline) == (["bad"], clock.now + AGAIN_SECONDS)
    commands.receive("bad", msgspec.json.encode(Known()))
    clock.now += SLOWEST_SECONDS
    assert (commands.deadline, commands.take()) == (None, {})


def finished(commands: Commands, name: str) -> None:
    """Do a command of which the hub hears nothing."""
    asked(commands, name)
    one = commands.next()
    assert one is not None
    commands.ended(one[0], Reply("ended", 0))


def test_no_command_is_done_twice_for_want_of_room(tmp_path: Path) -> None:
    """Without a hub that takes replies they are forgotten in the end; what was done is not."""
    commands = Commands(tmp_path, lambda: None)
    finished(commands, "cmd_first")
    for n in range(2 * MOST_KEPT):
        commands.tell(f"mom_{n}", Reply("ended", 21, ran=Ran("pre-install", 1, 0.0)))
    later = Commands(tmp_path, lambda: None)
    asked(later, "cmd_first")
    assert later.next() is None, "what nobody asked for is forgotten before it"
    told = later.take()
    assert (len(told), f"mom_{2 * MOST_KEPT - 1}" in told) == (MOST_KEPT, True)
    for n in range(MOST_KEPT):
        finished(later, f"cmd_{n}")
    asked(later, "cmd_first")
    asked(later, "cmd_0")
    assert later.next() is None, "it was forgotten, and done all the same"
    assert len(later.take()) == MOST_KEPT, "nor is it told any more"


async def test_what_waited_for_too_long_is_refused(tmp_path: Path, runner: ScriptRunner) -> None:
    """By a clock that only goes on: the device's own may be a day off."""
    clock = Clock()
    commands = Commands(tmp_path, lambda: None, clock=clock)
    asked(commands, "run_old", within=5.0)
    clock.now = 6.0
    asked(commands, "run_new", within=5.0)
    assert commands.next() is not None
    told = commands.take()
    assert (told["run_old"].status, told["run_new"].status) == ("refused", "started")
    assert "in time" in told["run_old"].error


def test_what_had_begun_when_the_agent_ended_is_not_done_again(tmp_path: Path) -> None:
    """And says so; what only waited is done when the hub sends it again."""
    commands = Commands(tmp_path, lambda: None)
    asked(commands, "cmd_1")
    asked(commands, "cmd_2")
    assert commands.next() is not None
    commands.begin()
    assert commands.take() == {"cmd_1": Reply("started")}, "a new session may not know it"
    asked(commands, "cmd_1")
    assert commands.take() == {"cmd_1": Reply("started")}, "nor one who asks again"
    later = Commands(tmp_path, lambda: None)
    assert {name: reply.status for name, reply in later.take().items()} == {"cmd_1": "interrupted"}
    asked(later, "cmd_1")
    assert later.next() is None
    assert later.take()["cmd_1"].status == "interrupted"
    asked(later, "cmd_2")
    assert (later.next() or ("",))[0] == "cmd_2"


def cancelled(commands: Commands, name: str) -> None:
    commands.receive(name, msgspec.json.encode(Cancel()))


def test_what_is_cancelled_does_not_begin_and_what_has_begun_goes_on(tmp_path: Path) -> None:
    commands = Commands(tmp_path, lambda: None)
    for name in ("cmd_1", "cmd_2"):
        asked(commands, name)
    assert commands.next() is not None
    commands.take()
    for name in ("cmd_1", "cmd_2", "cmd_3"):
        cancelled(commands, name)
    asked(commands, "cmd_3")  # it was on its way
    said = commands.take()
    assert {name: reply.status for name, reply in said.items()} == {
        "cmd_1": "started", "cmd_2": "refused", "cmd_3": "refused",
    }  # fmt: skip
    assert said["cmd_2"].error == "it was cancelled"
    assert commands.next() is None
    commands.ended("cmd_1", Reply("ended", 0))
    cancelled(commands, "cmd_1")
    assert commands.take() == {"cmd_1": Reply("ended", 0)}


def test_a_reboot_is_over_when_the_device_was_booted_anew(tmp_path: Path) -> None:
    """Not when the agent alone was; and it never begins twice."""

    def begun(folder: Path) -> Commands:
        folder.mkdir()
        commands = Commands(folder, lambda: None, "boot-1")
        commands.receive("cmd_1", msgspec.json.encode(Do(Reboot(), 10.0, 60.0)))
        assert commands.next() is not None
        return commands

    begun(tmp_path / "booted")
    for _ in range(2):  # the reply may not have arrived before the next end of the agent
        anew = Commands(tmp_path / "booted", lambda: None, "boot-2")
        assert anew.take() == {"cmd_1": Reply("ended", 0)}
        anew.receive("cmd_1", msgspec.json.encode(Do(Reboot(), 10.0, 60.0)))
        assert anew.next() is None
    begun(tmp_path / "not")
    (reply,) = Commands(tmp_path / "not", lambda: None, "boot-1").take().values()
    assert (reply.status, reply.code) == ("ended", 1)
    assert "not booted anew" in reply.error
    (same,) = Commands(tmp_path / "not", lambda: None, "boot-2").take().values()
    assert same == reply, "what was said is not unsaid by a later boot"
    unknown = Commands(tmp_path, lambda: None, "")
    unknown.receive("cmd_1", msgspec.json.encode(Do(Reboot(), 10.0, 60.0)))
    assert unknown.next() is None
    assert "bootIDFile" in unknown.take()["cmd_1"].error


def test_there_is_an_end_to_what_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(tmp_path, lambda: None)
    for n in range(MOST_WAITING + 1):
        asked(commands, f"cmd_{n}")
    assert commands.take() == {}, "the hub sends again what found no room"
    for garbage in (b"", b"{}", b'{"op":"fly"}', b'{"op":"do","action":{"type":"fly"}}', b"\xff"):
        commands.receive("cmd_x", garbage)
        assert commands.take()["cmd_x"].status == "refused"
    for n in range(2 * MOST_KEPT):
        commands.receive(f"bad_{n}", b"")
        commands.take()
    assert len(Commands(tmp_path, lambda: None).take()) <= MOST_KEPT
    assert len(commands._said) <= MOST_KEPT
    for n in range(MOST_WAITING):
        asked(commands, f"cmd_{n}")  # sent again: what waits is known, whatever came meanwhile
    assert len([*iter(commands.next, None)]) == MOST_WAITING
    asked(commands, f"cmd_{MOST_WAITING}")
    assert commands.next() is not None, "there is room now"

    def fail(*_: object, **__: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agent.commands.write_atomic", fail)
    other = Commands(tmp_path / "other", lambda: None)
    asked(other, "cmd_1")
    assert other.next() is None, "what might be done twice is not done"
    assert "cannot be written" in other.take()["cmd_1"].error


# ── what is done ──────────────────────────────────────────────────────────────────────────────


async def test_programs_are_told_and_the_answer_says_how_it_went(runner: ScriptRunner) -> None:
    told = Told()
    actions = [StartPrograms(), StopPrograms("a"), RestartPrograms("b"), ReloadPrograms("c")]
    for action in actions:
        reply = await done(doer(runner, told), action)
        assert (reply.status, reply.code) == ("ended", 0)
    assert told.said == ["start", "stop a", "restart b", "reload c"]
    reply = await done(doer(runner, told), RestartPrograms("nothing"))
    assert (reply.status, reply.code) == ("ended", 1)
    assert "no program" in reply.error
    told.hangs = True
    reply = await done(doer(runner, told), StopPrograms(), timeout=0.05)
    assert (reply.status, reply.timed_out) == ("ended", True)
    assert reply.error


async def test_a_custom_command_is_what_the_file_says_and_nothing_else(
    runner: ScriptRunner,
) -> None:
    """What comes from the hub is in its environment: no shell reads it."""
    custom: dict[str, str | list[str]] = {
        "show": ["/bin/sh", "-c", 'echo "$ISAAX_ARG_WHAT"; exit 3'],
        "words": "echo a; echo b",
    }
    evil = "$(touch /tmp/never); `id`"
    reply = await done(doer(runner, custom=custom), RunCustom("show", {"what": evil}))
    assert (reply.status, reply.code, reply.output) == ("ended", 3, f"{evil}\n")
    reply = await done(doer(runner, custom=custom), RunCustom("words"))
    assert (reply.code, reply.output) == (0, "a\nb\n")
    reply = await done(doer(runner, custom=custom), RunCustom("other"))
    assert reply.status == "refused"
    assert '[commands]: other = ["program", "argument"]' in reply.error
    missing: dict[str, str | list[str]] = {"gone": ["/nowhere/program"]}
    reply = await done(doer(runner, custom=missing), RunCustom("gone"))
    assert (reply.status, "nowhere" in reply.error) == ("refused", True)
    hangs: dict[str, str | list[str]] = {"hangs": "sleep 1000"}
    assert (await done(doer(runner, custom=hangs), RunCustom("hangs"), timeout=0.1)).timed_out


async def test_a_reboot_that_does_not_come_about_says_so(
    runner: ScriptRunner, tmp_path: Path
) -> None:
    no = doer(runner, reboot=["/bin/sh", "-c", "echo not permitted; exit 1"])
    reply = await done(no, Reboot())
    assert (reply.status, reply.code, reply.output) == ("ended", 1, "not permitted\n")
    nothing_happens = await done(doer(runner, reboot=["true"]), Reboot(), timeout=0.1)
    assert (nothing_happens.timed_out, "did not go down" in nothing_happens.error) == (True, True)
    assert Allowed({}, None).reboot_arguments[-1].endswith("reboot")
    assert boot_id(tmp_path / "none") == ""


def test_no_body_is_in_a_repr() -> None:
    assert "t0p" not in repr(Do(RunScript("t0p"), 1.0, 1.0))
    assert "t0p" not in repr(Do(RunCustom("x", {"a": "t0p"}), 1.0, 1.0))
