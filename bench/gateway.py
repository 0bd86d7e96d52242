"""What the gateway costs beside a bare aiohttp handler that sends the same SQL.

`python bench/gateway.py` starts a whole hub (`isaax serve` on real parts) and, on the same
Postgres, `bare.py`. Both are asked in turn by the same generator, for a list, a get and a patch, at
1, 64 and 512 connections; what counts is the ratio.

`--tails 200` follows the log of a project that gets `--lines` a second, over so many streams.
"""

import argparse
import asyncio
import contextlib
import json
import os
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

import asyncpg
import psutil
import uvloop

from hub.embedded.account import make_folder
from hub.embedded.parts import Embedded
from hub.embedded.ports import Ports, fill, free_port
from hub.ids import new
from hub.settings import Settings
from hub.structs import reveal
from hub.tenancy import SYSTEM

ROOT = Path(__file__).resolve().parent.parent
DEVICES = 600


@dataclass
class Side:
    """A server to be asked."""

    name: str
    port: int
    process: psutil.Process
    idle: float = 0.0
    rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


async def child(*arguments: str, log: Path | None = None) -> asyncio.subprocess.Process:
    """Start a process of this environment."""
    with (log or Path(os.devnull)).open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", *arguments, cwd=ROOT,
            stdout=asyncio.subprocess.PIPE if log is None else output, stderr=output,
        )  # fmt: skip


async def load(kind: str, *arguments: Any) -> dict[str, Any]:
    """Run the generator in a process of its own; give what it counted."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "bench/asking.py"), kind, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told = json.dumps([*arguments]).encode()
    output, _ = await process.communicate(told)
    found: dict[str, Any] = json.loads(output)
    return found


@dataclass
class Hub:
    """A hub on real parts, and the bare handler beside it."""

    folder: Path
    embedded: Embedded
    http: int
    feed: int
    bare: int
    config: Path
    token: str = ""
    project: str = ""
    devices: list[str] = field(default_factory=list)

    def write_config(self) -> None:
        """Write hub.toml: as shipped, but for limits that one generator would reach alone."""
        settings = self.embedded.settings(Settings())
        sections = {name: reveal(getattr(settings, name)) for name in ("mqtt", "nats", "postgres")}
        sections["vault"] = reveal(settings.vault)
        sections["hub"] = {"log_level": "info"}
        sections["http"] = {
            "port": self.http, "connections_per_address": 2_000, "requests_per_token": 0,
            "requests_per_network": 0, "requests_unauthenticated": 0,
        }  # fmt: skip
        sections["http_listener"] = {"port": self.feed}
        self.config.write_text(
            "".join(
                f"[{name}]\n"
                + "".join(
                    f"{k} = {json.dumps(v)}\n" for k, v in values.items() if v not in (None, [])
                )
                for name, values in sections.items()
            )
        )

    async def found(self) -> None:
        """Make an account with a token, and a project."""
        process = await child("-m", "hub.cli", "accounts", "token", "--config", str(self.config))
        output, _ = await process.communicate()
        self.token = output.decode().split()[-1]
        made = await self.post("/api/v1/projects", {"name": "bench"})
        self.project = made["id"]

    async def furnish(self) -> None:
        """Put devices into the project that never were."""
        settings = self.embedded.postgres.settings
        connection = await asyncpg.connect(
            host=settings.host, port=settings.port, database=settings.database,
            user=settings.user, password=settings.password.reveal() or None,
        )  # fmt: skip
        await connection.execute(f"SET ROLE {SYSTEM}")
        account = await connection.fetchval("SELECT account FROM accounts_first")
        self.devices = [new("dev") for _ in range(DEVICES)]
        for device in self.devices:
            await connection.execute(
                "INSERT INTO devices_device (id, account, project, label, agent, system) "
                "VALUES ($1, $2, $3, $4, '1.0.0', 'Debian GNU/Linux 12 (bookworm)')",
                device, account, self.project, f"greenhouse-{device[-4:]}",
            )  # fmt: skip
        await connection.close()

    async def post(self, path: str, body: Any) -> Any:
        """Make something."""
        data = json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.http)
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
        head += (
            f"Connection: close\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
        )
        writer.write(f"{head}\r\n\r\n".encode() + data)
        answer = await reader.read()
        writer.close()
        return json.loads(answer.partition(b"\r\n\r\n")[2])

    def requests(self, kind: str) -> list[str]:
        """Give the requests of one kind, each of another device."""
        head = f"HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
        if kind == "list":
            return [f"GET /api/v1/projects/{self.project}/devices {head}\r\n"]
        if kind == "get":
            return [f"GET /api/v1/devices/{device} {head}\r\n" for device in self.devices]
        body = '{"label": "greenhouse-1"}'
        head += f"Content-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n"
        return [f"PATCH /api/v1/devices/{device} {head}\r\n{body}" for device in self.devices]


def _is_set(value: Any) -> bool:
    return value is not None and value != []


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[Hub, list[Side]]]:
    """Run a hub and the bare handler."""
    folder = make_folder(Path(tempfile.mkdtemp(prefix="isaax-bench-")), None, 0o711)
    ports = fill(Ports(0, 0, 0, 0, 0))
    embedded = Embedded(folder / "data", ports=ports)
    hub = Hub(folder, embedded, ports.http, free_port(), free_port(), folder / "hub.toml")
    processes: list[asyncio.subprocess.Process] = []
    try:
        for part in embedded.parts:
            await part.start()
        hub.write_config()
        log = folder / "hub.log"
        serve = await child("-m", "hub.cli", "serve", "--config", str(hub.config), log=log)
        processes.append(serve)
        await until_ready(hub.http, log)
        await hub.found()
        await hub.furnish()
        plain = await child(str(ROOT / "bench/bare.py"), str(hub.config), str(hub.bare))
        processes.append(plain)
        assert plain.stdout is not None
        await plain.stdout.readline()
        yield (
            hub,
            [
                Side("gateway", hub.http, psutil.Process(serve.pid)),
                Side("bare", hub.bare, psutil.Process(plain.pid)),
            ],
        )
    finally:
        for process in processes:
            process.terminate()
            await process.wait()
        for part in embedded.parts:
            await part.stop()
        shutil.rmtree(folder)


async def until_ready(port: int, log: Path) -> None:
    """Wait until a hub says that it is ready."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            if b" 200 " in answer[:20]:
                return
        await asyncio.sleep(0.1)
    raise SystemExit(f"the hub is not ready: {log}")


