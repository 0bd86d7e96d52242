"""What the service `scripts` answers on the bus."""

from datetime import datetime
from typing import Literal

import msgspec

from hub import Contract, Page

Moment = Literal["pre-install", "pre-update", "post-update"]
"""Before the app is first started on a device, before each update of it, after each."""


class OneProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class OneScript(msgspec.Struct, frozen=True):
    """The script of one moment of a project."""

    account: str
    project: str
    moment: Moment


class Script(msgspec.Struct, frozen=True):
    """A script in one of its versions.

    Args:
        version: counts its changes; makes its ETag.
        timeout: seconds that it may take.
        changed_by: a person, or a token; "" for the hub itself.
    """

    moment: Moment
    version: int
    body: str
    timeout: float
    changed_by: str
    changed_at: datetime


class Scripts(msgspec.Struct, frozen=True):
    """All scripts of a project; `version` counts the changes of any."""

    version: int
    scripts: list[Script]


class PutScript(msgspec.Struct, frozen=True):
    """Give a moment another script; `versions` are those that the caller has seen."""

    account: str
    project: str
    moment: Moment
    body: str
    timeout: float
    by: str
    versions: tuple[str, ...] | None = None


class RestoreScript(msgspec.Struct, frozen=True):
    """Give a moment a script that it had; 0 is the one that every project begins with."""

    account: str
    project: str
    moment: Moment
    version: int
    by: str


class ListVersions(msgspec.Struct, frozen=True):
    """A page of a script's versions before `before`, the newest first; 0 begins."""

    account: str
    project: str
    moment: Moment
    limit: int
    before: int = 0


class Versions(Page[Script], frozen=True):
    """One page of them."""


class ListStatuses(msgspec.Struct, frozen=True):
    """A page of a project's devices after `after`.

    Args:
        pending: only those that have not, or have, taken up the newest.
    """

    account: str
    project: str
    limit: int
    after: int = 0
    pending: bool | None = None


class Status(msgspec.Struct, frozen=True):
    """How far a device is; `number` orders lists."""

    number: int
    device: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class Statuses(Page[Status], frozen=True):
    """One page of them."""


class ListResults(msgspec.Struct, frozen=True):
    """A page of what a device ran before `before`, the newest first; 0 begins."""

    account: str
    device: str
    limit: int
    before: int = 0


class Ran(msgspec.Struct, frozen=True):
    """What became of a script in its moment; `number` orders lists.

    Args:
        started_at: by the device's clock.
    """

    number: int
    moment: str
    version: int
    status: str
    code: int | None
    output: str
    error: str
    seconds: float
    started_at: datetime
    received_at: datetime


class Results(Page[Ran], frozen=True):
    """One page of them."""


GET_ALL = Contract("scripts.get", OneProject, Scripts)
GET = Contract("scripts.get_one", OneScript, Script)
PUT = Contract("scripts.put", PutScript, Script)
RESTORE = Contract("scripts.restore", RestoreScript, Script)
VERSIONS = Contract("scripts.versions", ListVersions, Versions)
STATUSES = Contract("scripts.statuses", ListStatuses, Statuses)
RAN = Contract("scripts.ran", ListResults, Results)
