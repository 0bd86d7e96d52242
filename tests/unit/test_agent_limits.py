"""The limits of programs: as the kernel of this machine enforces them, and both kinds of groups."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.programs import cgroups
from agent.programs.cgroups import Cgroups, Limits, NotEnforceableError
from agent.programs.process import HOLD
from agent.settings import AppConfig, Size
from tests.deadline import until
from tests.unit.test_agent_programs import supervised

MEGABYTE = 1 << 20
EATER = [sys.executable, "-c", "print(len(bytearray(b'x' * (256 << 20))), flush=True)"]
SPINNER = [sys.executable, "-c", "while True: pass"]


@pytest.fixture
def refusal() -> str:
    """Why this machine cannot enforce limits; "" where it can."""
    try:
        Cgroups("isaax-try").group("probe", Limits(64 * MEGABYTE, 50)).remove()
    except NotEnforceableError as error:
        return str(error)
    return ""


async def test_a_program_that_eats_too_much_is_killed_and_it_is_said_why(
    tmp_path: Path, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    limited = AppConfig(command=EATER, restart="never", memory_max=Size(32 * MEGABYTE))
    async with supervised(tmp_path, {"app": limited}) as one:
        await until(lambda: one.state().state in {"ended", "failed"}, what="its end")
        state = one.state()
        if refusal:
            assert (state.unlimited, one.said()) == (refusal, [str(256 * MEGABYTE)])
            assert caplog.text.count("limits of programs are not enforced") == 1
        else:
            assert (state.unlimited, one.said()) == ("", [])
            assert state.error == "killed: it needed more memory than 32M"
            assert state.exit == -9
            assert "the app ended: killed: it needed more memory than 32M" in caplog.text


async def test_one_that_stays_within_its_limits_runs_as_any_other(tmp_path: Path) -> None:
    configured = {
        "app": AppConfig(
            command='echo "$1"; read line; echo "<$line>"; cat /proc/self/cgroup',
            restart="never", memory_max=Size(64 * MEGABYTE), cpu_percent=150,
        )
    }  # fmt: skip
    async with supervised(tmp_path, configured) as one:
        await one.turns("ended")
        assert one.said()[:2] == ["", "<>"], "its input is empty, and it has no arguments"
        assert one.state().error == ""
        inside = [line for line in one.said() if ":memory:" in line or "::" in line]
        assert one.state().unlimited or any("isaax-" in line for line in inside)


async def test_a_busy_program_is_held_back(tmp_path: Path, refusal: str) -> None:
    async with supervised(tmp_path, {"app": AppConfig(command=SPINNER, cpu_percent=5)}) as one:
        await one.turns("running")
        pid = one.state().pid
        assert pid is not None
        if refusal:
            assert one.state().unlimited == refusal
        else:
            await until(lambda: _throttled(pid) > 0, what="the kernel to hold it back")


def _throttled(pid: int) -> int:
    """Count the periods in which a process had to wait for its share."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "isaax-" in path and controllers in {"", "cpu", "cpu,cpuacct"}:
            for base in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu"):
                stat = Path(f"{base}{path}/cpu.stat")
                if stat.exists():
                    fields = dict(entry.split() for entry in stat.read_text().splitlines())
                    return int(fields["nr_throttled"])
    return 0


# ── both versions, as folders ─────────────────────────────────────────────────────────────────


class Machine:
    """The files by which a kernel shows its groups."""

    def __init__(self, folder: Path) -> None:
        self.process = folder / "proc"
        self.tree = folder / "cgroup"
        self.process.mkdir()
        self.tree.mkdir()

    def shows(self, mountinfo: str, own: str) -> Cgroups:
        (self.process / "mountinfo").write_text(mountinfo.replace("TREE", str(self.tree)))
        (self.process / "cgroup").write_text(own)
        return Cgroups("isaax-1", self.process)

    def unified(self, path: str, procs: str, controllers: str = "cpuset cpu io memory") -> Path:
        own = self.tree / path
        own.mkdir(parents=True)
        (own / "cgroup.controllers").write_text(controllers + "\n")
        (own / "cgroup.subtree_control").write_text("\n")
        (own / "cgroup.procs").write_text(procs)
        (own / "cgroup.type").write_text("domain\n")
        return own


