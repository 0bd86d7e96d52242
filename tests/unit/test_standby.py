"""Services of which one runs: what counts as running elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hub.errors import DeadlineExceeded, IsaaxError, NotAvailable, Unavailable
from hub.services import Service
from hub.standby import _Turn


class Asked:
    """A bus on which the question is answered so."""

    def __init__(self, error: IsaaxError | None) -> None:
        self._error = error

    async def request(self, *_: Any) -> None:
        if self._error is not None:
            raise self._error


@asynccontextmanager
async def _start() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [
        (None, True),
        (DeadlineExceeded("no answer in 1.0 s"), True),
        (Unavailable("nobody serves sole-x.runs"), False),
        (NotAvailable("it is switched off"), False),
    ],
)
async def test_one_that_is_too_busy_to_answer_runs_all_the_same(
    error: IsaaxError | None, elsewhere: bool
) -> None:
    """Two would write where there is to be one writer; nobody at all is a reason to take over."""
    bus: Any = Asked(error)
    database: Any = None
    turn = _Turn(Service("x", _start, single=True), database, bus)
    assert await turn._runs_elsewhere() is elsewhere
