"""Holds all embedded parts until SIGTERM: `python -m tests.programs.embedded_host DATA BUILD PORT…`

Prints the pid of each part as one line of JSON as soon as all are ready. A `StartError` goes to
standard error, with exit code 2.
"""

import asyncio
import json
import signal
import sys
from pathlib import Path

from hub.embedded import Embedded, Ports
from hub.errors import StartError


async def main(data: Path, build: Path, ports: Ports) -> None:
    """Run the parts."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Embedded.start(data, ports=ports, build=build) as embedded:
        print(json.dumps({part.name: part.child.pid for part in embedded.parts}), flush=True)
        await stop.wait()


if __name__ == "__main__":
    mqtts, mqtt, nats, postgres = (int(text) for text in sys.argv[3:7])
    chosen = Ports(mqtts=mqtts, mqtt=mqtt, nats=nats, postgres=postgres)
    try:
        asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), chosen))
    except StartError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(2)
