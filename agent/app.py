"""Runs the user's program, and reads what it writes without ever making it wait."""

import asyncio
import contextlib
import logging
import os
import pwd
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.config import AppConfig
from agent.files import write_atomic
from agent.linequeue import LineQueue
from agent.lines import USER_ERROR, USER_INFO, Line, Splitter, now, program_of

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 1.0
SLOWEST_SECONDS: Final = 60.0
HEALTHY_SECONDS: Final = 60.0  # a run this long makes the delays begin anew
# While the spooler is behind it gets this much of the processor for each 64 KiB that are read.
# When the disk stalls the queue is soon full, lines are dropped, and nothing waits.
YIELD_SECONDS: Final = 0.005
END_SECONDS: Final = 1.0  # for pipes that a stray grandchild keeps open


class _Running(msgspec.Struct, frozen=True):
    """The app's process group, recognisable after a crash of the agent.

    Args:
        started: clock ticks since boot (proc(5), /proc/pid/stat, field 22).
    """

    pid: int
    started: int


class App:
    """The user's program and its restarts.

    Args:
        queue: where its lines go.
        note: file in which its process is remembered, so that a second copy is never started.
    """

    def __init__(self, config: AppConfig, queue: LineQueue, note: Path) -> None:
        self.restarts = 0
        self.environment: Mapping[str, str] = {}
        """Variables that the next start of it gets, besides the agent's own environment."""
        self._config = config
        self._queue = queue
        self._note = note
        self._program = program_of(config.name)
        self._stop = asyncio.Event()
        self._nudge = asyncio.Event()  # end what runs, or wait no longer
        self._waiting: list[asyncio.Future[None]] = []
        self._over = False

    @property
    def pid(self) -> int | None:
        """Give its process id, when it runs."""
        running = _read(self._note)
        return running.pid if running and _started(running.pid) == running.started else None

    async def run(self) -> None:
        """Run the program, and again as the configuration says, until `stop`."""
        await self._end_leftover()
        try:
            await self._keep_running()
        finally:
            self._over = True
            self._settle(self._waiting)

    def stop(self) -> None:
        """Have the program end: SIGTERM to its group, SIGKILL after the configured time."""
        self._stop.set()
        self._nudge.set()

    async def restart(self) -> None:
        """End the program as `stop` does, start it at once, and return then.

        One that has ended by itself, and that the configuration says not to start again, stays so.
        """
        if self._over:
            return
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(started)
        self._nudge.set()
        await started

    async def _keep_running(self) -> None:
        delay = FIRST_SECONDS
        while not self._stop.is_set():
            self._nudge.clear()
            began = asyncio.get_running_loop().time()
            code = await self._run_once()
            if self._stop.is_set():
                return
            if self._nudge.is_set():
                delay = FIRST_SECONDS
                continue
            if not self._again(code):
                return
            if asyncio.get_running_loop().time() - began >= HEALTHY_SECONDS:
                delay = FIRST_SECONDS
            log.warning("the app starts again in %.0f s", delay)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._nudge.wait()
            delay = min(SLOWEST_SECONDS, delay * 2)
            self.restarts += 1

    async def _run_once(self) -> int | None:
        """Run it to its end; give its exit code, None if it could not be started."""
        waiting, self._waiting = self._waiting, []
        try:
            process = await self._start()
        except (OSError, KeyError, ValueError) as error:
            log.error("the app cannot be started: %s", error)  # noqa: TRY400 - no need of a trace
            return None
        finally:
            self._settle(waiting)
        log.info("the app started, process %d", process.pid)
        self._remember(process.pid)
        assert process.stdout is not None
        assert process.stderr is not None
        readers = [
            asyncio.create_task(self._relay(process.stdout, USER_INFO)),
            asyncio.create_task(self._relay(process.stderr, USER_ERROR)),
        ]
        stopper = asyncio.create_task(self._end_when_told(process.pid))
        try:
            code = await process.wait()
            _signal_group(process.pid, signal.SIGKILL)  # nothing of it stays behind
            await asyncio.wait(readers, timeout=END_SECONDS)
        finally:
            for task in (stopper, *readers):
                task.cancel()
            await asyncio.gather(stopper, *readers, return_exceptions=True)
            self._note.unlink(missing_ok=True)
        log.log(logging.INFO if code == 0 else logging.WARNING, "the app ended: %s", _word(code))
        return code

    async def _start(self) -> asyncio.subprocess.Process:
        command = self._config.command
        arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        environment = dict(os.environ)
        account: dict[str, object] = {}
        if self._config.user is not None:
            entry = pwd.getpwnam(self._config.user)
            environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
            if entry.pw_uid != os.geteuid():
                groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
                account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
        environment |= self.environment
        return await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._config.directory,
            env=environment,
            start_new_session=True,
            **account,  # type: ignore[arg-type]
        )

    async def _relay(self, stream: asyncio.StreamReader, priority: int) -> None:
        splitter = Splitter()
        try:
            while data := await stream.read(65536):
                self._put(splitter.feed(data), priority)
                if self._queue.is_filling:
                    await asyncio.sleep(YIELD_SECONDS)
        finally:
            self._put(splitter.finish(), priority)

    def _put(self, texts: list[str], priority: int) -> None:
        at = now()
        self._queue.put([Line(at, priority, self._program, text) for text in texts])

    async def _end_when_told(self, pid: int) -> None:
        await self._nudge.wait()
        _signal_group(pid, signal.SIGTERM)
        await asyncio.sleep(self._config.stop_seconds)
        log.warning("the app did not end within %g s: killing it", self._config.stop_seconds)
        _signal_group(pid, signal.SIGKILL)

    @staticmethod
    def _settle(waiting: "list[asyncio.Future[None]]") -> None:
        """Tell those who wait for a start that it was made, or will not be."""
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _again(self, code: int | None) -> bool:
        match self._config.restart:
            case "always":
                return True
            case "on-failure":
                return code != 0
            case "never":
                return False

    def _remember(self, pid: int) -> None:
        started = _started(pid)
        if started is not None:
            with contextlib.suppress(OSError):  # a full disk must not keep the app from running
                data = msgspec.json.encode(_Running(pid, started))
                write_atomic(self._note, data, sync=False)

    async def _end_leftover(self) -> None:
        """End what an agent that was killed left running."""
        running = _read(self._note)
        if running is None or _started(running.pid) != running.started:
            return
        log.warning("ending process %d, which an earlier run left behind", running.pid)
        _signal_group(running.pid, signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + self._config.stop_seconds
        while _started(running.pid) == running.started:
            if asyncio.get_running_loop().time() >= deadline:
                _signal_group(running.pid, signal.SIGKILL)
                return
            await asyncio.sleep(0.05)


def _read(note: Path) -> _Running | None:
    try:
        return msgspec.json.decode(note.read_bytes(), type=_Running)
    except (OSError, msgspec.DecodeError):
        return None


def _started(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot; None when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])  # field 22; the first here is field 3


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _word(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
