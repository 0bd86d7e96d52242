"""How fast the relay is, whole and on real parts: `python bench/relay.py` (see bench/README.md)."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgspec

from bench.generator import Load
from bench.parts import everything, folder_of_its_own, send

PROJECT = "prj_bench"


async def main(arguments: argparse.Namespace) -> None:
    """Measure at full load, then latency at a tenth of it."""
    copies = arguments.integrations
    load = Load(
        lines=arguments.lines, bytes=arguments.bytes, seconds=arguments.seconds,
        codec=arguments.codec, window=arguments.window,
    )  # fmt: skip
    with folder_of_its_own() as folder:
        async with everything(
            folder, {PROJECT: copies}, deliveries=arguments.split,
            shape=json.loads(arguments.shape), config=json.loads(arguments.config),
        ) as parts:  # fmt: skip
            print(f"{os.cpu_count()} cores; batches of {load.lines} lines of {load.bytes} bytes, "
                  f"{load.codec}; sync_interval: always; {copies} integration(s)")  # fmt: skip
            warm = msgspec.structs.replace(load, seconds=2)
            await send(parts, [PROJECT], copies, warm, devices=arguments.devices)
            rates = []
            for number in range(arguments.rounds):
                print(f"full load, {number + 1} of {arguments.rounds}")
                run = await send(parts, [PROJECT], copies, load, devices=arguments.devices)
                run.show()
                rates.append(run.rate)
            if arguments.rounds > 1:
                print(f"delivered at best: {max(rates):,.0f} lines/s")
            print("a tenth of it")
            tenth = int(max(rates) / copies / 10)
            calm = msgspec.structs.replace(load, rate=tenth, timed=True)
            (await send(parts, [PROJECT], copies, calm, devices=arguments.devices)).show()


def options() -> argparse.ArgumentParser:
    """Say what can be set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1, help="of full load")
    parser.add_argument("--devices", type=int, default=4)
    parser.add_argument("--lines", type=int, default=500, help="a batch")
    parser.add_argument("--bytes", type=int, default=130, help="of a line's text")
    parser.add_argument("--window", type=int, default=64, help="unacknowledged batches a device")
    parser.add_argument("--codec", choices=["none", "zlib", "zstd"], default="zstd")
    parser.add_argument("--integrations", type=int, default=1, help="of the one project")
    parser.add_argument("--split", type=int, default=0, metavar="N",
                        help="deliver in N processes beside the one that takes")  # fmt: skip
    parser.add_argument("--shape", default="{}", help="of the integrations, as JSON; "
                        "one that leaves no line out")  # fmt: skip
    parser.add_argument("--config", default="{}", help="of theirs, as JSON")
    return parser


if __name__ == "__main__":
    asyncio.run(main(options().parse_args()))
