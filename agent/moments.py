"""The project's own scripts: run in their moments, and the hub is told what came of each."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from agent.files import write_atomic
from agent.script import ScriptRunner, word_of
from agent.wanted import WantedOf
from hub.protocol import UNDECODABLE, MomentScript, Ran, Reply, Scripts, decode_scripts

log = logging.getLogger(__name__)

KIND: Final = "scripts"


class Verdict(Enum):
    """What a script in its moment has to say of what comes after it."""

    GO_ON = "go on"
    LATER = "later"
    STOP = "stop"

    @classmethod
    def of(cls, reply: Reply) -> "Verdict":
        """Give what a last word means: 0 goes on, 21 comes later, anything else stops."""
        return {"done": cls.GO_ON, "later": cls.LATER}.get(reply.outcome, cls.STOP)


class ProjectScripts(WantedOf[Scripts]):
    """The scripts of this device's project; a version is in use as soon as it is here.

    Args:
        folder: the state directory.
        received: called, from the link's thread, when there are others, or a session begins.
    """

    def __init__(self, folder: Path, received: Callable[[], None]) -> None:
        super().__init__(
            KIND, folder / "scripts.json", decode_scripts, Scripts(0, []), self._taken, "scripts",
            opened=received,
        )  # fmt: skip
        self._told = received

    def of(self, moment: str) -> MomentScript | None:
        """Give the script of a moment; None when there is none."""
        return next((one for one in self.current.scripts if one.moment == moment), None)

    def _taken(self) -> None:
        self.use(self.current.version)
        self._told()


class _Running(msgspec.Struct, frozen=True):
    """What is run now, and under which name it will be told."""

    name: str
    ran: Ran


class Moments:
    """Runs a script when its moment is there, one after the other.

    Args:
        folder: the state directory.
        environment: gives the variables that the next one finds.
        tell: keeps a last word until the hub has it.
    """

    def __init__(
        self,
        folder: Path,
        scripts: ProjectScripts,
        runner: ScriptRunner,
        environment: Callable[[], Mapping[str, str]],
        tell: Callable[[str, Reply], None],
    ) -> None:
        self._note = folder / "moment.json"
        self._scripts = scripts
        self._runner = runner
        self._environment = environment
        self._tell = tell
        self._turn = asyncio.Lock()

    def settle(self) -> None:
        """Tell of what an earlier run of the agent did not see to its end."""
        self._runner.tidy()
        try:
            running = msgspec.json.decode(self._note.read_bytes(), type=_Running)
        except FileNotFoundError:
            return
        except (OSError, *UNDECODABLE) as error:
            log.warning("what was run last is not known: %s", error)
        else:
            reply = Reply("interrupted", error="the agent ended meanwhile", ran=running.ran)
            self._tell(running.name, reply)
        self._forget()

    async def run(self, moment: str, **about: str) -> Verdict:
        """Run the script of a moment to its end; where there is none, go on.

        Args:
            about: further variables that it finds, `ISAAX_…`.
        """
        async with self._turn:
            script = self._scripts.of(moment)
            if script is None:
                log.info("there is no script for %s", moment)
                return Verdict.GO_ON
            return await self._run(script, about)

    async def _run(self, script: MomentScript, about: Mapping[str, str]) -> Verdict:
        ran = Ran(script.moment, script.version, round(time.time(), 3))
        running = _Running(f"mom_{secrets.token_hex(12)}", ran)
        self._remember(running)
        own = {"ISAAX_MOMENT": script.moment, "ISAAX_SCRIPT_VERSION": str(script.version)}
        outcome = await self._runner.run(
            script.moment,
            script.body,
            timeout=script.timeout,
            environment={**self._environment(), **own, **about},
        )
        reply = msgspec.structs.replace(outcome.reply, ran=ran)
        self._tell(running.name, reply)
        self._forget()
        verdict = Verdict.of(reply)
        log.log(
            logging.WARNING if verdict is Verdict.STOP else logging.INFO,
            "%s, version %d, ended: %s: %s",
            script.moment, script.version, word_of(reply), verdict.value,
        )  # fmt: skip
        return verdict

    def _remember(self, running: _Running) -> None:
        try:
            write_atomic(self._note, msgspec.json.encode(running))
        except OSError as error:  # a full disk keeps no moment from coming
            log.warning("what is run is not kept: %s", error)

    def _forget(self) -> None:
        try:
            self._note.unlink(missing_ok=True)
        except OSError as error:
            log.warning("what was run is not forgotten: %s", error)
