"""How fast the relay is, whole and on real parts: `python bench/relay.py` (see bench/README.md)."""

import argparse
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
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from bench import rsyslog
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
PROJECT = "prj_bench"
TOKEN = "bench-token"


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
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
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

    def go(self) -> None:
        """Tell it to begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")

    async def end(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()


@dataclass
class Receiver:
    """The TLS receiver's reports."""

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
    """All that runs."""

    nats: Nats
    broker: Mosquitto
    hub: Process
    receiver: Receiver
    control: BrokerControl
    authority: Authority
    folder: Path

    def cpu(self) -> dict[str, float]:
        """Give the CPU seconds of each part."""
        pids = {
            "mosquitto": self.broker.child.pid,
            "nats-server": self.nats.child.pid,
            "hub (intake and forwarder)": self.hub.process.pid,
            "receiver": self.receiver.process.process.pid,
        }
        return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}


@contextlib.asynccontextmanager
async def everything(folder: Path) -> AsyncIterator[Parts]:
    """Start all parts, and end them in reverse."""
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
        tls = authority.server(make_folder(folder / "receiver", None), ["127.0.0.1"], None)
        receiving = await Process.start("receiver.py", str(tls.certificate), str(tls.key))
        stack.push_async_callback(receiving.end)
        receiver = Receiver(receiving, (await receiving.read())["port"])
        following = asyncio.create_task(receiver.follow())
        stack.callback(following.cancel)
        mqtt, js = broker.settings, nats.settings
        setup = {
            "project": PROJECT,
            "mqtt": (mqtt.host, mqtt.port, mqtt.username, mqtt.password.reveal()),
            "nats": (js.url, js.user, js.password.reveal()),
            "postgres": (
                database.host, database.port, database.database, database.user,
                database.password.reveal(),
            ),
            "config": {"host": "127.0.0.1", "port": receiver.port, "ca": authority.pem},
        }  # fmt: skip
        hub = await Process.start("hub.py", json.dumps(setup))
        stack.push_async_callback(hub.end)
        await hub.read()
        admin = await stack.enter_async_context(Mqtt.connect(mqtt, client="hub-bench"))
        control = BrokerControl(admin)
        control.token(PROJECT, hashlib.sha256(TOKEN.encode()).digest())
        await admin.flush(5)
        yield Parts(nats, broker, hub, receiver, control, authority, folder)


async def run(parts: Parts, arguments: argparse.Namespace, **changes: Any) -> float:
    """Send one load through, print what it took, and give lines a second."""
    sessions = {f"dev_{secrets.token_hex(4)}": secrets.token_hex(16)
                for _ in range(arguments.devices)}  # fmt: skip
    load = {
        "port": parts.broker.settings.port, "project": PROJECT, "token": TOKEN,
        "sessions": sessions, "lines": arguments.lines, "bytes": arguments.bytes,
        "seconds": arguments.seconds, "codec": arguments.codec, "window": arguments.window,
    } | changes  # fmt: skip
    generator = await Process.start("generator.py", json.dumps(load))
    await generator.read()
    for device, session in sessions.items():
        parts.control.session(device, PROJECT, session, int(time.time()) + 3600)
    await asyncio.sleep(0.2)  # the broker opens them; the generator asks for its topics then
    before, lines, started = parts.cpu(), parts.receiver.lines, time.perf_counter()
    parts.receiver.latencies.clear()
    generator.go()
    acked = (await generator.read())["acked"]
    stored = time.perf_counter() - started
    await parts.receiver.until(lines + acked)
    took = time.perf_counter() - started
    after = parts.cpu()
    await generator.process.wait()
    rate = acked / took
    print(f"  {acked:,} lines: {acked / stored:,.0f}/s acknowledged, {rate:,.0f}/s delivered")
    total = 0.0
    for name, seconds in after.items():
        cost = (seconds - before[name]) / acked * 1e6
        total += cost if name != "receiver" else 0
        print(f"  {name:28} {cost:6.3f} µs CPU a line")
    print(f"  {'relay in total':28} {total:6.3f} µs CPU a line")
    if parts.receiver.latencies:
        cuts = statistics.quantiles(parts.receiver.latencies, n=100)
        print(f"  latency p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms "
              f"(of {len(parts.receiver.latencies)} samples)")  # fmt: skip
    return rate


async def beside(parts: Parts, arguments: argparse.Namespace) -> None:
    """Send lines through rsyslog to the same receiver."""
    for checkpoint in (1, 1_000):
        folder = make_folder(parts.folder / f"rsyslog-{checkpoint}", None)
        count, receiver = arguments.rsyslog, parts.receiver
        async with rsyslog.running(
            folder, parts.authority.certificate_file, receiver.port, checkpoint
        ) as peer:
            lines, used, started = receiver.lines, peer.cpu(), time.perf_counter()
            await rsyslog.send(peer.port, count, arguments.bytes + 52)
            await receiver.until(lines + count, 120)
            took = time.perf_counter() - started
            cost = (peer.cpu() - used) / count * 1e6
        print(f"rsyslog, disk queue synced, checkpoint {checkpoint}: "
              f"{count / took:,.0f} lines/s delivered, {cost:.1f} µs CPU a line")  # fmt: skip


async def main(arguments: argparse.Namespace) -> None:
    """Measure at full load, then latency at a tenth of it."""
    folder = make_folder(Path(tempfile.mkdtemp(prefix="isaax-bench-")), None, 0o711)
    try:
        async with everything(folder) as parts:
            print(f"{os.cpu_count()} cores; batches of {arguments.lines} lines of "
                  f"{arguments.bytes} bytes, {arguments.codec}; sync_interval: always")  # fmt: skip
            print("warming up")
            await run(parts, arguments, seconds=2)
            print("full load")
            rate = await run(parts, arguments)
            print("a tenth of it")
            await run(parts, arguments, rate=int(rate / 10), timed=True)
            if arguments.rsyslog:
                await beside(parts, arguments)
    finally:
        shutil.rmtree(folder)


def options() -> argparse.ArgumentParser:
    """Say what can be set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--lines", type=int, default=500, help="a batch")
    parser.add_argument("--bytes", type=int, default=130, help="of a line's text")
    parser.add_argument("--window", type=int, default=64, help="unacknowledged batches a device")
    parser.add_argument("--codec", choices=["none", "zlib", "zstd"], default="zstd")
    parser.add_argument("--rsyslog", type=int, default=20_000, help="lines; 0 leaves it out")
    return parser


if __name__ == "__main__":
    asyncio.run(main(options().parse_args()))
