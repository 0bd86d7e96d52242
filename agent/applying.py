"""Puts variables into use: the agent's own switches at once, the app's with its next start."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from agent.linequeue import LineQueue
from agent.programs import Programs
from agent.settings import LogsConfig
from agent.variables import Switches, Variables, environment_of, needs_restart
from hub.protocol import Envars

log = logging.getLogger(__name__)


class Applier:
    """Applies the newest variables, one version after the other.

    Args:
        allowed: streams that the configuration file lets out; a variable cannot let out others.
        measure: told which types of metrics are to be sent.
        applied: called when there is something to tell the hub.
    """

    def __init__(
        self,
        variables: Variables,
        queues: Mapping[str, LineQueue],
        allowed: LogsConfig,
        programs: Programs,
        measure: Callable[[frozenset[str]], None],
        applied: Callable[[], None],
    ) -> None:
        self._variables = variables
        self._queues = queues
        self._allowed = allowed
        self._programs = programs
        self._measure = measure
        self._applied = applied
        self._using = variables.current
        self._woken = asyncio.Event()
        self._put_into_use(self._using)

    def wake(self) -> None:
        """Say that there may be newer ones."""
        self._woken.set()

    async def run(self) -> None:
        """Apply what comes, until cancelled."""
        self._measure(self._switches.metrics)
        while True:
            await self._woken.wait()
            self._woken.clear()
            newest = self._variables.current
            if newest != self._using:
                await self._apply(newest)

    async def _apply(self, newest: Envars) -> None:
        restart = needs_restart(self._using, newest)
        self._put_into_use(newest)
        self._measure(self._switches.metrics)
        self._using = newest
        if restart:
            log.info("the app starts anew, because its variables changed")
            await self._programs.renew()
        self._variables.use(newest.version)
        log.info("version %d of the variables is in use", newest.version)
        self._applied()

    def _put_into_use(self, envars: Envars) -> None:
        environment = environment_of(envars)
        self._switches = Switches.of(environment, tuple(self._queues))
        for stream, queue in self._queues.items():
            queue.enabled = self._allowed.relays(stream) and stream in self._switches.logs
        self._programs.use(environment)
