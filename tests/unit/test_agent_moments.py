"""The project's own scripts on a device: kept, run in their moments, told, and heeded."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import status
from agent.commands import Commands
from agent.first_start import FirstStart
from agent.linequeue import LineQueue
from agent.moments import Moments, ProjectScripts, Verdict
from agent.programs.process import Note
from agent.script import LOGGED_BYTES, ScriptRunner
from agent.state import SessionFile
from hub.protocol import Known, MomentScript, Reply, Scripts, State
from tests.deadline import until
from tests.unit.test_agent_commands import is_running, said

PRE = "pre-install"


def scripts(version: int, timeout: float = 20.0, **bodies: str) -> Scripts:
    """Make a message: `pre_install="exit 0"`; each script has the version of the whole."""
    return Scripts(
        version,
        [
            MomentScript(name.replace("_", "-"), version, body, timeout)
            for name, body in bodies.items()
        ],
    )


class Device:
    """What of an agent has to do with moments."""

    def __init__(self, folder: Path, *, wait: float = 1000.0) -> None:
        self.folder = folder
        self.queue = LineQueue(lambda: None)
        self.told = 0
        self.scripts = ProjectScripts(folder, self._received)
        self.commands = Commands(folder, lambda: None)
        self.variables: dict[str, str] = {}
        runner = ScriptRunner(folder / "moments", folder, self.queue)
        self.moments = Moments(
            folder, self.scripts, runner, lambda: self.variables, self.commands.tell
        )
        self.first = FirstStart(folder, self.scripts, self.moments, wait=wait, told=self._tell)
        self.moments.settle()

    def _received(self) -> None:
        if hasattr(self, "first"):
            self.first.wake()

    def _tell(self) -> None:
        self.told += 1

    def get(self, message: Scripts) -> None:
        self.scripts.receive(msgspec.json.encode(message))

    def results(self) -> list[Reply]:
        """Give what the hub is told now."""
        return list(self.commands.take().values())


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path)
    made.scripts.begin(1)
    return made


# ── kept ──────────────────────────────────────────────────────────────────────────────────────


def test_the_last_version_is_kept_and_told(device: Device) -> None:
    assert device.scripts.report() == State({"scripts": 0})
    newest = scripts(3, pre_install="three")
    for message in (scripts(1, pre_install="one"), newest, newest, scripts(2, pre_install="two")):
        device.get(message)
    assert device.scripts.report() == State({"scripts": 3})
    file = device.folder / "scripts.json"
    assert file.stat().st_mode & 0o777 == 0o600
    again = Device(device.folder)
    assert again.scripts.current == newest
    again.scripts.begin(3)
    assert again.scripts.report() == State({"scripts": 3}), "from its disk, before the hub"
    again.get(scripts(1, pre_install="of a hub that lost its disk"))
    assert again.scripts.current.version == 1


def test_a_disk_that_is_full_keeps_the_old_ones(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.get(scripts(1, pre_install="one"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("agent.wanted.write_atomic", full)
        device.get(scripts(2, pre_install="two"))
    reason = "scripts cannot be kept: No space left on device"
    assert device.scripts.report() == State({"scripts": 1}, {"scripts": reason})
    device.get(scripts(2, pre_install="two"))
    assert device.scripts.report() == State({"scripts": 2})


# ── run ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "verdict", "status"),
    [
        ("exit 0", Verdict.GO_ON, "done"),
        ("exit 21", Verdict.LATER, "later"),
        ("exit 1", Verdict.STOP, "failed"),
        ("kill -9 $$", Verdict.STOP, "failed"),
        ("#!/nowhere/python", Verdict.STOP, "refused"),
    ],
)
async def test_what_its_end_means(device: Device, body: str, verdict: Verdict, status: str) -> None:
    device.get(scripts(4, pre_update=body))
    assert await device.moments.run("pre-update") is verdict
    (told,) = device.results()
    assert told.outcome == status
    assert told.ran is not None
    assert (told.ran.moment, told.ran.version) == ("pre-update", 4)
    assert list(device.folder.glob("moment*/*")) == []


async def test_it_finds_its_variables_and_what_it_says_is_logged_and_kept(
    device: Device,
) -> None:
    device.variables["A"] = "a"
    body = 'echo "$A $ISAAX_MOMENT $ISAAX_SCRIPT_VERSION $ISAAX_RELEASE"; echo no >&2'
    device.get(scripts(2, post_update=body))
    assert await device.moments.run("post-update", ISAAX_RELEASE="7") is Verdict.GO_ON
    (told,) = device.results()
    assert told.output == "a post-update 2 7\nno\n"
    assert said(device.queue) == ["a post-update 2 7", "no"]


async def test_where_there_is_none_it_goes_on(device: Device) -> None:
    device.get(scripts(1, pre_install="exit 1"))
    assert await device.moments.run("pre-update") is Verdict.GO_ON
    assert device.results() == []


async def test_one_that_hangs_with_a_fork_that_outlives_it_is_ended(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.script.STOP_SECONDS", 0.1)
    pids = device.folder / "pids"
    body = f'trap "" TERM; sleep 1000 & echo $! >>{pids}; echo on; wait; wait'
    device.get(scripts(1, timeout=0.5, pre_update=body))
    assert await device.moments.run("pre-update") is Verdict.STOP
    (told,) = device.results()
    assert (told.outcome, told.output) == ("timeout", "on\n")
    await until(lambda: not is_running(int(pids.read_text())), what="the fork to be gone")
    body = f"sleep 1000 & echo $! >{pids}"
    device.get(scripts(2, pre_update=body))
    assert await device.moments.run("pre-update") is Verdict.GO_ON
    await until(lambda: not is_running(int(pids.read_text())), what="that one, too")


async def test_a_gigabyte_is_bounded_in_the_log_and_in_what_is_told(device: Device) -> None:
    body = "echo begin; head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo end"
    device.get(scripts(1, timeout=100.0, pre_update=body))
    assert await device.moments.run("pre-update") is Verdict.GO_ON
    (told,) = device.results()
    assert told.output.startswith("begin\nxxx")
    assert told.output.endswith("xxx\nend\n")
    assert len(told.output) < 20_000
    assert sum(map(len, said(device.queue))) < 2 * LOGGED_BYTES


async def test_a_disk_that_is_full_keeps_no_moment_from_coming(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what runs nor its end can be kept: it is told all the same."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    device.get(scripts(1, pre_update="echo here; exit 21"))
    monkeypatch.setattr("agent.moments.write_atomic", full)
    monkeypatch.setattr("agent.commands.write_atomic", full)
    assert await device.moments.run("pre-update") is Verdict.LATER
    (told,) = device.results()
    assert (told.outcome, told.output) == ("later", "here\n")


async def test_what_came_of_it_is_told_until_it_is_known(device: Device) -> None:
    device.get(scripts(1, pre_update="echo here"))
    await device.moments.run("pre-update")
    ((name, told),) = device.commands.take().items()
    again = Device(device.folder)
    assert again.commands.take() == {name: told}, "also after a restart"
    again.commands.receive(name, msgspec.json.encode(Known()))
    again.commands.begin()
    assert again.results() == []


async def test_one_whose_agent_ended_meanwhile_is_told_so_once(device: Device) -> None:
    device.get(scripts(1, pre_update="sleep 1000"))
    task = asyncio.create_task(device.moments.run("pre-update"))
    note = device.folder / "moment.json"
    await until(lambda: "sleep" not in str(said(device.queue)) and note.exists(), what="it to run")
    kept = note.read_bytes()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = Device(device.folder)
    ((name, told),) = again.commands.take().items()
    assert (told.outcome, told.ran and told.ran.moment) == ("interrupted", "pre-update")
    assert Device(device.folder).commands.take() == {name: told}, "and not once more"
    note.write_bytes(kept)
    assert list(Device(device.folder).commands.take()) == [name], "though it ended just then"


@pytest.mark.parametrize("rubbish", [b"", b"\0" * 64, b'{"\xff":1}', b'{"a":' + b"[" * 10_000])
async def test_files_that_a_power_cut_spoilt_keep_no_agent_from_starting(
    tmp_path: Path, rubbish: bytes
) -> None:
    names = ["commands.json", "moment.json", "scripts.json", "session", "app.json", "status.json"]
    for name in names:
        (tmp_path / name).write_bytes(rubbish)
    device = Device(tmp_path)
    assert (device.results(), device.scripts.current.version) == ([], 0)
    assert SessionFile(tmp_path).last == ""
    await Note(tmp_path / "app.json").end_leftover(0.0)
    assert status.read(tmp_path) is None


async def test_one_after_the_other(device: Device) -> None:
    here = device.folder / "here"
    body = f"mkdir {here} || exit 1; sleep 0.1; rmdir {here}"
    device.get(scripts(1, pre_update=body, post_update=body))
    runs = (device.moments.run(one) for one in ("pre-update", "post-update", "pre-update"))
    assert set(await asyncio.gather(*runs)) == {Verdict.GO_ON}


# ── before the first start ────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def gate(device: Device) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(device.first.passed())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_app_waits_for_its_scripts_and_for_the_end_of_the_first(
    device: Device,
) -> None:
    go = device.folder / "go"
    async with gate(device) as passed:
        body = f"while [ ! -e {go} ]; do sleep 0.02; done; echo x >>{go}"
        device.get(scripts(1, pre_install=body))
        await until((device.folder / "moment.json").exists, what="it to run")
        assert not passed.done()
        go.touch()
        await until(passed.done, what="the app")
    again = Device(device.folder)
    await again.first.passed()
    assert go.read_text() == "x\n", "once for all"


async def test_without_a_hub_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    """Nor does it wait at all when there is nothing to wait for; it runs before the next start."""
    await Device(tmp_path, wait=0.05).first.passed()
    device = Device(tmp_path)
    async with gate(device) as passed:
        await asyncio.sleep(0)
        assert not passed.done()
        device.scripts.begin(0)
        await until(passed.done, what="the app")
    device.scripts.begin(1)
    count = tmp_path / "count"
    device.get(scripts(1, pre_install=f"echo x >>{count}"))
    for _ in range(2):
        await Device(tmp_path).first.passed()
    assert count.read_text() == "x\n"


async def test_one_that_asks_for_it_is_tried_again(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.first_start.FIRST_SECONDS", 0.05)
    count = device.folder / "count"
    body = f"echo x >>{count}; [ $(wc -l <{count}) = 3 ] || exit 21"
    device.get(scripts(1, pre_install=body))
    async with gate(device) as passed:
        await until(passed.done, what="the app")
    assert count.read_text() == "x\n" * 3
    assert [one.outcome for one in device.results()] == ["later", "later", "done"]
    assert device.first.problem == ""
    assert device.scripts.report() == State({"scripts": 1})


async def test_one_that_fails_keeps_the_app_from_starting_until_there_is_another(
    device: Device,
) -> None:
    count = device.folder / "count"
    device.get(scripts(1, pre_install=f"echo x >>{count}; exit 1"))
    device.scripts.report()
    async with gate(device) as passed:
        await until(lambda: device.first.problem != "", what="the complaint")
        told = device.scripts.report()
        assert told is not None
        assert told.errors["scripts"].startswith("pre-install failed: the app is not started")
        same = msgspec.structs.replace(device.scripts.current, version=2)
        device.get(same)  # another moment's has changed
        told = device.scripts.report()
        assert told is not None
        assert told.versions == {"scripts": 2}
        assert "pre-install failed" in told.errors["scripts"], "that still holds"
        await asyncio.sleep(0.05)
        assert not passed.done()
        assert count.read_text() == "x\n"
        device.get(scripts(3, pre_install="exit 0"))
        await until(passed.done, what="the app")
    assert device.scripts.report() == State({"scripts": 3})
    assert device.told == 2


async def test_one_that_failed_is_tried_again_by_the_next_run_of_the_agent(
    device: Device,
) -> None:
    device.get(scripts(1, pre_install="[ -e fixed ]"))
    async with gate(device):
        await until(lambda: device.first.problem != "", what="the complaint")
    (device.folder / "fixed").touch()
    await Device(device.folder).first.passed()
