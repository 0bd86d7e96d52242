"""Small pieces of work beside the main path, of which none is forgotten."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

_log = structlog.stdlib.get_logger(__name__)


class Tasks:
    """Keeps the tasks that are under way, and logs what they raise.

    Args:
        group: with it, a task that fails ends the group's owner too.
    """

    def __init__(self, group: asyncio.TaskGroup | None = None) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a piece of work."""
        task = (self._group or asyncio.get_running_loop()).create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self) -> None:
        """Wait until all that was started has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def cancel(self) -> None:
        """End all that is under way."""
        for task in self._tasks:
            task.cancel()
        await self.drain()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("work beside the main path failed", error=repr(error))
