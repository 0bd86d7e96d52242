"""Scripts on real agents: once on each, in time, and with a last word whatever happens."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.spine import Device, Project, Spine

Make = Callable[[str], Device]


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def make(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Make]:
    """Make devices that run."""
    made: list[Device] = []

    def one(name: str) -> Device:
        device = Device.make(tmp_path / name, spine, project, "exec sleep 1000")
        device.start()
        made.append(device)
        return device

    yield one
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.stop()


def run(spine: Spine, project: Project, body: str, **more: Any) -> str:
    """Run a script; give the id of the run."""
    made = spine.api.make(f"/projects/{project.id}/script-runs", {"body": body, **more})
    return str(made["id"])


def results(spine: Spine, project: Project, run_id: str) -> dict[str, dict[str, Any]]:
    """Give what became of it, by device."""
    path = f"/projects/{project.id}/script-runs/{run_id}/results"
    return {one["device"]: one for one in spine.api.get(path)}


async def become(spine: Spine, project: Project, run_id: str, **wanted: str) -> None:
    """Wait until the devices' results are these."""

    def are_so() -> bool:
        found = results(spine, project, run_id)
        return {device: one["status"] for device, one in found.items()} == wanted

    await until(are_so, what=f"{wanted}", timeout=40)


async def online(spine: Spine, *devices: Device) -> None:
    def all_are() -> bool:
        answers = [spine.api.ask("GET", f"/devices/{one.id}") for one in devices if one.id]
        return len(answers) == len(devices) and all(
            a.status == 200 and a.body["online"] for a in answers
        )

    await until(all_are, what="the devices")


async def test_each_device_has_a_result(spine: Spine, project: Project, make: Make) -> None:
    """In the state that its exit code says, with what it wrote, which is in the log as well."""
    one, two = make("one"), make("two")
    await online(spine, one, two)
    spine.api.ask("PUT", f"/devices/{two.id}/envars/W", {"value": "x"})
    file = two.folder / "state/envars.json"
    await until(lambda: file.exists() and '"W"' in file.read_text(), what="the variable")
    only = run(spine, project, 'echo "W is $W"; [ "$W" = x ]', device=two.id)
    await become(spine, project, only, **{two.id: "done"})
    (result,) = results(spine, project, only).values()
    assert (result["code"], result["output"]) == (0, "W is x\n")
    both = run(spine, project, '[ "$W" = x ] && exit 21; exit 3')
    await become(spine, project, both, **{one.id: "failed", two.id: "later"})
    shown = spine.api.get(f"/projects/{project.id}/script-runs/{both}")
    assert shown["counts"] == {"failed": 1, "later": 1}

    def is_logged() -> bool:
        lines = spine.api.get(f"/projects/{project.id}/logs?stream=agent&limit=1000")
        return any(
            line["message"] == "W is x" and line["program"] == f"script-{only}" for line in lines
        )

    await until(is_logged, what="the output in the log")


async def test_who_is_away_runs_it_in_time_or_not_at_all(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    device = make("one")
    await online(spine, device)
    assert device.stop() == 0
    count = tmp_path / "count"
    late = run(spine, project, f"echo late >>{count}", wait=1)
    good = run(spine, project, f"echo good >>{count}")
    await become(spine, project, late, **{device.id: "expired"})
    spine.kill_hub()
    await spine.embedded.mosquitto.restart()
    spine.start_hub()
    device.start()
    await become(spine, project, good, **{device.id: "done"})
    assert count.read_text() == "good\n"


async def test_nothing_stays_at_work_whatever_ends_meanwhile(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    """The script itself, the hub, the agent."""
    device = make("one")
    await online(spine, device)
    hangs = run(spine, project, "echo on; sleep 1000", timeout=1)
    await become(spine, project, hangs, **{device.id: "timeout"})
    assert results(spine, project, hangs)[device.id]["output"] == "on\n"
    go, count = tmp_path / "go", tmp_path / "count"
    body = f"echo x >>{count}; while [ ! -e {go} ]; do sleep 0.05; done; echo over"
    waits = run(spine, project, body)
    await become(spine, project, waits, **{device.id: "running"})
    spine.kill_hub()
    go.touch()
    spine.start_hub()
    await become(spine, project, waits, **{device.id: "done"})
    assert count.read_text() == "x\n", "once"
    go.unlink()
    again = run(spine, project, body)
    await become(spine, project, again, **{device.id: "running"})
    device.kill()
    go.touch()
    device.start()
    await become(spine, project, again, **{device.id: "interrupted"})
    assert count.read_text() == "x\nx\n", "nor once more after a crash"


async def test_from_the_command_line(
    spine: Spine, project: Project, make: Make, isaax: Isaax
) -> None:
    device = make("one")
    await online(spine, device)
    isaax.log_in(spine.api.base, spine.token)
    where = ("--project", project.id)
    (isaax.home / "script").write_text("#!/bin/sh\necho from a file\n")
    done = isaax.run("scripts", "run", "@script", "--all", "--wait", *where)
    assert done.returncode == 0
    assert "from a file" in done.stdout
    failed = isaax.run(
        "scripts", "run", "exit 3", "--device", device.id, "--wait", *where, "--json"
    )
    assert failed.returncode == 1
    assert [one["code"] for one in json.loads(failed.stdout)] == [3]
    nobody = isaax.run("scripts", "run", "true", "--group", "nobody", *where)
    assert nobody.returncode == 1
    assert "no device that could run it" in nobody.stderr
    assert isaax.run("scripts", "run", "true", *where).returncode == 2
