"""Commands on real agents: once on each, in time, and with a last word whatever happens."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.spine import Device, Project, Spine

Make = Callable[..., Device]


@pytest.fixture
def project(spine: Spine) -> Project:
    return spine.project()


@pytest.fixture
def make(spine: Spine, project: Project, tmp_path: Path) -> Iterator[Make]:
    """Make devices that run, with what else their files are to say."""
    made: list[Device] = []

    def one(name: str, first: str = "", app: str = "exec sleep 1000", **tables: str) -> Device:
        device = Device.make(tmp_path / name, spine, project, app, **tables)
        device.config.write_text(first + device.config.read_text())
        device.start()
        made.append(device)
        return device

    yield one
    for device in made:
        if device.process is not None and device.process.poll() is None:
            device.stop()


def run(spine: Spine, project: Project, body: str, **more: Any) -> str:
    """Run a script; give the id of the command."""
    action = {"type": "script", "body": body}
    wanted = {"action": action, **({} if "device" in more else {"all": True}), **more}
    return str(spine.api.make(f"/projects/{project.id}/commands", wanted)["id"])


def send(spine: Spine, device: Device, kind: str, **more: Any) -> str:
    """Send a command to a device; give its id."""
    body = {"action": {"type": kind, **more}}
    return str(spine.api.make(f"/devices/{device.id}/commands", body)["id"])


def results(spine: Spine, project: Project, command: str) -> dict[str, dict[str, Any]]:
    """Give what became of it, by device."""
    path = f"/projects/{project.id}/commands/{command}/results"
    return {one["device"]: one for one in spine.api.get(path)}


async def become(spine: Spine, project: Project, command: str, **wanted: str) -> None:
    """Wait until the devices' results are these."""

    def are_so() -> bool:
        found = results(spine, project, command)
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
    shown = spine.api.get(f"/projects/{project.id}/commands/{both}")
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


