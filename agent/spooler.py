"""The thread that moves lines from the queues to the disk."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from agent.batcher import Entry, Gap
from agent.lines import now
from agent.spool import Spool

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0

_Item = TypeVar("_Item")
_Taken_contra = TypeVar("_Taken_contra", contravariant=True)


class Queue(Protocol[_Item]):
    """What waits for a spool; `dropped` counts what did not fit."""

    dropped: int

    def take(self) -> list[_Item]:
        """Take all that is there, in order."""


class Batching(Protocol[_Taken_contra]):
    """What makes batches of it, as `agent.batcher.Batcher` does."""

    @property
    def deadline(self) -> float | None:
        """When (monotonic seconds) there is something to take."""

    def add(self, items: Iterable[_Taken_contra], *, at: float) -> None:
        """Add what the queue gave."""

    def take(self, *, at: float, flush: bool = False) -> list[Entry]:
        """Give the batches that are complete, or all of them to `flush`."""


class Feed(Generic[_Item]):
    """One stream's way from its queue to its spool; owned by the spooler's thread.

    When the disk fails, what was taken is kept and tried again; the queue fills meanwhile and
    counts what it must drop.
    """

    def __init__(
        self, stream: str, queue: Queue[_Item], spool: Spool, batcher: Batching[_Item]
    ) -> None:
        self.stream = stream
        self.queue = queue
        self.spool = spool
        self.error = ""
        self._batcher = batcher
        self._unsaved: list[Entry] = []
        self._retry_at = 0.0

    @property
    def deadline(self) -> float | None:
        """When (monotonic seconds) `move` has something to do besides new lines."""
        return self._retry_at if self._unsaved else self._batcher.deadline

    def move(self, *, at: float, flush: bool = False) -> bool:
        """Do what is due; True when lines were stored.

        Args:
            at: the present, in monotonic seconds.
            flush: store incomplete batches as well.
        """
        if not self._unsaved:
            self._batcher.add(self.queue.take(), at=at)
            self._unsaved = self._batcher.take(at=at, flush=flush)
        elif at < self._retry_at and not flush:
            return False
        if not self._unsaved:
            return False
        try:
            self.spool.append(self._unsaved)
        except OSError as error:
            self._retry_at = at + RETRY_SECONDS
            self._failed(str(error))
            return False
        self._unsaved = []
        if self.error:
            log.warning("the spool of %s can be written again", self.stream)
        self.error = ""
        return True

    def give_up(self) -> None:
        """Count what could not even be tried as missing."""
        span = sum(e.span if isinstance(e, Gap) else len(e.lines) for e in self._unsaved)
        self._unsaved = [Gap(span, now())] if span else []

    def _failed(self, error: str) -> None:
        if error != self.error:
            log.error("the spool of %s cannot be written: %s", self.stream, error)
        self.error = error


class Spooler:
    """Runs the feeds in a thread of its own, because a disk may stall.

    Args:
        stored: called, from that thread, when something new can be sent.
    """

    def __init__(self, feeds: Sequence[Feed[Any]], stored: Callable[[], None]) -> None:
        self._feeds = feeds
        self._stored = stored
        self._work = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="spooler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that a queue has lines; from any thread."""
        self._work.set()

    def finish(self, timeout: float) -> bool:
        """Store all that the queues hold, then end; False if the disk takes longer than that."""
        self._stopping = True
        self._work.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wait()
            stopping = self._stopping
            self._work.clear()
            stored = [self._move(feed, stopping=stopping) for feed in self._feeds]
            if any(stored):
                self._stored()
            if stopping and all(feed.deadline is None for feed in self._feeds):
                return

    def _wait(self) -> None:
        deadlines = [d for feed in self._feeds if (d := feed.deadline) is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        self._work.wait(timeout)

    @staticmethod
    def _move(feed: Feed[Any], *, stopping: bool) -> bool:
        try:
            return feed.move(at=time.monotonic(), flush=stopping)
        except Exception:  # one stream must not end the others
            log.exception("lines of %s were lost to a fault of the agent", feed.stream)
            feed.give_up()
            return False
