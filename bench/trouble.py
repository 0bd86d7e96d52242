"""What a neighbour in trouble costs the others: `python bench/trouble.py` (see bench/README.md).

Four healthy webhooks take the same lines, alone and beside a fifth integration that is healthy or
in one kind of trouble, in turns, so that what else the machine does falls on both.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import os
import socket
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
from aiohttp import web

from bench.neighbours import Setup
from bench.parts import Process, cpu_of, folder_of_its_own
from hub.database import Database
from hub.embedded.account import make_folder
from hub.embedded.nats import Nats
from hub.embedded.ports import free_port
from hub.embedded.postgres import Postgres
from hub.embedded.runtime import Runtime
from hub.embedded.tls import Authority
from hub.messaging.nats_transport import connect
from hub.migrations import migrate
from hub.protocol import Lines, encode_batch
from hub.relay.contracts import IntegrationSpec
from hub.relay.streams import batch_subject, ensure_streams
from hub.secret import Secret
from hub.settings import RelaySettings
from hub.vault import Vault

PROJECT: Final = "prj_bench"
HEALTHY: Final = 4
NOBODY: Final = "nobody"


@dataclass
class Receiver:
    """Takes what webhooks post, and notes how old the last line of each request is, in ms."""

    ages: list[float] = field(default_factory=list)

    async def take(self, request: web.BaseRequest) -> web.Response:
        """Take a request."""
        body = await request.read()
        # Each line ends with when it was stored: nanoseconds since the epoch, 19 digits.
        stamp = body[body.rindex(b" t=") + 3 :][:19]
        self.ages.append((time.time_ns() - int(stamp)) / 1e6)
        return web.Response()


_TAKEN: Final = b'{"create":{"status":201}}'
_BUSY: Final = (
    b'{"create":{"status":429,"error":'
    b'{"type":"es_rejected_execution_exception","reason":"queue is full"}}}'
)


async def _refusing_half(request: web.BaseRequest) -> web.Response:
    """Answer a bulk request: of every second document that its queue is full.

    It shares this process with the receivers that tell the time, so it must be quick.
    """
    count = (await request.read()).count(b'{"create":')
    items = b",".join([_TAKEN, _BUSY] * (count // 2) + [_TAKEN] * (count % 2))
    body = b'{"errors":true,"items":[' + items + b"]}"
    return web.Response(body=body, content_type="application/json")


async def _read_slowly(connection: socket.socket, rate: float) -> None:
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(OSError):
        while rate and await loop.sock_recv(connection, 1):  # noqa: ASYNC110
            await asyncio.sleep(1 / rate)  # its pace is what it is for
        await asyncio.Event().wait()


async def _accept(listening: socket.socket, rate: float) -> None:
    """Accept connections, and read this many bytes a second of each."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            connection, _ = await loop.sock_accept(listening)
            connection.setblocking(False)
            group.create_task(_read_slowly(connection, rate))


@contextlib.asynccontextmanager
async def _served(answer: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _trickling(rate: float) -> Any:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        accepting = asyncio.get_running_loop().create_task(_accept(listening, rate))
        try:
            yield listening.getsockname()[1]
        finally:
            accepting.cancel()


async def _neighbours(stack: contextlib.AsyncExitStack, folder: Path) -> dict[str, Any]:
    """Start every kind of fifth integration's server; give type and config, by kind."""
    trusted, other = Authority(folder / "tls"), Authority(folder / "other")
    files = other.server(make_folder(folder / "server", None), ["127.0.0.1"], None)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.certificate, files.key)
    healthy = await stack.enter_async_context(_served(Receiver().take))
    bulk = await stack.enter_async_context(_served(_refusing_half))
    untrusted = await stack.enter_async_context(_served(Receiver().take, tls))
    slow, silent = (stack.enter_context(_trickling(rate)) for rate in (1.0, 0.0))
    syslog = {"host": "127.0.0.1", "transport": "tcp"}
    return {
        NOBODY: None,
        "a healthy one": ("webhook", {"url": f"http://127.0.0.1:{healthy}/"}),
        "one that is away": ("webhook", {"url": f"http://127.0.0.1:{free_port()}/"}),
        "reads 1 B/s, syslog": ("syslog", syslog | {"port": slow}),
        "reads 1 B/s, HTTP": ("webhook", {"url": f"http://127.0.0.1:{slow}/"}),
        "never answers, syslog": ("syslog", syslog | {"port": silent}),
        "never answers, HTTP": ("webhook", {"url": f"http://127.0.0.1:{silent}/"}),
        "a handshake that hangs": (
            "syslog",
            {"host": "127.0.0.1", "port": silent, "ca": trusted.pem},
        ),
        "200 with failures inside": ("elasticsearch", {"url": f"http://127.0.0.1:{bulk}"}),
        "a certificate not valid": (
            "webhook",
            {"url": f"https://127.0.0.1:{untrusted}/", "ca": trusted.pem},
        ),
    }


