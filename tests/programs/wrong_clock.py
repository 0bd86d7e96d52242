"""An agent on a device whose clock is wrong: `wrong_clock.py <seconds> run --config …`.

Only what tells the time of day is moved; what measures how long something takes goes on.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def main() -> int:
    """Move the clock, and be the agent."""
    seconds = int(sys.argv.pop(1))
    right, right_ns = time.time, time.time_ns
    time.time = lambda: right() + seconds
    time.time_ns = lambda: right_ns() + seconds * 1_000_000_000
    from agent.cli import main as agent

    return agent()


if __name__ == "__main__":
    sys.exit(main())
