"""The hub split over processes by its config alone."""

import asyncio
import contextlib
import itertools
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import httpx
import pytest

from hub.embedded.ports import free_port
from hub.permissions import Role
from hub.relay.share import part_of
from hub.settings import HubSettings
from tests.deadline import until
from tests.e2e.test_live_tail import account_of, seen_at_the_end, tail
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.ending import AGE, Ending
from tests.fixtures.rawdevice import measured, open_device
from tests.fixtures.spine import MANY, Api, Device, Spine, dealt, running_spine, serve
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


# ── every service away from every other ───────────────────────────────────────────────────────

CROSSED: Final = {
    "hub": ("gateway", "triggers", "http_listener"),
    "accounts": ("accounts", "auth", "relay"),
    "projects": ("projects", "devices", "messages"),
    "mail": ("mail", "envars", "alerts"),
    "audit": ("audit", "scripts", "syslog_listener"),
    "telemetry": (),
}
"""Beside `tests.fixtures.spine.MANY`: of any two services of the default list, one of the two
layouts has them in different processes."""


def test_the_layouts_put_every_service_away_from_every_other() -> None:
    services = HubSettings().services
    shares = [list(dealt(layout, services).values()) for layout in (MANY, CROSSED)]
    for one, other in itertools.combinations(services, 2):
        apart = [not any({one, other} <= {*share} for share in some) for some in shares]
        assert any(apart), (one, other)


@pytest.fixture
def crossed() -> Iterator[Spine]:
    """A hub in six processes, with a listener."""
    extra = {"http_listener": {"host": "127.0.0.1", "port": free_port()}}
    with running_spine(extra, layout=CROSSED) as spine:
        yield spine


async def test_split_crosswise_it_all_works(crossed: Spine, tmp_path: Path) -> None:
    """What a device and its people do, where listeners, alerts and audit are not by the relay."""
    spine, port = crossed, crossed.extra["http_listener"]["port"]
    async with http_receiver(webhook_texts, {}) as receiver:

        def arrived() -> list[str]:
            return [text for one in receiver.requests for text in webhook_texts(one)]

        async def comes(text: str) -> None:
            await until(lambda: any(text in one for one in arrived()), what=text, timeout=60)

        project = spine.project("crossed")
        path = f"/projects/{project.id}"
        _integrate(spine.api, project.id, receiver.config, 1)
        away = {"name": "away", "kind": "metric", "metric": "room_celsius", "over": 30}
        spine.api.make(f"{path}/alert-rules", {**away, "minutes": 60})
        put = spine.api.ask("PUT", "/audit/export", {"project": project.id})
        assert put.status == 200, put
        device = Device.make(
            tmp_path / "device", spine, project, "echo hello $GREETING; exec sleep 1000"
        )
        device.start()
        sensor = await open_device(spine.embedded.ports.mqtt, project.id, project.token, "sensor")
        try:
            measuring = sensor.send(measured("room_celsius", 50.5), "metric.device")
            assert measuring["op"] == "ack"
            await comes("hello")
            assert await _posted(port, project.token, "by the other door") == 200
            await comes("by the other door")
            spine.api.ask(
                "PUT", f"/devices/{device.id}/envars/GREETING", {"value": "you", "restart": True}
            )
            await comes("hello you")
            audited = f"{path}/logs?stream=sys"
            await until(
                lambda: {line["program"] for line in spine.api.get(audited)} >= {"audit"},
                what="the audit log",
                timeout=40,
            )
            body = {"action": {"type": "script", "body": "echo done >&2; exit 0"}}
            run = spine.api.make(f"/devices/{device.id}/commands", body)["id"]
            results = f"{path}/commands/{run}/results"
            await until(
                lambda: [one["status"] for one in spine.api.get(results)] == ["done"],
                what="the script",
                timeout=40,
            )
            table = Ending(spine, cast("Any", None), cast("Any", None), set())

            async def has_held_for_an_hour() -> bool:
                return bool(await table.rows(AGE))

            await until(has_held_for_an_hour, what="what is to be told", timeout=40)
            told = f"{path}/logs?stream=agent"
            await until(
                lambda: "alerts" in [line["program"] for line in spine.api.get(told)],
                what="the alert",
                timeout=40,
            )
            metrics = f"/devices/{sensor.client}/metrics"
            await until(lambda: spine.api.get(metrics) != [], what="a point of a chart")
            assert len([one for one in arrived() if "by the other door" in one]) == 1
            assert [line["program"] for line in spine.api.get(told)].count("alerts") == 1
        finally:
            sensor.close()
            assert device.stop() == 0
    assert await asyncio.to_thread(spine.stop_hub) == 0


async def _posted(port: int, token: str, text: str) -> int:
    """Hand a line to the HTTP listener; give the status of the answer."""
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"http://127.0.0.1:{port}/v1/lines",
            content=text,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "text/plain"},
        )
        return answer.status_code
