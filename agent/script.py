"""Runs a program in a process group of its own: bounded in time, in what it says, to its end."""

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.exits import exited
from agent.linequeue import LineQueue
from agent.lines import DAEMON, Line, Splitter, now, program_of
from agent.programs.process import signal_group
from hub.protocol import Reply

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 5.0  # between SIGTERM and SIGKILL
END_SECONDS: Final = 1.0  # for pipes that something which left the group keeps open
HEAD_BYTES: Final = 4 * 1024
TAIL_BYTES: Final = 12 * 1024
LOGGED_BYTES: Final = 256 * 1024
_INFO: Final = DAEMON + 6


class Outcome(msgspec.Struct, frozen=True):
    """How a script, or a program, ended.

    Args:
        code: exit code; negative for a signal; None when it never started.
        timed_out: it took too long, and was ended.
        output: what it wrote, both to stdout and stderr: its beginning and its end.
        error: why it could not be started.
    """

    code: int | None
    output: str
    seconds: float
    timed_out: bool = False
    error: str = ""

    @property
    def reply(self) -> Reply:
        """It as the hub is told."""
        if self.code is None:
            return Reply("refused", error=self.error[:500])
        return Reply("ended", self.code, self.output, round(self.seconds, 3), self.timed_out)


class Kept:
    """The first and the last bytes of an output of any length."""

    def __init__(self, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._most = (head, tail)
        self._head = bytearray()
        self._tail = bytearray()
        self._cut = 0

    def add(self, data: bytes) -> None:
        """Take what was written next."""
        head, tail = self._most
        room = head - len(self._head)
        self._head += data[:room] if room > 0 else b""
        self._tail += data[max(room, 0) :][-tail:]
        over = len(data[max(room, 0) :]) - tail
        self._cut += max(over, 0)
        beyond = len(self._tail) - tail
        if beyond > 0:
            del self._tail[:beyond]
            self._cut += beyond

    @property
    def text(self) -> str:
        """It as text, with a mark of what was left out."""
        head, tail = (bytes(part).decode("utf-8", "replace") for part in (self._head, self._tail))
        return f"{head}\n… {self._cut} bytes left out …\n{tail}" if self._cut else head + tail


@dataclass(frozen=True, slots=True)
class ScriptRunner:
    """Runs scripts.

    Args:
        folder: where they are written to, readable by the agent alone.
        directory: they run in.
        queue: of the agent's own stream: their output goes there, up to a bound for each.
    """

    folder: Path
    directory: Path
    queue: LineQueue

    async def run(
        self, name: str, body: str, *, timeout: float, environment: Mapping[str, str]
    ) -> Outcome:
        """Run a script to its end, or to the end of its time.

        Args:
            name: what its lines are marked with.
            body: a program of its own where it begins with `#!`, else for `/bin/sh`.
            timeout: seconds, for all that it starts.
        """
        try:
            path = self._write(body)
        except (OSError, UnicodeEncodeError) as error:
            return Outcome(None, "", 0.0, error=str(error))
        try:
            arguments = [str(path)] if body.startswith("#!") else ["/bin/sh", str(path)]
            return await self.run_program(
                f"script-{name}", arguments, timeout=timeout, environment=environment
            )
        finally:
            _remove(path)

    async def run_program(
        self, label: str, arguments: Sequence[str], *, timeout: float,
        environment: Mapping[str, str],
    ) -> Outcome:  # fmt: skip
        """Run a program to its end, or to the end of its time.

        Args:
            label: what its lines are marked with.
            timeout: seconds, for all that it starts.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                cwd=self.directory,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return Outcome(None, "", 0.0, error=str(error))
        log.info("%s started, process %d", label, process.pid)
        kept = Kept()
        reader = asyncio.create_task(self._read(process, program_of(label), kept))
        try:
            timed_out = not await _ended_within(process, timeout)
            await asyncio.wait({reader}, timeout=END_SECONDS)
        finally:
            signal_group(process.pid, signal.SIGKILL)
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        return Outcome(process.returncode, kept.text, clock() - began, timed_out)

    def tidy(self) -> None:
        """Remove what an agent that was killed has left."""
        for path in self.folder.glob("script-*"):
            _remove(path)

    def _write(self, body: str) -> Path:
        data = body.encode()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="script-", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o700)
                file.write(data)
        except OSError:
            _remove(Path(name))
            raise
        return Path(name)

    async def _read(self, process: asyncio.subprocess.Process, program: str, kept: Kept) -> None:
        assert process.stdout is not None
        splitter, logged = Splitter(), 0
        try:
            while data := await process.stdout.read(65536):
                kept.add(data)
                if logged <= LOGGED_BYTES:
                    logged += len(data)
                    self._put(splitter.feed(data), program)
                    if logged > LOGGED_BYTES:
                        self._put(["more than is logged was written"], program)
        finally:
            if logged <= LOGGED_BYTES:
                self._put(splitter.finish(), program)

    def _put(self, texts: list[str], program: str) -> None:
        at = now()
        self.queue.put([Line(at, _INFO, program, text) for text in texts])


def word_of(reply: Reply) -> str:
    """Give a last word as the log has it."""
    if reply.error:
        return reply.error
    return "it took too long" if reply.timed_out else f"code {reply.code}"


def _remove(path: Path) -> None:
    """Remove a script; it may have made the disk read-only itself, and `tidy` comes back."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


async def _ended_within(process: asyncio.subprocess.Process, timeout: float) -> bool:
    """Wait for the end, and end the whole group when it does not come in time."""
    waiting = asyncio.create_task(exited(process))
    try:
        done, _ = await asyncio.wait({waiting}, timeout=timeout)
        if done:
            return True
        signal_group(process.pid, signal.SIGTERM)
        done, _ = await asyncio.wait({waiting}, timeout=STOP_SECONDS)
        if not done:
            signal_group(process.pid, signal.SIGKILL)
            await waiting
        return False
    finally:
        waiting.cancel()
