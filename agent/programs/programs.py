"""All programs of the user's: by name, or all at once."""

import asyncio
import logging
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from agent.linequeue import LineQueue
from agent.programs.cgroups import Cgroups
from agent.programs.process import Note
from agent.programs.program import Program
from agent.programs.states import RUNNING, ProgramError, ProgramState
from agent.settings import AppConfig

log = logging.getLogger(__name__)


async def _nothing() -> None:
    pass


class Programs:
    """The programs that the configuration names; whoever runs this ends all of them.

    Args:
        configured: by name, in the order of the file.
        queue: where their lines go.
        folder: in which their processes are remembered.
        before_first_start: awaited once, before the first of them starts; until it returns they
            are `starting`, or `stopped` if somebody says so.
        changed: called whenever one of them fares otherwise.
    """

    def __init__(
        self,
        configured: Mapping[str, AppConfig],
        queue: LineQueue,
        folder: Path,
        *,
        before_first_start: Callable[[], Awaitable[None]] = _nothing,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        # Of this folder's agent only, and the same after a crash of it.
        cgroups = Cgroups(f"isaax-{zlib.crc32(bytes(folder)):08x}")
        self._programs = {
            name: Program(name, config, queue, Note(folder / f"{name}.json"), cgroups, changed)
            for name, config in configured.items()
        }
        self._before_first_start = before_first_start
        self._over = asyncio.Event()

    def use(self, environment: Mapping[str, str]) -> None:
        """Give each of them these variables with its next start."""
        for program in self._programs.values():
            program.environment = environment

    def states(self) -> dict[str, ProgramState]:
        """Say how each of them fares."""
        return {name: program.state for name, program in self._programs.items()}

    async def run(self) -> None:
        """Keep them running until `end`; all of them have ended when this returns."""
        await asyncio.gather(*(one.end_leftover() for one in self._programs.values()))
        await self._pass_the_gate()
        await asyncio.gather(*(one.run() for one in self._programs.values()))

    def end(self) -> None:
        """Have all of them end, for good."""
        self._over.set()
        for program in self._programs.values():
            program.end()

    async def start(self, name: str = "") -> None:
        """Start a program, or all that do not run; return when they have started.

        Raises:
            ProgramError: there is no such program, or it cannot be started.
        """
        await _all(one.start() for one in self._named(name))

    async def stop(self, name: str = "") -> None:
        """End a program, or all; return when they have ended.

        They stay so until they are started, or the agent is: it begins with all of them.

        Raises:
            ProgramError: there is no such program.
        """
        await _all(one.stop() for one in self._named(name))

    async def restart(self, name: str = "") -> None:
        """End a program, or all, and start it, also one that did not run.

        Raises:
            ProgramError: there is no such program, or it cannot be started.
        """
        await _all(one.restart() for one in self._named(name))

    async def reload(self, name: str = "") -> None:
        """Have a program, or all that run, read their configuration again.

        Raises:
            ProgramError: there is no such program, it does not run, or its command failed.
        """
        named = self._named(name)
        running = [one for one in named if one.state.state in RUNNING]
        await _all(one.reload() for one in running or named)

    async def renew(self) -> None:
        """Restart those that run, or are about to; leave the others as they are."""
        await _all(one.renew() for one in self._programs.values())

    def _named(self, name: str) -> list[Program]:
        if not self._programs:
            raise ProgramError("this device has no program: its isaax.conf names none")
        if not name:
            return list(self._programs.values())
        if name not in self._programs:
            known = ", ".join(self._programs)
            raise ProgramError(f"there is no program {name!r}; there is: {known}")
        return [self._programs[name]]

    async def _pass_the_gate(self) -> None:
        """Wait for what comes before the first start, unless all is to end."""
        gate = asyncio.ensure_future(self._before_first_start())
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({gate, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            gate.cancel()
            (fault, _) = await asyncio.gather(gate, over, return_exceptions=True)
        if isinstance(fault, Exception):  # a fault of ours must not keep the programs from running
            log.error("what comes before the first start failed", exc_info=fault)


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it; what went wrong is told together, when all has been done."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    errors = [one for one in outcomes if isinstance(one, BaseException)]
    for error in errors:
        if not isinstance(error, ProgramError):
            raise error
    if errors:
        raise ProgramError("; ".join(str(error) for error in errors))
