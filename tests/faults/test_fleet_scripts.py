"""Scripts that hang, fork, print a gigabyte or fill the disk: the agent goes on, and says what was.

On a whole hub, by a real agent; tests/unit/test_agent_scripts.py has what the parts do.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.deadline import until
from tests.fixtures.spine import ROOT, Device, Project, Spine

COUNTING = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"
MEGABYTE = 1 << 20
Make = Callable[..., Device]


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def make(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Make]:
    """Make a device whose app counts; it is not started."""
    made: list[Device] = []

    def one(**tables: str) -> Device:
        made.append(Device.make(tmp_path / "device", spine, project, COUNTING, **tables))
        return made[-1]

    yield one
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.kill()


def run(spine: Spine, project: Project, body: str, **more: Any) -> str:
    """Run a script on the project's devices; give the id of the command."""
    wanted = {"action": {"type": "script", "body": body}, "all": True, **more}
    return str(spine.api.make(f"/projects/{project.id}/commands", wanted)["id"])


def result(spine: Spine, project: Project, run_id: str) -> dict[str, Any]:
    """Give what became of it on the only device."""
    path = f"/projects/{project.id}/commands/{run_id}/results"
    found: dict[str, Any] = spine.api.get(path)[0]
    return found


async def ended(spine: Spine, project: Project, run_id: str) -> dict[str, Any]:
    """Wait until a script has ended, and give what became of it."""
    await until(
        lambda: result(spine, project, run_id)["status"] not in {"waiting", "running"},
        what="its end", timeout=90,
    )  # fmt: skip
    return result(spine, project, run_id)


async def online(spine: Spine, device: Device) -> None:
    def is_here() -> bool:
        answer = spine.api.ask("GET", f"/devices/{device.id}") if device.id else None
        return answer is not None and answer.status == 200 and bool(answer.body["online"])

    await until(is_here, what="the device", timeout=40)


def messages(spine: Spine, project: Project) -> list[str]:
    """Give what the app said, as it is stored."""
    path = f"/projects/{project.id}/logs?stream=app&limit=1000"
    return [line["message"] for line in spine.api.get(path)]


async def test_the_agent_outlives_what_scripts_do(
    spine: Spine, project: Project, make: Make
) -> None:
    """A gigabyte in one line, and children that have children: each has a clear result."""
    device = make()
    device.start()
    await online(spine, device)
    assert device.process is not None
    agent = psutil.Process(device.process.pid)
    before = agent.memory_info().rss
    prints = run(spine, project, "head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo end")
    told = await ended(spine, project, prints)
    assert (told["status"], told["code"]) == ("done", 0)
    assert "bytes left out" in told["output"]
    assert told["output"].endswith("x\nend\n")
    assert len(told["output"]) <= 64 * 1024
    assert agent.memory_info().rss - before < 100 * MEGABYTE

    forks = "for n in $(seq 100); do (sleep 1234 & sleep 1234) & done; wait"
    told = await ended(spine, project, run(spine, project, forks, timeout=2))
    assert told["status"] == "timeout"
    await until(
        lambda: [one for one in agent.children(recursive=True) if "1234" in _line(one)] == [],
        what="the end of all its children",
    )

    here = len(messages(spine, project))
    await until(lambda: len(messages(spine, project)) > here + 5, what="lines", timeout=30)
    found = messages(spine, project)
    assert found == [f"line {n}" for n in range(1, len(found) + 1)], "and it lost nothing"


async def test_a_script_that_fills_the_disk(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    """Its end is told; variables say why they wait; lines are there, or said to be missing."""
    go = tmp_path / "go"
    device = make(spool="maxBytes = 4194304")
    state = device.folder / "state"
    device.start(str(ROOT / "tests/programs/small_disk.py"), str(state), "24m")
    await online(spine, device)
    status = f"/projects/{project.id}/envar-statuses"
    await until(lambda: spine.api.get(status)[0]["applied"] > 0, what="variables", timeout=30)
    fills = f"cat /dev/zero >{state}/big; until [ -e {go} ]; do sleep 0.1; done; rm {state}/big"
    script = run(spine, project, f"{fills}; echo over")
    await until(lambda: result(spine, project, script)["status"] == "running", what="its start")

    def put(value: str) -> None:
        answer = spine.api.ask("PUT", f"/projects/{project.id}/envars/A", {"value": value * 9000})
        assert answer.status == 200, answer

    def is_told() -> bool:
        put("b")
        put("c")
        return "space" in spine.api.get(status)[0]["error"]

    await until(is_told, what="why it is not applied", timeout=60)
    go.touch()
    told = await ended(spine, project, script)
    assert told["status"] == "done"
    assert "No space left on device" in told["output"]
    assert told["output"].endswith("over\n")
    put("d")

    def is_current() -> bool:
        one = spine.api.get(status)[0]
        return bool(one["applied"] == one["version"] and not one["error"])

    await until(is_current, what="the variable", timeout=60)
    here = len(messages(spine, project))
    await until(lambda: len(messages(spine, project)) > here + 5, what="lines", timeout=60)
    found = messages(spine, project)
    numbers = [int(text.split()[1]) for text in found if text.startswith("line ")]
    assert numbers == sorted(set(numbers))
    missing = len(numbers) < numbers[-1] - numbers[0] + 1
    assert missing == any("missing" in text for text in found), "no hole without a word"


def _line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
