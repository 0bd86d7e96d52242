"""One program of the user's: started, started again, stopped, as it is configured and told."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping
from typing import Final

from agent.exits import exited
from agent.linequeue import LineQueue
from agent.lines import program_of
from agent.programs.cgroups import Cgroups
from agent.programs.fence import Fence
from agent.programs.output import reading
from agent.programs.process import Note, exit_word, signal_group, spawn
from agent.programs.reload import run_reload
from agent.programs.states import ProgramError, ProgramState, StateName
from agent.settings import AppConfig

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 1.0
SLOWEST_SECONDS: Final = 60.0
HEALTHY_SECONDS: Final = 60.0  # a run this long makes the delays begin anew
END_SECONDS: Final = 1.0  # for pipes that a stray grandchild keeps open

Waiters = list["asyncio.Future[None]"]


class Program:
    """A program and its restarts.

    Args:
        name: what it is called in commands and in the log.
        queue: where its lines go.
        note: where its process is remembered.
        cgroups: below which its limits are set.
        changed: called whenever it fares otherwise.
    """

    def __init__(
        self,
        name: str,
        config: AppConfig,
        queue: LineQueue,
        note: Note,
        cgroups: Cgroups,
        changed: Callable[[], None],
    ) -> None:
        self.name = name
        self.environment: Mapping[str, str] = {}
        """Variables that its next start gets, besides the agent's own environment."""
        self._config = config
        self._queue = queue
        self._changed = changed
        self._note = note
        self._label = "the app" if name == "app" else name
        self._program = program_of(config.name or name)
        self._wanted = True
        self._over = False
        self._busy = False  # from the attempt to start it until its end
        self._nudge = asyncio.Event()  # end what runs, or wait no longer
        self._asked: Waiters = []  # for the next start, `_promised`: for the present one
        self._promised: Waiters = []
        self._ending: Waiters = []  # for the end of what runs
        self._state: StateName = "starting"
        self._since = time.monotonic()
        self._pid: int | None = None
        self._restarts = 0
        self._exit: int | None = None
        self._error = ""
        self._fence = Fence(name, config, cgroups)

    @property
    def state(self) -> ProgramState:
        """Say how it fares."""
        return ProgramState(
            self._state, self._pid, self._since, self._restarts, self._exit, self._error,
            self._fence.problem,
        )  # fmt: skip

    async def end_leftover(self) -> None:
        """End what an agent that was killed left running of it."""
        await self._note.end_leftover(self._config.stop_seconds)

    async def run(self) -> None:
        """Keep it running, as the configuration and those who command it say, until `end`."""
        try:
            await self._keep()
        finally:
            self._fence.remove()
            self._over = True
            self._turn("stopped")
            self._promised += self._asked
            _refuse(self._promised, self._too_late())
            _settle(self._ending)

    def end(self) -> None:
        """Have it end for good: SIGTERM to its group, SIGKILL after the configured time."""
        self._over = True
        self._nudge.set()

    async def start(self) -> None:
        """Start it, unless it runs, and return then.

        Raises:
            ProgramError: it cannot be started, or was stopped meanwhile.
        """
        if not self._busy or self._nudge.is_set():
            await self.restart()
        elif self._state == "starting":
            await _join(self._promised)

    async def restart(self) -> None:
        """End it as `stop` does, if it runs, start it at once, and return then.

        Raises:
            ProgramError: it cannot be started, or was stopped meanwhile.
        """
        if self._over:
            raise ProgramError(self._too_late())
        self._wanted = True
        self._nudge.set()
        await _join(self._asked)

    async def renew(self) -> None:
        """Restart it if it runs, or is about to: something that it reads at its start changed.

        One that was stopped, or that has ended for good, stays so.
        """
        if self._wanted and (self._busy or self._state == "waiting"):
            with contextlib.suppress(ProgramError):  # the log says it
                await self.restart()

    async def stop(self) -> None:
        """End it, and return when it has: it stays so until it is started, or the agent is."""
        self._wanted = False
        self._nudge.set()
        if self._busy:
            await _join(self._ending)
        elif not self._over:
            self._stopped()

    async def reload(self) -> None:
        """Have it read its configuration again: with the configured command, or SIGHUP.

        Raises:
            ProgramError: it does not run, or the command failed.
        """
        pid = self._pid
        if pid is None or self._state != "running":
            raise ProgramError(f"{self._label} does not run: it is {self._state}")
        if self._config.reload is None:
            signal_group(pid, signal.SIGHUP)
        else:
            await run_reload(
                self._config.reload, self._config, {**self.environment, "MAINPID": str(pid)},
                self._queue, self._program, self._label,
            )  # fmt: skip

    async def _keep(self) -> None:
        delay = FIRST_SECONDS
        while not self._over:
            self._nudge.clear()
            if not self._wanted:
                self._stopped()
                await self._nudge.wait()
                continue
            began = time.monotonic()
            code = await self._run_once()
            if self._nudge.is_set():
                delay = FIRST_SECONDS
                continue
            if not self._again(code):
                self._turn("ended" if code == 0 else "failed")
                await self._nudge.wait()
                continue
            if time.monotonic() - began >= HEALTHY_SECONDS:
                delay = FIRST_SECONDS
            self._turn("waiting")
            log.warning("%s starts again in %.0f s", self._label, delay)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._nudge.wait()
            delay = min(SLOWEST_SECONDS, delay * 2)
            if not self._nudge.is_set():
                self._restarts += 1

    async def _run_once(self) -> int | None:
        """Run it to its end; give its exit status, None if it could not be started."""
        self._busy = True
        self._promised += self._asked
        self._asked.clear()
        self._turn("starting")
        try:
            group = self._fence.raised()
            process = await spawn(self._config.command, self._config, self.environment, group)
        except (OSError, KeyError, ValueError) as error:
            self._exit, self._error = None, f"cannot be started: {error}"
            log.error("%s %s", self._label, self._error)  # noqa: TRY400 - no need of a trace
            _refuse(self._promised, f"{self._label} {self._error}")
            return None
        else:
            return await self._attend(process)
        finally:
            self._busy = False
            _settle(self._ending)

    async def _attend(self, process: asyncio.subprocess.Process) -> int:
        """Read what it writes, and end it when told, until it has ended."""
        log.info("%s started, process %d", self._label, process.pid)
        self._pid = process.pid
        self._note.write(process.pid)
        self._turn("running")
        _settle(self._promised)
        stopper = asyncio.create_task(self._end_when_told(process.pid))
        try:
            async with reading(process, self._queue, self._program) as readers:
                code = await exited(process)
                signal_group(process.pid, signal.SIGKILL)  # nothing of it stays behind
                await asyncio.wait(readers, timeout=END_SECONDS)
        finally:
            stopper.cancel()
            await asyncio.gather(stopper, return_exceptions=True)
            self._pid = None
            self._note.clear()
        self._exit, self._error = code, self._fence.what_was_hit()
        level = logging.INFO if code == 0 else logging.WARNING
        log.log(level, "%s ended: %s", self._label, self._error or exit_word(code))
        return code

    async def _end_when_told(self, pid: int) -> None:
        await self._nudge.wait()
        self._turn("stopping")
        signal_group(pid, signal.SIGTERM)
        await asyncio.sleep(self._config.stop_seconds)
        seconds = self._config.stop_seconds
        log.warning("%s did not end within %g s: killing it", self._label, seconds)
        signal_group(pid, signal.SIGKILL)

    def _too_late(self) -> str:
        return f"{self._label} does not start: the agent ends"

    def _stopped(self) -> None:
        self._turn("stopped")
        self._promised += self._asked
        self._asked.clear()
        _refuse(self._promised, f"{self._label} was stopped meanwhile")
        _settle(self._ending)

    def _turn(self, state: StateName) -> None:
        if state != self._state:
            self._state, self._since = state, time.monotonic()
            self._changed()

    def _again(self, code: int | None) -> bool:
        match self._config.restart:
            case "always":
                return True
            case "on-failure":
                return code != 0
            case "never":
                return False


async def _join(waiters: Waiters) -> None:
    """Wait until it happens, or is known not to.

    Raises:
        ProgramError: it will not happen.
    """
    one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.append(one)
    await one


def _settle(waiters: Waiters) -> None:
    """Tell those who wait that it happened."""
    for one in waiters:
        if not one.done():
            one.set_result(None)
    waiters.clear()


def _refuse(waiters: Waiters, reason: str) -> None:
    """Tell those who wait that it will not happen."""
    for one in waiters:
        if not one.done():
            one.set_exception(ProgramError(reason))
    waiters.clear()
