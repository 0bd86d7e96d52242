"""A fleet of simulated devices on a whole hub: `python bench/fleet.py` (see bench/README.md).

`envars`: how long after a `PUT` a device says that it uses the variable, one device's and all
devices', beside a bare hop from NATS over a bridge to MQTT. `storm`: what it takes until all are
back after `kill -9` of the broker, which is started again as `isaax up` does it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
import asyncpg
import msgspec
import psutil
import uvloop

from bench import bridge
from bench.device import HOP
from bench.gateway import Hub, child, until_ready
from bench.parts import Process, cpu_of, folder_of_its_own
from hub.embedded.parts import Embedded
from hub.embedded.ports import Ports, fill, free_port
from hub.messaging.jetstream import EVENTS
from hub.messaging.nats_transport import connect
from hub.protocol import Session

PATIENCE = 240.0  # seconds
LOOK = 0.02  # seconds between two looks at what the devices have done
VALUE = "x" * 40


@dataclass
class Fleet:
    """The hub, its parts, and the devices."""

    hub: Hub
    serve: asyncio.subprocess.Process
    simulator: Process
    http: aiohttp.ClientSession
    devices: list[str] = field(default_factory=list)
    open: int = 0
    told: dict[str, Any] = field(default_factory=dict)

    async def ask(self, *words: Any) -> dict[str, Any]:
        """Have the simulator do something."""
        self.simulator.say(json.dumps(words))
        return await self.simulator.read()

    async def look(self) -> dict[str, Any]:
        """See what the devices did since the last look."""
        self.told = await self.ask("counts")
        self.open = self.told["open"]
        return self.told

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the REST API."""
        url = f"http://127.0.0.1:{self.hub.http}/api/v1{path}"
        head = {"Authorization": f"Bearer {self.hub.token}"}
        async with self.http.request(method, url, json=body, headers=head) as answer:
            if answer.status >= 300:
                raise SystemExit(f"{method} {path}: {answer.status} {await answer.text()}")
            return await answer.json()

    async def behind(self) -> bool:
        """Say whether the hub shows a device that has not applied what it is to have."""
        path = f"/projects/{self.hub.project}/envar-statuses?pending=true&limit=1"
        return bool(await self.call("GET", path))

    async def away(self) -> bool:
        """Say whether the hub shows a device that is not connected."""
        path = f"/projects/{self.hub.project}/devices?online=false&limit=1"
        return bool(await self.call("GET", path))

    def pids(self) -> dict[str, list[int]]:
        """Give the processes of each part."""
        embedded = self.hub.embedded
        postgres = psutil.Process(embedded.postgres.child.pid)
        return {
            "hub": [self.serve.pid],
            "mosquitto": [embedded.mosquitto.child.pid],
            "nats-server": [embedded.nats.child.pid],
            "postgres": [postgres.pid, *(one.pid for one in postgres.children(recursive=True))],
            "devices": [self.simulator.process.pid],
        }

    def cpu(self) -> dict[str, float]:
        """Give the CPU seconds of each part."""
        return {name: sum(map(_cpu, pids)) for name, pids in self.pids().items()}

    def memory(self) -> dict[str, float]:
        """Give the memory of each part in bytes; what processes share counts once."""
        return {name: sum(map(_memory, pids)) for name, pids in self.pids().items()}


def _cpu(pid: int) -> float:
    try:
        return cpu_of(pid)
    except psutil.NoSuchProcess:
        return 0.0


def _memory(pid: int) -> float:
    try:
        info = psutil.Process(pid).memory_info()
    except psutil.NoSuchProcess:
        return 0.0
    return float(info.rss - info.shared)


