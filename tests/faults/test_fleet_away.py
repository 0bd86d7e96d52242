"""A device that is away for a day, a bad network, and a clock that is a day off: nothing is lost.

Of what changes the last counts, what is asked for happens once or is said to be too late, and
every line is there once and in order.
"""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from hub.tenancy import SYSTEM
from tests.deadline import until
from tests.fixtures.mqtt_proxy import Proxy, proxied
from tests.fixtures.spine import ROOT, Device, Project, Spine, running_spine

DAY = 86_400
COUNTING = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.1; done"
Make = Callable[..., Device]


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """A hub of this module's own: its parts are killed."""
    with running_spine() as running:
        yield running


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def network(spine: Spine) -> Iterator[Proxy]:
    """What is between the device and the broker."""
    with proxied(spine.embedded.ports.mqtt) as proxy:
        yield proxy


@pytest.fixture
def make(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Make]:
    """Make a device whose app counts; it is not started."""
    made: list[Device] = []

    def one(app: str = COUNTING, port: int = 0) -> Device:
        device = Device.make(tmp_path / f"device{len(made)}", spine, project, app)
        text = device.config.read_text()
        device.config.write_text(
            text.replace(f":{spine.embedded.ports.mqtt}", f":{port or spine.embedded.ports.mqtt}")
        )
        made.append(device)
        return device

    yield one
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.kill()


def lines(spine: Spine, project: Project, stream: str = "app") -> list[dict[str, Any]]:
    """Give the newest lines that are stored."""
    found: list[dict[str, Any]] = spine.api.get(
        f"/projects/{project.id}/logs?stream={stream}&limit=1000"
    )
    return found


def numbers(spine: Spine, project: Project) -> list[int]:
    """Give what the app has counted, as it is stored."""
    return [int(line["message"].split()[1]) for line in lines(spine, project)]


def online(spine: Spine, device: Device) -> bool:
    answer = spine.api.ask("GET", f"/devices/{device.id}") if device.id else None
    return answer is not None and answer.status == 200 and bool(answer.body["online"])


def put(spine: Spine, project: Project, value: str) -> None:
    answer = spine.api.ask("PUT", f"/projects/{project.id}/envars/WHICH", {"value": value})
    assert answer.status == 200, answer


def applied(spine: Spine, project: Project) -> bool:
    """Whether the hub shows the only device as up to date."""
    found = spine.api.get(f"/projects/{project.id}/envar-statuses")
    return bool(found) and found[0]["applied"] == found[0]["version"] > 0


def kept(device: Device) -> str:
    """Give the value that lies on the device."""
    text = (device.folder / "state/envars.json").read_text()
    found = re.search(r'"name":"WHICH","value":"([^"]*)"', text)
    return found[1] if found else ""


def run(spine: Spine, project: Project, body: str, **more: Any) -> str:
    """Run a script on the project's devices; give the id of the command."""
    wanted = {"action": {"type": "script", "body": body}, "all": True, **more}
    return str(spine.api.make(f"/projects/{project.id}/commands", wanted)["id"])


def status(spine: Spine, project: Project, run_id: str) -> str:
    """Give what became of it on the only device."""
    path = f"/projects/{project.id}/commands/{run_id}/results"
    return str(spine.api.get(path)[0]["status"])


async def become(spine: Spine, project: Project, run_id: str, wanted: str) -> None:
    """Wait until that has become of a script."""
    await until(lambda: status(spine, project, run_id) == wanted, what=wanted, timeout=60)


async def more_lines(spine: Spine, project: Project, count: int) -> None:
    """Wait until so many more lines are stored."""
    here = len(numbers(spine, project))
    await until(lambda: len(numbers(spine, project)) >= here + count, what="lines", timeout=60)


async def a_day_passes(spine: Spine, *runs: str) -> None:
    """Let the time of these scripts be over since yesterday."""
    settings = spine.embedded.postgres.settings
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, database=settings.database,
        user=settings.user, password=settings.password.reveal(),
    )  # fmt: skip
    try:
        await connection.execute(f"SET ROLE {SYSTEM}")
        moved = await connection.execute(
            "UPDATE commands_command SET created_at = created_at - interval '1 day',"
            " deadline = deadline - interval '1 day' WHERE id = ANY ($1::text[])",
            list(runs),
        )
        assert moved == f"UPDATE {len(runs)}"
    finally:
        await connection.close()


