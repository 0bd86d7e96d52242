"""Does what the hub asks for: scripts, programs, a reboot, and what the device's owner allows."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.commands import Commands
from agent.programs import ProgramError, Programs
from agent.script import ScriptRunner, word_of
from hub.protocol import (
    Do,
    ProgramAction,
    Reboot,
    ReloadPrograms,
    Reply,
    RestartPrograms,
    RunCustom,
    RunScript,
    StartPrograms,
    StopPrograms,
    action_type,
)

log = logging.getLogger(__name__)

MOST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the file of this device says of commands.

    Args:
        commands: by name, as argument lists, or a string for `/bin/sh -c`.
        reboot: the argument list that boots the device anew; None: what the system has.
    """

    commands: Mapping[str, str | Sequence[str]]
    reboot: Sequence[str] | None

    def arguments(self, name: str) -> list[str] | None:
        """Give the argument list of a custom command; None when there is none."""
        command = self.commands.get(name)
        if command is None:
            return None
        return ["/bin/sh", "-c", command] if isinstance(command, str) else [*command]

    @property
    def reboot_arguments(self) -> list[str]:
        """Give the argument list that boots the device anew."""
        if self.reboot is not None:
            return [*self.reboot]
        has_systemd = Path("/run/systemd/system").is_dir()  # sd_booted(3)
        return ["systemctl", "reboot"] if has_systemd else ["/sbin/reboot"]


@dataclass(frozen=True, slots=True)
class Doer:
    """Does one command after the other.

    Args:
        environment: gives the variables that the next one finds.
    """

    runner: ScriptRunner
    programs: Programs
    allowed: Allowed
    environment: Callable[[], Mapping[str, str]]

    async def do(self, name: str, command: Do) -> Reply:
        """Do it, and give its last word."""
        match command.action:
            case RunScript(body=body):
                outcome = await self.runner.run(
                    name, body, timeout=command.timeout, environment=self.environment()
                )
                return outcome.reply
            case RunCustom() as custom:
                return await self._custom(name, custom, command.timeout)
            case Reboot():
                return await self._reboot(name, command.timeout)
            case action:
                return await self._programs(action, command.timeout)

    async def _custom(self, name: str, custom: RunCustom, timeout: float) -> Reply:
        arguments = self.allowed.arguments(custom.name)
        if arguments is None:
            how = f'under [commands]: {custom.name} = ["program", "argument"]'
            return Reply("refused", error=f"isaax.conf of this device allows none: add it {how}")
        given = {f"ISAAX_ARG_{key.upper()}": value for key, value in custom.arguments.items()}
        outcome = await self.runner.run_program(
            f"command-{name}", arguments, timeout=timeout,
            environment={**self.environment(), **given},
        )  # fmt: skip
        return outcome.reply

    async def _reboot(self, name: str, timeout: float) -> Reply:
        """Have the device go down; only when it does not does this return."""
        outcome = await self.runner.run_program(
            f"reboot-{name}", self.allowed.reboot_arguments, timeout=timeout,
            environment=self.environment(),
        )  # fmt: skip
        if outcome.code == 0 and not outcome.timed_out:
            await asyncio.sleep(max(0.0, timeout - outcome.seconds))
            return Reply(
                "ended", timed_out=True, seconds=timeout, error="the device did not go down in time"
            )
        return outcome.reply

    async def _programs(self, action: ProgramAction, timeout: float) -> Reply:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(timeout):
                await self._of(action)(action.program)
        except TimeoutError:
            error = "it was not done in time"
            return Reply("ended", 1, seconds=clock() - began, timed_out=True, error=error)
        except ProgramError as error:
            return Reply("ended", 1, seconds=clock() - began, error=str(error)[:MOST_ERROR])
        return Reply("ended", 0, seconds=round(clock() - began, 3))

    def _of(self, action: ProgramAction) -> Callable[[str], Awaitable[None]]:
        match action:
            case StartPrograms():
                return self.programs.start
            case StopPrograms():
                return self.programs.stop
            case RestartPrograms():
                return self.programs.restart
            case ReloadPrograms():
                return self.programs.reload


async def do_commands(
    commands: Commands, doer: Doer, woken: asyncio.Event, said: Callable[[], None]
) -> None:
    """Do what comes, one after the other, until cancelled.

    Args:
        said: called when there is something to tell the hub.
    """
    doer.runner.tidy()
    while True:
        await woken.wait()
        woken.clear()
        while (one := commands.next()) is not None:
            said()
            name, command = one
            reply = await _done(doer, name, command)
            commands.ended(name, reply)
            log.info("%s %s: %s", action_type(command.action), name, word_of(reply))
            said()
        said()


async def _done(doer: Doer, name: str, command: Do) -> Reply:
    """Do it; a fault of ours is its end, and not that of all commands after it."""
    try:
        return await doer.do(name, command)
    except Exception:
        log.exception("%s failed", name)
        return Reply("ended", 1, error="a fault of the agent: its log has more")


def boot_id(path: Path) -> str:
    """Read the id of the present boot of the device; "" when that cannot be."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        log.warning("%s cannot be read, so this device is not booted anew: %s", path, error)
        return ""