UNIFIED = "30 23 0:26 / TREE rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_version_2_below_a_unit_that_systemd_delegates(machine: Machine) -> None:
    unit = machine.unified("system.slice/isaaxd.service", f"{os.getpid()}\n")
    of_unit = machine.shows(UNIFIED, "0::/system.slice/isaaxd.service\n")
    group = of_unit.group("web", Limits(64 * MEGABYTE, 25))
    assert (unit / "agent" / "cgroup.procs").read_text() == f"{os.getpid()}\n"
    assert (unit / "cgroup.subtree_control").read_text() == "+memory +cpu\n"
    web = unit / "isaax-1-web"
    assert (web / "memory.max").read_text() == f"{64 * MEGABYTE}\n"
    assert (web / "cpu.max").read_text() == "25000 100000\n"
    group.admit(77)
    assert (web / "cgroup.procs").read_text() == "77\n"
    assert group.out_of_memory() == 0
    (web / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\n")
    assert group.out_of_memory() == 2
    # the next program finds the agent below already, and what is controlled
    (unit / "cgroup.procs").write_text("")
    (unit / "cgroup.subtree_control").write_text("cpu memory\n")
    machine.shows(UNIFIED, "0::/system.slice/isaaxd.service/agent\n").group("job", Limits(MEGABYTE))
    assert (unit / "isaax-1-job" / "memory.max").exists()


def test_version_2_where_others_are_in_the_group(machine: Machine) -> None:
    machine.unified("user.slice", f"1\n{os.getpid()}\n")
    with pytest.raises(NotEnforceableError, match=r"has other processes too.*Delegate=memory cpu"):
        machine.shows(UNIFIED, "0::/user.slice\n").group("web", Limits(MEGABYTE))


def test_version_2_where_what_the_agent_started_is_in_the_group(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of the journal, or a program without limits; and of it what that started."""
    moved: list[object] = []
    real = cgroups._write

    def write(path: Path, value: object) -> None:
        if path.parent.name == "agent":
            moved.append(value)
        real(path, value)

    monkeypatch.setattr(cgroups, "_write", write)
    shell = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
    with subprocess.Popen(shell, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        with subprocess.Popen(["true"]) as gone:
            gone.wait()
        pids = {os.getpid(), child.pid, grandchild, gone.pid}
        unit = machine.unified("unit", "".join(f"{pid}\n" for pid in pids))
        try:
            machine.shows(UNIFIED, "0::/unit\n").group("web", Limits(MEGABYTE))
        finally:
            os.kill(grandchild, signal.SIGKILL)
    assert set(moved) == pids
    assert (unit / "isaax-1-web" / "memory.max").exists()


def test_version_1_beside_a_version_2_that_controls_nothing(machine: Machine) -> None:
    (machine.tree / "memory" / "docker").mkdir(parents=True)
    (machine.tree / "unified").mkdir()
    (machine.tree / "unified" / "cgroup.controllers").write_text("hugetlb\n")
    mounts = (
        "40 1 0:30 /docker TREE/memory/docker rw - cgroup cgroup rw,memory\n"
        "41 1 0:31 / TREE/unified rw - cgroup2 cgroup2 rw\n"
    )
    group = machine.shows(mounts, "4:memory:/docker\n0::/\n").group("web", Limits(MEGABYTE))
    folder = machine.tree / "memory" / "docker" / "isaax-1-web"
    assert (folder / "memory.limit_in_bytes").read_text() == f"{MEGABYTE}\n"
    (folder / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.out_of_memory() == 1


def test_without_groups_it_is_said_what_is_not_there(machine: Machine) -> None:
    with pytest.raises(NotEnforceableError, match="no control group for memory and cpu"):
        machine.shows("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "").group("web", Limits(MEGABYTE, 5))


def test_folders_that_cannot_be_written(machine: Machine) -> None:
    mounts = "40 1 0:30 / /proc/self rw - cgroup cgroup rw,memory\n"
    with pytest.raises(NotEnforceableError, match=r"/proc/self/isaax-1-web.*Run the agent as root"):
        machine.shows(mounts, "4:memory:/\n").group("web", Limits(MEGABYTE))


def test_a_held_program_does_nothing_when_the_agent_dies_before_it_is_let_go() -> None:
    shell = subprocess.run(
        ["/bin/sh", "-c", HOLD, "isaax-agent", "echo", "hi"],
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert (shell.returncode, shell.stdout) == (1, b"")
