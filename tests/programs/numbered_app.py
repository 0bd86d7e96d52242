"""An app that prints `<run> <n>`, n counting up from 1: `python -m … RATE`; each start is a run."""

import os
import sys
import time


def main(rate: int) -> None:
    """Print for ever, in bursts of 20 ms."""
    run, burst, n = os.urandom(4).hex(), max(1, rate // 50), 0
    while True:
        sys.stdout.write("".join(f"{run} {n + i + 1}\n" for i in range(burst)))
        sys.stdout.flush()
        n += burst
        time.sleep(0.02)


if __name__ == "__main__":
    main(int(sys.argv[1]))
