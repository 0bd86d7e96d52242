"""The agent's variables: what counts, what is kept, what is told, and when the app starts anew."""

import asyncio
import errno
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.applying import Applier
from agent.linequeue import LineQueue
from agent.programs import Programs, ProgramState
from agent.settings import AppConfig, LogsConfig
from agent.variables import Switches, Variables, needs_restart
from hub.protocol import METRICS, STREAMS, Envar, Envars, State
from tests.deadline import until


def envars(version: int, **values: str) -> Envars:
    return Envars(version, [Envar(name, value) for name, value in values.items()])


def received(variables: Variables, what: Any) -> None:
    variables.receive(what if isinstance(what, bytes) else msgspec.json.encode(what))


@pytest.fixture
def variables(tmp_path: Path) -> Variables:
    made = Variables(tmp_path, lambda: None)
    made.begin()
    return made


def test_a_session_begins_with_a_report(variables: Variables) -> None:
    assert variables.report() == State({"envars": 0})
    assert variables.report() is None


def test_what_comes_is_kept_with_its_mode_and_told_once_it_is_in_use(
    variables: Variables, tmp_path: Path
) -> None:
    variables.report()
    received(variables, envars(3, A="a"))
    assert variables.report() is None, "it is not in use yet"
    variables.use(3)
    assert variables.report() == State({"envars": 3})
    assert (tmp_path / "envars.json").stat().st_mode & 0o777 == 0o600
    again = Variables(tmp_path, lambda: None)
    assert (again.used, again.current) == (3, envars(3, A="a"))


def test_what_comes_twice_or_late_changes_nothing_but_is_answered(variables: Variables) -> None:
    received(variables, envars(5, A="five"))
    variables.use(5)
    variables.report()
    for late in (5, 4, 0):
        received(variables, envars(late, A="late"))
        assert variables.current == envars(5, A="five")
        assert variables.report() == State({"envars": 5})


def test_the_first_of_a_session_counts_whatever_its_version(variables: Variables) -> None:
    """The hub may have been restored from a backup."""
    received(variables, envars(9, A="nine"))
    variables.use(9)
    variables.begin()
    received(variables, envars(4, A="four"))
    assert variables.current == envars(4, A="four")


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"{", b"[]", b"\xff", b'{"version":-1,"envars":[]}', b'{"version":1}',
        b'{"version":9007199254740992,"envars":[]}', b"x" * (513 * 1024),
        msgspec.json.encode(Envars(1, [Envar("A=B", "x")])),
        msgspec.json.encode(Envars(1, [Envar("", "x")])),
        msgspec.json.encode(Envars(1, [Envar("A", "x\0")])),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_a_reason(
    variables: Variables, garbage: bytes, tmp_path: Path
) -> None:
    received(variables, garbage)
    told = variables.report()
    assert told is not None
    assert told.versions == {"envars": 0}
    assert told.errors["envars"]
    assert not (tmp_path / "envars.json").exists()
    received(variables, envars(1))
    variables.use(1)
    assert variables.report() == State({"envars": 1})


