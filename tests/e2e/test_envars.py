"""Variables, whole: set over REST, in the environment of a real agent's app, and told back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.settings import HubSettings
from tests.deadline import until
from tests.fixtures.rawdevice import open_device
from tests.fixtures.spine import Device, Project, Spine, running_spine, serve

APP = 'echo "started with ${GREETING:-nothing}, ${TOKEN:-no token}"; exec sleep 1000'


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def device(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Device]:
    made = Device.make(tmp_path / "device", spine, project, APP)
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def said(spine: Spine, project: Project) -> list[str]:
    """Give what the app said so far."""
    path = f"/projects/{project.id}/logs?stream=app&limit=1000"
    return [line["message"] for line in spine.api.get(path)]


def status(spine: Spine, project: Project) -> dict[str, Any]:
    """Give how far the only device is; nothing before it is known."""
    found = spine.api.get(f"/projects/{project.id}/envar-statuses")
    return found[0] if found else {}


def is_current(spine: Spine, project: Project) -> bool:
    one = status(spine, project)
    return bool(one) and one["applied"] == one["version"] > 0


def put(spine: Spine, path: str, **body: Any) -> None:
    answer = spine.api.ask("PUT", path, body)
    assert answer.status == 200, answer


def file_of(device: Device) -> dict[str, str]:
    """Give the variables that lie on the device."""
    kept = json.loads((device.folder / "state/envars.json").read_bytes())
    return {one["name"]: one["value"] for one in kept["envars"]}


async def test_a_change_reaches_the_app_and_is_reported(
    spine: Spine, project: Project, device: Device
) -> None:
    """The defaults first; then with a restart, without one, and as a secret."""
    base = f"/projects/{project.id}/envars"
    await until(lambda: is_current(spine, project), what="the defaults on the device")
    assert file_of(device)["ISAAX_METRICS"] == "false"
    assert (device.folder / "state/envars.json").stat().st_mode & 0o777 == 0o600
    await until(lambda: len(said(spine, project)) == 1, what="the app")

    put(spine, f"{base}/GREETING", value="hello, ${DEVICE_ID} $${x}", restart=True)
    greeting = f"hello, {device.id} ${{x}}"
    wanted = f"started with {greeting}, no token"
    await until(lambda: said(spine, project)[-1:] == [wanted], what="the app anew")
    await until(lambda: is_current(spine, project), what="the report")

    put(spine, f"{base}/TOKEN", value="t0p-s3cr3t", secret=True)
    await until(lambda: is_current(spine, project), what="the report of the secret")
    assert file_of(device)["TOKEN"] == "t0p-s3cr3t"
    assert len(said(spine, project)) == 2, "no restart was asked for"
    shown = spine.api.get(f"/devices/{device.id}/envars")
    assert shown["variables"]["TOKEN"] | {"changed_at": ""} == {
        "value": None, "secret": True, "restart": False, "changed_at": "", "level": "project",
    }  # fmt: skip
    assert shown["variables"]["GREETING"]["value"] == greeting
    assert "t0p-s3cr3t" not in device.log + spine.log


async def test_the_nearer_wins_and_only_whom_it_concerns_is_sent_it(
    spine: Spine, project: Project, device: Device
) -> None:
    await until(lambda: is_current(spine, project), what="the defaults")
    spine.api.ask("PATCH", f"/devices/{device.id}", {"group": "canary"})
    base = f"/projects/{project.id}"

    def shown() -> tuple[str, str]:
        one = spine.api.get(f"/devices/{device.id}/envars")["variables"].get("WHO")
        return (one["value"], one["level"]) if one else ("", "")

    for path, level in (
        (f"/devices/{device.id}", "device"), (f"{base}/groups/canary", "group"), (base, "project"),
    ):  # fmt: skip
        put(spine, f"{path}/envars/WHO", value=level)

    await until(lambda: is_current(spine, project), what="all of it applied")
    assert shown() == ("device", "device")
    before = status(spine, project)["version"]
    spine.api.make(f"{base}/groups", {"name": "other"})
    put(spine, f"{base}/groups/other/envars/WHO", value="others")
    put(spine, f"{base}/envars/WHO", value="project, changed")
    assert status(spine, project)["version"] == before, "something nearer has the name"
    for path, then in (
        (f"/devices/{device.id}", ("group", "group")),
        (f"{base}/groups/canary", ("project, changed", "project")),
        (base, ("", "")),
    ):
        assert spine.api.ask("DELETE", f"{path}/envars/WHO").status == 204
        assert shown() == then
    await until(lambda: is_current(spine, project), what="the last of it applied")
    assert "WHO" not in file_of(device)


async def test_who_was_away_gets_the_newest_and_starts_from_its_disk(
    spine: Spine, project: Project, device: Device
) -> None:
    """Through the end of the agent, of the broker and of the hub."""
    base = f"/projects/{project.id}/envars"
    put(spine, f"{base}/GREETING", value="first")
    await until(lambda: is_current(spine, project), what="the first one")
    device.kill()
    for value in ("second", "third"):
        put(spine, f"{base}/GREETING", value=value, restart=True)
    assert status(spine, project)["applied"] < status(spine, project)["version"]
    pending = spine.api.get(f"/projects/{project.id}/envar-statuses?pending=true")
    assert [one["device"] for one in pending] == [device.id]
    device.start()

    def says(greeting: str) -> bool:
        return said(spine, project)[-1:] == [f"started with {greeting}, no token"]

    await until(lambda: says("third"), what="the newest")
    await until(lambda: is_current(spine, project), what="its report")
    assert "started with first, no token" in said(spine, project), "from the disk, before the hub"
    assert not any("second" in line for line in said(spine, project))
    spine.kill_hub()
    await spine.embedded.mosquitto.restart()
    spine.start_hub()
    put(spine, f"{base}/GREETING", value="fourth", restart=True)
    await until(lambda: says("fourth"), what="the one after all that")
    await until(lambda: is_current(spine, project), what="its report, too")


async def test_by_hand_as_the_protocol_says(spine: Spine, project: Project) -> None:
    """The answer to a hello, what comes down, and what is said of it, by somebody else's client."""
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token)

    def says(**state: Any) -> None:
        device.publish(device.topics.state, json.dumps(state).encode())

    def hears(version: int = 1) -> tuple[int, dict[str, str]]:
        told: dict[str, Any] = {"version": 0}
        while told["version"] < version:  # what is known may come again
            told = device.answer(device.topics.wanted("envars"))
        return told["version"], {one["name"]: one["value"] for one in told["envars"]}

    says(versions={"envars": 0})
    first, values = hears()
    await until(lambda: bool(status(spine, project)), what="the device")
    says(versions={"envars": first})
    await until(lambda: is_current(spine, project), what="the report")
    put(spine, f"/devices/{device.client}/envars/A", value="one")
    assert hears(first + 1) == (first + 1, {**values, "A": "one"})
    says(versions={"envars": first}, errors={"envars": "the disk is full"})
    await until(lambda: status(spine, project)["error"] != "", what="the reason")
    shown = status(spine, project)
    assert (shown["applied"], shown["error"]) == (first, "the disk is full")
    for garbage in (b"", b"[]", b'{"versions":{"envars":"1"}}', b'{"versions":{"envars":-1}}'):
        device.publish(device.topics.state, garbage)
    device.close()
    back = device.again().open()
    answer = back.say(back.greeting(back.nonce()))
    assert answer["versions"]["envars"] == first + 1
    back.close()


