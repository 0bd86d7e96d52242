"""The transport over NATS: nats-py, on raw subscriptions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from hub.errors import Unavailable
from hub.messaging.nats_client import CancellableClient
from hub.messaging.transport import Disconnected, Message, NoResponders, Subscription
from hub.settings import NatsSettings

_log = structlog.stdlib.get_logger(__name__)

_CONNECT_TIMEOUT: Final = 5
_RECONNECT_WAIT: Final = 0.25
_PING_INTERVAL: Final = 5  # seconds; a server that misses two is gone
_PENDING_BYTES: Final = 8 * 1024 * 1024  # kept for the server while it is away


@asynccontextmanager
async def connect(settings: NatsSettings, *, name: str = "isaax") -> AsyncIterator[Client]:
    """Connect to NATS; the connection comes back by itself for as long as the context is open.

    Args:
        name: shown by the server among its connections.

    Raises:
        Unavailable: no server there, or it does not let us in.
    """
    client = CancellableClient()
    first_error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    async def on_error(error: Exception) -> None:
        if not first_error.done():
            first_error.set_result(error)
        elif first_error.cancelled():  # connected, once
            _log.warning("NATS", error=type(error).__name__, detail=str(error))

    async def on_disconnect() -> None:
        if not client.is_closed:
            _log.warning("NATS is gone; connecting again")

    async def on_reconnect() -> None:
        _log.info("NATS is back")

    connecting = asyncio.create_task(
        client.connect(
            settings.url,
            name=name,
            user=settings.user or None,
            password=settings.password.reveal() or None,
            max_reconnect_attempts=-1,
            connect_timeout=_CONNECT_TIMEOUT,
            reconnect_time_wait=_RECONNECT_WAIT,  # type: ignore[arg-type]  # it takes fractions
            ping_interval=_PING_INTERVAL,
            pending_size=_PENDING_BYTES,
            error_cb=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
        )
    )
    try:
        await _first_connection(connecting, first_error, settings.url)
        yield client
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        try:
            await client.close()
        # TypeError: what asyncio of Python 3.13 raises for a transport that is closed already.
        except (OSError, TypeError) as error:
            _log.warning("NATS went away before the last messages were sent", detail=str(error))


async def _first_connection(
    connecting: asyncio.Task[None], first_error: asyncio.Future[Exception], url: str
) -> None:
    """Return once connected. The client would try for ever; whoever starts wants to hear of it."""
    either: set[asyncio.Future[Any]] = {connecting, first_error}
    await asyncio.wait(either, timeout=_CONNECT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        error = first_error.result() if first_error.done() else TimeoutError("no answer")
        raise Unavailable(f"NATS at {url}: {error}")
    try:
        connecting.result()
    except (OSError, nats.errors.Error) as error:
        raise Unavailable(f"NATS at {url}: {error}") from None
    first_error.cancel()


class NatsTransport:
    """Sends and receives over one connection; see `Transport`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def max_payload(self) -> int:
        """Bytes that one message may hold, as the server said."""
        return self._client.max_payload

    def new_inbox(self) -> str:
        """Give a subject that nobody else uses."""
        return self._client.new_inbox()

    async def subscribe(
        self, subject: str, handler: Callable[[Message], None], *, queue: str = ""
    ) -> Subscription:
        """Hand over what is sent to a subject; see `Transport.subscribe`."""

        async def receive(message: Msg) -> None:
            handler(_message(message))

        try:
            return _NatsInterest(await self._client.subscribe(subject, queue=queue, cb=receive))
        except (OSError, nats.errors.Error) as error:
            raise Disconnected(f"NATS: {type(error).__name__}") from None

    async def publish(
        self,
        subject: str,
        data: bytes,
        *,
        reply: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send without waiting for anything; see `Transport.publish`."""
        try:
            await self._client.publish(
                subject, data, reply=reply, headers=dict(headers) if headers else None
            )
        except (OSError, nats.errors.Error) as error:
            raise Disconnected(f"NATS: {type(error).__name__}") from None

    async def request(
        self, subject: str, data: bytes, *, headers: Mapping[str, str], timeout: float
    ) -> Message:
        """Send and wait for one answer; see `Transport.request`."""
        try:
            answer = await self._client.request(
                subject, data, timeout=timeout, headers=dict(headers)
            )
        except nats.errors.NoRespondersError:
            raise NoResponders from None
        except nats.errors.TimeoutError:
            raise TimeoutError from None
        except (OSError, nats.errors.Error) as error:
            raise Disconnected(f"NATS: {type(error).__name__}") from None
        return _message(answer)


class _NatsInterest:
    def __init__(self, subscription: NatsSubscription) -> None:
        self._subscription = subscription

    async def drain(self) -> None:
        try:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        except (TimeoutError, OSError, nats.errors.Error) as error:
            # Without the server nothing more can come.
            _log.debug("not drained", reason=type(error).__name__)

    async def close(self) -> None:
        try:
            await self._subscription.unsubscribe()
        except (OSError, nats.errors.Error) as error:
            _log.debug("not unsubscribed", reason=type(error).__name__)


def _message(message: Msg) -> Message:
    return Message(message.subject, message.data, message.reply, message.headers or {})
