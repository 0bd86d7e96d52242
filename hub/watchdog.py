"""Notices that the event loop is held up, says where, and can free it from whoever does.

A timer of the kernel (timer_create(2)) is wound up by the loop's heartbeat. When the heart stops,
the timer sends a signal to the loop's own thread, whose handler sees the very frame that runs and
may raise there. It needs no thread: one would have to wait for the interpreter's lock, and so be
blind to what holds that, too.
"""

import asyncio
import ctypes
import os
import signal
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

SIGNAL: Final = signal.SIGVTALRM
"""Nobody else's: it belongs to a timer (ITIMER_VIRTUAL) that nothing here uses."""

_SIGEV_THREAD_ID: Final = 4  # <bits/sigevent.h>
_STACK: Final = 12  # frames of a report, the innermost ones


class BlockedLoop(BaseException):
    """Raised where the loop is held up. No `except Exception` is to swallow it."""


@dataclass(frozen=True, slots=True)
class HeldUp:
    """The loop was held up.

    Args:
        seconds: for so long, when it was noticed.
        where: the innermost line, `module.py:12 in name`.
        stack: the innermost frames, as a traceback shows them.
    """

    seconds: float
    where: str
    stack: str


class Watchdog:
    """Watches the running loop of the main thread.

    Args:
        limit: seconds that one step of a task may take.
        suspect: says, when asked in the middle of a step, whose step it is; None for our own.
        seen: told in the signal handler, once for each time: note it, and no more. Giving True
            interrupts the step: `BlockedLoop` is raised where it is.
    """

    def __init__(
        self,
        limit: float,
        suspect: Callable[[], object | None],
        seen: Callable[[object | None, HeldUp], bool],
    ) -> None:
        self._limit = limit
        self._suspect = suspect
        self._seen = seen
        self._looked_at: tuple[object | None, object | None] | None = None
        self._told = False
        self._beat = self._burnt = self._starved = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the context is open; elsewhere than in the main thread do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = signal.signal(SIGNAL, self._expired)
        timer = _Timer(SIGNAL)
        next_beat: asyncio.TimerHandle

        def beat() -> None:
            nonlocal next_beat
            self._beat, self._burnt = time.monotonic(), time.thread_time()
            self._starved = _starved()
            self._looked_at, self._told = None, False
            # The first look is early and the second in time: see `_is_held_up`.
            timer.wind_up(self._limit * 0.75, self._limit * 0.25)
            next_beat = loop.call_later(self._limit * 0.25, beat)

        beat()
        try:
            yield
        finally:
            next_beat.cancel()
            timer.delete()
            signal.signal(SIGNAL, before)

    def _expired(self, _number: int, frame: FrameType | None) -> None:
        suspect = self._suspect()
        if not self._is_held_up(suspect) or frame is None:
            return
        held_up = HeldUp(
            time.monotonic() - self._beat,
            f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
            f" in {frame.f_code.co_name}",
            "".join(traceback.format_stack(frame, _STACK)),
        )
        # Whoever survives being interrupted is interrupted again, but told of once.
        told, self._told = self._told, True
        if suspect is not None if told else self._seen(suspect, held_up):
            raise BlockedLoop(f"it held up the hub for {held_up.seconds:.1f} s")

    def _is_held_up(self, suspect: object | None) -> bool:
        """Say whether it is this very step that takes so long.

        Many short steps, or a machine that stands still, may delay a heartbeat as well. So the
        same task has to be seen at two looks, and to have had the time: what others had of the
        processor meanwhile does not count; or the first look came far too late although the
        thread was busy all the time: then no Python code ran, and one call into C did it.
        """
        looked_at = (_current_task(), suspect)
        same, self._looked_at = looked_at == self._looked_at, looked_at
        passed = time.monotonic() - self._beat
        had = passed - (_starved() - self._starved)
        late = passed >= self._limit
        busy = time.thread_time() - self._burnt >= self._limit * 0.75
        first = not same and not self._told
        return (same and had >= self._limit * 0.75) or (first and late and busy)


def _starved() -> float:
    """Give the seconds in which this thread could run and had no processor (proc(5): schedstat)."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):  # a kernel that does not count it
        return 0.0


def _current_task() -> object | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # the loop is between two steps
        return None


class _Timer:
    """A timer of the kernel that sends a signal to this thread (timer_create(2))."""

    def __init__(self, number: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._id = ctypes.c_void_p()
        # struct sigevent: value, signal, kind of notice, thread; 64 bytes in all.
        event = struct.pack("@qiii44x", 0, number, _SIGEV_THREAD_ID, threading.get_native_id())
        self._call(
            "timer_create", ctypes.c_int(time.CLOCK_MONOTONIC), event, ctypes.byref(self._id)
        )

    def wind_up(self, first: float, interval: float) -> None:
        """Expire in `first` seconds, and every `interval` seconds from then on."""
        times = (divmod(int(seconds * 1e9), 10**9) for seconds in (interval, first))
        spec = struct.pack("@qqqq", *(number for pair in times for number in pair))
        self._call("timer_settime", self._id, ctypes.c_int(0), spec, None)

    def delete(self) -> None:
        """Expire no more."""
        self._call("timer_delete", self._id)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")
