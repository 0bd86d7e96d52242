"""The end of a process, whoever else still has its output open."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from typing import Final

_LOOK_SECONDS: Final = 0.02  # between exit and exit status, which asyncio's watcher fetches


async def exited(process: Process) -> int:
    """Wait until a process has ended; give its exit status, negative for a signal.

    `Process.wait` returns only when its pipes are closed, too: a child that it left behind in the
    background keeps them open (CPython, `BaseSubprocessTransport._call_connection_lost`).
    """
    if process.returncode is None:
        # Ended meanwhile there is none; where the system knows no pidfd it is looked for.
        with contextlib.suppress(OSError):
            await _readable(os.pidfd_open(process.pid))
    while process.returncode is None:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(_LOOK_SECONDS)
    return process.returncode


async def _readable(descriptor: int) -> None:
    """Wait until a descriptor can be read, and close it: a pidfd, when its process has ended."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
