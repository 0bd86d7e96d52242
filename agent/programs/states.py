"""What can be said of a program, and what is said when it cannot be done."""

from typing import Final, Literal

import msgspec

StateName = Literal["starting", "running", "stopping", "stopped", "waiting", "ended", "failed"]
"""`waiting`: for its next start after it ended; `ended`, `failed`: by itself, and for good;
`stopped`: because somebody said so."""

RUNNING: Final = frozenset({"running", "stopping"})


class ProgramError(Exception):
    """A program cannot do what it is told to; the message says why, in words for people."""


class ProgramState(msgspec.Struct, frozen=True):
    """How one program fares.

    Args:
        state: see `StateName`.
        pid: its process, while there is one.
        since: when this state began, in seconds of the monotonic clock.
        restarts: starts that followed an end which nobody asked for.
        exit: how it ended last: exit status, or a negative signal; None when it never did, or
            could not be started.
        error: what was wrong when it ended last, or "".
        unlimited: why the limits that it is to have are not enforced, or "".
    """

    state: StateName
    pid: int | None
    since: float
    restarts: int
    exit: int | None
    error: str
    unlimited: str = ""
