"""The cases of the suite for destinations that speak HTTP, tried against a `Loopback`."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.testing.loopback import Loopback, Reply
from hub.testing.receiver import PATIENCE, deliver, eventually

LATER = (429, 502, 503, 504)
FINAL = (400, 413)


class HttpCases:
    """What HTTP servers answer, and what is to come of it."""

    @abstractmethod
    def receiver(self) -> AbstractAsyncContextManager[Any]:
        """Give a `Loopback`, started."""

    @abstractmethod
    def built(self, config: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        """Build the destination."""

    @abstractmethod
    def batch(self, *texts: str) -> Any:
        """Make a batch."""

    @abstractmethod
    def text(self, word: str) -> str:
        """Give a word in a form that the receiver finds again."""

    @abstractmethod
    def nothing_secret(self) -> AbstractContextManager[list[str]]:
        """Check what is logged, and what is put into the list, for secrets."""

    @pytest.mark.parametrize("status", LATER)
    async def test_a_status_that_means_later_is_a_retry(self, status: int) -> None:
        """429, 502, 503, 504: the same batch comes again, and is then taken."""
        async with self.receiver() as server, self.built(server.config) as destination:
            failure = await self._sent(server, destination, Reply(status))
            assert _comes_again(failure), (
                f"{status} means later: raise Retry (answer.check() does), not {failure!r}"
            )
            await self._is_taken(server, destination)

    async def test_retry_after_in_seconds_is_heeded(self) -> None:
        """429 with `Retry-After: 7`: the hub is told to wait so long."""
        async with self.receiver() as server, self.built(server.config) as destination:
            failure = await self._sent(server, destination, Reply(429, {"Retry-After": "7"}))
            assert _comes_again(failure), f"429 means later: raise Retry, not {failure!r}"
            after = getattr(failure, "after", None)
            assert after == 7, f"Retry-After said 7 s: give it as Retry(…, after=7), not {after}"

    async def test_retry_after_as_a_date_is_heeded(self) -> None:
        """503 with a date (RFC 9110, 10.2.3): the same."""
        async with self.receiver() as server, self.built(server.config) as destination:
            moment = datetime.now(UTC) + timedelta(seconds=90)
            date = format_datetime(moment, usegmt=True)
            failure = await self._sent(server, destination, Reply(503, {"Retry-After": date}))
            assert _comes_again(failure), f"503 means later: raise Retry, not {failure!r}"
            after = getattr(failure, "after", None)
            assert after is not None, "Retry-After said when: give it as Retry(…, after=seconds)"
            assert 0 < after <= 91, f"Retry-After said 90 s from now, not {after}"

    @pytest.mark.parametrize("status", FINAL)
    async def test_a_status_that_means_never_is_final(self, status: int) -> None:
        """400 and 413: the lines become dead letters, and what comes after them is taken."""
        async with self.receiver() as server, self.built(server.config) as destination:
            failure = await self._sent(server, destination, Reply(status, body=b"no such thing"))
            final = isinstance(failure, Rejected) or (
                isinstance(failure, Partial) and len(failure.rejected) == 2
            )
            assert final, (
                f"{status} is final: raise Rejected (answer.check() does), not {failure!r}"
            )
            await self._is_taken(server, destination)

    async def test_a_connection_that_breaks_half_way_is_a_retry(self) -> None:
        """The batch comes again on a new connection."""
        async with self.receiver() as server, self.built(server.config) as destination:
            failure = await self._sent(server, destination, Reply(breaks_after=1))
            assert _comes_again(failure), (
                f"the connection broke: raise Retry or NotConnected (post() does), not {failure!r}"
            )
            await self._is_taken(server, destination)

    @pytest.mark.parametrize(
        "slow", [Reply(never=True), Reply(one_by_one=True)], ids=["never-answers", "reads-1-B/s"]
    )
    async def test_a_slow_answer_can_be_given_up(self, slow: Reply) -> None:
        """A send that takes too long is cancelled: it ends at once, and the next one works."""
        async with self.receiver() as server, self.built(server.config) as destination:
            usual, server.reply = server.reply, slow
            sending = asyncio.ensure_future(destination.send(self.batch(self.text("one"))))
            await eventually(lambda: "http" in server.protocols or sending.done(), "a request")
            sending.cancel()
            done, _ = await asyncio.wait({sending}, timeout=PATIENCE)
            assert done, "send goes on although it is cancelled"
            assert sending.cancelled(), (
                f"send was cancelled, and ended otherwise: {sending.exception()!r}"
            )
            server.reply = usual
            await self._is_taken(server, destination)

    async def test_secrets_are_in_no_error(self) -> None:
        """No reason, no repr of an error and no log shows a secret, whatever is answered."""
        shown: list[str] = []
        with self.nothing_secret() as seen:
            async with self.receiver() as server, self.built(server.config) as destination:
                for status in (401, 403, 500):
                    failure = await self._sent(server, destination, Reply(status))
                    shown.append(f"{failure!r} {failure} {getattr(failure, 'reason', '')}")
            seen.extend(shown)
        assert len(shown) == 3

    async def _sent(self, server: Loopback, destination: Any, reply: Reply) -> BaseException | None:
        """Send two lines to a server that answers so; give what was raised."""
        with _answering(server, reply):
            try:
                async with asyncio.timeout(PATIENCE):
                    await destination.send(self.batch(self.text("one"), self.text("two")))
            except (Retry, Rejected, Partial, NotConnected) as failure:
                return failure
        return None

    async def _is_taken(self, server: Loopback, destination: Any) -> None:
        await deliver(destination, self.batch(self.text("after")))
        with suppress(NotConnected):
            await destination.close()
        await eventually(lambda: "after" in server.taken(), "a batch is taken after the trouble")


@contextmanager
def _answering(server: Loopback, reply: Reply) -> Iterator[None]:
    usual, server.reply = server.reply, reply
    try:
        yield
    finally:
        server.reply = usual


def _comes_again(failure: BaseException | None) -> bool:
    if isinstance(failure, Partial):
        return len(failure.retry) == 2
    return isinstance(failure, Retry | NotConnected)
