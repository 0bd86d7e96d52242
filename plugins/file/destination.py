"""Batches into a file, by a thread of the destination's own."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from hub import Batch, Retry, Tools
from plugins.file.config import FileConfig
from plugins.file.formats import encoder
from plugins.file.logfile import BusyError, LogFile

T = TypeVar("T")

_BUSY_PAUSE: Final = 0.02
"""Seconds between two looks at a file that somebody else writes to."""


class File:
    """Appends each batch to a file; `send` returns when it is on the disk.

    Its threads are its own: a disk that hangs holds up nobody else's work.

    Args:
        clock: Unix seconds, for rotation.
    """

    def __init__(
        self, config: FileConfig, tools: Tools, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._name = f"{config.name}.log"
        self._encode = encoder(config.format)
        self._log = tools.log
        self._file = None if tools.folder is None else LogFile(tools.folder, config, clock=clock)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="file")  # writes, and tidies up
        self._under_way: asyncio.Future[bool] | None = None
        self._stop = threading.Event()
        self._tidying: asyncio.Task[None] | None = None
        self._untidy = True  # a crash may have left something

    async def send(self, batch: Batch) -> None:
        """Write one batch: it is on the disk when this returns."""
        if self._file is None:
            raise Retry("this hub has no place for files: its operator has to set relay.files")
        data = self._encode(batch)
        while True:
            try:
                rotated = await self._append(self._file, data)
            except BusyError:
                await asyncio.sleep(_BUSY_PAUSE)
            except OSError as error:
                raise Retry(f"{self._name} cannot be written: {error.strerror or error}") from error
            else:
                break
        if rotated:
            self._untidy = True
        if self._untidy and (self._tidying is None or self._tidying.done()):
            self._tidying = asyncio.create_task(self._tidy(self._file), name="file-tidy")

    async def _append(self, file: LogFile, data: bytes) -> bool:
        await self._settled()
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(self._threads, file.append, data)
        # Whoever gives up waiting does not stop the thread: the next one waits for it.
        return await asyncio.shield(self._under_way)

    async def _settled(self) -> None:
        """Wait for what a `send` that was given up left under way."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})
            self._under_way.exception()
            self._under_way = None

    async def _tidy(self, file: LogFile) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._untidy:
                self._untidy = False
                await loop.run_in_executor(self._threads, file.tidy, self._stop)
        except OSError as error:
            self._log.warning("rotated files could not be tidied up", reason=error.strerror)

    async def close(self) -> None:
        """Let go of the file; what is being compressed is left as it was."""
        self._stop.set()
        await self._settled()
        if self._tidying is not None:
            await asyncio.wait({self._tidying})
        if self._file is not None:
            self._file.close()
        self._threads.shutdown(wait=False)
