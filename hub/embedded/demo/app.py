"""The demo's app: prints numbered lines, as a program on a device would.

    python app.py FOLDER RATE

It begins with the variable GREETING, when there is one. It goes on counting where `FOLDER/count`
says, and keeps that file up to date. When `FOLDER/stop` appears it prints no more, writes
`FOLDER/done`, and waits to be ended.
"""

import os
import sys
import time
from pathlib import Path

THINGS = ("valve opened", "temperature 21.5 °C", "pump started", "pressure 4.2 bar", "door closed")


def main(folder: Path, rate: float) -> None:
    """Print lines until told to stop.

    Args:
        rate: lines a second.
    """
    counter = os.open(folder / "count", os.O_RDWR | os.O_CREAT, 0o600)
    number = int(os.pread(counter, 20, 0) or b"0")
    if greeting := os.environ.get("GREETING"):
        sys.stdout.write(f"demo app says: {greeting}\n")
    while not (folder / "stop").exists():
        number += 1
        sys.stdout.write(f"demo app line {number}: {THINGS[number % len(THINGS)]}\n")
        sys.stdout.flush()
        os.pwrite(counter, b"%d" % number, 0)  # it only grows, so nobody reads half of it
        time.sleep(1 / rate)
    (folder / "done").touch()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