async def test_a_day_away_and_the_broker_killed_meanwhile(
    spine: Spine, project: Project, network: Proxy, make: Make, tmp_path: Path
) -> None:
    """The device runs on, without the hub: its lines come later, and what was asked of it once."""
    device, count = make(port=network.port), tmp_path / "count"
    device.start()
    await until(lambda: online(spine, device), what="the device", timeout=30)
    await until(lambda: len(numbers(spine, project)) > 3, what="lines", timeout=30)
    network.cut = True
    await until(lambda: not online(spine, device), what="that it is away", timeout=40)
    for number in range(20):
        put(spine, project, f"value {number}")
    yesterday = run(spine, project, f"echo yesterday >>{count}", wait=3600)
    later = run(spine, project, f"echo later >>{count}", wait=2 * DAY)
    await a_day_passes(spine, yesterday, later)
    today = run(spine, project, f"echo today >>{count}")
    spine.embedded.mosquitto.child.kill()
    put(spine, project, "while there was no broker")
    await spine.embedded.mosquitto.start()
    spine.kill_hub()
    spine.start_hub()
    put(spine, project, "the last one")
    network.cut = False
    await until(lambda: applied(spine, project), what="the variables", timeout=90)
    assert kept(device) == "the last one"
    for script, wanted in ((today, "done"), (later, "done"), (yesterday, "expired")):
        await become(spine, project, script, wanted)
    assert sorted(count.read_text().split()) == ["later", "today"]
    await more_lines(spine, project, 20)
    found = numbers(spine, project)
    assert found == [*range(1, len(found) + 1)]


async def test_messages_that_come_twice_and_out_of_order(
    spine: Spine, project: Project, network: Proxy, make: Make, tmp_path: Path
) -> None:
    """Both ways: batches and their answers, variables and reports, scripts and replies."""
    device, count = make(port=network.port), tmp_path / "count"
    device.start()
    await until(lambda: online(spine, device), what="the device", timeout=30)
    network.twice = network.late = 0.4
    runs = []
    for number in range(15):
        put(spine, project, f"value {number}")
        if number % 3 == 0:
            runs.append(run(spine, project, f"echo {number} >>{count}"))
        await more_lines(spine, project, 1)
    for script in runs:
        await become(spine, project, script, "done")
    await until(
        lambda: applied(spine, project) and kept(device) == "value 14",
        what="the last value", timeout=60,
    )  # fmt: skip
    network.twice = network.late = 0.0
    await more_lines(spine, project, 20)
    assert network.doubled > 30 < network.delayed
    found = numbers(spine, project)
    assert found == [*range(1, len(found) + 1)]
    assert sorted(count.read_text().split(), key=int) == ["0", "3", "6", "9", "12"]
    assert (kept(device), applied(spine, project)) == ("value 14", True)
    assert {status(spine, project, script) for script in runs} == {"done"}


@pytest.mark.parametrize("seconds", [DAY, -DAY])
async def test_a_clock_that_is_a_day_off(
    spine: Spine, project: Project, make: Make, tmp_path: Path, seconds: int
) -> None:
    """Lines keep the device's time; what has a time to it goes by the hub's, and both are told."""
    device, count = make(), tmp_path / "count"
    program = str(ROOT / "tests/programs/wrong_clock.py")
    device.start(program, str(seconds))
    await until(lambda: online(spine, device), what="the device", timeout=30)
    put(spine, project, "in time")
    script = run(spine, project, f"echo once >>{count}", wait=60)
    await become(spine, project, script, "done")
    await until(lambda: applied(spine, project), what="the variables", timeout=60)
    assert (kept(device), count.read_text()) == ("in time", "once\n")
    await until(lambda: len(numbers(spine, project)) > 5, what="lines", timeout=30)
    for line in lines(spine, project):
        moment = time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        assert abs(moment - time.time() - seconds) < 3600, "its own"
    word = "ahead of" if seconds > 0 else "behind"
    said = [line["message"] for line in lines(spine, project, "agent")]
    assert any(re.search(rf"clock is 86\d{{3}} s {word} the hub's", text) for text in said), said
    found = numbers(spine, project)
    assert found == [*range(1, len(found) + 1)]