def test_a_full_disk_is_told_and_tried_again(
    variables: Variables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.wanted.write_atomic", fail)
        received(variables, envars(2, A="a"))
    told = variables.report()
    assert told == State(
        {"envars": 0}, {"envars": "variables cannot be kept: No space left on device"}
    )
    received(variables, envars(2, A="a"))
    assert variables.current == envars(2, A="a")


@pytest.mark.parametrize("damage", [b"", b"{", b'{"version":1}'])
def test_a_damaged_file_is_as_none(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "envars.json").write_bytes(damage)
    assert Variables(tmp_path, lambda: None).used == 0
    assert "the hub has them" in caplog.text


def test_no_value_is_in_a_log_or_a_repr(
    variables: Variables, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    received(variables, Envars(1, [Envar("A=B", "t0p-s3cr3t", secret=True)]))
    assert "t0p-s3cr3t" not in caplog.text + repr(envars(1, A="t0p-s3cr3t"))


# ── use ───────────────────────────────────────────────────────────────────────────────────────


def test_switches() -> None:
    """A log that nothing is said of is sent; a type of metric needs both."""
    assert Switches.of({}, STREAMS) == Switches(frozenset(STREAMS), frozenset())
    said = {"ISAAX_LOG_SYS": "false", "ISAAX_METRICS": "true", "ISAAX_METRICS_PS": "false"}
    found = Switches.of(said, STREAMS)
    assert found.logs == {"app", "agent"}
    assert found.metrics == set(METRICS) - {"ps"}
    assert Switches.of({"ISAAX_METRICS_CPU": "true"}, STREAMS).metrics == set()


@pytest.mark.parametrize(
    ("old", "new", "restart"),
    [
        ([], [Envar("A", "a")], False),
        ([], [Envar("A", "a", restart=True)], True),
        ([Envar("A", "a", restart=True)], [], True),
        ([Envar("A", "a", restart=True)], [Envar("A", "a", restart=True)], False),
        ([Envar("A", "a", restart=True)], [Envar("A", "b")], False),
        ([Envar("A", "a")], [Envar("A", "b", restart=True)], True),
        ([Envar("A", "a")], [Envar("A", "a", restart=True)], False),
        ([Envar("A", "", restart=True)], [], True),
        (
            [Envar("A", "a", restart=True), Envar("B", "b")],
            [Envar("A", "a", restart=True), Envar("B", "c")],
            False,
        ),
    ],
)
def test_when_the_app_starts_anew(old: list[Envar], new: list[Envar], restart: bool) -> None:
    assert needs_restart(Envars(1, old), Envars(2, new)) is restart


class Running:
    """An applier with an app whose lines can be read."""

    def __init__(self, folder: Path, command: str, **config: Any) -> None:
        self.queue = LineQueue(lambda: None)
        configured = {"app": AppConfig(command=command, **config)}
        self.programs = Programs(configured, self.queue, folder / "programs")
        self.told = 0
        self.variables = Variables(folder, self._wake)
        self.variables.begin()
        self.measured: list[frozenset[str]] = []
        self.applier = Applier(
            self.variables, {"app": self.queue}, LogsConfig(), self.programs, self.measured.append,
            self._tell,
        )  # fmt: skip
        self.lines: list[str] = []
        works = (self.programs.run(), self.applier.run())
        self.tasks = [asyncio.create_task(work) for work in works]

    @property
    def app(self) -> ProgramState:
        return self.programs.states()["app"]

    def _tell(self) -> None:
        self.told += 1

    def _wake(self) -> None:
        self.applier.wake()

    def said(self) -> list[str]:
        self.lines += [getattr(one, "message", "") for one in self.queue.take()]
        return self.lines

    async def end(self) -> None:
        self.programs.end()
        await self.tasks[0]
        self.tasks[1].cancel()
        await asyncio.gather(self.tasks[1], return_exceptions=True)


async def test_an_app_is_started_anew_with_all_that_changed(tmp_path: Path) -> None:
    running = Running(tmp_path, 'echo "$A $B"; exec sleep 1000')
    await until(lambda: running.said() == [" "], what="the app")
    received(running.variables, Envars(1, [Envar("A", "one")]))
    await until(lambda: running.variables.used == 1, what="the first")
    received(running.variables, Envars(2, [Envar("A", "one"), Envar("B", "two", restart=True)]))
    await until(lambda: running.variables.used == 2, what="the second")
    await until(lambda: running.said() == [" ", "one two"], what="one start, with both")
    assert (running.told, running.app.restarts) == (2, 0)
    await running.end()


async def test_an_app_that_does_not_end_is_killed_and_the_newest_wins(tmp_path: Path) -> None:
    """Meanwhile newer ones come: only the last of them is started with."""
    script = 'trap "" TERM; echo "$A"; while :; do sleep 0.02; done'
    running = Running(tmp_path, script, stop_seconds=0.2)
    await until(lambda: running.said() == [""], what="the app")
    for version in range(1, 6):
        received(running.variables, Envars(version, [Envar("A", f"v{version}", restart=True)]))
        await asyncio.sleep(0)
    await until(lambda: running.variables.used == 5, what="the last")
    await until(lambda: running.said()[-1] == "v5", what="the app with it")
    assert len(running.said()) <= 3
    await running.end()


async def test_an_app_that_has_ended_for_good_is_not_revived(tmp_path: Path) -> None:
    running = Running(tmp_path, "echo once", restart="never")
    await until(lambda: running.said() == ["once"] and running.app.state == "ended", what="its end")
    received(running.variables, Envars(1, [Envar("A", "a", restart=True)]))
    await until(lambda: running.variables.used == 1, what="the variable")
    assert running.said() == ["once"]
    await running.end()


async def test_an_app_that_waits_to_start_again_starts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that failed for want of a variable need not wait any longer once it is there."""
    monkeypatch.setattr("agent.programs.program.FIRST_SECONDS", 1000.0)
    running = Running(tmp_path, '[ -n "$A" ] || { echo no; exit 1; }; echo "$A"; exec sleep 1000')
    await until(lambda: running.said() == ["no"], what="it to fail")
    await until(lambda: running.app.state == "waiting", what="its end")
    received(running.variables, Envars(1, [Envar("A", "there", restart=True)]))
    await until(lambda: running.said() == ["no", "there"], what="it to run")
    await running.end()


async def test_without_an_app_the_switches_count_all_the_same(tmp_path: Path) -> None:
    queue = LineQueue(lambda: None)
    woken: list[Applier] = []
    variables = Variables(tmp_path, lambda: [one.wake() for one in woken] and None)
    measured: list[frozenset[str]] = []
    none = Programs({}, queue, tmp_path)
    applier = Applier(variables, {"sys": queue}, LogsConfig(), none, measured.append, lambda: None)
    woken.append(applier)
    task = asyncio.create_task(applier.run())
    received(variables, envars(1, ISAAX_LOG_SYS="false"))
    await until(lambda: not queue.enabled, what="silence")
    received(variables, envars(2))
    await until(lambda: queue.enabled, what="lines")
    received(variables, envars(3, ISAAX_METRICS="true", ISAAX_METRICS_PS="false"))
    await until(lambda: measured[-1] == {*METRICS} - {"ps"}, what="metrics")
    received(variables, envars(4, ISAAX_METRICS_CPU="true"))
    await until(lambda: measured[-1] == frozenset(), what="none")
    assert measured[0] == frozenset(), "all are off at first"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    forbidden = Applier(
        variables, {"sys": queue}, LogsConfig(sys=False), none, measured.append, lambda: None
    )
    assert forbidden is not None
    assert not queue.enabled, "what the file forbids stays forbidden"
