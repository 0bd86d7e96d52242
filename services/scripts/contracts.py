"""What the service `scripts` answers on the bus."""

from datetime import datetime

import msgspec

from hub import Contract, Page


class StartRun(msgspec.Struct, frozen=True):
    """Run a script once: on a device, or on those of a group, or on all of the project.

    Args:
        timeout: seconds that it may take on each; wait: in which it has to begin there.
    """

    account: str
    project: str
    body: str
    timeout: float
    wait: float
    device: str = ""
    group: str = ""


class Run(msgspec.Struct, frozen=True):
    """A script that is run; `number` orders lists.

    Args:
        counts: how many devices are in which state.
    """

    id: str
    number: int
    project: str
    body: str
    timeout: float
    device: str
    group: str
    created_at: datetime
    deadline: datetime
    counts: dict[str, int]


class OneRun(msgspec.Struct, frozen=True):
    """One run of a project."""

    account: str
    project: str
    run: str


class ListRuns(msgspec.Struct, frozen=True):
    """A page of a project's runs before `before`, the newest first; 0 begins."""

    account: str
    project: str
    limit: int
    before: int = 0


class Runs(Page[Run], frozen=True):
    """One page of them."""


class ListResults(msgspec.Struct, frozen=True):
    """A page of what became of a run; `status` narrows it."""

    account: str
    project: str
    run: str
    limit: int
    after: int = 0
    status: str = ""


class Result(msgspec.Struct, frozen=True):
    """What became of a run on one device; `number` orders lists."""

    number: int
    device: str
    status: str
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class Results(Page[Result], frozen=True):
    """One page of them."""


START = Contract("scripts.runs.start", StartRun, Run, timeout=15.0)
GET = Contract("scripts.runs.get", OneRun, Run)
LIST = Contract("scripts.runs.list", ListRuns, Runs)
RESULTS = Contract("scripts.runs.results", ListResults, Results)