@contextlib.asynccontextmanager
async def running(devices: int) -> AsyncIterator[Fleet]:
    """Run a hub as `isaax up` does, and have so many devices registered with it."""
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(folder_of_its_own())
        ports = fill(Ports(0, 0, 0, 0, 0))
        embedded = await stack.enter_async_context(Embedded.start(folder / "data", ports=ports))
        hub = Hub(folder, embedded, ports.http, free_port(), free_port(), folder / "hub.toml")
        hub.write_config()
        log = Path(os.environ.get("ISAAX_BENCH_LOG") or folder / "hub.log")
        serve = await child("-m", "hub.cli", "serve", "--config", str(hub.config), log=log)
        stack.push_async_callback(_end, serve)
        await until_ready(hub.http, log)
        await hub.found()
        token = (await hub.post(f"/api/v1/projects/{hub.project}/tokens", {"name": "fleet"}))[
            "token"
        ]
        simulator = await Process.start("simulator.py")
        stack.push_async_callback(simulator.end)
        place = ["127.0.0.1", ports.mqtt, hub.project, token]
        simulator.say(
            json.dumps(dict(zip(("host", "port", "project", "token"), place, strict=True)))
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        fleet = Fleet(hub, serve, simulator, http)
        before = fleet.cpu()
        made = await fleet.ask("register", devices)
        fleet.devices = made["devices"]
        print(f"registered: {devices / made['seconds']:,.0f} devices/s")
        spent(before, fleet.cpu(), devices)
        await until_told(embedded)
        yield fleet


async def until_told(embedded: Embedded) -> None:
    """Wait until all that happened has been taken up: what is measured next begins then."""
    async with connect(embedded.nats.settings) as nats:
        js = nats.jetstream()
        while any(  # noqa: ASYNC110 - NATS tells nobody
            one.num_pending + one.num_ack_pending for one in await js.consumers_info(EVENTS)
        ):
            await asyncio.sleep(1)


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    await process.wait()


def spent(before: dict[str, float], after: dict[str, float], devices: int) -> None:
    """Print the CPU of each part, for each device."""
    each = {name: (after[name] - before[name]) / devices * 1e3 for name in after}
    print("  ms of CPU a device: " + ", ".join(f"{n} {used:.2f}" for n, used in each.items()))


async def until_open(fleet: Fleet, count: int, since: float) -> list[float]:
    """Wait until so many have a session; give when each got it, in seconds since then."""
    opened: list[float] = []
    said = time.monotonic()
    while fleet.open < count or not opened:
        opened += (await fleet.look())["opened"]
        if time.monotonic() - since > PATIENCE:
            print(f"  only {fleet.open:,} of {count:,} have a session: {fleet.told}")
            break
        if time.monotonic() - said > 5:
            said = time.monotonic()
            print(f"  … {fleet.open:,} after {said - since:.0f} s")
        await asyncio.sleep(LOOK * 5)
    return [moment - since for moment in opened]


async def until_settled(fleet: Fleet, since: float) -> float:
    """Wait until the hub shows every device as up to date; give the seconds since then."""
    while await fleet.behind():
        if time.monotonic() - since > PATIENCE:
            raise SystemExit("there are devices that do not get their variables")
        await asyncio.sleep(LOOK)
    return time.monotonic() - since


def cuts(seconds: Sequence[float]) -> str:
    """Say p50, p99 and the longest, in ms."""
    found = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [*seconds] * 99
    return f"p50 {found[49] * 1e3:7.1f}  p99 {found[98] * 1e3:7.1f}  max {max(seconds) * 1e3:7.1f}"


# ── variables ─────────────────────────────────────────────────────────────────────────────────


@dataclass
class Times:
    """What was measured, in seconds from the `PUT` (or the message into NATS)."""

    applied: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    hops: list[float] = field(default_factory=list)


async def put(fleet: Fleet, name: str, value: str, count: int, times: Times) -> None:
    """Set a variable of the project, and wait until so many devices say that they use it."""
    await fleet.look()
    began = time.monotonic()
    path = f"/projects/{fleet.hub.project}/envars/{name}"
    asking = asyncio.create_task(fleet.call("PUT", path, {"value": value}))
    got: list[float] = []
    while len(got) < count:
        got += [moment - began for _, moment in (await fleet.look())["reported"]]
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"only {len(got)} of {count} devices took it up")
        await asyncio.sleep(LOOK)
    await asking
    times.applied += got
    times.shown.append(await until_settled(fleet, began))


