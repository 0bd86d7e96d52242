"""Reads what a program writes without ever making it wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from agent.linequeue import LineQueue
from agent.lines import USER_ERROR, USER_INFO, Line, Splitter, now

# While the spooler is behind it gets this much of the processor for each 64 KiB that are read.
# When the disk stalls the queue is soon full, lines are dropped, and nothing waits.
YIELD_SECONDS: Final = 0.005


@asynccontextmanager
async def reading(
    process: asyncio.subprocess.Process, queue: LineQueue, program: str
) -> "AsyncIterator[list[asyncio.Task[None]]]":
    """Have both outputs of a process read, as the lines of `program`; give the tasks that do."""
    assert process.stdout is not None
    assert process.stderr is not None
    tasks = [
        asyncio.create_task(_relay(process.stdout, queue, program, USER_INFO)),
        asyncio.create_task(_relay(process.stderr, queue, program, USER_ERROR)),
    ]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _relay(
    stream: asyncio.StreamReader, queue: LineQueue, program: str, priority: int
) -> None:
    def put(texts: list[str]) -> None:
        at = now()
        queue.put([Line(at, priority, program, text) for text in texts])

    splitter = Splitter()
    try:
        while data := await stream.read(65536):
            put(splitter.feed(data))
            if queue.is_filling:
                await asyncio.sleep(YIELD_SECONDS)
    finally:
        put(splitter.finish())
