"""What the busiest programs of a device take.

Processes are told together by the name of their program: a series for each process id would be
a new one at each restart.
"""

import heapq
import time
from collections import defaultdict

import msgspec
import psutil

from agent.metrics.readings import Reading, gauge


class _Program(msgspec.Struct):
    """All processes of one name: how many, bytes of memory, and seconds of processor since."""

    count: int = 0
    memory: int = 0
    seconds: float = 0.0


class Processes:
    """The sensor of `ps`.

    Args:
        most: programs that are told of: so many by processor, and so many by memory.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: dict[tuple[int, float], float] = {}
        self._at: float | None = None

    def read(self) -> list[Reading]:
        """Read all processes, and tell of the busiest."""
        at = time.monotonic()
        elapsed = None if self._at is None else at - self._at
        self._at = at
        programs = self._look()
        by_memory = heapq.nlargest(self._most, programs, key=lambda name: programs[name].memory)
        by_seconds = heapq.nlargest(self._most, programs, key=lambda name: programs[name].seconds)
        shown = sorted({*by_memory, *(name for name in by_seconds if programs[name].seconds)})
        readings = []
        for name in shown:
            one = programs[name]
            readings.append(gauge("process_memory_bytes", one.memory, program=name))
            readings.append(gauge("process_count", one.count, program=name))
            if elapsed:
                readings.append(gauge("process_cpu_ratio", one.seconds / elapsed, program=name))
        return readings

    def _look(self) -> dict[str, _Program]:
        programs: dict[str, _Program] = defaultdict(_Program)
        times: dict[tuple[int, float], float] = {}
        for process in psutil.process_iter(["name", "create_time", "cpu_times", "memory_info"]):
            info = process.info
            used, memory = info["cpu_times"], info["memory_info"]
            if not info["name"] or used is None or memory is None:
                continue  # it is gone, or it is not ours to see
            one = programs[info["name"]]
            one.count += 1
            one.memory += memory.rss
            key = (process.pid, info["create_time"])
            times[key] = used.user + used.system
            one.seconds += max(
                0.0, times[key] - self._times.get(key, 0.0 if self._times else times[key])
            )
        self._times = times
        return programs
