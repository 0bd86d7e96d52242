"""Whose account a project is of, as whoever keeps projects knows it."""

import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.relay.contracts import PROJECT_ACCOUNTS, AccountsOf

_log = structlog.stdlib.get_logger(__name__)

_FRESH: Final = 600.0  # seconds that an answer is used without asking again
_AGAIN: Final = 30.0  # seconds before somebody who did not answer is asked again
_PATIENCE: Final = 1.0


class Owners:
    """The accounts of projects; a project of which nobody knows it stands for itself.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, bus: Bus, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._clock = clock
        self._accounts: dict[str, str] = {}
        self._until = 0.0

    async def of(self, projects: Iterable[str]) -> dict[str, str]:
        """Give the account of each."""
        wanted = set(projects)
        if self._clock() >= self._until or not wanted <= self._accounts.keys():
            await self._ask(wanted)
        return {project: self._accounts.get(project, project) for project in wanted}

    async def _ask(self, projects: set[str]) -> None:
        try:
            answer = await self._bus.request(
                PROJECT_ACCOUNTS, AccountsOf(sorted(projects)), timeout=_PATIENCE
            )
        except IsaaxError as error:
            _log.info("the accounts of projects are not known", reason=str(error))
            self._until = self._clock() + _AGAIN
            self._accounts = {p: self._accounts.get(p, p) for p in projects}
            return
        self._until = self._clock() + _FRESH
        self._accounts = {p: answer.accounts.get(p, p) for p in projects}
