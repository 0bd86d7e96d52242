"""The main job, whole: a real agent's lines reach a TLS syslog receiver, set up over REST."""

from pathlib import Path

from tests.deadline import until
from tests.fixtures.spine import Device, Spine


async def test_an_agents_lines_are_stored(spine: Spine, tmp_path: Path) -> None:
    """From nothing but a project token: it registers, opens a session, and its lines are there."""
    project = spine.project()
    device = Device.make(tmp_path / "device", spine, project, "seq 1 500; sleep 1000")
    device.start()
    try:

        def stored() -> bool:
            lines = spine.api.get(f"/projects/{project.id}/logs?limit=1000&stream=app")
            return [line["message"] for line in lines] == [str(n) for n in range(1, 501)]

        await until(stored, what="500 lines in order")
        (seen,) = spine.api.get(f"/projects/{project.id}/devices")
        assert seen["id"] == device.id
        assert seen["online"]
        assert seen["status"] == "active"
    finally:
        assert device.stop() == 0
    await until(
        lambda: not spine.api.get(f"/devices/{device.id}")["online"], what="the device offline"
    )
