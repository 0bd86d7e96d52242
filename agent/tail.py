"""Follows a log file through rotation and truncation, and across restarts."""

import asyncio
import contextlib
import logging
import os
import zlib
from pathlib import Path
from typing import Final

import msgspec

from agent.linequeue import LineQueue
from agent.lines import USER_NOTICE, Line, now, program_of, text_of
from hub.protocol import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
_CHUNK: Final = 2 * MAX_MESSAGE_BYTES
_HEAD: Final = 256  # bytes that tell a file from another one that took its place


class _Position(msgspec.Struct, frozen=True):
    """Where reading goes on: a file, known by inode and by how it begins, and an offset in it."""

    inode: int
    offset: int
    head: int
    head_bytes: int


class Tail:
    """Follows one file.

    A file is first read from its end, or from its start when it appears while the agent runs. An
    unended line waits for its newline; the last one of a file that was rotated away does not.

    Args:
        position: from the spool, where it stood; "" for a file that was never read.
    """

    def __init__(self, path: Path, queue: LineQueue, position: str) -> None:
        self.source = f"file:{path}"
        self._path = path
        self._queue = queue
        self._program = program_of(path.stem)
        self._descriptor: int | None = None
        self._inode = 0
        self._offset = 0
        self._head = (0, 0)  # how many bytes it begins with, and their checksum
        self._error = ""
        self._resume = msgspec.json.decode(position, type=_Position) if position else None
        self._from_start = False

    async def run(self) -> None:
        """Follow the file until cancelled."""
        try:
            while True:
                # in a thread: a file system may stall, and the app must not wait for that
                more = await asyncio.to_thread(self.poll)
                await asyncio.sleep(0 if more else POLL_SECONDS)
        finally:
            self.close()

    def poll(self) -> bool:
        """Read a piece; True when there may be more to read at once."""
        try:
            more = self._poll()
        except OSError as error:
            if str(error) != self._error:
                log.warning("%s cannot be read: %s", self._path, error)
            self._error = str(error)
            self.close()
            return False
        self._error = ""
        return more

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _poll(self) -> bool:
        if self._descriptor is None and not self._open():
            self._from_start = True  # it appears later: all of it is new
            return False
        assert self._descriptor is not None
        if self._is_rewritten():
            log.info("%s was truncated", self._path)
            self._use(self._descriptor, 0)
        if self._read(final=False):
            return True
        if self._is_rotated():
            while self._read(final=True):
                pass
            if not self._rest_is_taken():
                return False
            self.close()
            self._from_start = True
            return True
        return False

    def _open(self) -> bool:
        resume, self._resume = self._resume, None
        if resume is not None and self._open_again(resume):
            return True
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._use(descriptor, 0)
        if not self._from_start and resume is None:
            self._offset = os.fstat(descriptor).st_size
        return True

    def _open_again(self, resume: _Position) -> bool:
        """Go on in the file that was read last, also where a rotation has renamed it."""
        for path in [self._path, *sorted(self._path.parent.glob(f"{self._path.name}*"))]:
            with contextlib.suppress(OSError):
                if path.stat().st_ino != resume.inode:
                    continue
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                size = os.fstat(descriptor).st_size
                if size >= resume.offset and _head(descriptor, resume.head_bytes) == resume.head:
                    self._use(descriptor, resume.offset)
                    return True
                os.close(descriptor)
        return False

    def _use(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._inode = os.fstat(descriptor).st_ino
        self._offset = offset
        head_bytes = min(_HEAD, offset)
        self._head = (head_bytes, _head(descriptor, head_bytes))

    def _is_rewritten(self) -> bool:
        """Say whether it was truncated, though it may have grown beyond our place since."""
        assert self._descriptor is not None
        size = os.fstat(self._descriptor).st_size
        if size == self._offset:
            return False
        return size < self._offset or _head(self._descriptor, self._head[0]) != self._head[1]

    def _is_rotated(self) -> bool:
        """Say whether another file has taken over.

        While there is none, or it is empty, the old one may still be written to.
        """
        try:
            now_there = self._path.stat()
        except FileNotFoundError:
            return False
        return now_there.st_ino != self._inode and now_there.st_size > 0

    def _rest_is_taken(self) -> bool:
        assert self._descriptor is not None
        return os.fstat(self._descriptor).st_size <= self._offset

    def _read(self, *, final: bool) -> bool:
        """Read and hand over one piece; False when there is nothing (or no room) for now."""
        assert self._descriptor is not None
        data = os.pread(self._descriptor, _CHUNK, self._offset)
        pieces, used = _cut(data, final=final)
        if not used:
            return False
        head_bytes = min(_HEAD, self._offset + used)
        head = _head(self._descriptor, head_bytes)
        at = now()
        lines = []
        offset = self._offset
        for piece in pieces:
            offset += len(piece)
            position = _Position(self._inode, offset, head, head_bytes)
            lines.append(
                Line(
                    at,
                    USER_NOTICE,
                    self._program,
                    text_of(piece.rstrip(b"\r\n")),
                    self.source,
                    msgspec.json.encode(position).decode(),
                )
            )
        if not self._queue.offer(lines):
            return False
        self._offset = offset
        self._head = (head_bytes, head)
        return True


def _cut(data: bytes, *, final: bool) -> tuple[list[bytes], int]:
    """Cut into lines with their ends; give them, and how many bytes they are."""
    end = data.rfind(b"\n") + 1
    if not end and (final or len(data) >= MAX_MESSAGE_BYTES):
        return [data[:MAX_MESSAGE_BYTES]] if data else [], min(len(data), MAX_MESSAGE_BYTES)
    return data[:end].splitlines(keepends=True), end


def _head(descriptor: int, count: int) -> int:
    return zlib.crc32(os.pread(descriptor, count, 0))
