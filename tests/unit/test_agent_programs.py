"""The user's programs: what they write, when they start again, and what they can be told."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.linequeue import LineQueue
from agent.lines import Line
from agent.programs import ProgramError, Programs, ProgramState
from agent.programs.process import Note
from agent.settings import AppConfig
from tests.deadline import until

SLEEP = "trap 'exit 0' TERM; echo up; sleep 600 & wait"


class Supervised:
    """Programs that run, and what they wrote so far."""

    def __init__(self, programs: Programs, queue: LineQueue, task: "asyncio.Task[None]") -> None:
        self.programs = programs
        self.task = task
        self._queue = queue
        self._lines: list[Line] = []

    @property
    def lines(self) -> list[Line]:
        """All lines."""
        self._lines += [one for one in self._queue.take() if isinstance(one, Line)]
        return self._lines

    def said(self, program: str = "app") -> list[str]:
        """What one of them wrote."""
        return [line.message for line in self.lines if line.program == program]

    def state(self, name: str = "app") -> ProgramState:
        """How one of them fares."""
        return self.programs.states()[name]

    async def turns(self, state: str, name: str = "app") -> None:
        """Wait for it to be so."""
        await until(lambda: self.state(name).state == state, what=f"{name} to be {state}")


@asynccontextmanager
async def supervised(
    folder: Path,
    configured: dict[str, AppConfig],
    *,
    gate: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Supervised]:
    queue = LineQueue(lambda: None)
    more = {} if gate is None else {"before_first_start": gate}
    programs = Programs(configured, queue, folder / "programs", **more)
    task = asyncio.create_task(programs.run())
    try:
        yield Supervised(programs, queue, task)
    finally:
        programs.end()
        await task


def app(command: str | list[str], **more: object) -> dict[str, AppConfig]:
    return {"app": AppConfig(command=command, **more)}  # type: ignore[arg-type]


# ── what they write, and how they end ─────────────────────────────────────────────────────────


async def test_the_outputs_of_a_program_are_told_apart(tmp_path: Path) -> None:
    script = "echo out; echo err >&2; printf unended; pwd"
    configured = app(script, name="my app", directory=tmp_path, restart="never")
    async with supervised(tmp_path, configured) as one:
        await one.turns("ended")
        assert {(item.priority, item.message) for item in one.lines} == {
            (14, "out"), (11, "err"), (14, f"unended{tmp_path}"),
        }  # fmt: skip
        assert {item.program for item in one.lines} == {"my_app"}


async def test_several_programs_write_under_their_names(tmp_path: Path) -> None:
    configured = {
        name: AppConfig(command=f"echo I am {name}", restart="never") for name in ("web", "worker")
    }
    async with supervised(tmp_path, configured) as both:
        await both.turns("ended", "web")
        await both.turns("ended", "worker")
        assert both.said("web") == ["I am web"]
        assert both.said("worker") == ["I am worker"]


@pytest.mark.parametrize(
    "config",
    [
        AppConfig(command=["/no/such/program"], restart="never"),
        AppConfig(command="true", directory=Path("/no/such/directory"), restart="never"),
        AppConfig(command="true", user="no-such-user", restart="never"),
    ],
)
async def test_a_program_that_cannot_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, config: AppConfig
) -> None:
    async with supervised(tmp_path, {"app": config}) as one:
        await one.turns("failed")
        assert one.lines == []
        assert "the app cannot be started" in caplog.text
        assert one.state().exit is None
        assert one.state().error.startswith("cannot be started: ")
        with pytest.raises(ProgramError, match="the app cannot be started: "):
            await one.programs.start("app")


async def test_one_that_ignores_sigterm_is_killed_with_all_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $!; wait; wait"
    async with supervised(tmp_path, app(script, stop_seconds=0.1)) as one:
        await until(lambda: len(one.said()) == 1)
        child = int(one.said()[0])
    await until(lambda: not _alive(child))


@pytest.mark.parametrize(
    ("restart", "command", "runs", "state"),
    [
        ("on-failure", "exit 0", 1, "ended"),
        ("never", "exit 3", 1, "failed"),
        ("on-failure", "exit 3", 2, "waiting"),
        ("always", "exit 0", 2, "waiting"),
    ],
)
async def test_restarts(tmp_path: Path, restart: str, command: str, runs: int, state: str) -> None:
    async with supervised(tmp_path, app(f"echo run; {command}", restart=restart)) as one:
        await until(lambda: len(one.said()) == runs, what=f"{runs} runs")
        await one.turns(state)
        assert one.said() == ["run"] * runs
        assert one.state().exit == int(command.split()[1])
        assert one.state().restarts == runs - 1


async def test_a_disk_that_cannot_be_written_keeps_none_from_starting_again(
    tmp_path: Path,
) -> None:
    (tmp_path / "programs" / "app.json").mkdir(parents=True)  # no file can be put there
    async with supervised(tmp_path, app("echo up")) as one:
        await until(lambda: one.said().count("up") >= 2, what="its second start")


async def test_one_that_may_not_be_told_to_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that is not permitted is followed by the next one; its end counts as ever."""
    real, refused = os.killpg, []

    def killpg(pid: int, number: int) -> None:
        if number == signal.SIGTERM:
            refused.append(number)
            raise PermissionError
        real(pid, number)

    monkeypatch.setattr("agent.programs.process.os.killpg", killpg)
    async with supervised(tmp_path, app(SLEEP, stop_seconds=0.1)) as one:
        await until(lambda: "up" in one.said())
        await one.programs.stop()
        assert one.state().state == "stopped"
    assert refused


