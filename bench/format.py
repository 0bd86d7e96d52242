"""How long it takes to format a line for syslog: `python bench/format.py`.

Prints nanoseconds a line for what devices send: an app's own stream (one program and severity),
a system's (many), and the slow ways (text beyond US-ASCII, newlines in messages, ids).
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub.batches import Batch, Chunk
from hub.memory import keep_freed_buffers
from hub.protocol import Lines
from hub.syslog import SyslogFormatter, SyslogStyle

LINES = 1_000
CHUNKS = 5
START = 1_795_446_000_000_000


def batch(priorities: int | list[int], programs: str | list[str], text: str, step: int) -> Batch:
    """Make a batch of 5,000 lines of about 130 bytes of text, `step` µs apart."""
    messages = [f"{number:08d} {text}" for number in range(LINES)]
    lines = Lines([START + n * step for n in range(LINES)], priorities, programs, messages)
    chunk = Chunk("prj_a", "dev_a", "host-1", "app", 1, 1, START, lines)
    return Batch("bench", (chunk,) * CHUNKS)


def nanoseconds(formatter: SyslogFormatter, work: Batch, rounds: int) -> float:
    """Give the best of some rounds, per line."""
    best = float("inf")
    for _ in range(rounds):
        before = time.perf_counter_ns()
        for _ in formatter.stream(work):
            pass
        best = min(best, time.perf_counter_ns() - before)
    return best / len(work)


def main() -> None:
    """Measure and print."""
    keep_freed_buffers()  # as the hub does
    text = "GET /api/v1/projects/42/devices?limit=100 200 17 ms 10.0.0.12 " + "x" * 60
    programs = [("sshd", "kernel", "cron", "nginx")[n % 4] for n in range(LINES)]
    priorities = [(30, 6, 78, 134)[n % 4] for n in range(LINES)]
    app = batch(14, "demo", text, 37)
    cases = {
        "app stream, RFC 5424, LF": (SyslogStyle(), app),
        "app stream, RFC 5424, octet-counting": (SyslogStyle(framing="octet-counting"), app),
        "app stream, RFC 3164, LF": (SyslogStyle(format="rfc3164"), app),
        "app stream over many seconds": (SyslogStyle(), batch(14, "demo", text, 400_000)),
        "app stream with ids": (SyslogStyle(include_id=True), app),
        "system stream, RFC 5424, LF": (SyslogStyle(), batch(priorities, programs, text, 37)),
        "beyond US-ASCII": (SyslogStyle(), batch(14, "demo", text + " größer 温度", 37)),
        "newlines in messages": (SyslogStyle(), batch(14, "demo", text + "\n  at line 2", 37)),
        "every line too long": (SyslogStyle(max_message=480), batch(14, "demo", text * 8, 37)),
    }
    for name, (style, work) in cases.items():
        print(f"{name:40} {nanoseconds(SyslogFormatter(style), work, 40):7.0f} ns a line")


if __name__ == "__main__":
    main()
