"""A project's own scripts, whole: set over REST, run by a real agent, and told back."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.rawdevice import open_device
from tests.fixtures.spine import Device, Project, Spine

Make = Callable[[], Device]
DEFAULT = 'echo "Hello, I run before app installation"\n'


@pytest.fixture
async def project(spine: Spine) -> Project:
    """Make a project that has its scripts."""
    made = spine.project()
    await until(lambda: bool(scripts(spine, made)), what="the defaults")
    return made


@pytest.fixture
def make(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Make]:
    """Make devices, whose app writes into a file of its device that it was started."""
    made: list[Device] = []

    def one() -> Device:
        folder = tmp_path / f"device-{len(made)}"
        app = f"echo app >>{folder}/said; exec sleep 1000"
        made.append(Device.make(folder, spine, project, app))
        return made[-1]

    yield one
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.stop()


def scripts(spine: Spine, project: Project) -> dict[str, Any]:
    found: dict[str, Any] = spine.api.get(f"/projects/{project.id}/scripts")["scripts"]
    return found


def put(spine: Spine, project: Project, body: str, moment: str = "pre-install") -> int:
    """Change a script; give its version."""
    path = f"/projects/{project.id}/scripts/{moment}"
    answer = spine.api.ask("PUT", path, {"body": body})
    assert answer.status == 200, answer
    return int(answer.body["version"])


def status(spine: Spine, project: Project) -> dict[str, Any]:
    """Give how far the only device is; nothing before it is known."""
    found = spine.api.get(f"/projects/{project.id}/script-statuses")
    return found[0] if found else {}


def is_current(spine: Spine, project: Project) -> bool:
    one = status(spine, project)
    return bool(one) and one["applied"] == one["version"] > 0


def results(spine: Spine, device: Device) -> list[tuple[str, int, str, str]]:
    """Give what a device ran, the newest first; nothing before it is known."""
    answer = spine.api.ask("GET", f"/devices/{device.id}/script-results")
    if answer.status != 200:
        return []
    return [(one["moment"], one["version"], one["status"], one["output"]) for one in answer.body]


def kept(device: Device) -> dict[str, int]:
    """Give the versions of the scripts that lie on the device."""
    file = device.folder / "state/scripts.json"
    found = json.loads(file.read_bytes())["scripts"] if file.exists() else []
    return {one["moment"]: one["version"] for one in found}


def said(device: Device) -> list[str]:
    file = device.folder / "said"
    return file.read_text().split() if file.exists() else []


async def test_the_default_runs_once_before_the_app_and_is_told(
    spine: Spine, project: Project, make: Make
) -> None:
    device = make()
    device.start()
    await until(lambda: said(device) == ["app"], what="the app")
    hello = ("pre-install", 1, "done", "Hello, I run before app installation\n")
    await until(lambda: results(spine, device) == [hello], what="the result")
    assert kept(device) == {"pre-install": 1, "pre-update": 1, "post-update": 1}
    assert (device.folder / "state/scripts.json").stat().st_mode & 0o777 == 0o600

    def is_logged() -> bool:
        lines = spine.api.get(f"/projects/{project.id}/logs?stream=agent&limit=1000")
        return any(
            (one["program"], one["message"]) == ("script-pre-install", hello[3].strip())
            for one in lines
        )

    await until(is_logged, what="its output in the log")
    device.kill()
    put(spine, project, "echo two", "pre-update")
    put(spine, project, "echo three", "pre-update")
    assert status(spine, project)["applied"] < status(spine, project)["version"]
    spine.kill_hub()
    device.start()
    await until(lambda: said(device) == ["app", "app"], what="the app, without a hub")
    await spine.embedded.mosquitto.restart()
    spine.start_hub()
    await until(lambda: is_current(spine, project), what="the newest, and its report", timeout=60)
    assert kept(device)["pre-update"] == 3
    assert results(spine, device) == [hello], "once for all"


async def test_one_that_fails_holds_the_app_until_there_is_another(
    spine: Spine, project: Project, make: Make
) -> None:
    """With the variables of the device; and a hang is ended after its time."""
    spine.api.ask("PUT", f"/projects/{project.id}/envars/WHO", {"value": "me"})
    put(spine, project, 'echo "$WHO before $ISAAX_MOMENT"; exit 3')
    device = make()
    device.start()
    await until(lambda: len(results(spine, device)) == 1, what="the result")
    await until(lambda: "failed" in status(spine, project)["error"], what="the complaint")
    (first,) = results(spine, device)
    assert first[:3] == ("pre-install", 2, "failed")
    assert first[3].endswith(" before pre-install\n")
    assert (said(device), is_current(spine, project)) == ([], True)
    body = {"body": f"echo install >>{device.folder}/said; sleep 1000 & wait", "timeout": 1}
    path = f"/projects/{project.id}/scripts/pre-install"
    assert spine.api.ask("PUT", path, body).status == 200
    await until(lambda: results(spine, device)[0][1:3] == (3, "timeout"), what="its time")
    assert said(device) == ["install"]
    put(spine, project, f"echo good >>{device.folder}/said")
    await until(lambda: said(device) == ["install", "good", "app"], what="the app")
    await until(lambda: len(results(spine, device)) == 3, what="all results")
    await until(lambda: status(spine, project)["error"] == "", what="no more complaint")


def test_versions_are_bound_to_what_was_read_and_come_back(spine: Spine, project: Project) -> None:
    path = f"/projects/{project.id}/scripts/pre-install"
    begun = spine.api.ask("GET", path)
    assert (begun.body["body"], begun.headers["ETag"]) == (DEFAULT, '"1"')
    assert begun.body["changed_by"] is None
    seen = {"If-Match": '"1"'}
    assert spine.api.ask("PUT", path, {"body": "echo two"}, seen).headers["ETag"] == '"2"'
    assert spine.api.ask("PUT", path, {"body": "echo three"}, seen).status == 412
    assert spine.api.ask("PUT", path, {"body": "echo \0"}).status == 422
    assert spine.api.ask("PUT", path, {"body": ""}).status == 422
    assert spine.api.ask("DELETE", path).status == 405
    assert spine.api.ask("GET", path.replace("pre-install", "post-install")).status == 404
    back = spine.api.ask("POST", f"{path}/restore", {})
    assert (back.status, back.body["version"], back.body["body"]) == (200, 3, DEFAULT)
    again = spine.api.ask("POST", f"{path}/restore", {"version": 2})
    assert (again.body["version"], again.body["body"]) == (4, "echo two")
    assert spine.api.ask("POST", f"{path}/restore", {"version": 9}).status == 404
    found = spine.api.get(f"{path}/versions")
    assert [one["version"] for one in found] == [4, 3, 2, 1]
    assert found[0]["changed_by"]
    page = spine.api.ask("GET", f"{path}/versions?limit=3")
    assert 'rel="next"' in page.headers["Link"]
    log = json.dumps(spine.api.get("/audit?limit=200"))
    assert "scripts/{moment}" in log


async def test_by_hand_as_the_protocol_says(spine: Spine, project: Project) -> None:
    """What comes down, and what is said of it, by somebody else's client."""
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token)
    topics = device.topics
    device.publish(topics.state, b'{"versions":{"scripts":0}}')
    told = device.answer(topics.wanted("scripts"))
    assert told["version"] == 1
    assert {one["moment"]: one["version"] for one in told["scripts"]} == dict.fromkeys(
        ("pre-install", "pre-update", "post-update"), 1
    )
    assert told["scripts"][0].keys() == {"moment", "version", "body", "timeout"}
    device.publish(topics.state, b'{"versions":{"scripts":1}}')
    await until(lambda: is_current(spine, project), what="the report")
    put(spine, project, "echo two", "post-update")
    assert device.answer(topics.wanted("scripts"))["version"] == 2
    ran = {"moment": "post-update", "version": 2, "at": 1_700_000_000}
    reply = {"status": "ended", "code": 21, "output": "later\n", "seconds": 0.5, "ran": ran}
    for _ in range(2):
        device.publish(topics.reply("mom_1"), json.dumps(reply).encode())
        assert device.answer(topics.command("mom_1")) == {"op": "known"}
    (one,) = spine.api.get(f"/devices/{device.client}/script-results")
    assert (one["status"], one["code"], one["output"]) == ("later", 21, "later\n")
    assert one["started_at"].startswith("2023-11-14T22:13:20")
    device.close()
    back = device.again().open()
    assert back.say(back.greeting(back.nonce()))["versions"]["scripts"] == 2
    back.close()


