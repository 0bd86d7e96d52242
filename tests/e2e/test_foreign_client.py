"""A client that knows nothing but docs/protocol.md, in another language, against a whole hub."""

import asyncio
import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.deadline import until
from tests.fixtures.spine import Project, Spine

CLIENT = Path(__file__).parent / "clients" / "device.pl"


def run(
    spine: Spine, project: Project, state: Path, lines: Sequence[str], *options: str
) -> dict[str, Any]:
    """Have the client deliver `lines`; gives its state afterwards."""
    port = str(spine.embedded.ports.mqtt)
    done = subprocess.run(
        ["perl", str(CLIENT), *options, "127.0.0.1", port, project.id, project.token, str(state)],
        input="".join(f"{line}\n" for line in lines).encode(),
        capture_output=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    after: dict[str, Any] = json.loads(state.read_bytes())
    assert after["spool"] == []
    return after


def stored(spine: Spine, project: Project) -> list[str]:
    """All messages of the project's stream `app`, oldest first."""
    messages: list[str] = []
    path = f"/projects/{project.id}/logs?limit=1000&stream=app"
    while path:
        page = spine.api.ask("GET", path)
        assert page.status == 200, page
        messages = [line["message"] for line in page.body] + messages
        link = re.search(r'</api/v1(/[^>]+)>; rel="next"', page.headers.get("Link", ""))
        path = link[1] if link else ""
    return messages


async def test_a_client_written_from_the_page_delivers_in_both_forms(
    spine: Spine, tmp_path: Path
) -> None:
    project = spine.project("foreign")
    state = tmp_path / "state"
    lines = [f"línea {n} – 日本 🎉 \t\x01" for n in range(1, 1201)]
    first = run(spine, project, state, lines)
    assert (first["boot"], first["next"]) == (1, 1201)
    more = [f"große Zeile {n}" for n in range(1201, 2402)]
    second = run(spine, project, state, more, "--json")
    assert (second["boot"], second["next"]) == (1, 2402)
    assert second["device"] == first["device"]
    assert second["session"] != first["session"]
    await until(lambda: len(stored(spine, project)) >= 2401, what="2,401 lines")
    assert stored(spine, project) == lines + more
    (seen,) = spine.api.get(f"/projects/{project.id}/devices")
    assert seen["id"] == first["device"]
    assert seen["status"] == "active"


async def test_a_device_whose_state_is_an_old_copy_loses_no_line(
    spine: Spine, tmp_path: Path
) -> None:
    project = spine.project("restored")
    state = tmp_path / "state"
    run(spine, project, state, ["one", "two"])
    old = state.read_bytes()
    run(spine, project, state, ["three", "four"])
    state.write_bytes(old)
    after = run(spine, project, state, ["five", "six"])
    assert (after["boot"], after["next"]) == (2, 3)
    await until(lambda: len(stored(spine, project)) >= 6, what="six lines")
    assert stored(spine, project) == ["one", "two", "three", "four", "five", "six"]


async def test_it_does_commands_as_the_page_says(spine: Spine, tmp_path: Path) -> None:
    """Once each: a script, one that takes too long, what it cannot do; not what is cancelled."""
    project = spine.project("obedient")
    state, count = tmp_path / "state", tmp_path / "count"
    device = run(spine, project, state, [])["device"]

    def send(action: dict[str, Any], **more: Any) -> str:
        body = {"action": action, **more}
        return str(spine.api.make(f"/devices/{device}/commands", body)["id"])

    def script(body: str, **more: Any) -> str:
        return send({"type": "script", "body": body}, **more)

    cancelled = script(f"echo never >>{count}")
    assert spine.api.ask("DELETE", f"/projects/{project.id}/commands/{cancelled}").status == 200
    sent = [
        script(f"echo x >>{count}; echo größer; echo no >&2; exit 3"),
        script("sleep 1000", timeout=2),
        send({"type": "reboot"}),
    ]
    after = await asyncio.to_thread(run, spine, project, state, ["a line"], "--commands=3")
    assert after["replies"] == {}
    history = {one["command"]: one for one in spine.api.get(f"/devices/{device}/commands")}
    said, late, refused = (history[one] for one in sent)
    assert (said["status"], said["code"], said["output"]) == ("failed", 3, "größer\nno\n")
    assert (late["status"], late["code"]) == ("timeout", -9)
    assert (refused["status"], refused["error"]) == ("refused", "this client does scripts alone")
    assert history[cancelled]["status"] == "cancelled"
    assert count.read_text() == "x\n"
