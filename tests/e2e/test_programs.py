"""Two programs of a real agent, as the hub and its people see them."""

import json
from pathlib import Path
from typing import Any

from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.spine import Device, Spine


async def test_how_programs_fare_is_seen_and_found(spine: Spine, tmp_path: Path) -> None:
    project = spine.project()
    directory = tmp_path / "app"
    directory.mkdir()
    (directory / "isaax.json").write_text('{"name": "thermostat", "version": "1.4.2"}')
    worker = f'command = "echo work; [ ! -e {tmp_path / "broken"} ] || exit 3; exec sleep 1000"'
    device = Device.make(
        tmp_path / "device", spine, project, "echo web; exec sleep 1000",
        **{"programs.worker": f'{worker}\ndirectory = "{directory}"\nrestart = "never"'},
    )  # fmt: skip
    device.start()

    def app() -> dict[str, Any]:
        answer = spine.api.ask("GET", f"/devices/{device.id}") if device.id else None
        return (answer.body["app"] or {}) if answer and answer.status == 200 else {}

    await until(lambda: app().get("state") == "running", what="the app")
    assert app()["revision"] == "1.4.2"
    assert {one["name"]: one["state"] for one in app()["programs"]} == {
        "app": "running", "worker": "running",
    }  # fmt: skip

    def lines() -> dict[str, str]:
        found = spine.api.get(f"/projects/{project.id}/logs?stream=app")
        return {line["program"]: line["message"] for line in found}

    await until(lambda: lines() == {"app": "web", "worker": "work"}, what="lines of both")

    device.stop()
    (tmp_path / "broken").touch()
    device.start()
    await until(lambda: app().get("state") == "failed", what="the failure")
    failed = {one["name"]: one for one in app()["programs"]}
    assert (failed["worker"]["exit"], failed["app"]["state"]) == (3, "running")
    found = spine.api.get(f"/projects/{project.id}/devices?app=failed&revision=1.4.2")
    assert [one["id"] for one in found] == [device.id]
    assert spine.api.get(f"/projects/{project.id}/devices?app=running") == []

    isaax = Isaax(
        tmp_path, {"ISAAX_URL": f"http://127.0.0.1:{spine.http}", "ISAAX_TOKEN": spine.token}
    )
    listed = isaax.run("devices", "list", "--app", "failed", "--project", project.id, "--json")
    assert [one["app"]["state"] for one in json.loads(listed.stdout)] == ["failed"], listed
    shown = isaax.run("devices", "show", device.id, "--project", project.id).stdout
    assert "worker failed" in shown
    device.stop()
