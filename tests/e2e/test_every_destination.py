"""Every type of destination at once, on one hub that is configured over REST alone."""

import asyncio
import contextlib
import re
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from hub.protocol import Lines, Samples, encode_batch, encode_samples
from tests.deadline import until
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import HttpReceiver, http_receiver, webhook_texts
from tests.fixtures.everywhere import PLACES, TESTER, Arrived, Ground, Place
from tests.fixtures.http_receivers import BetterStackServer, running
from tests.fixtures.rawdevice import RawDevice, open_device
from tests.fixtures.spine import ONE, Answer, Project, Spine
from tests.fixtures.victoria import Victoria

HOST = "everywhere"
LINES = [
    (14, "pumps", "pump 1 has started"),
    (11, "pumps", "pump 2: größer als 4 bar, 温度 🌡️"),
    (28, "kernel", 'pump "3" <stopped> & \\ left'),
    (31, "cron", "pump 4 was looked at"),
]
METRICS = [("pump_pressure_bar", 4.5, False), ("pump_starts_total", 12.0, True)]
FLOOD = ["x" * 64 * 1024] * 50
SECRETS = ["t0p-s3cret", "wJalrXUtnFEMI"]


@dataclass(slots=True)
class Garden:
    """A project with a device, and the API, asked from beside this loop: servers run on it."""

    spine: Spine
    project: Project
    device: RawDevice
    numbers: dict[str, int] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask the API."""
        return await asyncio.to_thread(self.spine.api.ask, method, path, body)

    async def get(self, path: str) -> Any:
        """Read something that is there."""
        return await asyncio.to_thread(self.spine.api.get, path)

    async def post(self, path: str, body: Any) -> Any:
        """Make or do something that can be."""
        answer = await self.ask("POST", path, body)
        assert answer.status in {200, 201}, answer
        return answer.body

    async def integrate(self, kind: str, config: Any, **more: Any) -> str:
        """Configure an integration; give its path."""
        body = {"type": kind, "name": kind, "config": config} | more
        made = await self.post(f"/projects/{self.project.id}/integrations", body)
        return f"/integrations/{made['id']}"

    async def say(self, lines: list[tuple[int, str, str]], stream: str = "app") -> None:
        """Have lines stored: priority, program and text of each."""
        priorities, programs, texts = (list(column) for column in zip(*lines, strict=True))
        columns = Lines([_now()] * len(lines), priorities, programs, texts)
        first = self._first(stream, len(lines))
        payload = encode_batch(columns, boot=1, first=first)
        answer = await asyncio.to_thread(self.device.send, payload, stream)
        assert answer["op"] == "ack", answer

    async def measure(self, samples: list[tuple[str, float, bool]], kind: str = "cpu") -> None:
        """Have samples stored: name, value, and whether it is a counter."""
        names, values, counters = (list(column) for column in zip(*samples, strict=True))
        columns = Samples([_now()] * len(samples), names, values, {"pump": "1"}, counters)
        payload = encode_samples(columns, boot=1, first=self._first(kind, len(samples)))
        topic = f"{self.device.topics.up}/metric/{kind}"
        await asyncio.to_thread(self.device.publish, topic, payload)
        answer = await asyncio.to_thread(self.device.answer, self.device.topics.ack)
        assert answer["op"] == "ack", answer

    def _first(self, stream: str, count: int) -> int:
        first = self.numbers.get(stream, 0) + 1
        self.numbers[stream] = first + count - 1
        return first


def _now() -> int:
    return time.time_ns() // 1_000


@pytest.fixture
async def garden(spine: Spine) -> AsyncIterator[Garden]:
    """One of a test's own; its device is called `HOST`."""
    project = spine.project()
    device = await open_device(spine.embedded.ports.mqtt, project.id, project.token, HOST)
    yield Garden(spine, project, device)
    for one in device.family:
        one.close()


@pytest.fixture
async def places(
    spine: Spine,
    authority: TestAuthority,
    local_certificate: Pair,
    moto_endpoint: str,
    victoria: Victoria,
) -> AsyncIterator[dict[str, Place]]:
    """A receiver for each type."""
    async with AsyncExitStack() as stack:
        ground = Ground(
            stack, spine.files, HOST, authority, local_certificate, moto_endpoint, victoria
        )
        yield {kind: await make(ground) for kind, make in PLACES.items()}


