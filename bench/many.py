"""Many integrations of many projects in one hub: `python bench/many.py` (see bench/README.md).

How long a start takes, what it costs while nothing happens, how soon a line arrives, and how many
lines a second pass when all projects send at once. All integrations write to one receiver (TCP).
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil

from bench.generator import Load
from bench.parts import Parts, everything, folder_of_its_own, send
from hub.messaging.nats_transport import connect
from hub.relay.streams import shard_stream

_PATIENCE = 60.0  # seconds


async def until_made(parts: Parts, count: int) -> float:
    """Wait until each integration has its consumer; give the seconds that this took."""
    started = time.perf_counter()
    async with connect(parts.nats.settings) as nats:
        js, made = nats.jetstream(), 0
        while made < count:
            if time.perf_counter() - started > _PATIENCE:
                raise SystemExit(f"only {made} of {count} integrations have a consumer")
            await asyncio.sleep(0.1)
            made = (await js.stream_info(shard_stream(0))).state.consumer_count
    return time.perf_counter() - started


async def idle(parts: Parts, seconds: float) -> None:
    """Print what it costs to wait."""
    before = parts.cpu()
    await asyncio.sleep(seconds)
    for name, used in parts.cpu().items():
        if name != "receiver":
            memory = psutil.Process(parts.pids()[name]).memory_info().rss / 1e6
            share = (used - before[name]) / seconds * 100
            print(f"  {name:28} {share:5.1f} % of a core, {memory:,.0f} MB")


async def main(arguments: argparse.Namespace) -> None:
    """Measure, and print."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    projects = [f"prj_{number:06d}" for number in range(arguments.projects)]
    each = arguments.integrations // arguments.projects
    with folder_of_its_own() as folder:
        async with everything(folder, dict.fromkeys(projects, each), tls=False) as parts:
            print(f"{each * len(projects):,} integrations of {len(projects)} projects")
            made = await until_made(parts, each * len(projects))
            print(f"start: ready after {parts.started:.1f} s, all consumers {made:.1f} s later")
            await asyncio.sleep(3)
            print("idle, before any line")
            await idle(parts, arguments.seconds)
            print("the first line of each project: all connect")
            first = Load(
                lines=1, bytes=130, seconds=1, codec="none", rate=len(projects), timed=True
            )
            (await send(parts, projects, each, first, devices=len(projects))).show()
            print("a line of each project a second")
            calm = Load(lines=1, bytes=130, seconds=arguments.seconds, codec="none",
                        rate=len(projects), timed=True)  # fmt: skip
            run = await send(parts, projects, each, calm, devices=len(projects))
            run.show()
            print("full load, 100 lines a batch")
            full = Load(lines=100, bytes=130, seconds=arguments.seconds, codec="zstd", window=2)
            run = await send(parts, projects, each, full, devices=len(projects))
            run.show(run.delivered)
            print("idle again")
            await asyncio.sleep(3)
            await idle(parts, arguments.seconds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--projects", type=int, default=200)
    parser.add_argument("--integrations", type=int, default=1_000, help="of all projects together")
    asyncio.run(main(parser.parse_args()))