async def test_from_the_command_line(
    spine: Spine, project: Project, make: Make, isaax: Isaax
) -> None:
    isaax.log_in(spine.api.base, spine.token)
    where = ("--project", project.id)
    assert isaax.run("scripts", "get", "pre-install", *where).stdout == DEFAULT
    (isaax.home / "script").write_text("#!/bin/sh\necho from a file\n")
    done = isaax.run("scripts", "set", "pre-install", "@script", "--timeout", "9", *where, "--json")
    assert (done.returncode, json.loads(done.stdout)["version"]) == (0, 2)
    assert "from a file" in isaax.run("scripts", "get", *where).stdout
    device = make()
    device.start()
    await until(lambda: len(results(spine, device)) == 1, what="the result")
    assert "from a file" in isaax.run("scripts", "results", device.id, *where).stdout
    assert device.id in isaax.run("scripts", "status", *where).stdout
    back = isaax.run("scripts", "restore", "pre-install", "--version", "1", *where)
    assert back.returncode == 0
    shown = json.loads(isaax.run("scripts", "versions", "pre-install", *where, "--json").stdout)
    assert [(one["version"], one["timeout"]) for one in shown] == [(3, 300.0), (2, 9.0), (1, 300.0)]
    wrong = isaax.run("scripts", "get", "post-install", *where)
    assert wrong.returncode == 1
    assert "there are pre-install, pre-update, post-update" in wrong.stderr
