"""What the broker's plugin costs: connects a second and CPU a message, with it and without.

    python -m bench.broker_auth [--connects 4000] [--messages 60000] [--rounds 3]

Both brokers run at once and take turns, so that what else the machine does hits both alike; the
ratios hold elsewhere, the absolute figures do not. The last line is what one decision costs by
itself, in a loop without a broker.
"""

import argparse
import asyncio
import statistics
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fixtures.broker import Broker, build, running

PROJECT, TOKEN = "prj_bench", "a-token-of-a-usual-length"


def text(value: str) -> bytes:
    """An MQTT string."""
    return struct.pack(">H", len(value)) + value.encode()


def connect_packet(client: str) -> bytes:
    """CONNECT of MQTT 3.1.1 with user name and password."""
    body = text("MQTT") + b"\x04\xc2\x00\x3c" + text(client) + text(PROJECT) + text(TOKEN)
    return bytes([0x10, len(body)]) + body


def publish_packet(topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 0."""
    body = text(topic) + payload
    return bytes([0x30, len(body) % 128 | 128, len(body) // 128]) + body


@dataclass
class Run:
    """A broker under test and what was measured of it."""

    broker: Broker
    connects: list[float] = field(default_factory=list)
    connect_cpu: list[float] = field(default_factory=list)
    message_cpu: list[float] = field(default_factory=list)

    def cpu(self) -> float:
        """Seconds of CPU that the broker, which has one thread, has used."""
        assert self.broker.process is not None
        # The first field is nanoseconds: Linux, Documentation/scheduler/sched-stats.rst.
        return int(Path(f"/proc/{self.broker.process.pid}/schedstat").read_text().split()[0]) / 1e9

    async def connect_many(self, count: int, at_once: int = 50) -> None:
        """Connect and leave, over and over."""
        waiting = asyncio.Semaphore(at_once)

        async def one(number: int) -> None:
            async with waiting:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.broker.port)
                writer.write(connect_packet(f"new-{number:016x}"))
                answer = await reader.readexactly(4)
                assert answer[3] == 0, answer
                writer.close()

        used, start = self.cpu(), time.perf_counter()
        await asyncio.gather(*(one(number) for number in range(count)))
        self.connects.append(count / (time.perf_counter() - start))
        self.connect_cpu.append((self.cpu() - used) / count * 1e6)

    async def publish_many(self, count: int, session: str) -> None:
        """Publish at QoS 0 to a topic that nobody reads: parsing, one ACL check, no delivery."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.broker.port)
        writer.write(connect_packet("dev_bench"))
        assert (await reader.readexactly(4))[3] == 0
        if session:
            with self.broker.hub() as hub:
                hub.session("dev_bench", PROJECT, session)
        packet = publish_packet(f"d/{PROJECT}/dev_bench/{session or 'x' * 32}/log/app", bytes(200))
        used = self.cpu()
        for _ in range(count // 100):
            writer.write(packet * 100)
            await writer.drain()
        writer.write(b"\xc0\x00")
        await reader.readexactly(2)
        self.message_cpu.append((self.cpu() - used) / count * 1e6)
        writer.close()


def report(plain: Run, guarded: Run) -> None:
    """Print medians and the ratio of each figure."""
    for name, digits in (("connects", 0), ("connect_cpu", 2), ("message_cpu", 3)):
        without, having = (statistics.median(getattr(run, name)) for run in (plain, guarded))
        unit = "a second" if name == "connects" else "µs of broker CPU"
        print(
            f"{name:12} without {without:9.{digits}f}  with {having:9.{digits}f} {unit:17}"
            f" ratio {having / without:.3f}"
        )


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connects", type=int, default=4_000)
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "all", "bench")
        Path(folder).chmod(0o755)
        with running(None) as open_broker, running(Path(folder) / "broker_auth.so") as broker:
            plain, guarded = Run(open_broker), Run(broker)
            with broker.hub() as hub:
                hub.token(PROJECT, TOKEN)
            for _ in range(options.rounds):
                for run, session in ((plain, ""), (guarded, "b" * 32)):
                    asyncio.run(run.connect_many(options.connects))
                    asyncio.run(run.publish_many(options.messages, session))
            report(plain, guarded)
        done = subprocess.run([Path(folder) / "bench"], capture_output=True, text=True, check=True)
        print("one decision:", done.stdout.strip())


if __name__ == "__main__":
    main()
