"""What devices say of their apps, as the API shows it, and how devices are found by it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.downlink import DeviceReport
from hub.protocol import ProgramReport, Session, State
from services.devices.apps import Apps, state_of
from tests.deadline import until
from tests.fixtures.fleet import MINE, OTHERS, Fleet


def says(fleet: Fleet, device: str, state: State, *, project: str = "") -> DeviceReport:
    return DeviceReport(Session(project or fleet.project, device, "s"), state)


async def shown(fleet: Fleet, name: str) -> Any:
    _, page = await fleet.call("GET", "devices")
    return {one["id"]: one for one in page}[name]["app"]


async def found(fleet: Fleet, query: str) -> list[str]:
    status, page = await fleet.call("GET", f"devices?{query}")
    assert status == 200, page
    return [one["id"] for one in page]


@pytest.mark.parametrize(
    ("states", "app"),
    [
        ([], ""),
        (["running"], "running"),
        (["running", "ended"], "running"),
        (["running", "waiting", "stopped"], "waiting"),
        (["waiting", "failed"], "failed"),
        (["dreaming", "failed"], "dreaming"),
    ],
)
def test_an_app_fares_as_the_program_that_one_would_look_at_first(
    states: list[str], app: str
) -> None:
    assert state_of(states) == app


async def test_what_a_device_says_of_its_app_is_shown(both: Fleet) -> None:
    assert await shown(both, "dev_a") is None
    web = ProgramReport("running", 60.0)
    worker = ProgramReport("waiting", 1.5, 3, -9, "killed\0", unlimited=True)
    state = State(programs={"web": web, "worker": worker}, revision="1.4.2")
    await both.ears.say(says(both, "dev_a", state))
    app = await shown(both, "dev_a")
    assert (app["state"], app["revision"]) == ("waiting", "1.4.2")
    assert [one["name"] for one in app["programs"]] == ["web", "worker"]
    assert app["programs"][1] | {"since": ""} == {
        "name": "worker", "state": "waiting", "since": "", "restarts": 3, "exit": -9,
        "error": "killed", "unlimited": True,
    }  # fmt: skip
    ago = datetime.now(UTC) - datetime.fromisoformat(app["programs"][0]["since"])
    assert timedelta(seconds=60) <= ago < timedelta(seconds=120)
    assert await shown(both, "dev_b") is None


async def test_the_newest_counts_and_what_says_nothing_of_the_app_changes_nothing(
    both: Fleet,
) -> None:
    await both.ears.say(
        says(both, "dev_a", State(programs={"app": ProgramReport("failed")}, revision="1")),
        says(both, "dev_a", State(programs={"app": ProgramReport("running")}, revision="2")),
        says(both, "dev_a", State({"envars": 4})),
    )
    assert (await shown(both, "dev_a"))["revision"] == "2"
    before = (await both.stored())["dev_a"][2]
    await both.ears.say(says(both, "dev_a", State({"envars": 5})))
    assert (await both.stored())["dev_a"][2] == before
    await both.ears.say(says(both, "dev_a", State(programs={})))
    app = await shown(both, "dev_a")
    assert (app["state"], app["revision"], app["programs"]) == ("", "", [])


async def test_devices_are_found_by_how_their_app_fares(both: Fleet) -> None:
    for name, state, revision in (("dev_a", "failed", "1.4.1"), ("dev_b", "running", "1.4.2")):
        told = State(programs={"app": ProgramReport(state)}, revision=revision)
        await both.ears.say(says(both, name, told))
    assert await found(both, "app=failed") == ["dev_a"]
    assert await found(both, "app=running&revision=1.4.2") == ["dev_b"]
    assert await found(both, "app=running&revision=1.4.1") == []
    assert await found(both, "q=1.4.1") == ["dev_a"]
    status, problem = await both.call("GET", "devices?app=unheard")
    assert (status, "app" in str(problem)) == (422, True)


async def test_a_device_speaks_for_itself_alone(both: Fleet) -> None:
    """The broker sees to the device; a project that is not its own makes it nobody."""
    told = State(programs={"app": ProgramReport("failed")})
    await both.ears.say(says(both, "dev_a", told, project=both.other_project))
    assert await shown(both, "dev_a") is None
    await both.ears.say(says(both, "dev_x", told, project=both.other_project))
    assert await found(both, "app=failed") == []
    _, page = await both.call("GET", "devices?app=failed", who=f"{OTHERS}:developer")
    assert page["status"] == 404, f"{MINE} has this project"


async def test_it_waits_for_who_changes_devices_without_holding_one_that_he_needs_next(
    both: Fleet,
) -> None:
    """A fleet that comes at once says how its apps fare while its sessions are taken up."""
    told = State(programs={"app": ProgramReport("running")})
    locked = "SELECT FROM devices_device WHERE id = $1 FOR UPDATE NOWAIT"
    await both.ears.say(says(both, "dev_a", told))  # which puts its row behind the other's
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with both.database.system() as tx:
        await tx.raw.execute(locked, "dev_a")
        hears = asyncio.create_task(
            Apps(both.database).heard([says(both, one, told) for one in ("dev_b", "dev_a")])
        )

        async def waits() -> bool:
            async with both.database.system() as other:  # a transaction sees what it saw first
                return bool(await other.raw.fetchval(waiting))

        await until(waits, what="it to wait")
        await tx.raw.execute(locked, "dev_b")
    await hears
    assert (await shown(both, "dev_b"))["state"] == "running"
