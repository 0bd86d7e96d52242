"""A syslog receiver that counts, over TLS or (without a certificate) TCP, in its own process.

Every 100 ms it prints a JSON object: lines so far, and the latencies (ms) of some of them, by the
nanoseconds since the epoch that a line may carry as `t=<19 digits>`.
"""

import asyncio
import json
import re
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import uvloop

_SENT = re.compile(rb"t=(\d{19})")


class Counter(asyncio.Protocol):
    """Counts the newlines of all connections."""

    lines = 0
    latencies: list[float] = []  # noqa: RUF012 - of the process

    def data_received(self, data: bytes) -> None:
        """Count, and take the first time stamp of the block."""
        Counter.lines += data.count(b"\n")
        if sent := _SENT.search(data):
            Counter.latencies.append(round((time.time_ns() - int(sent[1])) / 1e6, 3))


async def main(certificate: str = "", key: str = "") -> None:
    """Listen, print the port, and report."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
    if tls is not None:
        tls.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(Counter, "127.0.0.1", 0, ssl=tls)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while True:
        await asyncio.sleep(0.1)
        latencies, Counter.latencies = Counter.latencies, []
        print(json.dumps({"lines": Counter.lines, "latencies": latencies}), flush=True)


uvloop.run(main(*sys.argv[1:]))
