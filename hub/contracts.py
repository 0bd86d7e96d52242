"""What a service promises on the bus: typed requests and events, with a subject and a version."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

Req = TypeVar("Req", bound=msgspec.Struct)
Res = TypeVar("Res", bound=msgspec.Struct)
E = TypeVar("E", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True):
    """A request or an answer without content."""


@dataclass(frozen=True, slots=True)
class Contract(Generic[Req, Res]):
    """One request that a service answers.

    Args:
        subject: `<service>.<verb>`, for example `projects.get`; on NATS `svc.projects.get.v1`.
        request, response: the Structs that travel, as JSON.
        version: raised when a change would break a caller; both versions are served meanwhile.
        timeout: seconds a caller waits unless it, or its own deadline, says less.
    """

    subject: str
    request: type[Req]
    response: type[Res]
    version: int = 1
    timeout: float = 5.0

    @property
    def wire_subject(self) -> str:
        """The NATS subject."""
        return f"svc.{self.subject}.v{self.version}"


@dataclass(frozen=True, slots=True)
class Topic(Generic[E]):
    """One kind of event: `<service>.<noun>.<past participle>`, on NATS `event.<subject>.v1`."""

    subject: str
    payload: type[E]
    version: int = 1

    @property
    def wire_subject(self) -> str:
        """The NATS subject."""
        return f"event.{self.subject}.v{self.version}"


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[Req, Res]):
    """A contract and the coroutine that answers it.

    Args:
        concurrency: requests at work at once; more wait in a bounded queue, then get
            `Unavailable`.
    """

    contract: Contract[Req, Res]
    handler: Callable[[Req], Awaitable[Res]]
    concurrency: int = 64


@dataclass(frozen=True, slots=True)
class StreamEndpoint(Generic[Req, Res]):
    """A contract that is answered by many Structs, one after the other, until it ends.

    The caller's going away cancels the generator within 15 s.
    """

    contract: Contract[Req, Res]
    handler: Callable[[Req], AsyncIterator[Res]]
    concurrency: int = 256


TOGETHER: Final = 200
"""Events that a consumer is given at once, if it takes any so."""


@dataclass(frozen=True, slots=True)
class Consumer(Generic[E]):
    """A durable reader of one topic.

    Args:
        name: durable and unique: each name gets every event, however many processes share it.
        handler: called with the event and its id (for the inbox). When it returns, the event is
            done; when it raises, it comes again after a growing wait, and after `attempts` it
            goes to the dead events.
        together: called with events that wait, `TOGETHER` at most, in their order; when it returns,
            all are done. When it raises, each is given to `handler` by itself: so it must have
            done all or nothing.
    """

    topic: Topic[E]
    name: str
    handler: Callable[[E, "EventInfo"], Awaitable[None]]
    attempts: int = 12
    concurrency: int = 1
    together: Callable[[Sequence[tuple[E, "EventInfo"]]], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class EventInfo:
    """What is known of an event besides its payload.

    Args:
        id: the same on each delivery.
        key: what its order is kept by (usually the id of the aggregate).
        attempt: 1 at the first delivery.
    """

    id: str
    key: str
    attempt: int


class Bus(Protocol):
    """How services talk: the same codec in one process and across many."""

    async def request(
        self, contract: Contract[Req, Res], request: Req, *, timeout: float | None = None
    ) -> Res:
        """Ask and wait for the answer.

        Raises:
            IsaaxError: what the service raised, as the same class.
            Unavailable: nobody serves this contract, or its queue is full.
            DeadlineExceeded: no answer in time.
        """
        ...

    def stream(self, contract: Contract[Req, Res], request: Req) -> AsyncIterator[Res]:
        """Ask a `StreamEndpoint` and iterate over its answers; closing the iterator ends it."""
        ...

    async def publish(self, topic: Topic[E], event: E, *, id: str, key: str) -> None:  # noqa: A002
        """Store an event durably (outside a transaction; inside one, use the outbox)."""
        ...

    def serve(
        self,
        service: str,
        version: str,
        endpoints: Sequence[Endpoint[Any, Any] | StreamEndpoint[Any, Any]],
    ) -> AbstractAsyncContextManager[None]:
        """Answer these contracts while the context is open; leaving it drains."""
        ...

    def consume(self, *consumers: Consumer[Any]) -> AbstractAsyncContextManager[None]:
        """Handle these events while the context is open; leaving it drains."""
        ...
