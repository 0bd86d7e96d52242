"""The demo's app: prints numbered lines, as a program on a device would.

    python app.py FOLDER RATE

It begins with the variable GREETING, when there is one. It goes on counting where `FOLDER/count`
says, and keeps that file up to date, also when it is ended (SIGTERM). When `FOLDER/stop` appears it
prints no more, writes `FOLDER/done`, and waits to be ended.
"""

import os
import signal
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
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    word = os.environ.get("GREETING", "")
    while not (folder / "stop").exists():
        if ending:  # between two lines: else one of them would be told twice
            return
        number += 1
        sys.stdout.write(f"demo app line {number}: {word or THINGS[number % len(THINGS)]}\n")
        sys.stdout.flush()
        word = ""
        os.pwrite(counter, b"%d" % number, 0)  # it only grows, so nobody reads half of it
        time.sleep(1 / rate)
    (folder / "done").touch()
    while not ending:
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
