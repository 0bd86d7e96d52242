"""Has a program read its configuration again, by a command of its own."""

import asyncio
import signal
from collections.abc import Mapping
from typing import Final

from agent.exits import exited
from agent.linequeue import LineQueue
from agent.programs.output import reading
from agent.programs.process import exit_word, signal_group, spawn
from agent.programs.states import ProgramError
from agent.settings import AppConfig

RELOAD_SECONDS: Final = 30.0
END_SECONDS: Final = 1.0  # for pipes that something which left the group keeps open


async def run_reload(
    command: str | list[str],
    config: AppConfig,
    environment: Mapping[str, str],
    queue: LineQueue,
    program: str,
    label: str,
) -> None:
    """Run a reload command to its end; what it writes are lines of the program.

    Args:
        config: of the program: the command runs where it does, and as whom.
        program: what its lines are marked with; `label`: what to call it to people.

    Raises:
        ProgramError: it cannot be run, failed, or did not end in time.
    """
    try:
        process = await spawn(command, config, environment)
    except (OSError, KeyError, ValueError) as error:
        raise ProgramError(f"the reload of {label} cannot be run: {error}") from None
    try:
        async with reading(process, queue, program) as readers, asyncio.timeout(RELOAD_SECONDS):
            code = await exited(process)
            await asyncio.wait(readers, timeout=END_SECONDS)
    except TimeoutError:
        reason = f"the reload of {label} did not end within {RELOAD_SECONDS:g} s"
        raise ProgramError(reason) from None
    finally:
        signal_group(process.pid, signal.SIGKILL)
        await exited(process)
    if code != 0:
        raise ProgramError(f"the reload of {label} failed: {exit_word(code)}")