async def test_what_a_killed_agent_left_running_is_ended_first(tmp_path: Path) -> None:
    left = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    Note(tmp_path / "programs" / "app.json").write(left.pid)
    async with supervised(tmp_path, app(SLEEP)) as again:
        await again.turns("running")
        assert await left.wait() == -signal.SIGTERM
        assert again.state().pid != left.pid


# ── what they can be told ─────────────────────────────────────────────────────────────────────


async def test_stopped_started_and_restarted_by_name(tmp_path: Path) -> None:
    configured = {name: AppConfig(command=SLEEP) for name in ("web", "worker")}
    async with supervised(tmp_path, configured) as both:
        await until(lambda: both.said("web") == both.said("worker") == ["up"])
        worker, web = both.state("worker").pid, both.state("web").pid
        await both.programs.stop("web")
        assert (both.state("web").state, both.state("web").pid) == ("stopped", None)
        assert both.state("web").exit == 0
        await both.programs.stop("web")  # once more: it is
        with pytest.raises(ProgramError, match="web does not run: it is stopped"):
            await both.programs.reload("web")
        await both.programs.start("web")
        assert both.state("web").state == "running"
        assert both.state("web").pid not in {None, web}
        at_first = both.state("web").pid
        await both.programs.start()
        assert both.state("web").pid == at_first, "it runs: nothing is done"
        await both.programs.restart("web")
        assert both.state("web").pid not in {None, at_first}
        assert both.state("worker").pid == worker, "the other one was left alone"
        assert both.state("web").restarts == 0, "these were asked for"
        await both.programs.stop()
        assert {one.state for one in both.programs.states().values()} == {"stopped"}


async def test_what_cannot_be_done_is_said_in_words(tmp_path: Path) -> None:
    async with supervised(tmp_path, app(SLEEP)) as one:
        for command in ("start", "stop", "restart", "reload"):
            with pytest.raises(ProgramError, match="there is no program 'web'; there is: app"):
                await getattr(one.programs, command)("web")
    async with supervised(tmp_path, {}) as none:
        with pytest.raises(ProgramError, match="this device has no program"):
            await none.programs.restart()
    with pytest.raises(ProgramError, match="the agent ends"):
        await one.programs.start()


