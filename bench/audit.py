"""What it costs that every change is in the audit log: one PATCH of a project, with and without.

`python -m bench.audit [seconds]`. The hub (accounts, projects, gateway) is a process of its own, on
a real Postgres and NATS; without is the same route, declared `unaudited`.
"""

import asyncio
import contextlib
import dataclasses
import json
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec
import psutil
import uvloop

import services.accounts
import services.projects
from bench.parts import Process, folder_of_its_own
from hub import builtin, telemetry
from hub.config import load
from hub.contracts import Nothing
from hub.database import Database
from hub.embedded.nats import Nats
from hub.embedded.ports import free_port
from hub.embedded.postgres import Postgres
from hub.embedded.runtime import Runtime
from hub.hookspecs import hookimpl
from hub.migrations import migrate
from hub.parts import PARTS
from hub.plugins import PluginHost
from hub.registry import run
from hub.routes import Route
from hub.secret import Secret
from hub.settings import (
    HttpSettings,
    HubSettings,
    NatsSettings,
    PostgresSettings,
    VaultSettings,
)
from hub.vault import generate_key_file
from services.accounts.service import Accounts

_ROUNDS: Final = 3
"""Of each, in turn; the one that took least CPU is shown: it was disturbed least."""


class Setup(msgspec.Struct, frozen=True):
    """Where the parts are, and whether changes are recorded."""

    nats: tuple[str, str, str]
    postgres: tuple[str, int, str, str, str]
    vault: str
    port: int
    audited: bool


class Unrecorded:
    """Our own plugin of projects, with routes that are not recorded."""

    isaax_services = staticmethod(services.projects.isaax_services)
    isaax_migrations = staticmethod(services.projects.isaax_migrations)
    isaax_permissions = staticmethod(services.projects.isaax_permissions)

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        """Give the same routes, unrecorded."""
        return [
            dataclasses.replace(route, unaudited="" if route.method == "GET" else "a benchmark")
            for route in services.projects.isaax_routes()
        ]


async def hub(setup: Setup) -> None:
    """Run the hub until SIGTERM."""
    telemetry.configure(level="warning", format="console")
    stop, ready = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    plugins = PluginHost.of(
        {
            "core": builtin,
            "accounts": services.accounts,
            "projects": services.projects if setup.audited else Unrecorded(),
        }
    )
    url, user, password = setup.nats
    host, port, name, pg_user, pg_password = setup.postgres
    settings = msgspec.structs.replace(
        load(None, {}, plugins.config_sections),
        hub=HubSettings(services=("accounts", "projects", "gateway")),
        http=HttpSettings(
            port=setup.port, requests_per_token=0, requests_per_network=0, requests_at_work=0
        ),
        nats=NatsSettings(url, user, Secret(password)),
        postgres=PostgresSettings(host, port, name, pg_user, Secret(pg_password)),
        vault=VaultSettings(Path(setup.vault)),
    )
    running = asyncio.create_task(run(settings, plugins, parts=PARTS, ready=ready, stop=stop))
    await ready.wait()
    print(json.dumps({"ready": True}), flush=True)
    await running


class Client:
    """One connection that asks again and again."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self.seconds: list[float] = []

    async def ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send one request, and read its answer."""
        data = json.dumps(body).encode()
        kind = "merge-patch+json" if method == "PATCH" else "json"
        self._writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/{kind}\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        answer: dict[str, Any] = json.loads(await self._reader.readexactly(length))
        if not head.startswith("http/1.1 20"):
            raise SystemExit(f"{method} {path}: {answer}")
        return answer

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Client"]:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        yield self
        self._writer.close()

    async def patch(self, project: str, until: float) -> None:
        """Rename a project of its own until then."""
        number = 0
        while (started := time.perf_counter()) < until:
            number += 1
            await self.ask("PATCH", f"/api/v1/projects/{project}", {"name": f"name {number}"})
            self.seconds.append(time.perf_counter() - started)


@dataclasses.dataclass(frozen=True)
class Figures:
    """Requests a second, what they took in ms, and ms of CPU a request."""

    rate: float
    median: float
    worst: float
    hub: float
    postgres: float


