# ruff: noqa: N818 - an error reads as the outcome it names: `except NotThere:`
"""What may become of a request, besides an answer."""

from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from hub.errors import FieldError, IsaaxError


class ClientError(IsaaxError):
    """This could not be asked of the hub."""

    exit_code: ClassVar[int] = 1
    """Of a command that ends with it."""


class Unreachable(ClientError):
    """No hub answers."""


class Lost(ClientError):
    """The connection was lost before the answer came."""


class NotUnderstood(ClientError):
    """What answers there says something that is not understood."""


class BadId(ClientError):
    """This cannot be the id of anything."""


class BadUrl(ClientError):
    """This is not the address of a hub."""

    exit_code = 2


class Problem(msgspec.Struct, frozen=True):
    """What the hub says is wrong (RFC 9457); of what is no hub, only the status is known.

    Args:
        type: ends in the problem's code: `/problems/not-found`.
        instance: identifies this very request in the hub's log.
    """

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldError, ...] = ()

    @property
    def code(self) -> str:
        """What identifies the kind of problem: `not-found`."""
        return self.type.rpartition("/")[2]


class Refused(ClientError):
    """The hub refused this."""

    def __init__(
        self, problem: Problem, *, again_after: float | None = None, scope: str = ""
    ) -> None:
        """Say why.

        Args:
            again_after: seconds after which it may be tried again; None when it was not said.
            scope: that the credential lacks; "" when it is not that.
        """
        super().__init__(problem.detail, errors=problem.errors, retry_after=again_after or 0.0)
        self.title = problem.title or self.title
        self.problem = problem
        self.again_after = again_after
        self.scope = scope


class NotLoggedIn(Refused):
    """Credentials are missing or not valid."""

    exit_code = 3


class NotAllowed(Refused):
    """These credentials do not allow this."""


class NotThere(Refused):
    """There is no such thing, or it is not yours."""


class NotNow(Refused):
    """This does not fit the present state."""


class Changed(Refused):
    """It has changed since it was read."""


class NotValid(Refused):
    """The input is not valid."""


class TooMuch(Refused):
    """A limit is reached."""


class Away(Refused):
    """A part of the hub does not answer now."""


_BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    401: NotLoggedIn, 403: NotAllowed, 404: NotThere, 409: NotNow, 412: Changed, 422: NotValid,
    429: TooMuch, 503: Away,
}  # fmt: skip


def refusal(problem: Problem, *, again_after: float | None = None, scope: str = "") -> Refused:
    """Give the error of a problem, by its status."""
    kind = _BY_STATUS.get(problem.status, Refused)
    return kind(problem, again_after=again_after, scope=scope)
