"""rsyslog in the relay's place: TCP in, TLS out, a disk queue that is synced. See `relay.py`."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from hub.embedded.ports import free_port

_CONFIG = """\
global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{ca}" maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="relay")
template(name="raw" type="string" string="%rawmsg%\\n")
ruleset(name="relay") {{
  action(type="omfwd" target="127.0.0.1" port="{target}" protocol="tcp" template="raw"
         streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="anon"
         queue.type="Disk" queue.filename="relay" queue.syncQueueFiles="on"
         queue.checkpointInterval="{checkpoint}" queue.size="100000000" queue.maxDiskSpace="8g"
         queue.dequeueBatchSize="1024" action.resumeRetryCount="-1")
}}
"""


@dataclass(frozen=True)
class Peer:
    """A running rsyslogd."""

    process: asyncio.subprocess.Process
    port: int

    def cpu(self) -> float:
        """Give its CPU seconds."""
        return sum(psutil.Process(self.process.pid).cpu_times()[:2])


@contextlib.asynccontextmanager
async def running(folder: Path, ca: Path, target: int, checkpoint: int) -> AsyncIterator[Peer]:
    """Run rsyslogd in the foreground.

    Args:
        target: port of the TLS receiver.
        checkpoint: messages after which the queue's files are synced.
    """
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    if program is None:
        raise SystemExit("rsyslogd is not installed: apt-get install rsyslog rsyslog-openssl")
    port = free_port()
    config = folder / "rsyslog.conf"
    config.write_text(
        _CONFIG.format(folder=folder, ca=ca, port=port, target=target, checkpoint=checkpoint)
    )
    process = await asyncio.create_subprocess_exec(
        program, "-n", "-f", str(config), "-i", str(folder / "pid"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listens(port)
        yield Peer(process, port)
    finally:
        process.kill()
        await process.wait()


async def _listens(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise SystemExit("rsyslogd does not listen; is rsyslog-openssl installed?")


async def send(port: int, lines: int, size: int) -> None:
    """Send RFC 5424 lines as fast as they are taken."""
    head = "<14>1 2026-01-01T00:00:00.000000Z host demo - - - "
    block = "".join(f"{head}{n:08d} ".ljust(size, "x") + "\n" for n in range(100)).encode()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(lines // 100):
        writer.write(block)
        await writer.drain()
    writer.close()
    await writer.wait_closed()