async def test_the_programs_of_a_device_do_what_they_are_told(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    """Each has its answer, and all are in the device's history, the newest first."""
    log = tmp_path / "log"
    app = f"trap 'echo hup >>{log}' HUP; echo on >>{log}; while :; do sleep 0.05; done"
    device = make("one", app=app)
    await online(spine, device)

    def says() -> str:
        return log.read_text() if log.exists() else ""

    await until(lambda: says() == "on\n", what="the app")
    told = [send(spine, device, kind) for kind in ("reload", "restart")]
    await become(spine, project, told[1], **{device.id: "done"})
    await until(lambda: says() == "on\nhup\non\n", what="the app, once more")
    told.append(send(spine, device, "stop", program="app"))
    await become(spine, project, told[2], **{device.id: "done"})
    told.append(send(spine, device, "reload"))
    await become(spine, project, told[3], **{device.id: "failed"})
    told.append(send(spine, device, "start"))
    await become(spine, project, told[4], **{device.id: "done"})
    await until(lambda: says().count("on") == 3, what="the app, started")
    told.append(send(spine, device, "restart", program="pump"))
    await become(spine, project, told[5], **{device.id: "failed"})
    history = spine.api.get(f"/devices/{device.id}/commands")
    assert [(one["command"], one["action"]["type"], one["status"]) for one in history] == [
        (told[5], "restart", "failed"), (told[4], "start", "done"), (told[3], "reload", "failed"),
        (told[2], "stop", "done"), (told[1], "restart", "done"), (told[0], "reload", "done"),
    ]  # fmt: skip
    assert "no program 'pump'" in history[0]["error"]
    assert "does not run" in history[2]["error"]
    failed = spine.api.get(f"/devices/{device.id}/commands?status=failed")
    assert [one["command"] for one in failed] == [told[5], told[3]]


async def test_a_custom_command_is_what_the_device_allows(
    spine: Spine, project: Project, make: Make
) -> None:
    device = make("one", commands='greet = ["/bin/sh", "-c", "echo hello $ISAAX_ARG_WHOM"]')
    await online(spine, device)
    greet = send(spine, device, "custom", name="greet", arguments={"whom": "$(id)"})
    await become(spine, project, greet, **{device.id: "done"})
    assert results(spine, project, greet)[device.id]["output"] == "hello $(id)\n"
    other = send(spine, device, "custom", name="wipe")
    await become(spine, project, other, **{device.id: "refused"})
    assert "[commands]: wipe = " in results(spine, project, other)[device.id]["error"]


async def test_a_reboot_is_over_when_the_device_is_back(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    """A stand-in for the system's own kills the agent, and changes the id of the boot."""
    boot, count = tmp_path / "boot", tmp_path / "count"
    boot.write_text("first\n")
    reboot = tmp_path / "reboot"
    reboot.write_text(f"#!/bin/sh\necho x >>{count}\n. {tmp_path}/effect\nkill -9 $PPID\n")
    reboot.chmod(0o700)
    first = f'rebootCommand = ["{reboot}"]\nbootIDFile = "{boot}"\n'
    device = make("one", first)
    await online(spine, device)

    async def rebooted(effect: str) -> str:
        (tmp_path / "effect").write_text(effect)
        command = send(spine, device, "reboot")
        process = device.process
        assert process is not None
        await until(lambda: process.poll() is not None, what="the device to go down", timeout=40)
        device.start()
        return command

    done = await rebooted(f"echo second >{boot}")
    await become(spine, project, done, **{device.id: "done"})
    no = await rebooted(":")
    await become(spine, project, no, **{device.id: "failed"})
    assert "not booted anew" in results(spine, project, no)[device.id]["error"]
    assert count.read_text() == "x\nx\n"


async def test_what_is_cancelled_or_whose_device_is_gone_ends(
    spine: Spine, project: Project, make: Make, tmp_path: Path
) -> None:
    device, other = make("one"), make("two")
    await online(spine, device, other)
    go, never = tmp_path / "go", tmp_path / "never"
    runs = run(spine, project, f"while [ ! -e {go} ]; do sleep 0.05; done")
    await become(spine, project, runs, **{device.id: "running", other.id: "running"})
    waits = run(spine, project, f"touch {never}")
    path = f"/projects/{project.id}/commands/{waits}"
    cancelled = spine.api.ask("DELETE", path)
    assert (cancelled.status, cancelled.body["counts"]) == (200, {"cancelled": 2})
    assert spine.api.ask("DELETE", f"/devices/{other.id}").status == 204
    await become(spine, project, runs, **{device.id: "running", other.id: "lost"})
    go.touch()
    after = run(spine, project, "true", device=device.id)
    await become(spine, project, after, **{device.id: "done"})
    assert not never.exists()
    assert spine.api.get(path)["counts"] == {"cancelled": 2}
    assert spine.api.ask("GET", f"/devices/{other.id}/commands").status == 404


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
    assert "no device that could do it" in nobody.stderr
    assert isaax.run("scripts", "run", "true", *where).returncode == 2
    again = isaax.run("commands", "send", "restart", "--device", device.id, "--wait", *where)
    assert (again.returncode, "done" in again.stdout) == (0, True)
    refused = isaax.run(
        "commands", "send", "custom", "flush", "--arg", "level=2", "--all", "--wait", *where
    )
    assert (refused.returncode, "under [commands]" in refused.stdout) == (1, True)
    listed = isaax.run("commands", "list", "--device", device.id, *where, "--json")
    kinds = [one["action"]["type"] for one in json.loads(listed.stdout)]
    assert kinds == ["custom", "restart", "script", "script"]
    (last, *_) = json.loads(isaax.run("commands", "list", *where, "--json").stdout)
    assert isaax.run("commands", "cancel", last["id"], *where).returncode == 0
    assert "refused" in isaax.run("commands", "show", last["id"], *where).stdout
    assert isaax.run("commands", "send", "reboot", "now", "--all", *where).returncode == 2
