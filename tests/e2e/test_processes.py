"""The hub split over processes by its config alone: the gateway here, everything else there."""

import contextlib
from pathlib import Path

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.spine import Api, Device, Spine, serve

EVERYTHING_ELSE = ["accounts", "projects", "auth", "devices", "messages", "relay"]


async def test_a_gateway_of_its_own_serves_what_others_do(spine: Spine, tmp_path: Path) -> None:
    """A second process with the gateway alone answers every route, over the same bus."""
    port = free_port()
    spine.extra = {
        "hub": {"services": ["gateway"], "remote": EVERYTHING_ELSE, "name": "edge"},
        "http": {"port": port},
    }
    config = tmp_path / "edge.toml"
    spine.write_config().rename(config)
    edge = serve(config, tmp_path / "edge.log")
    try:
        api = Api(f"http://127.0.0.1:{port}", spine.token)

        def answers() -> bool:
            with contextlib.suppress(OSError):
                return api.ask("GET", "/projects").status == 200
            return False

        await until(answers, what="the gateway", timeout=40)
        project = spine.project("made there")
        assert api.get(f"/projects/{project.id}")["name"] == "made there"
        device = Device.make(tmp_path / "device", spine, project, "echo hello; sleep 1000")
        device.start()
        try:

            def shown() -> bool:
                lines = api.get(f"/projects/{project.id}/logs?stream=app")
                return [line["message"] for line in lines] == ["hello"]

            await until(shown, what="the line, through the other gateway")
        finally:
            assert device.stop() == 0
    finally:
        edge.terminate()
        assert edge.wait(40) == 0
