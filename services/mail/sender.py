"""Sends what is due: leases mails, hands them over, and notes what came of each."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

import structlog

from hub import IsaaxError, Pace, Unavailable
from services.mail.carriers import Carrier, Letter, NotCarried
from services.mail.meters import Meters
from services.mail.store import Leased, Store

_FAULT: Final = "a fault of the hub; its log says more"
_log = structlog.stdlib.get_logger("mail")


@dataclass(frozen=True, slots=True)
class Tuning:
    """Times and bounds that no setting changes; tests shorten them.

    Args:
        pace: of the attempts at one mail.
        lease: seconds that a mail is ours, renewed while it is being sent: after a crash another
            hub waits for so long.
        poll: seconds between two looks for mails that others have taken in.
        grace: seconds that mails may still take at the end.
        tidy: seconds between two looks at what can go.
        at_once: mails on their way at a time.
    """

    pace: Pace = field(default_factory=lambda: Pace(first=15.0, limit=1_800.0))
    lease: float = 20.0
    poll: float = 2.0
    grace: float = 7.0
    tidy: float = 15.0
    at_once: int = 4


class Sender:
    """Sends mails until it is told to stop. Any number may work on one table."""

    def __init__(
        self, store: Store, carrier: Carrier, meters: Meters, tuning: Tuning | None = None
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._meters = meters
        self._tuning = tuning or Tuning()
        self._news = asyncio.Event()
        self._stopping = False
        self._at_work: dict[asyncio.Task[None], Leased] = {}
        self._renew_at = 0.0

    def wake(self) -> None:
        """Look for mails now."""
        self._news.set()

    def stop(self) -> None:
        """End `run`, once what is under way has been handed over."""
        self._stopping = True
        self._news.set()

    async def run(self) -> None:
        """Send what is due."""
        try:
            while not self._stopping:
                self._news.clear()
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._tuning.poll):
                        await self._news.wait()
        finally:
            await self._finish()

    async def tidy(self) -> None:
        """Delete what can go, and count what is there, now and then."""
        while True:
            try:
                await self._store.tidy()
                self._meters.measured(await self._store.measure())
            except Unavailable as error:
                _log.warning("mails not counted", reason=str(error))
            await asyncio.sleep(self._tuning.tidy)

    async def _look(self) -> None:
        """Keep what is ours, and begin to send what there is room for."""
        try:
            await self._renew()
            room = self._tuning.at_once - len(self._at_work)
            due = await self._store.claim(room, self._tuning.lease) if room else ()
        except Unavailable as error:
            _log.warning("mails wait", reason=str(error))
            return
        for one in due:
            task = asyncio.create_task(self._send(one), name=f"mail {one.id}")
            self._at_work[task] = one
            task.add_done_callback(self._ended)

    async def _renew(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._at_work and now >= self._renew_at:
            await self._store.renew([*self._at_work.values()], self._tuning.lease)
            self._renew_at = now + self._tuning.lease / 4

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._at_work[task]
        self._news.set()  # there is room for another
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a mail's outcome was not noted; it comes again", reason=str(error))

    async def _finish(self) -> None:
        """Let what is under way end; what takes too long is given back."""
        if self._at_work:
            _, late = await asyncio.wait(self._at_work, timeout=self._tuning.grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _send(self, leased: Leased) -> None:
        try:
            letter = await self._carry(leased)
        except NotCarried as failure:
            await self._failed(leased, failure)
        except asyncio.CancelledError:
            await self._store.release(leased)
            raise
        else:
            await self._store.done(leased, self._carrier.state)
            self._meters.carried(leased.kind)
            self._carrier.tell(letter)

    async def _carry(self, leased: Leased) -> Letter:
        """Open a mail and take it to where it goes.

        Raises:
            NotCarried: it is not there.
        """
        try:
            mail = await self._store.open(leased)
            letter = Letter(leased.id, leased.kind, mail, leased.created_at)
            await self._carrier.carry(letter)
        except IsaaxError as error:  # it does not open, or Postgres is away
            raise NotCarried(str(error)) from error
        except NotCarried:
            raise
        except Exception as error:
            _log.exception("a mail could not be sent", mail=leased.id)
            raise NotCarried(_FAULT) from error
        return letter

    async def _failed(self, leased: Leased, failure: NotCarried) -> None:
        wait = self._tuning.pace.wait(leased.attempts)
        state = await self._store.failed(leased, failure.reason, wait=wait, final=failure.final)
        given_up = state == "failed"
        self._meters.failed(leased.kind, given_up=given_up, reached=failure.reached)
        said = {"mail": leased.id, "kind": leased.kind, "attempts": leased.attempts}
        if given_up:
            _log.error("mail given up", reason=failure.reason, **said)
        else:
            _log.warning("mail comes again", reason=failure.reason, seconds=round(wait), **said)