async def compare(arguments: argparse.Namespace) -> None:
    """Measure and print the table."""
    async with running() as (hub, sides):
        for side in sides:  # what it spends anyway is nobody's request
            before = sum(side.process.cpu_times()[:2])
            await asyncio.sleep(4)
            side.idle = (sum(side.process.cpu_times()[:2]) - before) / 4
        print(f"{'':24}{'requests/s':>22}{'p99 ms':>18}{'CPU µs':>16}{'ratio':>8}")
        for kind in arguments.kinds:
            for connections in arguments.connections:
                for side in sides:
                    side.rates, side.p99, side.cpu = [], [], []
                for number in range(arguments.rounds + 1):
                    for side in sides if number % 2 else sides[::-1]:
                        before = sum(side.process.cpu_times()[:2])
                        found = await load(
                            "ask", side.port, hub.requests(kind), connections, arguments.seconds
                        )
                        if found["failed"]:
                            raise SystemExit(f"{side.name} answered otherwise: {found['failed']}")
                        if number:  # the first one warms up
                            spent = sum(side.process.cpu_times()[:2]) - before
                            spent -= side.idle * arguments.seconds
                            side.rates.append(found["rate"])
                            side.p99.append(found["p99"])
                            side.cpu.append(spent / found["rate"] / arguments.seconds * 1e6)
                ours, plain = sides
                ratios = [a / b for a, b in zip(ours.rates, plain.rates, strict=True)]
                both = [[statistics.median(x) for x in (s.rates, s.p99, s.cpu)] for s in sides]
                print(
                    f"{kind:6}{connections:4} connections"
                    + "".join(f"{a:>12,.0f} :{b:>8,.0f}" for a, b in zip(*both, strict=True))
                    + f"{statistics.median(ratios):8.2f}",
                    flush=True,
                )


async def follow(arguments: argparse.Namespace) -> None:
    """Follow a busy project's log over many streams, and print what came."""
    async with running() as (hub, sides):
        made = await hub.post(f"/api/v1/projects/{hub.project}/tokens", {"name": "feed"})
        head = (
            f"GET /api/v1/projects/{hub.project}/logs HTTP/1.1\r\nHost: x\r\n"
            f"Accept: text/event-stream\r\nAuthorization: Bearer {hub.token}\r\n\r\n"
        )
        feed = asyncio.create_task(_feed(hub, made["token"], arguments.lines))
        before = sum(sides[0].process.cpu_times()[:2])
        found = await load("tails", hub.http, head, arguments.tails, arguments.seconds)
        spent = sum(sides[0].process.cpu_times()[:2]) - before
        feed.cancel()
        got = found["got"]
        print(f"{arguments.tails} tails, {arguments.lines} lines/s for {arguments.seconds:g} s:")
        print(f"  events of each: {min(got):,} to {max(got):,}; all: {sum(got):,}")
        print(
            f"  age of a line when it comes: p50 {found['p50']:.0f} ms, p99 {found['p99']:.0f} ms"
        )
        print(f"  CPU of the hub: {spent / arguments.seconds:.0%} of a core, ", end="")
        print(f"{spent / max(1, sum(got)) * 1e6:.1f} µs an event")


async def _feed(hub: Hub, token: str, lines: int) -> None:
    """Send lines, twenty times a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.feed)
    while True:
        began = time.perf_counter()
        texts = [{"message": f"{time.time():.4f} line {n}"} for n in range(lines // 20)]
        body = json.dumps(texts).encode()
        head = f"POST /v1/lines HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        rest = await reader.readexactly(int(length or 0))
        if b" 2" not in answer[:12]:
            raise SystemExit(answer.decode() + rest.decode())
        await asyncio.sleep(max(0.0, 0.05 - (time.perf_counter() - began)))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64, 512])
    parser.add_argument("--kinds", nargs="+", default=["list", "get", "patch"])
    parser.add_argument("--tails", type=int, default=0)
    parser.add_argument("--lines", type=int, default=200)
    arguments = parser.parse_args()
    uvloop.run(follow(arguments) if arguments.tails else compare(arguments))


if __name__ == "__main__":
    main()