def test_changes_are_bound_to_what_was_read_and_secrets_stay(
    spine: Spine, project: Project
) -> None:
    """`PATCH` with null, `If-Match`, `If-None-Match`, and a secret that is kept."""
    spine.api.make(f"/projects/{project.id}/groups", {"name": "canary"})
    path = f"/projects/{project.id}/groups/canary/envars"
    empty = spine.api.ask("GET", path)
    assert (empty.status, empty.body, empty.headers["ETag"]) == (200, {"variables": {}}, '"1"')
    body = {"variables": {"A": {"value": "a"}, "KEY": {"value": "t0p", "secret": True}}}
    made = spine.api.ask("PUT", path, body, {"If-Match": '"1"'})
    assert (made.status, made.headers["ETag"]) == (200, '"2"')
    change = {"variables": {"A": None, "B": {"value": "b"}, "KEY": {"restart": True}}}
    assert spine.api.ask("PATCH", path, change, {"If-Match": '"1"'}).status == 412
    changed = spine.api.ask("PATCH", path, change, {"If-Match": '"2"'}).body["variables"]
    assert {name: (one["value"], one["restart"]) for name, one in changed.items()} == {
        "B": ("b", False), "KEY": (None, True),
    }  # fmt: skip
    absent = {"If-None-Match": "*"}
    assert spine.api.ask("PUT", f"{path}/B", {"value": "x"}, absent).status == 412
    assert spine.api.ask("PUT", f"{path}/C", {"value": "c"}, absent).status == 200
    assert spine.api.ask("GET", f"{path}/A").status == 404
    for wrong, pointer in (
        ({"value": "${DEVICE}"}, "/variables/D/value"), ({"secret": "yes"}, "/secret"),
    ):  # fmt: skip
        refused = spine.api.ask("PUT", f"{path}/D", wrong)
        assert (refused.status, refused.body["errors"][0]["pointer"]) == (422, pointer)
    assert spine.api.ask("PUT", f"{path}/1D", {"value": "x"}).status == 422
    own = f"/projects/{project.id}/envars"
    kept = spine.api.ask("DELETE", f"{own}/ISAAX_METRICS")
    assert (kept.status, kept.body["type"]) == (409, "/problems/conflict")
    log = json.dumps(spine.api.get("/audit?limit=200"))
    assert "groups/{group}/envars" in log
    assert "t0p" not in log + spine.log


