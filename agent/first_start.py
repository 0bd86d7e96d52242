"""What comes before the app is started on this device for the first time: `pre-install`."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.files import write_atomic
from agent.moments import Moments, ProjectScripts, Verdict
from hub.protocol import MomentScript

log = logging.getLogger(__name__)

MOMENT: Final = "pre-install"
FIRST_SECONDS: Final = 30.0
"""Until one that asks for it is tried again; then ever longer."""
SLOWEST_SECONDS: Final = 3600.0


class FirstStart:
    """Lets the app start once `pre-install` has gone well on this device.

    Args:
        folder: the state directory.
        wait: seconds for the first scripts of the hub, where there never were any.
        told: called when there is something to tell the hub.
    """

    def __init__(
        self,
        folder: Path,
        scripts: ProjectScripts,
        moments: Moments,
        *,
        wait: float,
        told: Callable[[], None],
    ) -> None:
        self.problem = ""
        """Why the app is not started yet, in words."""
        self._marker = folder / "installed"
        self._scripts = scripts
        self._moments = moments
        self._wait = wait
        self._told = told
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be other scripts, or none to wait for."""
        self._changed.set()

    async def passed(self) -> None:
        """Return when the app may start."""
        if self._marker.exists():
            return
        if not await self._has_scripts():
            log.warning("the app starts without %s: the hub gave this device no scripts", MOMENT)
            return
        delay = FIRST_SECONDS
        while True:
            script = self._scripts.of(MOMENT)
            verdict = await self._moments.run(MOMENT)
            if verdict is Verdict.GO_ON:
                break
            if verdict is Verdict.LATER:
                self._say(f"{MOMENT} asks to be tried again: until then the app is not started")
                await self._other_than(script, delay)
                delay = min(SLOWEST_SECONDS, delay * 2)
            else:
                self._say(
                    f"{MOMENT} failed: the app is not started before there is a new version of it "
                    "that goes well, or the agent starts again"
                )
                await self._other_than(script, None)
                delay = FIRST_SECONDS
        self._say("")
        self._mark()

    async def _has_scripts(self) -> bool:
        """Wait for the first scripts: not for long, and not when the hub says that it has none."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait):
                while not self._scripts.current.version and self._scripts.offered != 0:
                    self._changed.clear()
                    await self._changed.wait()
        return self._scripts.current.version > 0

    async def _other_than(self, script: MomentScript | None, seconds: float | None) -> None:
        """Wait for another version of the script, for so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._scripts.of(MOMENT) == script:
                    self._changed.clear()
                    await self._changed.wait()

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.error("%s", problem)
        self.problem = problem
        self._scripts.say(problem)
        self._told()

    def _mark(self) -> None:
        try:
            write_atomic(self._marker, b"")
        except OSError as error:  # it runs again before the next start: better than no app
            log.warning("it cannot be kept that %s has run: %s", MOMENT, error)