async def test_every_destination_delivers(garden: Garden, places: dict[str, Place]) -> None:
    """Lines and samples arrive as they were stored, in order, once; so do those of a test."""
    listed = await garden.get("/integration-types")
    assert {kind["name"] for kind in listed} == set(PLACES), "each type has a receiver here"
    no_flood = {"exclude": [{"streams": ["agent"]}]}
    paths = {
        kind: await garden.integrate(
            kind,
            place.config,
            shape={"labels": {"site": "north"}, "filter": {} if kind == "email" else no_flood},
        )
        for kind, place in places.items()
    }
    await garden.say(LINES[:2])
    await garden.say(LINES[2:])
    await garden.measure(METRICS)
    for _ in range(3):  # a digest waits until it is due, or full
        await garden.say([(15, "flood", text) for text in FLOOD], "agent")
    stored = await garden.get(f"/projects/{garden.project.id}/logs?stream=app")
    wanted = [
        Arrived(*(line[name] for name in ("message", "host", "program", "severity", "id")), "north")
        for line in stored
    ]
    assert [(line.message, line.host) for line in wanted] == [(text, HOST) for *_, text in LINES]
    missing = await _arrive(places, lambda place: _lines_of(place, wanted), "lines")
    missing |= await _arrive(places, _samples_of, "samples")
    assert missing == {}

    for kind, path in paths.items():
        place = places[kind]
        taken = len(LINES) * (place.lines is not None) + len(METRICS) * (place.samples is not None)
        status = await _status(garden, path, taken)
        assert status["delivered"] == taken or kind == "email"
        assert (status["rejected"], status["dead_letters"], status["error"]) == (0, 0, ""), kind
        said = await garden.post(f"{path}/test", {"message": f"is a pump at {kind}?"})
        assert (said["outcome"], said["reason"]) == (place.says, ""), (kind, said)
    missing = await _arrive(places, _test_of, "the test line")
    assert missing == {}

    health = await garden.get(f"/projects/{garden.project.id}/relay")
    assert sum(health["states"].values()) == len(places)
    # A digest has begun, and syslog is not sure of what it wrote for another minute.
    assert health["states"].keys() <= {"waiting", "delivering"}
    assert {one["type"] for one in health["integrations"]} == set(places)
    assert (health["dead_letters"], health["refused"]) == (0, 0)
    assert [secret for secret in SECRETS if secret in garden.spine.log] == []


async def test_what_devices_measure_is_scraped(garden: Garden) -> None:
    """From the page of the project; and the relay's own figures from the hub's."""
    await garden.measure(METRICS)
    await garden.say(LINES)
    url = f"{garden.spine.api.base}/api/v1/projects/{garden.project.id}/metrics/prometheus"
    page = await asyncio.to_thread(_read, url, garden.spine.token)
    found = [one for family in text_string_to_metric_families(page) for one in family.samples]
    assert {(one.name, one.value) for one in found} == {(n, v) for n, v, _ in METRICS}
    assert {one.labels["host"] for one in found} == {HOST}
    assert {one.labels["pump"] for one in found} == {"1"}

    relay = await garden.get("/relay")
    assert relay["lines_per_second"] > 0
    assert relay["samples_per_second"] > 0
    if garden.spine.layout is ONE:  # `/metrics` tells of the gateway's own process alone
        await _check_figures(garden)


async def _check_figures(garden: Garden) -> None:
    """See what the relay counts, at the page for Prometheus."""
    own = await asyncio.to_thread(_read, f"{garden.spine.api.base}/metrics")
    figures = {family.name: family.samples for family in text_string_to_metric_families(own)}
    held = {one.labels["stream"]: one.value for one in figures["isaax_jetstream_messages"]}
    assert held.keys() == {"RELAY_0", "METRIC_0", "DEAD", "REPLAY"}
    for name, least in (("lines", len(LINES)), ("samples", len(METRICS))):
        assert sum(one.value for one in figures[f"isaax_intake_{name}"]) >= least


def _read(url: str, token: str = "") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return str(answer.read(), "utf-8")


async def test_a_shape_is_changed_while_lines_flow(garden: Garden) -> None:
    """It takes effect, and is taken back, and the integration is paused: each line is there once.

    Of every three lines the second continues the first, and the third is noise.
    """
    shape = {
        "join": {},
        "filter": {"exclude": [{"text": "noise"}]},
        "redact": {"emails": True},
        "labels": {"site": "north"},
        "template": "[{{ severity }}] {{ message }}",
    }
    done = asyncio.Event()

    async def flow() -> int:
        number = 0
        while not done.is_set():
            number += 1
            texts = (f"n={number} of bob@example.com", f"  at {number}", f"noise {number}")
            await garden.say([(14, "demo", text) for text in texts])
        return number

    async with http_receiver(webhook_texts, {}) as receiver, asyncio.TaskGroup() as group:
        path = await garden.integrate("webhook", receiver.config)
        flowing = group.create_task(flow())
        try:
            await _until_last(receiver, lambda text: text.startswith("noise"))
            await garden.ask("PATCH", path, {"shape": shape})
            await _until_last(receiver, lambda text: text.startswith("[info] n="))
            assert (await garden.ask("POST", f"{path}/pause")).status == 200
            seen = len(receiver.taken())
            assert (await garden.ask("POST", f"{path}/resume")).status == 200
            await until(lambda: len(receiver.taken()) > seen + 3, what="lines after the pause")
            await garden.ask("PATCH", path, {"shape": dict.fromkeys(shape)})
            await _until_last(receiver, lambda text: text.startswith("noise"))
        finally:
            done.set()
        sent = await flowing
        await _until_last(receiver, lambda text: text == f"noise {sent}")
        lines = [line for one in receiver.requests for line in msgspec.json.decode(one.body)]
        status = (await garden.get(path))["status"]

    parts = [part for line in lines for part in line["message"].split("\n")]
    numbers = [int(re.findall(r"\d+", part)[0]) for part in parts if "noise" not in part]
    assert numbers == [number for number in range(1, sent + 1) for _ in range(2)]
    noise = [int(part.split()[1]) for part in parts if "noise" in part]
    left_out = sorted(set(range(1, sent + 1)) - set(noise))
    assert noise == sorted(set(noise))
    assert left_out == list(range(left_out[0], left_out[-1] + 1)), "from one change to the other"
    assert status["left_out"]["filter"] == len(left_out)
    shaped = [line for line in lines if line["message"].startswith("[info] n=")]
    assert {re.sub(r"\d+", "#", line["message"]) for line in shaped} == {
        "[info] n=# of [email]\n  at #"
    }
    assert {line["labels"]["site"] for line in shaped} == {"north"}
    assert (status["rejected"], status["dead_letters"]) == (0, 0)


