"""The half of a bus that asks and answers, over any transport."""

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import msgspec

from hub.contracts import Contract, Endpoint, StreamEndpoint
from hub.errors import DeadlineExceeded, NotAvailable, TooLarge, Unavailable
from hub.messaging import wire
from hub.messaging.endpoint import Worker, request_work
from hub.messaging.meter import Meter
from hub.messaging.micro import QUEUE, Described, Discovery
from hub.messaging.streams import Pulse, StreamWork, read_stream
from hub.messaging.transport import Asked, Disconnected, Message, NoResponders, Transport

Req = TypeVar("Req", bound=msgspec.Struct)
Res = TypeVar("Res", bound=msgspec.Struct)


class Requests:
    """Requests and streams; `NatsBus` and `MemoryBus` add the events."""

    def __init__(
        self, transport: Transport, pulse: Pulse, meter: Meter, absent: Collection[str] = ()
    ) -> None:
        self._absent = absent
        self._transport = transport
        self._pulse = pulse
        self._meter = meter
        self._here: dict[str, deque[Worker]] = {}

    async def request(
        self, contract: Contract[Req, Res], request: Req, *, timeout: float | None = None
    ) -> Res:
        """Ask and wait for the answer; see `Bus.request`.

        Args:
            timeout: seconds; the contract's unless said, and never more than the request that is
                being served here has left.

        Raises:
            IsaaxError: what the service raised, as the same class.
            NotAvailable: nobody serves this contract, and its service is switched off.
            Unavailable: nobody serves it now, or its queue is full.
            DeadlineExceeded: no answer in time.
        """
        seconds = wire.budget(contract.timeout if timeout is None else timeout)
        data = wire.encode(request)
        if len(data) > self._transport.max_payload:
            raise TooLarge(f"the request has {len(data)} bytes")
        subject = contract.wire_subject
        try:
            if here := self._here.get(subject):
                here.rotate()  # of those that serve the same, each in turn
                answer = await _ask_here(here[0], subject, data, seconds)
            else:
                headers = wire.request_headers(seconds)
                answer = await self._transport.request(
                    subject, data, headers=headers, timeout=seconds
                )
        except NoResponders:
            raise self._unserved(contract.subject) from None
        except Disconnected as error:
            raise Unavailable(f"{contract.subject}: {error}") from None
        except TimeoutError:
            raise DeadlineExceeded(
                f"no answer from {contract.subject} in {seconds:.1f} s"
            ) from None
        wire.raise_error(answer)
        return wire.decode_answer(answer.data, contract.response, contract.subject)

    def _unserved(self, subject: str) -> Unavailable:
        """Say why nobody serves this: its service is off, or down."""
        service = subject.partition(".")[0]
        if service in self._absent:
            return NotAvailable.of(service)
        return Unavailable(f"nobody serves {subject}")

    def stream(self, contract: Contract[Req, Res], request: Req) -> AsyncIterator[Res]:
        """Ask a `StreamEndpoint` and iterate over its answers; see `Bus.stream`."""
        return read_stream(self._transport, contract, request, self._pulse, self._unserved)

    @asynccontextmanager
    async def serve(
        self,
        service: str,
        version: str,
        endpoints: Sequence[Endpoint[Any, Any] | StreamEndpoint[Any, Any]],
    ) -> AsyncIterator[None]:
        """Answer these contracts while the context is open.

        Leaving it takes no more requests and returns when all that were taken are answered;
        streams are ended. Cancelled meanwhile, it answers what is left with `Unavailable`.

        Args:
            service: name in the service protocol: letters, digits, `-` and `_`.
            version: of the service, semantic (`1.2.3`).
        """
        workers = [(endpoint, self._worker(endpoint)) for endpoint in endpoints]
        described = [Described(endpoint.contract, worker.stats) for endpoint, worker in workers]
        discovery = Discovery(self._transport, service, version, described)
        # Left in reverse: be found no more, take no more, and only then wait for the rest.
        async with AsyncExitStack() as stack:
            for endpoint, worker in workers:
                streams = isinstance(endpoint, StreamEndpoint)
                stack.push_async_callback(worker.stop if streams else worker.drain)
            for endpoint, worker in workers:
                subject = endpoint.contract.wire_subject
                subscription = await self._transport.subscribe(subject, worker.accept, queue=QUEUE)
                stack.push_async_callback(subscription.drain)
                if isinstance(endpoint, Endpoint):
                    self._here.setdefault(subject, deque()).append(worker)
                    stack.callback(self._here[subject].remove, worker)
            stack.push_async_callback(discovery.stop)
            await discovery.start()
            yield

    def _worker(self, endpoint: Endpoint[Any, Any] | StreamEndpoint[Any, Any]) -> Worker:
        work = (
            StreamWork(self._transport, endpoint, self._pulse)
            if isinstance(endpoint, StreamEndpoint)
            else request_work(self._transport, endpoint)
        )
        return Worker(
            endpoint.contract.subject,
            self._transport,
            work,
            concurrency=endpoint.concurrency,
            timeout=endpoint.contract.timeout,
            meter=self._meter,
        )


async def _ask_here(worker: Worker, subject: str, data: bytes, seconds: float) -> Message:
    """Ask a service of this very process: by the same codec and limits, without a way over NATS.

    Raises:
        TimeoutError: no answer in time.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Message] = loop.create_future()
    until, context = loop.time() + seconds, contextvars.copy_context()
    worker.accept(Asked(subject, data, answer=answer, until=until, context=context))
    async with asyncio.timeout(seconds):
        return await answer
