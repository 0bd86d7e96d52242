"""The hub split over processes by its config alone."""

import asyncio
import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.embedded.ports import free_port
from hub.permissions import Role
from hub.relay.share import part_of
from tests.deadline import until
from tests.e2e.test_live_tail import account_of, seen_at_the_end, tail
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.spine import Api, Device, Spine, running_spine, serve
from tests.fixtures.tenants import joined

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
            account = account_of(spine)
            who = await asyncio.to_thread(joined, spine, account, Role.VIEWER)
            path = f"/api/v1/projects/{project.id}/logs"
            with tail(spine, path, token=who.tokens[account], port=port) as events:
                removed = spine.api.ask("DELETE", f"/accounts/{account}/members/{who.id}")
                assert removed.status == 204
                assert seen_at_the_end(events) == ["unauthenticated"]
        finally:
            assert device.stop() == 0
    finally:
        edge.terminate()
        assert edge.wait(40) == 0


# ── deliveries in processes of their own ──────────────────────────────────────────────────────


class Deliverers:
    """The processes that deliver, one for each part."""

    def __init__(self, spine: Spine, folder: Path) -> None:
        self._spine = spine
        self._folder = folder
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, part: int) -> None:
        """Start the process of one part."""
        before = self._spine.extra
        self._spine.extra = {
            "hub": {"services": ["delivery"], "remote": EVERYTHING_ELSE, "name": f"part-{part}"},
            "relay": {"parts": 2, "part": part},
        }
        config = self._folder / f"part-{part}.toml"
        self._spine.write_config().rename(config)
        self._spine.extra = before
        self._processes[part] = serve(config, self._folder / f"part-{part}.log")

    def process(self, part: int) -> subprocess.Popen[bytes]:
        """Give the process of a part."""
        return self._processes[part]

    def log(self, part: int) -> str:
        """Give what the process of a part has said."""
        return (self._folder / f"part-{part}.log").read_text()

    def kill(self, part: int) -> None:
        """kill -9."""
        process = self._processes.pop(part)
        process.kill()
        process.wait()

    def end(self) -> list[int]:
        """SIGTERM to all; give their exit codes."""
        for process in self._processes.values():
            process.terminate()
        return [process.wait(40) for process in self._processes.values()]


def _integrate(api: Api, project: str, config: dict[str, Any], number: int) -> str:
    """Make a webhook that says its number in a header; give its id."""
    made = api.make(
        f"/projects/{project}/integrations",
        {
            "type": "webhook",
            "name": f"number {number}",
            "config": config | {"headers": {"x-name": str(number)}},
            "shape": {"filter": {"include": [{"streams": ["app"]}]}},
        },
    )
    return str(made["id"])


@pytest.fixture
def undelivering() -> Iterator[Spine]:
    """A hub that takes lines in, and leaves delivering to others."""
    with running_spine({"relay": {"parts": 2, "delivers": False}}) as spine:
        yield spine


async def test_deliveries_are_shared_by_processes(undelivering: Spine, tmp_path: Path) -> None:
    """Each integration is delivered by one of two; a killed one's lines wait for its return."""
    spine = undelivering
    deliverers = Deliverers(spine, tmp_path)
    async with http_receiver(webhook_texts, {}) as receiver:

        def arrived() -> Counter[str]:
            return Counter(
                f"{request.headers['x-name']} {text}"
                for request in receiver.requests
                for text in webhook_texts(request)
            )

        deliverers.start(0)
        deliverers.start(1)
        project = spine.project("shared")
        made = [_integrate(spine.api, project.id, receiver.config, n) for n in range(6)]
        assert {part_of(one, 2) for one in made} == {0, 1}
        go = tmp_path / "go"
        app = f"echo one; while [ ! -e {go} ]; do sleep 0.1; done; echo two; sleep 1000"
        device = Device.make(tmp_path / "device", spine, project, app)
        device.start()
        try:
            await until(lambda: len(arrived()) == 6, what="one line, everywhere", timeout=60)
            states = [spine.api.get(f"/integrations/{one}")["status"]["delivered"] for one in made]
            assert states == [1] * 6
            deliverers.kill(1)
            go.touch()
            own = [n for n, one in enumerate(made) if part_of(one, 2) == 0]
            await until(lambda: all(arrived()[f"{n} two"] for n in own), what="part 0 goes on")
            assert sum(arrived().values()) == 6 + len(own)
            deliverers.start(1)
            await until(lambda: len(arrived()) == 12, what="the rest, once part 1 is back")
            assert set(arrived().values()) == {1}
        finally:
            device.stop()
            assert await asyncio.to_thread(deliverers.end) == [0, 0]


async def test_a_second_process_of_the_same_part_does_not_begin(
    undelivering: Spine, tmp_path: Path
) -> None:
    """By mistake, as when its config was copied: each line would be sent twice."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = (
        Deliverers(undelivering, tmp_path / "one"),
        Deliverers(undelivering, tmp_path / "two"),
    )
    one.start(0)
    try:
        await until(lambda: "ready" in one.log(0), what="the first one", timeout=40)
        two.start(0)
        code = await asyncio.to_thread(two.process(0).wait, 60)
        assert code != 0
        assert "another process delivers part 0" in two.log(0)
        assert "relay.part of its own" in two.log(0)
        assert one.process(0).poll() is None
        one.kill(0)
        two.start(0)
        await until(lambda: "ready" in two.log(0), what="the other one, after a kill", timeout=40)
    finally:
        ended = await asyncio.to_thread(two.end)
        await asyncio.to_thread(one.end)
    assert ended == [0]
