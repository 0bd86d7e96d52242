"""Nothing acknowledged is lost: every part is killed at random, with a seed, while lines flow.

What is checked, as a ledger: JetStream holds each line of each stream once and in order, without
a hole; the receiver has every line that JetStream has, in the order of its first appearance; the
lines of one run of the app are a prefix of what it printed (the tail that the agent had not yet
spooled when it was killed was never acknowledged).
"""

import asyncio
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import nats
import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy

from hub.embedded.part import Part
from hub.embedded.ports import free_port
from hub.protocol import decode_header, decode_lines
from tests.deadline import until
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.spine import ROOT, Device, Project, Spine, running_spine

# More of them, for an evening: ISAAX_FAULT_SEEDS=4,5,6 ./isaax test -- -k kill_anything
SEEDS = [int(seed) for seed in os.environ.get("ISAAX_FAULT_SEEDS", "1,2,3").split(",")]
RATE = 1500
STEPS = 9
MESSAGE = re.compile(rb"^<\d+>1 \S+ \S+ \S+ \S+ \S+ \S+ (.*)$")
APP_LINE = re.compile(r"([0-9a-f]{8}) (\d+)")


@dataclass(slots=True)
class Sink:
    """The receiver, as a process that is killed and started again on the same port and file."""

    folder: Path
    certificate: Path
    key: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        """What it has taken."""
        return self.folder / "taken.log"

    def start(self) -> None:
        """Listen."""
        command = [sys.executable, "-m", "tests.programs.syslog_sink", str(self.port)]
        self.process = subprocess.Popen(
            [*command, str(self.certificate), str(self.key), str(self.file)], cwd=ROOT
        )

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def messages(self) -> list[str]:
        """Give the text of every whole message, in the order in which it came."""
        if not self.file.exists():
            return []
        found = (MESSAGE.match(line) for line in self.file.read_bytes().split(b"\n"))
        return [match[1].decode() for match in found if match]