async def hop(fleet: Fleet, nats: Any, topics: Sequence[str], payload: bytes, times: Times) -> None:
    """Send as much to as many devices over the bridge."""
    await fleet.look()
    began = time.monotonic()
    for topic in topics:
        await nats.publish(bridge.SUBJECT, payload, headers={"topic": topic})
    await nats.flush()
    got: list[float] = []
    while len(got) < len(topics):
        got += [moment - began for moment in (await fleet.look())["hops"]]
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"only {len(got)} of {len(topics)} messages came over the bridge")
        await asyncio.sleep(LOOK)
    times.hops += got


async def envars(fleet: Fleet, arguments: argparse.Namespace) -> None:
    """Measure what the variables of one device, and of all, take."""
    await fleet.ask("connect", arguments.spread)
    began = time.monotonic()
    await until_open(fleet, len(fleet.devices), began)
    await until_settled(fleet, began)
    # A device with a variable of its own is not concerned by the project's.
    for device in fleet.devices[1:]:
        await fleet.call("PUT", f"/devices/{device}/envars/ONE", {"value": "own"})
    await until_settled(fleet, time.monotonic())
    sessions = await _sessions(fleet)
    mqtt, js = fleet.hub.embedded.mosquitto.settings, fleet.hub.embedded.nats.settings
    setup = bridge.Setup(
        (mqtt.host, mqtt.port, mqtt.username, mqtt.password.reveal()),
        (js.url, js.user, js.password.reveal()),
    )
    process = await Process.start("bridge.py")
    process.say(msgspec.json.encode(setup).decode())
    assert process.process.stdout is not None
    await process.process.stdout.readline()
    payload = b"x" * 900  # as long as the agent's own variables are
    one, every = Times(), Times()
    before = fleet.cpu()
    async with connect(js) as nats:
        for number in range(arguments.rounds):
            await put(fleet, "ONE", f"{number} {VALUE}", 1, one)
            await hop(fleet, nats, sessions[:1], payload, one)
            if number % arguments.every == 0:
                await put(fleet, "EVERY", f"{number} {VALUE}", len(sessions), every)
                await hop(fleet, nats, sessions, payload, every)
    print(f"{len(sessions):,} devices, {arguments.rounds} rounds; ms from the PUT's sending")
    for what, times in (("one device", one), ("all devices", every)):
        print(f"  {what:12} applied       {cuts(times.applied)}")
        print(f"  {what:12} shown         {cuts(times.shown)}")
        print(f"  {what:12} the bare hop  {cuts(times.hops)}")
        ratio = statistics.median(times.applied) / statistics.median(times.hops)
        print(f"  {what:12} applied : bare hop, medians: {ratio:.1f}")
    spent(before, fleet.cpu(), 1)
    await process.end()


async def _sessions(fleet: Fleet) -> list[str]:
    """Give the topics of all devices that the bare hop is sent on."""
    settings = fleet.hub.embedded.postgres.settings
    connection = await asyncpg.connect(
        host=settings.host, port=settings.port, database=settings.database,
        user=settings.user, password=settings.password.reveal() or None,
    )  # fmt: skip
    await connection.execute("SET ROLE isaax_system")
    rows = await connection.fetch("SELECT device, id FROM auth_session")
    await connection.close()
    found = {row["device"]: row["id"] for row in rows}
    return [
        Session(fleet.hub.project, device, found[device]).wanted(HOP) for device in fleet.devices
    ]


# ── a storm ───────────────────────────────────────────────────────────────────────────────────


