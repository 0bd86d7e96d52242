"""nats-py's client, for tasks that may be cancelled at any moment."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg

T = TypeVar("T")


class CancellableClient(Client):
    """The client, but for one thing: a request or a flush never takes a cancellation for itself.

    Both wait by `asyncio.wait_for`, which up to Python 3.11 returns the result, and forgets the
    cancellation, when both come in one turn of the event loop (cpython#86296). A task that ought
    to have ended would go on for ever, and whoever waits for its end, too.
    """

    async def request(self, *args: Any, **kwargs: Any) -> Msg:
        """Ask and wait for the answer; see `Client.request`."""
        return await _cancellable(super().request(*args, **kwargs))

    async def flush(self, *args: Any, **kwargs: Any) -> None:
        """Wait until the server has what was written so far; see `Client.flush`."""
        await _cancellable(super().flush(*args, **kwargs))


async def _cancellable(call: Coroutine[Any, Any, T]) -> T:
    """Await a call; raise the cancellation that it kept to itself, if there was one."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    result = await call
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
