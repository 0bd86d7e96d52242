"""Sends what one stream has spooled, in order, and frees what the hub acknowledges."""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent import life as lives
from agent.life import Life
from agent.spool import Spool
from hub.protocol import Ack, Mark, Reject, Resume, Slow, renumber

log = logging.getLogger(__name__)

WINDOW: Final = 8  # batches that may be on their way
ACK_SECONDS: Final = 30.0  # without progress for so long, all that is unacknowledged goes again
DOUBT: Final = 2  # rounds without an answer after which the link says hello again
RESUME_SECONDS: Final = 2.0  # one hole makes a `Resume` for each batch behind it: heed the first

SLOWEST_SECONDS: Final = 600.0  # that a sender waits on the hub's word, whatever it says

Publish = Callable[[bytes], None]


class _Sent(msgspec.Struct, frozen=True):
    """A batch on its way: its local sequence numbers, and its first one on the wire."""

    first: int
    last: int
    wire_first: int


class Sender:
    """One stream's sender; owned by the link's thread.

    Args:
        stream: its name.
        spool: where its batches lie, and `folder` where its life is kept.
        clock: Unix seconds.
    """

    def __init__(
        self, stream: str, spool: Spool, folder: Path, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.stream = stream
        self.spool = spool
        self._folder = folder
        self._clock = clock
        self._life: Life | None = lives.load(folder)
        self._marks: Mapping[str, Mark] | None = None  # of a session in which it has not begun
        self._known = spool.last
        self._sent = 0  # in the present round, and `_reached` in the present session
        self._reached = 0
        self._in_flight: deque[_Sent] = deque()
        self._rejected: dict[int, int] = {}
        self._progress_at = 0.0
        self._resume: tuple[Mark, float] | None = None
        self._paused_until = 0.0
        self.silent = 0

    @property
    def is_done(self) -> bool:
        """Say whether the hub has all that is spooled."""
        return self.spool.acked >= self.spool.last

    @property
    def deadline(self) -> float | None:
        """When (monotonic seconds) `pump` must be called for want of an answer."""
        if self._in_flight:
            return self._progress_at + ACK_SECONDS
        return self._paused_until if self._paused_until and not self.is_done else None

    def open(self, marks: Mapping[str, Mark], *, at: float) -> None:
        """Begin a session: compare with the hub's marks, and send from there on.

        Raises:
            OSError: the life cannot be kept on the disk; nothing may be sent.
        """
        self.silent = 0
        self._resume = None
        self._paused_until = 0.0
        self._marks = marks
        if self._life is not None or self.spool.last:
            self._begin(marks, at)  # else with the first line, if ever there is one

    def close(self) -> None:
        """End a session: nothing is on its way any more."""
        self._marks = None
        self._in_flight.clear()
        self.spool.pin(0)

    def pump(self, publish: Publish, *, at: float) -> None:
        """Send what the window allows, and again what was not acknowledged in time.

        Raises:
            OSError: the spool cannot be read, or the life of a new one cannot be kept.
        """
        if self._marks is not None and self.spool.last:
            self._begin(self._marks, at)
        if self._life is None or at < self._paused_until:
            return
        self._paused_until = 0.0
        if self._in_flight and at >= self._progress_at + ACK_SECONDS:
            self.silent += 1
            log.warning(
                "no acknowledgement of %s for %d s: sending again", self.stream, ACK_SECONDS,
                extra=self._quiet,
            )  # fmt: skip
            self._rewind(at)
        while len(self._in_flight) < WINDOW:
            stored = self.spool.next(self._sent)
            if stored is None:
                return
            if not self._in_flight:
                self._progress_at = at
            mark = self._life.mark(stored.first)
            self._in_flight.append(_Sent(stored.first, stored.last, mark.seq))
            self._sent = stored.last
            self._reached = max(self._reached, stored.last)
            self._known = max(self._known, stored.last)
            self.spool.pin(stored.last)  # before it is sent: from now on the hub may have it
            publish(renumber(stored.wire, boot=mark.boot, first=mark.seq))

    def on_ack(self, message: Ack, *, at: float) -> None:
        """Free what the hub has."""
        if self._life is None or message.boot != self._life.boot:
            return  # of a life before this one
        self._free(min(message.seq + self._life.base, self._reached), at)

    def on_resume(self, message: Resume, *, at: float) -> None:
        """Send again from the hub's mark on; what comes before it is not free until the `Ack`.

        Raises:
            OSError: the spool cannot be read.
        """
        mark = Mark(message.boot, message.seq)
        if self._resume is not None and self._resume[0] == mark and at < self._resume[1]:
            return
        self._resume = (mark, at + RESUME_SECONDS)
        log.info("the hub asks for %s again from %d/%d on", self.stream, mark.boot, mark.seq,
                 extra=self._quiet)  # fmt: skip
        settled = self._settled(mark, mark.boot)
        if settled.life != self._life:
            # It may be an old word of a hub that has more by now: only a hello tells for sure.
            self.silent = DOUBT
            return
        self._rewind(at)
        self._sent = max(self._sent, settled.acked)

    def on_slow(self, message: Slow, *, at: float) -> None:
        """Wait as the hub asks, then go on after what it took; that is not free until the `Ack`.

        Raises:
            OSError: the spool cannot be read.
        """
        settled = self._settled(Mark(message.boot, message.seq), message.boot)
        if settled.life != self._life:
            self.silent = DOUBT  # as in `on_resume`
            return
        wait = min(max(message.wait, 0.0), SLOWEST_SECONDS)
        log.info("the hub asks to wait %.1f s with %s", wait, self.stream, extra=self._quiet)
        self._rewind(at)
        self._sent = max(self._sent, settled.acked)
        # Not all devices of a project at the same moment.
        self._paused_until = at + wait * random.uniform(1.0, 1.25)

    def on_reject(self, message: Reject, *, at: float) -> None:
        """Let go of a batch that the hub cannot take, and do not send it again."""
        if self._life is None or message.boot != self._life.boot:
            return
        for sent in self._in_flight:
            if sent.wire_first == message.first:
                log.error(
                    "the hub keeps %d lines of %s as a dead letter: %s: %s",
                    sent.last - sent.first + 1, self.stream, message.code, message.detail,
                    extra=self._quiet,
                )  # fmt: skip
                self._rejected[sent.first] = sent.last
        self._free(self.spool.acked, at)

    @property
    def _quiet(self) -> dict[str, bool]:
        """Keep out of the agent's own stream what is about sending that very stream."""
        return {"local": self.stream == "agent"}

    def _begin(self, marks: Mapping[str, Mark], at: float) -> None:
        mark = marks.get(self.stream, Mark())
        self._settle(mark, lives.newest_boot(marks.values()))
        self._rewind(at)
        self._reached = self._sent
        self._marks = None

    def _settled(self, mark: Mark, newest_boot: int) -> lives.Settled:
        acked = self.spool.acked
        upcoming = self.spool.next(acked)
        return lives.settle(
            self._life,
            mark,
            newest_boot=newest_boot,
            acked=acked,
            floor=upcoming.first - 1 if upcoming else acked,
            known=self._known,
            now=int(self._clock()),
        )

    def _settle(self, mark: Mark, newest_boot: int) -> None:
        """Go on with the life that fits the hub's mark, and free what the hub has by it."""
        settled = self._settled(mark, newest_boot)
        if settled.life != self._life:
            lives.save(self._folder, settled.life)
            log.info("%s goes on as boot %d", self.stream, settled.life.boot, extra=self._quiet)
            self._rejected.clear()
        self._life = settled.life
        self.spool.ack(settled.acked)

    def _rewind(self, at: float) -> None:
        self._in_flight.clear()
        self._sent = self.spool.acked
        self._progress_at = at
        self.spool.pin(0)

    def _free(self, sequence: int, at: float) -> None:
        before = self.spool.acked
        sequence = max(sequence, before)
        while sequence + 1 in self._rejected:
            sequence = self._rejected.pop(sequence + 1)
        if sequence == before:
            return
        self.spool.ack(sequence)
        self._progress_at = at
        self.silent = 0
        self._sent = max(self._sent, sequence)
        while self._in_flight and self._in_flight[0].last <= sequence:
            self._in_flight.popleft()