async def test_a_log_is_switched_off_and_on_without_a_restart(
    spine: Spine, project: Project, tmp_path: Path
) -> None:
    app = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"
    device = Device.make(tmp_path / "device", spine, project, app)
    device.start()
    path = f"/projects/{project.id}/envars/ISAAX_LOG_APP"
    try:
        await until(lambda: len(said(spine, project)) > 3, what="some lines")
        put(spine, path, value="false")
        await until(lambda: is_current(spine, project), what="silence")
        here = said(spine, project)
        put(spine, path, value="true")
        await until(lambda: len(said(spine, project)) > len(here) + 20, what="more lines")
        numbers = [int(line.removeprefix("line ")) for line in said(spine, project)]
        assert numbers == sorted(numbers), "the app was not started anew"
        assert len(numbers) < numbers[-1], "what was said meanwhile is not there"
    finally:
        assert device.stop() == 0


WITHOUT = [one for one in HubSettings().services if one not in {"envars", "triggers"}]


@pytest.fixture
def without() -> Iterator[Spine]:
    """A hub that keeps no variables."""
    with running_spine({"hub": {"services": WITHOUT}}) as spine:
        yield spine


@pytest.fixture
def elsewhere() -> Iterator[Spine]:
    """A hub whose variables others are to keep."""
    remote = ["envars", "triggers"]
    with running_spine({"hub": {"services": WITHOUT, "remote": remote}}) as spine:
        yield spine


async def test_switched_off_it_is_not_available_and_nothing_else_is_harmed(
    without: Spine, tmp_path: Path
) -> None:
    """Devices come and send all the same; the API says what is not there."""
    project = without.project()
    device = Device.make(tmp_path / "device", without, project, APP)
    device.start()
    try:
        wanted = ["started with nothing, no token"]
        await until(lambda: said(without, project) == wanted, what="the app")
        answer = without.api.ask("GET", f"/projects/{project.id}/envars")
        assert (answer.status, answer.body["type"]) == (501, "/problems/not-available")
    finally:
        assert device.stop() == 0


async def test_in_processes_of_its_own_and_twice_it_does_the_same(
    elsewhere: Spine, tmp_path: Path
) -> None:
    """Moved by config alone: one hub has all else, two others variables and triggers."""
    others = []
    for name in ("one", "two"):
        elsewhere.extra = {
            "hub": {"services": ["envars", "triggers"], "remote": WITHOUT, "name": name}
        }
        config = tmp_path / f"{name}.toml"
        elsewhere.write_config().rename(config)
        others.append(serve(config, tmp_path / f"{name}.log"))
    try:
        project = elsewhere.project()
        device = Device.make(tmp_path / "device", elsewhere, project, APP)
        device.start()
        path = f"/projects/{project.id}/envars"

        def has_defaults() -> bool:
            answer = elsewhere.api.ask("GET", path)
            return answer.status == 200 and "ISAAX_METRICS" in answer.body["variables"]

        await until(has_defaults, what="the defaults", timeout=60)
        for number in range(5):
            put(elsewhere, f"{path}/GREETING", value=f"hello {number}", restart=number == 4)
        wanted = ["started with hello 4, no token"]
        await until(lambda: said(elsewhere, project)[-1:] == wanted, what="the last one")
        await until(lambda: is_current(elsewhere, project), what="the report")
        assert device.stop() == 0
    finally:
        for process in others:
            process.terminate()
        codes = [process.wait(40) for process in others]
    assert codes == [0, 0]
