"""What the suites for destinations of lines and of metrics have in common."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec
import pytest
from structlog.testing import capture_logs

from hub import structs
from hub.batches import Batch, MetricBatch
from hub.destinations import DestinationType, Tools
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import NotConnected, Retry
from hub.secret import Secret
from hub.testing.bodies import mark
from hub.testing.http_cases import HttpCases
from hub.testing.loopback import Loopback, Reply
from hub.testing.receiver import PATIENCE, Receiver, deliver, eventually
from hub.testing.watching import watched

B = TypeVar("B", Batch, MetricBatch)

MOST_IN_FLIGHT: Final = 64 * 1024 * 1024
"""Bytes that all buffers between a destination and a receiver that does not read may hold."""

_NEEDS_A_CONNECTION: Final = (
    "test_it_recovers_from_being_cancelled",
    "test_a_receiver_that_is_gone_is_reported",
    "test_it_recovers_when_the_receiver_goes_away",
)
_NEEDS_HTTP: Final = tuple(name for name in vars(HttpCases) if name.startswith("test_"))


class Conformance(HttpCases, Generic[B]):
    """What holds for destinations of lines and of metrics alike."""

    type: ClassVar[DestinationType[Any]]

    config: ClassVar[dict[str, Any]] = {}
    """What is tried, as JSON values; by default the first of the type's examples."""

    reply: ClassVar[Reply] = Reply()
    """What the destination's server answers, by HTTP, when it has taken a batch."""

    secrets: ClassVar[tuple[str, ...]] = ()
    """Secret values, besides the `Secret`s of the config: none of them may be seen anywhere."""

    pytestmark = pytest.mark.asyncio

    def __init_subclass__(cls, **options: Any) -> None:
        """Leave out the cases that do not apply: pytest collects no test that is None."""
        super().__init_subclass__(**options)
        if not hasattr(cls, "type"):
            return
        spoken = {"tcp"} if cls._has_a_receiver() else cls._protocols()
        needless = () if "http" in spoken else _NEEDS_HTTP
        needless += () if spoken & {"http", "tcp"} else _NEEDS_A_CONNECTION
        for name in needless:
            setattr(cls, name, None)

    # ── what a subclass may give ──────────────────────────────────────────────────────────────

    def receiver(self) -> AbstractAsyncContextManager[Receiver]:
        """Give a server, started: a `Loopback`, unless a subclass has one of its own."""
        return self._loop_back()

    @asynccontextmanager
    async def built(self, config: dict[str, Any]) -> AsyncIterator[Any]:
        """Build the destination from JSON values as the hub does, and close it in the end."""
        decoded = structs.decode(self.type.config, config)
        loopback: Loopback | None = getattr(self, "_loopback", None)
        tools = (
            tools_for("int_conformance", private_hosts=True) if loopback is None
            else loopback.tools()
        )  # fmt: skip
        async with watched(tools, lambda handed: self.make(decoded, handed)) as destination:
            try:
                yield destination
            finally:
                await self.closed(destination)

    def make(self, config: Any, tools: Tools) -> Any:
        """Make the destination that is tried."""
        raise TypeError("use DestinationConformance or MetricConformance")

    def batch(self, *texts: str) -> B:
        """Make a batch of these lines, or of samples that carry these texts."""
        raise TypeError("use DestinationConformance or MetricConformance")

    # ── means ─────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def _has_a_receiver(cls) -> bool:
        return cls.receiver is not Conformance.receiver

    @classmethod
    def _example(cls) -> dict[str, Any]:
        if cls.config:
            return cls.config
        assert cls.type.examples, (
            f"the type {cls.type.name} has no `examples`: give it one, or the test class a `config`"
        )
        return cls.type.examples[0]

    @asynccontextmanager
    async def _loop_back(self) -> AsyncIterator[Loopback]:
        async with Loopback.start(self._example()) as loopback:
            loopback.reply = self.reply
            self._loopback = loopback
            yield loopback

    @classmethod
    def _protocols(cls) -> set[str]:
        """Send one line, and see how: by `http`, `tcp`, `udp`, or by none of them."""
        spoken: set[str] = set()

        async def send() -> None:
            case = cls()
            async with case.receiver() as loopback, case.built(loopback.config) as destination:
                with suppress(Exception):  # the cases themselves will tell
                    async with asyncio.timeout(PATIENCE):
                        await destination.send(case.batch(case.text("probe")))
                spoken.update(getattr(loopback, "protocols", ()))

        def run() -> None:
            with suppress(Exception):
                asyncio.run(send())

        # In a thread: here may be a loop already, or a policy that is not to be touched.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return spoken

    def text(self, word: str) -> str:
        """Give a word in a form that the receiver finds again."""
        return word if self._has_a_receiver() else mark(word)

    async def closed(self, destination: Any) -> None:
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
        secrets = {*self.secrets, *([] if self._has_a_receiver() else self._configured_secrets())}
        found = [number for number, secret in enumerate(secrets) if secret in shown]
        assert not found, "a secret of the config is shown; give Secret.reveal() to nothing else"

    def _configured_secrets(self) -> Iterator[str]:
        config = structs.decode(self.type.config, self._example())
        for value in msgspec.structs.asdict(config).values():
            if isinstance(value, Secret) and value.reveal():
                yield value.reveal()

    # ── config ────────────────────────────────────────────────────────────────────────────────

    async def test_the_config_is_described_and_strict(self) -> None:
        """It is a frozen Struct with a schema, and refuses what it does not know."""
        schema = structs.schema(self.type.config)
        assert schema["$defs"] or schema["properties"]
        settings = self.type.config.__struct_config__
        assert settings.frozen, f"declare {self.type.config.__name__} with frozen=True"
        assert settings.forbid_unknown_fields, (
            f"declare {self.type.config.__name__} with forbid_unknown_fields=True"
        )
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

    # ── life ──────────────────────────────────────────────────────────────────────────────────

    async def test_closes_without_a_send(self) -> None:
        """Building does nothing that closing would have to wait for; closing twice is fine."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.close()
            await destination.close()
            assert receiver.taken() == []

    async def test_a_second_close_after_sending_is_harmless(self) -> None:
        """The hub may close in more than one place."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await destination.send(self.batch(self.text("one")))
            await destination.close()
            await destination.close()
            await eventually(lambda: receiver.taken() == ["one"], "the line arrived")

    async def test_it_closes_when_a_send_was_given_up(self) -> None:
        """In the middle of a send to somebody who is silent: both end, and leave nothing."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            receiver.stall()
            sending = asyncio.ensure_future(destination.send(self.batch(self.text("one"))))
            await asyncio.wait({sending}, timeout=0.05)
            sending.cancel()
            done, _ = await asyncio.wait({sending}, timeout=PATIENCE)
            assert done, "send goes on although it is cancelled"
            closing = asyncio.ensure_future(self.closed(destination))
            await asyncio.wait({closing}, timeout=0.2)
            receiver.go_on()  # else an orderly end waits for the peer's as long as it may
            await closing

    # ── faults ────────────────────────────────────────────────────────────────────────────────

    async def test_it_recovers_from_being_cancelled(self) -> None:
        """A send that is given up half-way leaves nothing broken behind.

        While nobody reads, no more than `MOST_IN_FLIGHT` bytes are taken off the hub's hands.
        """
        words: list[str] = [f"{number:06d}" for number in range(400)]
        lines: list[str] = [f"{self.text(word)} " + "x" * 1000 for word in words]
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await deliver(destination, self.batch(self.text("before")))
            await eventually(lambda: receiver.taken() == ["before"], "the first line arrived")
            receiver.stall()
            with pytest.raises(TimeoutError):
                await self._fill(destination, self.batch(*lines))
            receiver.go_on()
            await deliver(destination, self.batch(self.text("after")))
            await eventually(lambda: "after" in receiver.taken(), "a later line arrived")
            known: set[str] = {*lines, *words, "before", "after"}
            assert [line for line in receiver.taken() if line not in known] == []

    async def _fill(self, destination: Any, batch: B) -> None:
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
                        await destination.send(self.batch(self.text("one")))
                reason = getattr(failed.value, "reason", "")
                assert len(reason) > 10, f"say what is wrong in words, not {reason!r}"
                seen.append(repr(failed.value) + reason)

    async def test_it_recovers_when_the_receiver_goes_away(self) -> None:
        """A connection that breaks between two sends is noticed, at the latest by the next."""
        async with self.receiver() as receiver, self.built(receiver.config) as destination:
            await deliver(destination, self.batch(self.text("one")))
            await eventually(lambda: receiver.taken() == ["one"], "the line arrived")
            await receiver.end()
            with pytest.raises((Retry, NotConnected)):
                await self._send_for_ever(destination)

    async def _send_for_ever(self, destination: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                await destination.send(self.batch(self.text("two")))
                await asyncio.sleep(0.01)
