"""What shaping costs: `python bench/shaping.py` prints nanoseconds a line for each step.

The lines are those of `format.py`: 1,000 a chunk, about 130 bytes of text each. `found` says how
many of them a step has something to do with.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub.batches import Chunk
from hub.protocol import Lines
from hub.shaping.join import Joiner
from hub.shaping.rules import Join, Shape
from hub.shaping.shaper import Shaper

LINES = 1_000
ROUNDS = 30
START = 1_795_446_000_000_000
TEXT = "GET /api/v1/projects/42/devices?limit=100 200 17 ms 10.0.0.12 " + "x" * 60


def chunk(mark: str = "", every: int = LINES, *, mixed: bool = False) -> Chunk:
    """Make a chunk in which every so-manieth line has the mark in it.

    Args:
        mixed: lines of several programs and severities, as a system's are.
    """
    messages = [
        f"{number:08d} {mark if mark and number % every == 0 else ''}{TEXT}"
        for number in range(LINES)
    ]
    programs = [("sshd", "kernel", "cron", "nginx")[n % 4] for n in range(LINES)]
    priorities = [(30, 6, 78, 131)[n % 4] for n in range(LINES)]
    times = [START + n * 37 for n in range(LINES)]
    lines = Lines(times, priorities if mixed else 14, programs if mixed else "demo", messages)
    return Chunk("prj_a", "dev_a", "host-1", "app", 1, 1, START, lines)


def trace() -> Chunk:
    """Make a chunk that is stack traces of ten lines."""
    made = chunk()
    messages = [
        "java.io.IOException: no device" if n % 10 == 0 else "\tat com.example.Pump(Pump.java:7)"
        for n in range(LINES)
    ]
    times, priorities, programs = made.lines.times, made.lines.priorities, made.lines.programs
    return replace(made, lines=Lines(times, priorities, programs, messages))


def best(work: Callable[[], object]) -> float:
    """Give nanoseconds a line: the best of some rounds."""
    found = float("inf")
    for _ in range(ROUNDS):
        before = time.perf_counter_ns()
        work()
        found = min(found, time.perf_counter_ns() - before)
    return found / LINES


def shaped(steps: dict[str, Any], lines: Chunk) -> float:
    """Measure one shape."""
    shaper = Shaper(msgspec.convert(steps, Shape))
    return best(lambda: shaper.apply(lines, ""))


def joined(lines: Chunk) -> float:
    """Measure joining."""

    def work() -> None:
        joiner: Joiner[int] = Joiner(Join())
        joiner.add(lines, 1, 0.0)
        joiner.flush(None)

    return best(work)


def include(**match: Any) -> dict[str, Any]:
    """Make a shape with one condition."""
    return {"filter": {"include": [match]}}


def main() -> None:
    """Measure and print."""
    plain, mixed = chunk(), chunk(mixed=True)
    some, half = chunk("ERROR ", 100), chunk("ERROR ", 2)
    secret = "password=hunter2 "
    builtin = {"tokens": True, "cards": True, "emails": True}
    template = "{{ program }} [{{ severity }}] {{ message }}"
    cases: dict[str, Callable[[], float]] = {
        "no shape": lambda: shaped({}, plain),
        "filter: stream, device or group": lambda: shaped(include(streams=["app"]), plain),
        "filter: severity, one for all": lambda: shaped(include(severity="info"), plain),
        "filter: severity, a quarter passes": lambda: shaped(include(severity="err"), mixed),
        "filter: program, a quarter passes": lambda: shaped(include(programs=["sshd"]), mixed),
        "filter: text, none found": lambda: shaped(include(text="ERROR"), plain),
        "filter: text, 1 % found": lambda: shaped(include(text="ERROR"), some),
        "filter: text, 50 % found": lambda: shaped(include(text="ERROR"), half),
        "filter: regex, none found": lambda: shaped(include(regex=r"(?i)error \w+$"), plain),
        "filter: regex, 1 % found": lambda: shaped(include(regex=r"ERROR +\w"), some),
        "filter: regex, 50 % found": lambda: shaped(include(regex=r"ERROR +\w"), half),
        "sample: 10 %": lambda: shaped({"sample": {"share": 0.1}}, plain),
        "rate limit: drop": lambda: shaped(
            {"rate_limit": {"lines_per_second": 10_000_000, "over": "drop"}}, plain
        ),
        "redact: all built in, none found": lambda: shaped({"redact": builtin}, plain),
        "redact: all built in, 1 % found": lambda: shaped({"redact": builtin}, chunk(secret, 100)),
        "redact: all built in, all found": lambda: shaped({"redact": builtin}, chunk(secret, 1)),
        "redact: tokens, none found": lambda: shaped({"redact": {"tokens": True}}, plain),
        "redact: own pattern, none found": lambda: shaped(
            {"redact": {"patterns": [{"regex": r"cust-\d+"}]}}, plain
        ),
        "rename a host, add labels": lambda: shaped(
            {"rename": {"hosts": {"host-1": "a"}}, "labels": {"site": "north"}}, plain
        ),
        "rename programs, several": lambda: shaped(
            {"rename": {"programs": {"sshd": "ssh"}}}, mixed
        ),
        "template": lambda: shaped({"template": template}, plain),
        "join: nothing to join": lambda: joined(plain),
        "join: traces of ten lines": lambda: joined(trace()),
    }
    for name, measure in cases.items():
        print(f"{name:40} {measure():8.1f} ns a line")


if __name__ == "__main__":
    main()
