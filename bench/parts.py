"""What the benches that measure the relay whole start: real parts, each in a process of its own."""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.generator import Load
from bench.hub import Role, Setup, Wanted
from hub.broker import BrokerControl
from hub.embedded.account import make_folder
from hub.embedded.mosquitto import Listeners, Mosquitto
from hub.embedded.nats import Nats
from hub.embedded.ports import free_port
from hub.embedded.postgres import Postgres
from hub.embedded.runtime import Runtime
from hub.embedded.tls import Authority
from hub.migrations import migrate
from hub.mqtt import Mqtt
from hub.secret import Secret

HERE = Path(__file__).resolve().parent
TOKEN = "bench-token"
LONGEST = 1 << 24  # bytes of a word


@dataclass
class Process:
    """A part of ours: a Python file of this folder that talks JSON lines."""

    process: asyncio.subprocess.Process

    @classmethod
    async def start(cls, file: str, *args: str) -> "Process":
        """Start one."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, str(HERE / file), *args,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST,
            )
        )  # fmt: skip

    async def read(self) -> dict[str, Any]:
        """Read its next word."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise SystemExit("a part of the benchmark ended early")
        word: dict[str, Any] = json.loads(line)
        return word

    def say(self, text: str) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")

    async def end(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@dataclass
class Receiver:
    """The receiver's reports."""

    process: Process
    port: int
    lines: int = 0
    latencies: list[float] = field(default_factory=list)

    async def follow(self) -> None:
        """Take in its reports."""
        while True:
            report = await self.process.read()
            self.lines = report["lines"]
            self.latencies += report["latencies"]

    async def until(self, lines: int, seconds: float = 60) -> None:
        """Wait until it has this many lines."""
        deadline = time.monotonic() + seconds
        while self.lines < lines:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {self.lines} of {lines} lines were delivered")
            await asyncio.sleep(0.05)


@dataclass
class Parts:
    """All that runs.

    Args:
        hubs: the hub's processes, by what they do.
        started: seconds that they took to start.
    """

    nats: Nats
    broker: Mosquitto
    hubs: dict[str, Process]
    receiver: Receiver
    control: BrokerControl
    authority: Authority
    folder: Path
    started: float

    def pids(self) -> dict[str, int]:
        """Give the process of each part of the relay, and of the receiver."""
        return {
            "mosquitto": self.broker.child.pid,
            "nats-server": self.nats.child.pid,
            **{name: hub.process.pid for name, hub in self.hubs.items()},
            "receiver": self.receiver.process.process.pid,
        }

    def cpu(self) -> dict[str, float]:
        """Give the CPU seconds of each part."""
        return {name: cpu_of(pid) for name, pid in self.pids().items()}


def cpu_of(pid: int) -> float:
    """Give the CPU seconds that a process has used."""
    user, system, *_ = psutil.Process(pid).cpu_times()
    return float(user + system)


@contextlib.contextmanager
def folder_of_its_own() -> Iterator[Path]:
    """Make a folder that every account may enter, and remove it afterwards."""
    folder = make_folder(Path(tempfile.mkdtemp(prefix="isaax-bench-")), None, 0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def receiving(tls: Authority | None, folder: Path) -> AsyncIterator[Receiver]:
    """Run the receiver, over TLS or TCP, while this is open."""
    files: Sequence[str] = ()
    if tls is not None:
        served = tls.server(make_folder(folder / "receiver", None), ["127.0.0.1"], None)
        files = (str(served.certificate), str(served.key))
    process = await Process.start("receiver.py", *files)
    receiver = Receiver(process, (await process.read())["port"])
    following = asyncio.create_task(receiver.follow())
    try:
        yield receiver
    finally:
        following.cancel()
        await process.end()


@contextlib.asynccontextmanager
async def everything(
    folder: Path,
    integrations: Mapping[str, int],
    *,
    deliveries: int = 0,
    shape: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    tls: bool = True,
) -> AsyncIterator[Parts]:
    """Start all parts, and end them in reverse.

    Args:
        integrations: how many each project has, all to the same receiver.
        deliveries: processes that deliver, beside the one that takes; 0: one does all.
        shape: of all integrations; `config`: of theirs, besides address and transport.
        tls: to the receiver, or plain TCP.
    """
    async with contextlib.AsyncExitStack() as stack:
        runtime = Runtime(folder / "runtime")
        authority = Authority(folder / "tls")
        nats = Nats(folder / "nats", port=free_port(), password=Secret("x"), runtime=runtime)
        postgres = Postgres(
            folder / "postgres", port=free_port(), admin=Secret("a"), password=Secret("b"),
            runtime=runtime,
        )  # fmt: skip
        broker = Mosquitto(
            folder / "mosquitto",
            listeners=Listeners(free_port(), "127.0.0.1", free_port()),
            password=Secret("y"),
            authority=authority,
            build=folder / "build",
        )
        for part in (nats, postgres, broker):
            await part.start()
            stack.push_async_callback(part.stop)
        await postgres.create_database("bench")
        database = postgres.settings_for("bench")
        await migrate(database, [])
        receiver = await stack.enter_async_context(receiving(authority if tls else None, folder))
        mqtt, js = broker.settings, nats.settings
        address: dict[str, Any] = {"host": "127.0.0.1", "port": receiver.port}
        address |= {"ca": authority.pem} if tls else {"transport": "tcp"}
        setup = Setup(
            mqtt=(mqtt.host, mqtt.port, mqtt.username, mqtt.password.reveal()),
            nats=(js.url, js.user, js.password.reveal()),
            postgres=(
                database.host, database.port, database.database, database.user,
                database.password.reveal(),
            ),
            vault_key=os.urandom(32),
            integrations=[
                Wanted(project, number, address | (config or {}), shape or {})
                for project, count in integrations.items()
                for number in range(count)
            ],
        )  # fmt: skip
        hubs, before = {}, time.perf_counter()
        for role in _roles(deliveries):
            argument = msgspec.json.encode(msgspec.structs.replace(setup, role=role)).decode()
            file = folder / f"hub-{role.name.replace(' ', '-')}.json"
            file.write_text(argument)
            hub = hubs[role.name] = await Process.start("hub.py", str(file))
            stack.push_async_callback(hub.end)
            await hub.read()
        started = time.perf_counter() - before
        admin = await stack.enter_async_context(Mqtt.connect(mqtt, client="hub-bench"))
        control = BrokerControl(admin)
        for project in integrations:
            control.token(project, hashlib.sha256(TOKEN.encode()).digest())
        await admin.flush(5)
        yield Parts(nats, broker, hubs, receiver, control, authority, folder, started)


def _roles(deliveries: int) -> list[Role]:
    if not deliveries:
        return [Role("hub")]
    return [
        Role("hub, intake", delivers=False, parts=deliveries),
        *(
            Role(f"hub, delivery {n}", takes=False, part=n, parts=deliveries)
            for n in range(deliveries)
        ),
    ]


@dataclass(frozen=True)
class Run:
    """What one load took.

    Args:
        acked, delivered: lines.
        stored, took: seconds until all was acknowledged, and delivered.
        cpu: seconds of each part.
        latencies: ms from the device's clock to the receiver.
    """

    acked: int
    delivered: int
    stored: float
    took: float
    cpu: dict[str, float]
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Lines a second that were delivered."""
        return self.delivered / self.took

    def show(self, lines: int | None = None) -> None:
        """Print it, with CPU a line of those that were acknowledged."""
        counted = lines or self.acked
        print(
            f"  {self.acked:,} lines: {self.acked / self.stored:,.0f}/s acknowledged, "
            f"{self.rate:,.0f}/s delivered"
        )
        for name, seconds in self.cpu.items():
            print(f"  {name:28} {seconds / counted * 1e6:6.3f} µs CPU a line")
        total = sum(seconds for name, seconds in self.cpu.items() if name != "receiver")
        print(f"  {'relay in total':28} {total / counted * 1e6:6.3f} µs CPU a line")
        if len(self.latencies) > 1:
            cuts = statistics.quantiles(self.latencies, n=100)
            print(
                f"  latency p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms "
                f"(of {len(self.latencies)} samples)"
            )


async def send(
    parts: Parts, projects: Sequence[str], copies: int, load: Load, *, devices: int
) -> Run:
    """Send one load through, and wait until all of it is delivered.

    Args:
        copies: how often each line is delivered.
        load: what is sent, but for the devices.
        devices: so many, of these projects in turn.
    """
    sessions = {
        f"dev_{secrets.token_hex(6)}": (projects[number % len(projects)], secrets.token_hex(16))
        for number in range(devices)
    }
    generator = await Process.start("generator.py")
    generator.say(
        msgspec.json.encode(
            msgspec.structs.replace(
                load, port=parts.broker.settings.port, token=TOKEN, sessions=sessions
            )
        ).decode()
    )
    await generator.read()
    for device, (project, session) in sessions.items():
        parts.control.session(device, project, session, int(time.time()) + 3600)
    await asyncio.sleep(0.2)  # the broker opens them; the generator asks for its topics then
    before, lines, started = parts.cpu(), parts.receiver.lines, time.perf_counter()
    parts.receiver.latencies.clear()
    generator.say("go")
    acked = (await generator.read())["acked"]
    stored = time.perf_counter() - started
    await parts.receiver.until(lines + acked * copies, 120)
    took = time.perf_counter() - started
    cpu = {name: used - before[name] for name, used in parts.cpu().items()}
    await generator.process.wait()
    return Run(acked, acked * copies, stored, took, cpu, list(parts.receiver.latencies))