def _cpu(pid: int) -> float:
    """Give the CPU seconds of a process and its children."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


async def load_on(
    port: int, token: str, connections: int, seconds: float, pids: tuple[int, int]
) -> Figures:
    """Rename projects on so many connections."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(Client(port, token).open()) for _ in range(connections)
        ]
        made = [await one.ask("POST", "/api/v1/projects", {"name": "bench"}) for one in clients]
        for warm_up in (True, False):
            until = time.perf_counter() + (1.0 if warm_up else seconds)
            for client in clients:
                client.seconds.clear()
            work = zip(clients, made, strict=True)
            before = [_cpu(pid) for pid in pids]
            await asyncio.gather(*(one.patch(project["id"], until) for one, project in work))
            used = [_cpu(pid) - cpu for pid, cpu in zip(pids, before, strict=True)]
    taken = [second for client in clients for second in client.seconds]
    cuts = statistics.quantiles(taken, n=100)
    hub_cpu, postgres_cpu = (one / len(taken) * 1e3 for one in used)
    return Figures(len(taken) / seconds, cuts[49] * 1e3, cuts[98] * 1e3, hub_cpu, postgres_cpu)


async def main(seconds: float) -> None:
    """Measure both, and print them."""
    telemetry.configure(level="warning", format="console")
    with folder_of_its_own() as folder:
        runtime = Runtime(folder / "runtime")
        nats = Nats(folder / "nats", port=free_port(), password=Secret("x"), runtime=runtime)
        postgres = Postgres(
            folder / "postgres", port=free_port(), admin=Secret("a"), password=Secret("b"),
            runtime=runtime,
        )  # fmt: skip
        async with contextlib.AsyncExitStack() as stack:
            for part in (nats, postgres):
                await part.start()
                stack.push_async_callback(part.stop)
            await postgres.create_database("bench")
            settings = postgres.settings_for("bench")
            generate_key_file(folder / "vault.key")
            await migrate(settings, PluginHost.load(quiet=True).migrations)
            async with Database.open(settings) as database:
                token = await _token(database)
            print(
                "connections            requests/s    p50 ms    p99 ms"
                "    ms of CPU a request: hub, Postgres"
            )
            for connections in (1, 64):
                runs: dict[str, list[Figures]] = {"without": [], "recorded": []}
                for _ in range(_ROUNDS):  # in turn: other work on the machine comes and goes
                    for name, found in runs.items():
                        one = await _measured(
                            nats, postgres, token, folder, connections, seconds,
                            audited=name == "recorded",
                        )  # fmt: skip
                        found.append(one)
                for name, found in runs.items():
                    best = min(found, key=lambda one: one.hub + one.postgres)
                    print(
                        f"{connections:11} {name:10} {best.rate:10.0f} {best.median:9.2f} "
                        f"{best.worst:9.2f} {best.hub:24.2f} {best.postgres:9.2f}"
                    )


async def _token(database: Database) -> str:
    made = await Accounts(database).bootstrap(Nothing())
    return made.token or ""


async def _measured(
    nats: Nats, postgres: Postgres, token: str, folder: Path,
    connections: int, seconds: float, *, audited: bool,
) -> Figures:  # fmt: skip
    js, settings, port = nats.settings, postgres.settings_for("bench"), free_port()
    setup = Setup(
        (js.url, js.user, js.password.reveal()),
        (
            settings.host, settings.port, settings.database, settings.user,
            settings.password.reveal(),
        ),
        str(folder / "vault.key"),
        port,
        audited,
    )  # fmt: skip
    file = folder / "hub.json"
    file.write_bytes(msgspec.json.encode(setup))
    process = await Process.start("audit.py", str(file))
    try:
        await process.read()
        pids = (process.process.pid, postgres.child.pid)
        return await load_on(port, token, connections, seconds, pids)
    finally:
        await process.end()


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "10"
    if argument.endswith(".json"):
        uvloop.run(hub(msgspec.json.decode(Path(argument).read_bytes(), type=Setup)))
    else:
        uvloop.run(main(float(argument)))
