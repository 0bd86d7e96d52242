"""What authors of destinations test with: batches, and a suite that every destination passes.

    class TestMine(DestinationConformance):
        type = my_destination_type
        secrets = ("s3cret",)

        @asynccontextmanager
        async def receiver(self):
            async with MyFakeServer() as server:
                yield server          # a `Receiver`

It needs pytest and pytest-asyncio; see docs/plugins.md.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, ClassVar, Final, Protocol

import msgspec
import pytest
from structlog.testing import capture_logs

from hub import structs
from hub.batches import Batch, Chunk
from hub.destinations import Destination, DestinationType
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.protocol import Lines

PATIENCE: Final = 15.0
"""Seconds within which everything here has to happen; none of it takes one."""

MOST_IN_FLIGHT: Final = 64 * 1024 * 1024
"""Bytes that all buffers between a destination and a receiver that does not read may hold."""

ODD_LINES: Final = (
    "",
    " ",
    "two\nlines",
    "carriage\r\nreturn",
    "a\0nul",
    "\x1b[31mred\x1b[0m and a bell \x07",
    "größer 温度 🌡️",
    "<13>1 - - - - - - looks like syslog",
    '{"looks": "like json"',
    "\ufeffbyte order mark",
    "%s %n ${jndi} `id`",
)


def make_chunk(
    messages: Sequence[str],
    *,
    device: str = "dev_aaaaaaaaaaaaaaaaaaaa",
    host: str = "pump-1",
    stream: str = "app",
    first: int = 1,
    time_us: int | None = None,
    priorities: int | list[int] = 14,
    programs: str | list[str] = "demo",
) -> Chunk:
    """Make a chunk of these messages, a millisecond apart.

    Args:
        time_us: microseconds since the Unix epoch of the first line; now by default.
    """
    start = time.time_ns() // 1000 if time_us is None else time_us
    times = [start + 1000 * number for number in range(len(messages))]
    lines = Lines(times, priorities, programs, list(messages))
    return Chunk(
        project="prj_aaaaaaaaaaaaaaaaaaaa",
        device=device,
        host=host,
        stream=stream,
        boot=1,
        first=first,
        received=start,
        lines=lines,
    )


def make_batch(*messages: str, id: str = "batch-1", **chunk: Any) -> Batch:  # noqa: A002
    """Make a batch of one chunk; the named arguments are those of `make_chunk`."""
    return Batch(id, (make_chunk(messages, **chunk),))


class Receiver(Protocol):
    """A server that stands for the real destination, as the suite needs it."""

    @property
    def config(self) -> dict[str, Any]:
        """A config, as JSON values, that reaches this server."""
        ...

    def taken(self) -> list[str]:
        """The texts of the lines that arrived whole, in order, as the destination shows them."""
        ...

    def stall(self) -> None:
        """From now on, take and answer nothing."""
        ...

    def go_on(self) -> None:
        """End a `stall`."""
        ...

    async def end(self) -> None:
        """Go away at once: connections break, and new ones are refused."""
        ...


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it does not come true within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.005)


async def deliver(destination: Destination, batch: Batch) -> None:
    """Send a batch as the hub does: again after `Retry` and `NotConnected`."""
    for _ in range(5):
        try:
            async with asyncio.timeout(PATIENCE):
                await destination.send(batch)
        except (Retry, NotConnected):
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("the destination does not recover")


class DestinationConformance:
    """Every destination passes these; subclass it, name the type, and give a receiver."""

    type: ClassVar[DestinationType[Any]]
    secrets: ClassVar[tuple[str, ...]] = ()
    """The secret values in the receiver's config: none of them may be seen anywhere."""

    pytestmark = pytest.mark.asyncio

    def receiver(self) -> AbstractAsyncContextManager[Receiver]:
        """Give a server, started."""
        raise TypeError("a subclass of DestinationConformance defines receiver()")

    @asynccontextmanager
    async def built(self, config: dict[str, Any]) -> AsyncIterator[Destination]:
        """Build the destination from JSON values as the hub does, and close it in the end."""
        decoded = structs.decode(self.type.config, config)
        async with tools_for("int_conformance", private_hosts=True) as tools:
            assert self.type.build is not None
            destination = self.type.build(decoded, tools)
            try:
                yield destination
            finally:
                await self.closed(destination)

    async def closed(self, destination: Destination) -> None:
        """Close it; it may say that it cannot tell what was taken, but must not hang."""
        async with asyncio.timeout(PATIENCE):
            try:
                await destination.close()
            except NotConnected:
                return

    @contextmanager
    def nothing_secret(self) -> Iterator[list[str]]:
        """Check what is logged, and what the caller appends to the list, for secrets."""
        seen: list[str] = []
        with capture_logs() as logs:
            yield seen
        shown = repr(logs) + "".join(seen)
        assert not [secret for secret in self.secrets if secret in shown]

    # ── config ──

    async def test_the_config_is_described_and_strict(self) -> None:
        """It is a frozen Struct with a schema, and refuses what it does not know."""
        schema = structs.schema(self.type.config)
        assert schema["$defs"] or schema["properties"]
        assert self.type.config.__struct_config__.frozen
        async with self.receiver() as receiver:
            with pytest.raises(Invalid) as refused:
                structs.decode(self.type.config, receiver.config | {"no_such_key": 1})
        assert refused.value.errors[0].pointer == "/no_such_key"

    async def test_examples_are_valid(self) -> None:
        """What the documentation shows can be used."""
        for example in self.type.examples:
            assert isinstance(structs.decode(self.type.config, example), self.type.config)

    async def test_secrets_are_not_shown(self) -> None:
        """A secret is in no repr, no public form, and no error about another field."""
        async with self.receiver() as receiver:
            config = structs.decode(self.type.config, receiver.config)
            with self.nothing_secret() as seen:
                seen += [repr(config), str(msgspec.json.encode(structs.public(config)))]
                with pytest.raises(Invalid) as refused:
                    structs.decode(self.type.config, receiver.config | {"no_such_key": 1})
                seen += [str(refused.value), repr(refused.value.errors)]

    # ── life ──

    async def test_closes_without_a_send(self) -> None:
        """Building does nothing that closing would have to wait for; closing twice is fine."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.close()
            await destination.close()
            assert receiver.taken() == []

    async def test_lines_arrive_in_order(self) -> None:
        """All lines of several batches and chunks arrive, in order, and closing confirms it."""
        first = make_batch("one", "two")
        more = Batch(
            "batch-2", (make_chunk(["three"], first=3), make_chunk(["four"], device="dev_b"))
        )
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.send(first)
            await destination.send(more)
            await destination.close()
            await eventually(
                lambda: receiver.taken() == ["one", "two", "three", "four"], "all lines arrived"
            )

    async def test_a_second_close_after_sending_is_harmless(self) -> None:
        """The hub may close in more than one place."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.send(make_batch("one"))
            await destination.close()
            await destination.close()
            await eventually(lambda: receiver.taken() == ["one"], "the line arrived")

    # ── lines ──

    @pytest.mark.parametrize("odd", ODD_LINES, ids=range(len(ODD_LINES)))
    async def test_an_odd_line_harms_no_other(self, odd: str) -> None:
        """Newlines, NUL, nothing at all, …: the neighbours arrive whole."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await self._send_between(destination, receiver, odd)

    async def test_an_oversized_line_harms_no_other(self) -> None:
        """A line of a megabyte is taken, cut or refused; the others arrive."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await self._send_between(destination, receiver, "é" * 500_000)

    async def _send_between(self, destination: Destination, receiver: Receiver, odd: str) -> None:
        refused: set[int] = set()
        try:
            await destination.send(make_batch("before", odd, "after"))
        except Partial as partial:
            refused = {index for index, _ in partial.rejected}
        except Rejected:
            await deliver(destination, make_batch("before", "after"))
        assert refused <= {1}
        await deliver(destination, make_batch("last"))
        await destination.close()
        await eventually(lambda: "last" in receiver.taken(), "the line after it arrived")
        taken = receiver.taken()
        assert [line for line in taken if line in {"before", "after", "last"}] == [
            "before", "after", "last",
        ]  # fmt: skip
        assert len(taken) <= 4

    # ── faults ──

    async def test_it_recovers_from_being_cancelled(self) -> None:
        """A send that is given up half-way leaves nothing broken behind.

        While nobody reads, no more than `MOST_IN_FLIGHT` bytes are taken off the hub's hands.
        """
        lines = [f"{number:06d} {'x' * 1000}" for number in range(400)]
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await deliver(destination, make_batch("before"))
            await eventually(lambda: receiver.taken() == ["before"], "the first line arrived")
            receiver.stall()
            with pytest.raises(TimeoutError):
                await self._fill(destination, make_batch(*lines))
            receiver.go_on()
            await deliver(destination, make_batch("after"))
            await eventually(lambda: "after" in receiver.taken(), "a later line arrived")
            known = {*lines, "before", "after"}
            assert [line for line in receiver.taken() if line not in known] == []

    async def _fill(self, destination: Destination, batch: Batch) -> None:
        for _ in range(MOST_IN_FLIGHT // 400_000):
            async with asyncio.timeout(0.3):
                await destination.send(batch)

    async def test_a_receiver_that_is_gone_is_reported(self) -> None:
        """It says so as Retry or NotConnected, in words, and without a secret."""
        async with self.receiver() as receiver:
            config = receiver.config
            await receiver.end()
        with self.nothing_secret() as seen:
            async with self.built(config) as destination:
                with pytest.raises((Retry, NotConnected)) as failed:
                    await destination.send(make_batch("one"))
            reason = getattr(failed.value, "reason", "")
            assert len(reason) > 10
            seen.append(repr(failed.value) + reason)

    async def test_it_recovers_when_the_receiver_goes_away(self) -> None:
        """A connection that breaks between two sends is noticed, at the latest by the next."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await deliver(destination, make_batch("one"))
            await eventually(lambda: receiver.taken() == ["one"], "the line arrived")
            await receiver.end()
            with pytest.raises((Retry, NotConnected)):
                await self._send_for_ever(destination)

    async def _send_for_ever(self, destination: Destination) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                await destination.send(make_batch("two"))
                await asyncio.sleep(0.01)