@dataclass(slots=True)
class World:
    """All that can be killed."""

    spine: Spine
    device: Device
    sink: Sink
    project: Project

    async def hurt(self, victim: str, pause: float) -> None:
        """Kill one part, leave it dead for a while, and bring it back."""
        parts: dict[str, Part] = {part.name: part for part in self.spine.embedded.parts}
        if victim == "hub":
            self.spine.kill_hub()
            await asyncio.sleep(pause)
            await asyncio.to_thread(self.spine.start_hub)
        elif victim == "agent":
            self.device.kill()
            await asyncio.sleep(pause)
            self.device.start()
        elif victim == "receiver":
            self.sink.kill()
            await asyncio.sleep(pause)
            self.sink.start()
        else:
            parts[victim].kill()
            await asyncio.sleep(pause)
            await parts[victim].restart()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A hub, a device and a receiver of one's own."""
    authority = TestAuthority()
    certificate, key = authority.issue("127.0.0.1").write(tmp_path, "sink")
    sink = Sink(tmp_path, certificate, key)
    with running_spine() as spine:
        project = spine.project()
        sink.start()
        config = {"mode": "classic", "host": "127.0.0.1", "port": sink.port, "ca": authority.pem}
        spine.api.make(
            f"/projects/{project.id}/integrations",
            {"type": "papertrail", "name": "sink", "config": config},
        )
        app = f"cd {ROOT} && exec {sys.executable} -m tests.programs.numbered_app {RATE}"
        device = Device.make(tmp_path / "device", spine, project, app)
        device.start()
        try:
            yield World(spine, device, sink, project)
        finally:
            if device.process is not None and device.process.poll() is None:
                device.kill()
            sink.kill()


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch as JetStream holds it."""

    subject: str
    device: str
    boot: int
    first: int
    span: int
    messages: list[str]


async def stored_batches(spine: Spine) -> list[Stored]:
    """Read everything that the relay has stored, in order."""
    settings = spine.embedded.nats.settings
    client = await nats.connect(
        settings.url, user=settings.user, password=settings.password.reveal()
    )
    found: list[Stored] = []
    try:
        jetstream = client.jetstream()
        left = (await jetstream.stream_info("RELAY_0")).state.messages
        reader = await jetstream.pull_subscribe_bind(
            stream="RELAY_0",
            consumer=(
                await jetstream.add_consumer(
                    "RELAY_0", ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
                )
            ).name,
        )
        while len(found) < left:
            for message in await reader.fetch(500, timeout=5):
                assert message.headers
                header, lines = decode_header(message.data), decode_lines(message.data)
                device = message.headers["Nats-Msg-Id"].partition(":")[0]
                found.append(
                    Stored(
                        message.subject, device, header.boot, header.first, header.span,
                        lines.messages,
                    )
                )  # fmt: skip
                await message.ack()
    finally:
        await client.close()
    return found


def check_ledger(batches: list[Stored]) -> dict[str, list[str]]:
    """Hold JetStream to it: no hole, no line twice, in order. Give the lines by stream."""
    streams: dict[str, list[str]] = {}
    position: dict[tuple[str, str], tuple[int, int]] = {}
    for batch in batches:
        key = (batch.subject, batch.device)
        boot, last = position.get(key, (0, 0))
        follows = (batch.boot, batch.first) == (boot, last + 1)
        assert follows or (batch.boot > boot and batch.first == 1), (key, batch.first)
        assert batch.span == len(batch.messages), "the spool was never full"
        position[key] = (batch.boot, batch.first + batch.span - 1)
        streams.setdefault(batch.subject.rpartition(".")[2], []).extend(batch.messages)
    return streams


def check_runs(lines: list[str]) -> None:
    """Each run of the app is there from its first line on, in order, without a hole."""
    counts: dict[str, int] = {}
    for line in lines:
        match = APP_LINE.fullmatch(line)
        assert match, line
        run, n = match[1], int(match[2])
        assert n == counts.get(run, 0) + 1, f"{line} after {counts.get(run, 0)}"
        counts[run] = n


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_acknowledged_is_lost(world: World, seed: int) -> None:
    """Nine kills in a random order, each followed by a random wait; then everything is there."""
    chance = random.Random(seed)
    victims = ["hub", "nats", "mosquitto", "postgres", "agent", "receiver"]
    order = chance.sample(victims, len(victims)) + chance.choices(victims, k=STEPS - len(victims))
    await until(lambda: len(world.sink.messages()) > 100, what="lines at the receiver", timeout=30)
    for victim in order:
        await asyncio.sleep(chance.uniform(0.2, 1.5))
        await world.hurt(victim, chance.choice([0.0, 0.3, 2.0]))
    await asyncio.to_thread(world.spine.await_ready)
    await asyncio.sleep(1.0)
    assert world.device.stop() == 0, world.device.log[-3000:]

    async def settled() -> bool:
        # The agent ends only when its spool is empty, so what is stored now is what will be.
        batches = await stored_batches(world.spine)
        wanted = {message for batch in batches for message in batch.messages}
        return wanted <= set(world.sink.messages())

    await until(settled, what="everything stored to be at the receiver", timeout=120)
    streams = check_ledger(await stored_batches(world.spine))
    check_runs(streams["app"])
    assert len(streams["app"]) > 5 * RATE
    received = [m for m in world.sink.messages() if APP_LINE.fullmatch(m)]
    assert list(dict.fromkeys(received)) == streams["app"], "in order, by first appearance"
    # Each loss of a connection sends its unconfirmed window once more, from its start and in
    # order; nothing else is ever repeated.
    place = {message: index for index, message in enumerate(streams["app"])}
    places = [place[message] for message in received]
    steps = [after - before for before, after in pairwise(places)]
    assert all(step <= 1 for step in steps)
    assert sum(step < 1 for step in steps) <= sum(order.count(v) for v in ("hub", "receiver"))
