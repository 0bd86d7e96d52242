"""One child process: it never outlives us, and two never work on the same folder.

A child is spawned through `launch.py`, in a session of its own (Ctrl-C in the terminal reaches
us alone), and gets its stop signal from the kernel when the *thread* that spawned it ends: spawn
from the main thread.

Each child inherits an open lock on its folder and so do the processes it forks; the lock is free
exactly when the last of them is gone. That is how a start after `kill -9` waits for the shutdown
that is still under way, without guessing from pid files.
"""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from hub.embedded import launch
from hub.embedded.account import Account, hand_over
from hub.errors import StartError

log: Final = structlog.get_logger()

LOCK_WAIT: Final = 30.0
POLL: Final = 0.02
LOG_LIMIT: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Args:
        name: for messages, and for the names of its log and lock.
        argv: the program's path and its arguments.
        folder: working directory; the log (`<name>.log`) and the lock are in it.
        account: who to run as, when we are root.
        stop: signal that asks for an orderly end; sent as well when we die.
        environment: all of it; nothing of ours is passed on.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    account: Account | None = None
    stop: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    )


class Child:
    """A running command. It is bound to no event loop."""

    def __init__(self, command: Command) -> None:
        self.command: Final = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        """Where its output goes."""
        return self.command.folder / f"{self.command.name}.log"

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            StartError: it was never started.
        """
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.poll() is None

    async def spawn(self) -> None:
        """Start it, as soon as an earlier life of it on the same folder has ended.

        Raises:
            StartError: that life does not end within `LOCK_WAIT` seconds.
            RuntimeError: this is not the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("a child dies with the thread that spawned it: use the main thread")
        lock = await self._lock()
        try:
            self._process = self._popen(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{self._process.pid}\n".encode(), 0)
        finally:
            os.close(lock)

    async def await_predecessor(self) -> None:
        """Wait until an earlier life of it on the same folder has ended.

        Raises:
            StartError: it does not end within `LOCK_WAIT` seconds.
        """
        if self.command.folder.exists():
            os.close(await self._lock())

    def _popen(self, lock: int) -> subprocess.Popen[bytes]:
        command, account = self.command, self.command.account
        identity = (account.uid, account.gid) if account else (-1, -1)
        launcher = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid())]
        numbers = [str(int(command.stop)), *(str(number) for number in identity)]
        with self.log_file.open("ab") as output:
            hand_over(self.log_file, account, 0o600)
            return subprocess.Popen(
                [*launcher, *numbers, str(command.folder), *command.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(command.environment),
                start_new_session=True,
                pass_fds=(lock,),
            )

    async def _lock(self) -> int:
        path = self.command.folder / f".{self.command.name}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    owner = path.read_text().strip()
                    os.close(descriptor)
                    raise StartError(
                        f"{self.command.name}: process {owner} still works on"
                        f" {self.command.folder}; end it first"
                    ) from None
                await asyncio.sleep(POLL)
            else:
                return descriptor

    async def until(self, ready: Callable[[], Awaitable[bool]], *, timeout: float) -> None:
        """Wait for the child to be ready.

        Args:
            ready: asked again and again.
            timeout: seconds.

        Raises:
            StartError: it ended, or it was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + timeout
        while not await ready():
            if not self.running:
                code = self._started().returncode
                raise StartError(f"{self.command.name} ended ({code}){self.last_words()}")
            if time.monotonic() > deadline:
                raise StartError(
                    f"{self.command.name} is not ready after {timeout:g} s{self.last_words()}"
                )
            await asyncio.sleep(POLL)

    async def wait(self) -> int:
        """Wait for its end, and give its exit code (negative: the signal that ended it)."""
        process = self._started()
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return process.wait()
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)  # a pidfd is readable when the process has ended
        try:
            if process.poll() is None:
                await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return process.wait()

    async def stop(self, budget: float) -> None:
        """Ask for an orderly end, and kill it when `budget` seconds did not suffice."""
        if not self.running:
            return
        self._started().send_signal(self.command.stop)
        try:
            async with asyncio.timeout(budget):
                await self.wait()
        except TimeoutError:
            log.warning("a part had to be killed", part=self.command.name, after=budget)
            self.kill()
            await self.wait()

    def kill(self) -> None:
        """End it by SIGKILL, at once, with what is in its process group."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
            self._started().wait()

    def trim_log(self) -> None:
        """Keep the log below its limit: what is over goes to `<name>.log.1`."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT:
            self.log_file.with_suffix(".log.1").write_bytes(self.log_file.read_bytes())
            os.truncate(self.log_file, 0)  # the child appends: it goes on at the new end

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartError(f"{self.command.name} was not started")
        return self._process

    def last_words(self) -> str:
        """Give the end of its log, worded to follow the reason in an error."""
        lines = self.log_file.read_text(errors="replace").splitlines()[-8:]
        return f"; the end of {self.log_file}:\n" + "\n".join(f"  {line}" for line in lines)
