"""Two whole hubs beside each other: all is done once, and one of them goes on without the other."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.ending import AGE, Ending
from tests.fixtures.mail import MailServer
from tests.fixtures.rawdevice import batch, measured, open_device
from tests.fixtures.spine import ROOT, Api, Device, Spine, running_spine, serve


class Second:
    """The same hub once more, with a port of its own."""

    def __init__(self, spine: Spine, folder: Path) -> None:
        self._folder = folder
        port = free_port()
        spine.extra = {**spine.extra, "hub": {"name": "second"}, "http": {"port": port}}
        self.config = folder / "second.toml"
        spine.write_config("second").rename(self.config)
        del spine.extra["hub"], spine.extra["http"]
        self.api = Api(f"http://127.0.0.1:{port}", spine.token)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has said."""
        return (self._folder / "second.log").read_text()

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        self.process = serve(self.config, self._folder / "second.log")

        def is_ready() -> bool:
            with contextlib.suppress(OSError):
                return self.api.ask("GET", "/../../readyz").status == 200
            return False

        await until(is_ready, what="the second hub", timeout=60)


@pytest.fixture
def first() -> Iterator[Spine]:
    """One hub, whole."""
    mail = {
        "host": "localhost", "port": free_port(), "security": "none",
        "sender": "Isaax <hub@example.com>",
    }  # fmt: skip
    with running_spine({"mail": mail}) as running:
        yield running


async def test_one_works_beside_the_other_and_goes_on_when_it_is_killed(
    first: Spine, tmp_path: Path
) -> None:
    """Lines, variables, scripts, alerts and mails: once each, through either, and nothing lost."""
    second = Second(first, tmp_path)
    mails = MailServer({}, None)
    await mails.start(None, "none", first.extra["mail"]["port"])
    await second.start()
    assert second.process is not None
    for service in ("relay", "auth"):
        assert _stands_by(second.log, service)
        assert not _stands_by(first.log, service)
    async with http_receiver(webhook_texts, {}) as receiver:

        def arrived() -> Counter[str]:
            return Counter(text for one in receiver.requests for text in webhook_texts(one))

        project = first.project("twice")
        of_project = f"/projects/{project.id}"
        second.api.make(
            f"{of_project}/integrations",
            {"type": "webhook", "name": "all", "config": receiver.config},
        )
        second.api.make(
            f"{of_project}/alert-rules",
            {
                "name": "hot", "kind": "metric", "metric": "room_celsius",
                "over": 30, "minutes": 60,
            },
        )  # fmt: skip
        go, count = tmp_path / "stop", tmp_path / "count"
        app = (
            f"i=0; while [ ! -e {go} ]; do i=$((i+1)); echo line $i; sleep 0.05; done; "
            f"echo last $i $GREETING; sleep 1000"
        )
        device = Device.make(tmp_path / "device", first, project, app)
        device.start()
        sensor = await open_device(first.embedded.ports.mqtt, project.id, project.token, "sensor")
        assert sensor.send(measured("room_celsius", 50.5), "metric.device")["op"] == "ack"
        try:
            await until(lambda: arrived()["line 20"] > 0, what="lines", timeout=60)
            assert set(arrived().values()) == {1}

            async def run(api: Api, word: str, how: str) -> None:
                action = {"type": "script", "body": f"echo {word} >>{count}"}
                body = {"action": action}
                made = api.make(f"/devices/{device.id}/commands", body)
                path = f"{of_project}/commands/{made['id']}/results"
                await until(
                    lambda: [one["status"] for one in api.get(path)] == ["done"],
                    what=how, timeout=60,
                )  # fmt: skip

            await run(second.api, "one", "a script that the other gateway was asked for")
            await _test_mail(second.config)
            await until(lambda: len(mails.mails) == 1, what="the mail")
            table = Ending(first, cast("Any", None), cast("Any", None), set())

            async def has_held_for_an_hour() -> bool:
                return bool(await table.rows(AGE))

            await until(has_held_for_an_hour, what="what is to be told", timeout=40)
            await until(lambda: _told(arrived()) == 1, what="the alert", timeout=60)

            await asyncio.to_thread(first.kill_hub)
            put = second.api.ask("PUT", f"{of_project}/envars/GREETING", {"value": "hello"})
            assert put.status == 200, put
            await until(lambda: "takes over" in second.log, what="the other to take over")
            reached = max(_numbers(arrived()))
            await until(
                lambda: max(_numbers(arrived())) > reached + 50, what="lines to go on", timeout=60
            )
            assert sensor.send(batch("by the other one"))["op"] == "ack"
            await run(second.api, "two", "a script that is run by what is left")
            state = f"/devices/{device.id}/envars"
            await until(
                lambda: "hello" in str(second.api.ask("GET", state).body), what="the variable"
            )

            await asyncio.to_thread(first.start_hub)
            await until(lambda: _stands_by(first.log, "relay"), what="the first to stand by")
            assert first.api.get(of_project) == second.api.get(of_project)
            go.touch()
            await until(lambda: any(t.startswith("last ") for t in arrived()), what="the last line")
            found = arrived()
            (last,) = (int(text.split()[1]) for text in found if text.startswith("last "))
            numbers = _numbers(found)
            assert set(range(1, last + 1)) <= set(numbers), "nothing is lost"
            # What the first had sent and not yet written down comes again: at most what it had
            # taken between two notes.
            twice = [number for number in numbers if found[f"line {number}"] > 1]
            assert len(twice) < 200
            assert all(found[f"line {number}"] <= 2 for number in twice)
            assert count.read_text().split() == ["one", "two"]
            assert _told(found) == 1
            assert len(mails.mails) == 1
        finally:
            device.stop()
            sensor.close()
            second.process.terminate()
            code = await asyncio.to_thread(second.process.wait, 60)
            await mails.end()
    assert code == 0
    assert _errors(second.log) == []


def _said(log: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.splitlines()]


def _stands_by(log: str, service: str) -> bool:
    return any((one["event"], one.get("of")) == ("stands by", service) for one in _said(log))


def _numbers(texts: Counter[str]) -> list[int]:
    return [int(text.split()[1]) for text in texts if text.startswith("line ")]


def _told(texts: Counter[str]) -> int:
    return sum(number for text, number in texts.items() if "room_celsius" in text)


def _errors(log: str) -> list[dict[str, Any]]:
    return [one for one in _said(log) if one["level"] in {"error", "critical"}]


async def _test_mail(config: Path) -> Any:
    command = [sys.executable, "-P", "-m", "hub.cli", "mail", "test", "ops@example.com"]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