@dataclass
class Bench:
    """All that runs.

    Args:
        store: publishes one message to JetStream and waits for its acknowledgement.
        take_up: has an integration taken up by the process that delivers.
    """

    arguments: argparse.Namespace
    js: Any
    seal: Any
    hub: Process
    receivers: list[Receiver]
    began: int
    sequence: int = 0
    revision: int = 1

    async def take_up(
        self, number: int, what: tuple[str, dict[str, Any]], *, enabled: bool = True
    ) -> None:
        """Turn an integration on or off; it has some seconds of lines to catch up with."""
        self.revision += 1
        if enabled:
            self.began = time.time_ns() // 1000 - 10_000_000
        name = f"int_{number}"
        spec = IntegrationSpec(
            name, "acc_bench", PROJECT, what[0], await self.seal(name, what[1]),
            enabled, self.began, self.revision,
        )  # fmt: skip
        self.hub.say(msgspec.json.encode(spec).decode())
        await self.hub.process.stdout.readline()  # type: ignore[union-attr]

    def cpu(self) -> float:
        """Give the CPU seconds that the process that delivers has used."""
        return cpu_of(self.hub.process.pid)

    async def store(self) -> None:
        """Store one batch."""
        count, first = self.arguments.lines, self.sequence + 1
        self.sequence += count
        now = time.time_ns()
        text = f"GET /api/v1/devices 200 {'x' * 80} t={now}"
        lines = Lines([now // 1000] * count, 14, "demo", [text] * count)
        await self.js.publish(
            batch_subject(0, PROJECT, "app"),
            encode_batch(lines, boot=1, first=first),
            headers={
                "Nats-Msg-Id": f"dev_bench:app:1:{first}:{count}",
                "Isaax-Received": str(now // 1000),
                "Isaax-Line": str(first - 1),
            },
        )

    async def flow(self, seconds: float) -> list[float]:
        """Let lines flow at their rate; give their ages at the healthy receivers, in ms."""
        for receiver in self.receivers:
            receiver.ages.clear()
        loop = asyncio.get_running_loop()
        start, step = loop.time(), 1 / self.arguments.rate
        for number in range(int(seconds / step)):
            await asyncio.sleep(start + number * step - loop.time())
            await self.store()
        await asyncio.sleep(0.2)
        return [age for receiver in self.receivers for age in receiver.ages]


@contextlib.asynccontextmanager
async def _running(
    arguments: argparse.Namespace, folder: Path
) -> AsyncIterator[tuple[Bench, dict[str, Any]]]:
    async with contextlib.AsyncExitStack() as stack:
        runtime = Runtime(folder / "runtime")
        nats = Nats(folder / "nats", port=free_port(), password=Secret("x"), runtime=runtime)
        postgres = Postgres(
            folder / "postgres", port=free_port(), admin=Secret("a"), password=Secret("b"),
            runtime=runtime,
        )  # fmt: skip
        for part in (nats, postgres):
            await part.start()
            stack.push_async_callback(part.stop)
        await postgres.create_database("bench")
        where, key = postgres.settings_for("bench"), os.urandom(32)
        await migrate(where, [])
        client = await stack.enter_async_context(connect(nats.settings))
        js = client.jetstream()
        await ensure_streams(js, RelaySettings(max_bytes=1 << 30))
        database = await stack.enter_async_context(Database.open(where))
        js_settings = nats.settings
        setup = Setup(
            (js_settings.url, js_settings.user, js_settings.password.reveal()),
            (where.host, where.port, where.database, where.user, where.password.reveal()),
            key,
        )
        hub = await Process.start("neighbours.py", msgspec.json.encode(setup).decode())
        stack.push_async_callback(hub.end)
        await hub.process.stdout.readline()  # type: ignore[union-attr]
        receivers = [Receiver() for _ in range(HEALTHY)]
        seal = functools.partial(_seal, database, Vault(key))
        bench = Bench(arguments, js, seal, hub, receivers, 0)
        for number, receiver in enumerate(receivers):
            port = await stack.enter_async_context(_served(receiver.take))
            await bench.take_up(number, ("webhook", {"url": f"http://127.0.0.1:{port}/"}))
        yield bench, await _neighbours(stack, folder)


async def _seal(database: Database, vault: Vault, name: str, config: dict[str, Any]) -> bytes:
    async with database.system() as tx:
        return await vault.seal(
            tx, json.dumps(config).encode(), account="acc_bench", project=PROJECT,
            name=f"integration/{name}",
        )  # fmt: skip


def _cut(ages: list[float], hundredth: int) -> float:
    return statistics.quantiles(ages, n=100)[hundredth - 1]


@dataclass
class Pairs:
    """What was measured of one kind: each time right after a time with nobody."""

    alone: list[list[float]] = field(default_factory=list)
    beside: list[list[float]] = field(default_factory=list)
    alone_cpu: float = 0.0
    beside_cpu: float = 0.0

    def row(self) -> str:
        """Give p50 and p99 of both, the ratio of the two p99 (of all, by pair), and of the CPU."""
        alone, beside = (list(chain.from_iterable(all_)) for all_ in (self.alone, self.beside))
        ratios = [_cut(b, 99) / _cut(a, 99) for a, b in zip(self.alone, self.beside, strict=True)]
        cuts = [_cut(ages, n) for ages in (alone, beside) for n in (50, 99)]
        cpu = self.beside_cpu / self.alone_cpu
        numbers = [*cuts, cuts[3] / cuts[1], statistics.median(ratios), cpu]
        return " ".join(f"{number:8.2f}" for number in numbers)


async def main(arguments: argparse.Namespace) -> None:
    """Measure each kind in turns with nobody, and print a table."""
    with folder_of_its_own() as folder:
        async with _running(arguments, folder) as (bench, kinds):
            await bench.flow(3.0)  # warms up
            measured = {kind: Pairs() for kind in kinds if arguments.kinds in kind}
            fifth = HEALTHY
            for _ in range(arguments.rounds):
                for kind, pairs in measured.items():
                    what = kinds[kind]
                    used = bench.cpu()
                    pairs.alone.append(await bench.flow(arguments.seconds))
                    pairs.alone_cpu += bench.cpu() - used
                    fifth += 1
                    if what is not None:
                        await bench.take_up(fifth, what)
                    await bench.flow(arguments.settle)
                    used = bench.cpu()
                    pairs.beside.append(await bench.flow(arguments.seconds))
                    pairs.beside_cpu += bench.cpu() - used
                    if what is not None:
                        await bench.take_up(fifth, what, enabled=False)
                    await bench.flow(arguments.settle)
    rate = arguments.rate * arguments.lines
    print(f"{HEALTHY} webhooks, {rate:,} lines/s to each; ms from stored to taken")
    heads = ("p50", "p99", "p50", "p99", "p99:p99", "in pairs", "CPU")
    print(f"{'':28}{'alone':>16}{'beside it':>18}{'ratio':>26}")
    print(f"{'beside':28}{' '.join(f'{head:>8}' for head in heads)}")
    for kind, pairs in measured.items():
        print(f"{kind:28}{pairs.row()}")


def options() -> argparse.ArgumentParser:
    """Say what can be set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--kinds", default="", help="only those with this in their names")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each time")
    parser.add_argument("--settle", type=float, default=0.5, help="before each")
    parser.add_argument("--rate", type=int, default=50, help="batches a second")
    parser.add_argument("--lines", type=int, default=20, help="a batch")
    return parser


if __name__ == "__main__":
    asyncio.run(main(options().parse_args()))