async def test_one_that_ended_for_good_is_revived_by_who_asks_for_it(tmp_path: Path) -> None:
    async with supervised(tmp_path, app("echo run", restart="never")) as one:
        await one.turns("ended")
        await one.programs.renew()
        assert one.said() == ["run"]
        await one.programs.start("app")
        await until(lambda: one.said() == ["run", "run"])
        await one.turns("ended")
        await one.programs.restart()
        await until(lambda: len(one.said()) == 3)


async def test_a_stopped_program_is_not_revived_by_its_variables(tmp_path: Path) -> None:
    async with supervised(tmp_path, app(SLEEP)) as one:
        await until(lambda: one.said() == ["up"])
        await one.programs.stop()
        await one.programs.renew()
        assert one.state().state == "stopped"
        assert one.said() == ["up"]


async def test_a_stop_wins_over_a_start_that_waits_for_the_gate(tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def gate() -> None:
        await opened.wait()

    async with supervised(tmp_path, app(SLEEP), gate=gate) as one:
        start = asyncio.create_task(one.programs.start())
        await asyncio.sleep(0)
        assert one.state().state == "starting"
        await one.programs.renew()  # does not wait for the gate
        await one.programs.stop()
        with pytest.raises(ProgramError, match="the app was stopped meanwhile"):
            await start
        opened.set()
        await until(lambda: one.state().state == "stopped")
        assert one.said() == []
        await one.programs.start()
        await until(lambda: one.said() == ["up"])


async def test_the_gate_is_passed_once_and_before_anything_starts(tmp_path: Path) -> None:
    passed: list[list[str]] = []

    async def gate() -> None:
        await asyncio.sleep(0)
        passed.append(["starting"])

    async with supervised(tmp_path, app("echo up; exit 1"), gate=gate) as one:
        await until(lambda: len(one.said()) == 2, what="a restart")
        assert passed == [["starting"]]


async def test_an_end_does_not_wait_for_the_gate(tmp_path: Path) -> None:
    async def gate() -> None:
        await asyncio.Event().wait()

    async with supervised(tmp_path, app(SLEEP), gate=gate) as one:
        start = asyncio.create_task(one.programs.start())
        await asyncio.sleep(0)
    with pytest.raises(ProgramError, match="the agent ends"):
        await start
    assert one.said() == []


async def test_a_gate_that_fails_keeps_nothing_from_running(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def gate() -> None:
        raise RuntimeError("a fault")

    with caplog.at_level(logging.ERROR):
        async with supervised(tmp_path, app(SLEEP), gate=gate) as one:
            await until(lambda: one.said() == ["up"])
    assert "what comes before the first start failed" in caplog.text


async def test_reload_is_sighup_or_what_the_file_says(tmp_path: Path) -> None:
    plain = "trap 'echo read again' HUP; echo up; while :; do sleep 600 & wait; done"
    told = {
        "web": AppConfig(command=plain),
        "worker": AppConfig(command=SLEEP, reload="echo reload of $MAINPID"),
        "broken": AppConfig(command=SLEEP, reload="exit 4"),
        "absent": AppConfig(command=SLEEP, reload=["/no/such/program"]),
    }
    async with supervised(tmp_path, told) as programs:
        await until(lambda: all(programs.said(name) == ["up"] for name in told))
        await programs.programs.reload("web")
        await until(lambda: programs.said("web") == ["up", "read again"])
        await programs.programs.reload("worker")
        assert programs.said("worker") == ["up", f"reload of {programs.state('worker').pid}"]
        with pytest.raises(
            ProgramError, match="the reload of broken failed: exit status 4"
        ) as both:
            await programs.programs.reload()
        assert "the reload of absent cannot be run" in str(both.value)
        assert all(one.state == "running" for one in programs.programs.states().values())


async def test_a_signal_shows_as_the_last_exit(tmp_path: Path) -> None:
    async with supervised(tmp_path, app("kill -9 $$", restart="never")) as one:
        await one.turns("failed")
        assert one.state().exit == -signal.SIGKILL


def _alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
