"""Commands while hub, broker, agent are killed: each once, in time, and with an end to it."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.database import Database
from tests.deadline import until
from tests.fixtures.spine import Device, Project, Spine

DAY = 86_400
LAST = {"done", "interrupted", "expired", "lost"}


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def devices(spine: Spine, project: Project, tmp_path: Path) -> Iterator[list[Device]]:
    made = [Device.make(tmp_path / n, spine, project, "exec sleep 1000") for n in ("one", "two")]
    for device in made:
        device.start()
    yield made
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.kill()


async def online(spine: Spine, devices: list[Device]) -> None:
    def all_are() -> bool:
        answers = [spine.api.ask("GET", f"/devices/{one.id}") for one in devices if one.id]
        return len(answers) == len(devices) and all(
            a.status == 200 and a.body["online"] for a in answers
        )

    await until(all_are, what="the devices")


def run(spine: Spine, project: Project, body: str, **more: Any) -> str:
    """Run a script on all; give the id of the command."""
    wanted = {"action": {"type": "script", "body": body}, "all": True, **more}
    return str(spine.api.make(f"/projects/{project.id}/commands", wanted)["id"])


def states(spine: Spine, project: Project, command: str) -> dict[str, str]:
    """Give what became of a command, by device."""
    path = f"/projects/{project.id}/commands/{command}/results"
    return {one["device"]: one["status"] for one in spine.api.get(path)}


async def settled(
    spine: Spine, project: Project, commands: list[str], within: float = 120.0
) -> dict[str, dict[str, str]]:
    """Wait until none of them is open anywhere; give what became of each."""

    def all_are() -> bool:
        found = [states(spine, project, one) for one in commands]
        return all({*one.values()} <= LAST for one in found)

    await until(all_are, what="an end of each", timeout=within)
    return {one: states(spine, project, one) for one in commands}


def written(folder: Path, name: str) -> dict[str, list[str]]:
    """Give what scripts have written to files of this name and a number, by word."""
    return {file.name: file.read_text().split() for file in folder.glob(f"{name}-*")}


async def a_day_goes_by(spine: Spine) -> None:
    """For what is in the tables: nobody can wait that long."""
    async with (
        Database.open(spine.embedded.postgres.settings) as database,
        database.system() as tx,
    ):
        await tx.raw.execute(
            "UPDATE commands_command SET deadline = deadline - interval '1 day', "
            "created_at = created_at - interval '1 day'"
        )
        await tx.raw.execute(
            "UPDATE commands_result SET sent_at = sent_at - interval '1 day', "
            "started_at = started_at - interval '1 day'"
        )


async def test_offline_for_a_day_with_the_broker_killed_meanwhile(
    spine: Spine, project: Project, devices: list[Device], tmp_path: Path
) -> None:
    """More wait than a device takes at once: those in time are done once and in order."""
    await online(spine, devices)
    device, other = devices
    for one in devices:
        one.kill()
    done = tmp_path / "done"
    in_time = [run(spine, project, f"echo {n} >>{done}-$PPID", wait=2 * DAY) for n in range(20)]
    late = [run(spine, project, f"echo late >>{done}-late", wait=DAY / 2) for _ in range(5)]
    spine.kill_hub()
    spine.embedded.mosquitto.kill()
    await a_day_goes_by(spine)
    await spine.embedded.mosquitto.start()
    spine.start_hub()
    for one in devices:
        one.start()
    found = await settled(spine, project, [*in_time, *late])
    both = (device.id, other.id)
    assert [found[one] for one in in_time] == [dict.fromkeys(both, "done")] * len(in_time)
    assert [found[one] for one in late] == [dict.fromkeys(both, "expired")] * len(late)
    pids = [one.process.pid for one in devices if one.process is not None]
    in_order = [str(n) for n in range(20)]
    assert written(tmp_path, "done") == {f"done-{pid}": in_order for pid in pids}


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_killed_each_ends_and_none_is_done_twice(
    spine: Spine, project: Project, devices: list[Device], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    await online(spine, devices)
    log = tmp_path / "log"
    commands: list[str] = []
    for part in chance.sample(["hub", "broker", "agent", "hub and broker", "agent"], 5):
        commands += [
            run(spine, project, f"echo {len(commands) + n} >>{log}-$$; sleep 0.2", timeout=20)
            for n in range(2)
        ]
        await asyncio.sleep(chance.uniform(0.0, 0.6))  # wherever they are by then
        if "hub" in part:
            spine.kill_hub()
        if "broker" in part:
            spine.embedded.mosquitto.kill()
            await spine.embedded.mosquitto.start()
        if "hub" in part:
            spine.start_hub()
        if part == "agent":
            device = chance.choice(devices)
            device.kill()
            device.start()
    found = await settled(spine, project, commands)
    begun = Counter(number for one in written(tmp_path, "log").values() for number in one)
    for number, command in enumerate(commands):
        ends = Counter(found[command].values())
        assert {*ends} <= {"done", "interrupted"}, f"{number}: {ends}"
        assert ends["done"] <= begun[str(number)] <= len(devices), f"{number}: {ends}"


async def test_an_agent_that_gets_to_it_too_late_refuses(
    spine: Spine, project: Project, devices: list[Device], tmp_path: Path
) -> None:
    """The hub has given it up by then, and is right."""
    await online(spine, devices)
    go, never = tmp_path / "go", tmp_path / "never"
    first = run(spine, project, f"while [ ! -e {go} ]; do sleep 0.05; done", timeout=120)
    await until(
        lambda: {*states(spine, project, first).values()} == {"running"}, what="the first to run"
    )
    second = run(spine, project, f"touch {never}", wait=1)
    await until(
        lambda: {*states(spine, project, second).values()} == {"expired"},
        what="the second to expire", timeout=60,
    )  # fmt: skip
    go.touch()
    third = run(spine, project, "true")
    found = await settled(spine, project, [first, second, third])
    assert {*found[second].values()} == {"expired"}
    assert {*found[first].values()} == {*found[third].values()} == {"done"}
    assert not never.exists()