async def _until_last(receiver: HttpReceiver, wanted: Callable[[str], bool]) -> None:
    """Wait until the last line that arrived is like that."""
    await until(lambda: any(map(wanted, receiver.taken()[-3:])), what="such a line")


async def test_a_wrong_token_costs_no_line(garden: Garden) -> None:
    """Dead letters, a config that is mended, and all of them in order."""
    async with running(BetterStackServer()) as server:
        path = await garden.integrate("betterstack", server.config | {"token": "an-old-one"})
        texts = [text for *_, text in LINES]
        for number, line in enumerate(LINES, 1):
            await garden.say([line])
            await until(partial(_has_letters, garden, path, number), what="a dead letter")
        page = await garden.get(f"{path}/dead-letters")
        assert {letter["reason"] for letter in page} == {"answered 403: Unauthorized"}
        assert "403" in (await garden.get(path))["status"]["error"]
        assert server.lines == []

        config = {"config": {"token": server.config["token"]}}
        assert (await garden.ask("PATCH", path, config)).status == 200
        await garden.say([(14, "demo", "the first one after it")])
        await until(lambda: server.lines == ["the first one after it"], what="the next line")
        replayed = await garden.post(f"{path}/replay", {"dead_letters": "all"})
        assert (replayed["letters"], replayed["more"]) == (len(LINES), False)
        await until(lambda: server.lines[1:] == texts, what="all of them, in order")
        await until(partial(_has_letters, garden, path, 0), what="none left")


async def _has_letters(garden: Garden, path: str, count: int) -> bool:
    return len(await garden.get(f"{path}/dead-letters")) == count


async def _arrive(
    places: dict[str, Place], of: Callable[[Place], Awaitable[tuple[Any, Any]]], what: str
) -> dict[str, Any]:
    """Wait until each place shows what is wanted; give what those show that never do."""
    late: dict[str, Any] = dict.fromkeys(places)

    async def there() -> bool:
        for kind in tuple(late):
            seen, wanted = late[kind] = await of(places[kind])
            if seen == wanted:
                del late[kind]
        return not late

    with contextlib.suppress(AssertionError):
        await until(there, what=what)
    return {f"{kind}: {what}": pair for kind, pair in late.items()}


async def _lines_of(place: Place, wanted: list[Arrived]) -> tuple[Any, Any]:
    if place.lines is None:
        return None, None
    seen = [line for line in await asyncio.to_thread(place.lines) if line.host != TESTER]
    none = dict.fromkeys(place.without)
    known = [line._replace(**none) for line in wanted]
    return [_told(line) for line in seen], [_told(line) for line in known]


def _told(line: Arrived) -> Arrived:
    """Of an id, syslog shows all but the device, which its host is."""
    return line._replace(id=line.id and "-".join(line.id.split("-")[-3:]))


async def _samples_of(place: Place) -> tuple[Any, Any]:
    wanted = {(name, value) for name, value, _ in METRICS}
    if place.samples is None:
        return None, None
    return {
        sample for sample in await asyncio.to_thread(place.samples) if sample[0] != "isaax_test"
    }, wanted


async def _test_of(place: Place) -> tuple[Any, Any]:
    if place.lines is None:
        assert place.samples is not None
        return [
            name for name, _ in await asyncio.to_thread(place.samples) if name == "isaax_test"
        ], ["isaax_test"]
    seen = [line for line in await asyncio.to_thread(place.lines) if line.host == TESTER]
    return [line.message.startswith("is a pump at") for line in seen], [True]


async def _status(garden: Garden, path: str, delivered: int) -> dict[str, Any]:
    """Give an integration's status once so much was delivered."""
    found: dict[str, Any] = {}

    async def done() -> bool:
        found.update((await garden.get(path))["status"])
        return bool(found["delivered"] >= delivered)

    await until(done, what=f"{path} to have delivered all")
    return found
