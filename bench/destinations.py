"""What destinations cost, in lines a second and µs of CPU a line: `python bench/destinations.py`.

Each sends the same batches to a server on this machine that takes everything and answers as the
vendor does (`answering.py`; for syslog `receiver.py`). CPU is that of the sending process alone:
encoding, compression, TLS where there is any, HTTP and the socket.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop

from bench.parts import Process
from hub import telemetry
from hub.batches import Batch, Chunk
from hub.destinations import Destination, Tools
from hub.embedded.account import make_folder
from hub.embedded.tls import Authority
from hub.memory import keep_freed_buffers
from hub.net import tools_for
from hub.plugins import PluginHost
from hub.protocol import Lines
from hub.structs import decode

LINES = 1_000
CHUNKS = 5
TEXT = "GET /api/v1/projects/42/devices?limit=100 200 17 ms 10.0.0.12 "


def batch() -> Batch:
    """Make 5,000 lines of 130 bytes, of five devices, of now; with words, so that gzip has work."""
    now = time.time_ns() // 1_000
    chunks = []
    for device in range(CHUNKS):
        texts = [f"{n:08d} {TEXT}{n * 7919 % 99991} {device * n:x}".ljust(130, "-") for n in
                 range(LINES)]  # fmt: skip
        lines = Lines([now + n * 37 for n in range(LINES)], 14, "demo", texts)
        chunks.append(Chunk("prj_a", f"dev_{device}", f"pump-{device}", "app", 1, 1, now, lines))
    return Batch("bench", tuple(chunks))


def cases(http: str, syslog: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Give the type and the config of each case."""
    key = {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "x" * 40}
    return {
        "syslog (TLS)": ("syslog", {**syslog}),
        "syslog (TLS, ids, octets)": (
            "syslog", {**syslog, "include_id": True, "framing": "octet-counting"},
        ),
        "webhook": ("webhook", {"url": http}),
        "webhook (gzip)": ("webhook", {"url": http, "gzip": True}),
        "loki": ("loki", {"url": http, "labels": ["project", "host", "stream"], "gzip": False}),
        "loki (gzip)": ("loki", {"url": http, "labels": ["project", "host", "stream"]}),
        "elasticsearch": ("elasticsearch", {"url": http, "api_key": "x", "gzip": False}),
        "elasticsearch (gzip)": ("elasticsearch", {"url": http, "api_key": "x"}),
        "splunk_hec": (
            "splunk_hec", {"url": http, "token": "x", "gzip": False, "acknowledge": False},
        ),
        "splunk_hec (gzip)": ("splunk_hec", {"url": http, "token": "x", "acknowledge": False}),
        "datadog (gzip)": ("datadog", {"api_key": "x" * 32, "url": http}),
        "betterstack (gzip)": ("betterstack", {"token": "x", "url": http}),
        "loggly": ("loggly", {"token": "00000000-0000-0000-0000-000000000000", "url": http}),
        "otlp (protobuf)": ("otlp", {"url": http, "encoding": "protobuf", "gzip": False}),
        "otlp (protobuf, gzip)": ("otlp", {"url": http, "encoding": "protobuf", "gzip": True}),
        "otlp (JSON)": ("otlp", {"url": http, "encoding": "json", "gzip": False}),
        "influx": (
            "influx", {"url": http, "bucket": "b", "token": "x", "logs": True, "gzip": False},
        ),
        "influx (gzip)": ("influx", {"url": http, "bucket": "b", "token": "x", "logs": True}),
        "gelf (HTTP, bulk)": ("gelf", {"transport": "http", "url": f"{http}/gelf", "bulk": True}),
        "s3 (gzip)": ("s3", {"bucket": "bench", "region": "eu-central-1", "endpoint": http, **key}),
        "file": ("file", {"name": "lines"}),
    }  # fmt: skip


async def measure(destination: Destination, work: Batch, seconds: float) -> tuple[float, float]:
    """Give lines a second and µs of CPU a line, the latter of the best round."""
    await destination.send(work)
    best, lines, started = float("inf"), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        used = time.process_time()
        # Of another name each: what knows a batch by it must not take it for a repetition.
        await destination.send(replace(work, id=f"bench-{lines}"))
        best = min(best, time.process_time() - used)
        lines += len(work)
    return lines / (time.perf_counter() - started), best / len(work) * 1e6


def build(host: PluginHost, kind: str, config: dict[str, Any], tools: Tools) -> Destination:
    """Make a destination as the relay does, but for its fence."""
    found = host.destinations[kind]
    assert found.build is not None
    return found.build(decode(found.config, config), tools)


async def main(arguments: argparse.Namespace) -> None:
    """Measure each case, and print a table."""
    telemetry.configure(level="error", format="console")
    keep_freed_buffers()  # as the hub does
    host, work = PluginHost.load(), batch()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder / "tls")
        served = authority.server(make_folder(folder / "receiver", None), ["127.0.0.1"], None)
        answering = await Process.start("answering.py", str(LINES * CHUNKS))
        receiver = await Process.start("receiver.py", str(served.certificate), str(served.key))
        try:
            http = f"http://127.0.0.1:{(await answering.read())['port']}"
            port = (await receiver.read())["port"]
            syslog = {"host": "127.0.0.1", "port": port, "ca": authority.pem}
            for title, (kind, config) in cases(http, syslog).items():
                if arguments.names and not any(word in title for word in arguments.names):
                    continue
                async with tools_for(
                    "int_bench", project="prj_a", private_hosts=True, folder=folder / "files"
                ) as tools:
                    destination = build(host, kind, config, tools)
                    rate, cost = await measure(destination, work, arguments.seconds)
                    await destination.close()
                print(f"{title:28} {rate:12,.0f} lines/s {cost:8.3f} µs CPU a line", flush=True)
        finally:
            for process in (answering, receiver):
                await process.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names; all by default")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each")
    uvloop.run(main(parser.parse_args()))
