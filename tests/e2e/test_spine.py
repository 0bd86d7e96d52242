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
        with spine.client() as hub:
            logs = hub.read_logs(project.id, limit=1000, stream="app")
            wanted = [str(n) for n in range(1, 501)]
            await until(
                lambda: [line.message for line in logs] == wanted, what="500 lines in order"
            )
            (seen,) = hub.list_devices(project.id)
        assert seen.id == device.id
        assert seen.online
        assert seen.status == "active"
    finally:
        assert device.stop() == 0
    with spine.client() as hub:
        await until(lambda: not hub.get_device(device.id).value.online, what="the device offline")


def test_a_change_can_be_bound_to_what_was_read(spine: Spine) -> None:
    """`If-Match`: the version read goes through, an older one is 412, `*` is any that exists."""
    project = spine.api.make("/projects", {"name": "first"})
    path = f"/projects/{project['id']}"
    tag = spine.api.ask("GET", path).headers["ETag"]
    renamed = spine.api.ask("PATCH", path, {"name": "second"}, {"If-Match": tag})
    assert renamed.status == 200
    assert renamed.body["name"] == "second"
    assert spine.api.ask("PATCH", path, {"name": "third"}, {"If-Match": tag}).status == 412
    assert spine.api.ask("PATCH", path, {"name": "third"}, {"If-Match": "*"}).status == 200
    assert spine.api.ask("DELETE", path, headers={"If-Match": tag}).status == 412
    assert spine.api.ask("DELETE", path, headers={"If-Match": "*"}).status == 204
    assert spine.api.ask("DELETE", path).status == 404


def test_secrets_go_in_and_never_come_out(spine: Spine) -> None:
    """A config shows masks; a mask keeps the secret, but not beside another address."""
    project = spine.project()
    config = {"url": "https://example.com/in", "secret": "whsec_" + "c2VjcmV0" * 4}
    made = spine.api.make(
        f"/projects/{project.id}/integrations",
        {"type": "webhook", "name": "hook", "config": config},
    )
    assert made["config"]["secret"] == "********"
    path = f"/integrations/{made['id']}"
    again = spine.api.ask("PATCH", path, {"name": "renamed"})
    assert again.status == 200, again
    moved = {"config": {"url": "https://elsewhere.example.com/in"}}
    refused = spine.api.ask("PATCH", path, moved)
    assert refused.status == 422
    assert "give the secrets again" in refused.body["detail"]
    moved["config"]["secret"] = config["secret"]
    assert spine.api.ask("PATCH", path, moved).status == 200
    unknown = spine.api.ask("PATCH", path, {"config": {"hots": "x"}})
    assert unknown.body["errors"][0]["pointer"] == "/config/hots"
    assert config["secret"] not in spine.log
