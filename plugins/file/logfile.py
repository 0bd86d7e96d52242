"""A file that only ever holds whole lines, with what it was rotated to beside it.

Everything here blocks: it is called in a thread. Several of these may write to one folder (the
hub delivers, replays and tests an integration by objects of their own), so whoever writes holds
the folder's lock.
"""

import errno
import fcntl
import gzip
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from plugins.file.config import FileConfig

_FLAGS: Final = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_PIECE: Final = 1024 * 1024  # bytes that are compressed between two looks at `stop`
_TAIL: Final = 64 * 1024  # bytes that are looked at together for the end of the last whole line


class BusyError(Exception):
    """Somebody else writes to this folder now."""


class LogFile:
    """One `<name>.log`, and its lock.

    Args:
        folder: made when it is not there.
        clock: Unix seconds.
    """

    def __init__(
        self, folder: Path, config: FileConfig, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._config = config
        self._clock = clock
        self._path = folder / f"{config.name}.log"
        self._lock_path = folder / f"{config.name}.lock"
        self._rotated = re.compile(rf"{re.escape(config.name)}\.\d{{8}}T\d{{12}}\.log(\.gz)?")
        self._file: int | None = None
        self._lock: int | None = None

    def append(self, data: bytes) -> bool:
        """Write whole lines, and return when they are on the disk; all of them, or none.

        Returns:
            Whether the file was rotated before.

        Raises:
            BusyError: somebody else writes to this folder now.
            OSError: they are not there, and the file is as it was.
        """
        if not self._try_lock():
            raise BusyError
        try:
            rotated = self._rotate_if_due(len(data))
            self._write(self._open(), data)
        finally:
            self._unlock()
        return rotated

    def _try_lock(self) -> bool:
        """Take the folder's lock; False when somebody else has it."""
        if self._lock is None or not _is(self._lock, self._lock_path):
            self._close_lock()
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock = os.open(self._lock_path, _FLAGS | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Deleted while it was being taken, others would take another.
        return _is(self._lock, self._lock_path)

    def _unlock(self) -> None:
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _write(self, handle: int, data: bytes) -> None:
        before = os.fstat(handle).st_size
        try:
            _write_all(handle, data)
            os.fsync(handle)
        except OSError:
            # What cannot be cut off here is cut off when the file is opened again.
            self._file = None
            try:
                os.ftruncate(handle, before)
            finally:
                os.close(handle)
            raise

    def _open(self) -> int:
        """Give the file, opened anew when it is another one than before."""
        if self._file is not None and _is(self._file, self._path):
            return self._file
        self._close_file()
        handle = os.open(self._path, _FLAGS | os.O_RDWR | os.O_APPEND, 0o640)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "something else stands in its place")
            _drop_half_line(handle)
            _sync_folder(self._folder)
        except BaseException:
            os.close(handle)
            raise
        self._file = handle
        return handle

    def _rotate_if_due(self, more: int) -> bool:
        due = self._is_due(os.fstat(self._open()), more)
        if due:
            self._rotate()
        return due

    def _is_due(self, now: os.stat_result, more: int) -> bool:
        if not now.st_size:
            return False
        period = self._config.rotate_every
        late = int(self._clock() // period) > int(now.st_mtime // period)
        return late or now.st_size + more > self._config.max_bytes

    def _rotate(self) -> None:
        self._close_file()
        moment = self._clock()
        while True:
            stamp = f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%S%f}"
            target = self._folder / f"{self._config.name}.{stamp}.log"
            if not target.exists() and not target.with_suffix(".log.gz").exists():
                break
            moment += 1e-6
        self._path.rename(target)
        _sync_folder(self._folder)

    def tidy(self, stop: threading.Event) -> None:
        """Compress what was rotated, and remove what is more than is to be kept.

        Args:
            stop: once it is set, what is left is left to the next time.

        Raises:
            OSError: something could not be done; it is tried again the next time.
        """
        for path in self.rotated():
            if self._config.gzip and path.suffix == ".log" and not stop.is_set():
                _compress(path, stop)
        for path in self.rotated()[: -self._config.keep]:
            path.unlink(missing_ok=True)
            _part_of(path).unlink(missing_ok=True)

    def rotated(self) -> list[Path]:
        """Give the rotated files, oldest first."""
        return sorted(path for path in self._folder.iterdir() if self._rotated.fullmatch(path.name))

    def close(self) -> None:
        """Let go of the file and of the lock."""
        self._close_file()
        self._close_lock()

    def _close_file(self) -> None:
        if self._file is not None:
            handle, self._file = self._file, None
            os.close(handle)

    def _close_lock(self) -> None:
        if self._lock is not None:
            handle, self._lock = self._lock, None
            os.close(handle)


def _is(handle: int, path: Path) -> bool:
    """Say whether this open file is the one that stands at this path."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _drop_half_line(handle: int) -> None:
    """Cut off what follows the last line feed: a line that a crash left half-written."""
    size = end = os.fstat(handle).st_size
    while end:
        start = max(end - _TAIL, 0)
        at = os.pread(handle, end - start, start).rfind(b"\n")
        if at >= 0:
            end = start + at + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)


def _sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.gz.part")


def _compress(path: Path, stop: threading.Event) -> None:
    """Replace a file by its compressed form, unless somebody else is doing so."""
    part = _part_of(path)
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return
    with source:
        try:
            fcntl.flock(source, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not _is(source.fileno(), path):
            return
        with part.open("wb") as target:
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=target, mtime=0) as packed:
                while (piece := source.read(_PIECE)) and not stop.is_set():
                    packed.write(piece)
            target.flush()
            os.fsync(target.fileno())
        if stop.is_set():
            part.unlink()
            return
        part.rename(path.with_name(f"{path.name}.gz"))
        path.unlink()
    _sync_folder(path.parent)