async def storm(fleet: Fleet, arguments: argparse.Namespace) -> None:
    """Connect all, send to all, kill the broker, and wait until all are back."""
    devices, empty = len(fleet.devices), fleet.memory()
    before, began = fleet.cpu(), time.monotonic()
    await fleet.ask("connect", arguments.spread)
    opened = await until_open(fleet, devices, began)
    print(f"switched on over {arguments.spread:g} s: all have a session after {max(opened):.1f} s")
    await shown(fleet, began)
    print(f"  the hub shows all as up to date after {await until_settled(fleet, began):.1f} s")
    spent(before, fleet.cpu(), devices)
    await idle(fleet, arguments.idle)
    taken = {name: (used - empty[name]) / devices for name, used in fleet.memory().items()}
    print("  KB a device: " + ", ".join(f"{n} {used / 1e3:.1f}" for n, used in taken.items()))
    await broadcast(fleet)
    before = fleet.cpu()
    await fleet.look()
    told = fleet.told
    killed = fleet.hub.embedded.mosquitto.child.pid
    before["mosquitto"] = 0.0  # the next one begins anew
    os.kill(killed, signal.SIGKILL)
    began = time.monotonic()
    while fleet.open >= devices:
        await fleet.look()
    opened = await until_open(fleet, devices, began)
    print(f"kill -9 of the broker: all are back with a session after {max(opened):.1f} s")
    found = statistics.quantiles(opened, n=100)
    print(f"  half after {found[49]:.1f} s, 99 % after {found[98]:.1f} s")
    each = {
        word: (fleet.told[word] - told[word]) / devices
        for word in ("connects", "refused", "asked", "told_to_wait")
    }
    print("  times a device: " + ", ".join(f"{word} {n:.2f}" for word, n in each.items()))
    await shown(fleet, began)
    print(f"  the hub shows all as up to date after {await until_settled(fleet, began):.1f} s")
    spent(before, fleet.cpu(), devices)
    await broadcast(fleet)
    for name, used in fleet.memory().items():
        print(f"  {name:12} {used / 1e6:7.0f} MB, {used / 1e3 / devices:.1f} KB a device")


async def shown(fleet: Fleet, since: float) -> None:
    """Wait until the hub shows all as connected."""
    while await fleet.away():
        if time.monotonic() - since > PATIENCE:
            print("  the hub does not show all as connected")
            return
        await asyncio.sleep(LOOK * 5)
    print(f"  the hub shows all as connected after {time.monotonic() - since:.1f} s")


async def idle(fleet: Fleet, seconds: float) -> None:
    """Print what it costs to wait."""
    before = fleet.cpu()
    await asyncio.sleep(seconds)
    used = {name: (now - before[name]) / seconds for name, now in fleet.cpu().items()}
    print("  idle, % of a core: " + ", ".join(f"{n} {100 * u:.1f}" for n, u in used.items()))


async def broadcast(fleet: Fleet) -> None:
    """Set a variable of all devices."""
    times, before = Times(), fleet.cpu()
    await put(fleet, "EVERY", f"{time.time()} {VALUE}", len(fleet.devices), times)
    print(
        f"a variable of all: used by all after {max(times.applied):.2f} s "
        f"(half: {statistics.median(times.applied):.2f}), shown after {times.shown[0]:.2f} s"
    )
    spent(before, fleet.cpu(), len(fleet.devices))


async def main(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    async with running(arguments.devices) as fleet:
        await (envars if arguments.mode == "envars" else storm)(fleet, arguments)


def options() -> argparse.ArgumentParser:
    """Say what can be set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["envars", "storm"])
    parser.add_argument("--devices", type=int, default=1_000)
    parser.add_argument("--spread", type=float, default=5.0, help="seconds to switch all on in")
    parser.add_argument("--rounds", type=int, default=200, help="of `envars`")
    parser.add_argument("--every", type=int, default=10, help="rounds for one that concerns all")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds to look at idle costs")
    return parser


if __name__ == "__main__":
    uvloop.run(main(options().parse_args()))
