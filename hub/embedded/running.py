"""The hub as a task of `isaax up`: started, watched, drained; and the signals that end it."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from hub.errors import StartError
from hub.registry import Drained
from hub.supervisor import Supervisor

T = TypeVar("T")


class StuckError(StartError):
    """The hub cannot end."""

    code = "stuck"


@contextlib.contextmanager
def until_signal(stop: asyncio.Event) -> Iterator[asyncio.Event]:
    """Turn SIGINT and SIGTERM into `stop`; while starting, and at the second, cancel everything.

    Gives an event to set when the start is over and an orderly end is possible.
    """
    loop = asyncio.get_running_loop()
    main = asyncio.current_task(loop)
    started = asyncio.Event()

    def end() -> None:
        if main is not None and (stop.is_set() or not started.is_set()):
            main.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        yield started
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def running_hub(
    supervisor: Supervisor, stop: asyncio.Event
) -> AsyncIterator[asyncio.Task[Drained]]:
    """Run the hub in this process while the context is open, and drain it in the end.

    Raises:
        StuckError: a task of it goes on; waiting for all tasks would never end.
    """
    ready, leave = asyncio.Event(), asyncio.Event()
    hub = asyncio.create_task(supervisor.run(ready=ready, stop=leave), name="hub")
    try:
        await unless_ended(_either(ready, stop), hub)
        yield hub
    finally:
        leave.set()
        await asyncio.wait({hub})
    if hub.result().stuck:
        raise StuckError("a service did not end, even when it was cancelled; see the log")


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def unless_ended(work: Coroutine[Any, Any, T], hub: asyncio.Task[Drained]) -> T:
    """Do some work, unless the hub ends meanwhile.

    Raises:
        StartError: how the hub ended.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, hub}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            hub.result()
            raise StartError("the hub ended by itself")
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
