"""Scripts as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from hub import PageQuery
from services.scripts import contracts as c

Body = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=65_536,
        description="A program of its own where it begins with `#!`, else for `/bin/sh`. Exit code "
        "0 lets it go on, 21 asks to be tried again later, any other one stops it.",
    ),
]
Timeout = Annotated[
    float, msgspec.Meta(ge=1, le=3600, description="Seconds for all that it starts.")
]
Outcome = Literal["done", "later", "failed", "timeout", "refused", "interrupted"]


class ScriptBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The script that is to be run in a moment."""

    body: Body
    timeout: Timeout = 300.0


class RestoreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which script is to come back.

    Args:
        version: of this one; left out, the one that every project begins with.
    """

    version: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)] | None = None


class ScriptView(msgspec.Struct, frozen=True):
    """A script of a project in one of its versions.

    Args:
        moment: `pre-install`, before the app is first started on a device; `pre-update` and
            `post-update`, before and after each update of it.
        version: counts the changes of this script.
        changed_by: a person, or a token; null for the hub itself.
    """

    moment: c.Moment
    version: int
    body: str
    timeout: float
    changed_by: str | None
    changed_at: datetime


class ScriptsView(msgspec.Struct, frozen=True):
    """The scripts of a project, by moment.

    Args:
        version: counts the changes of any of them; devices say which they have.
    """

    version: int
    scripts: dict[str, ScriptView]


class ScriptStatusView(msgspec.Struct, frozen=True):
    """How far a device is with its project's scripts.

    Args:
        version: that it is to have; applied: that it has, as it says; 0 before the first.
        error: why it could not take up the newest, or why its app waits, in its words.
    """

    device: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class ScriptStatusQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """A page of devices."""

    pending: Annotated[
        bool, msgspec.Meta(description="Only those that have not, or have, the newest.")
    ] | None = None  # fmt: skip


class ScriptResultView(msgspec.Struct, frozen=True):
    """What became of a script in its moment on a device.

    Args:
        version: of the script that it ran.
        status: `done` (exit code 0), `later` (21: it was tried again), `failed` (any other);
            `timeout`; `refused`, when it could not be started; `interrupted`, when the agent ended
            meanwhile.
        code: exit code; negative for a signal.
        output: what it wrote, its beginning and its end.
        started_at: by the device's clock; received_at: by the hub's.
    """

    moment: str
    version: int
    status: Outcome
    code: int | None
    output: str
    error: str
    seconds: float
    started_at: datetime
    received_at: datetime
