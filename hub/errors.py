"""The errors of the hub. A class's docstring is its message; `detail` says what to do about it."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One thing that is wrong in an input, and where.

    Args:
        pointer: JSON pointer (RFC 6901) into the input, "" for the whole of it.
        detail: what is wrong there, in words a user understands.
    """

    pointer: str
    detail: str


class IsaaxError(Exception):
    """The hub could not do this."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(
        self, detail: str = "", *, errors: Sequence[FieldError] = (), retry_after: float = 0.0
    ) -> None:
        self.title = (type(self).__doc__ or "").partition("\n")[0].rstrip(".")
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        """Seconds after which it may be tried again; 0 when nobody knows."""
        super().__init__(f"{self.title}: {detail}" if detail else self.title)


class Invalid(IsaaxError):  # noqa: N818 - reads as the outcome it names: `raise Invalid(...)`
    """The input is not valid."""

    status = 422
    code = "invalid"


class Unauthenticated(IsaaxError):  # noqa: N818
    """Credentials are missing or not valid."""

    status = 401
    code = "unauthenticated"


class Forbidden(IsaaxError):  # noqa: N818
    """These credentials do not allow this."""

    status = 403
    code = "forbidden"


class NotFound(IsaaxError):  # noqa: N818
    """There is no such thing, or it is not yours."""

    status = 404
    code = "not-found"


class Conflict(IsaaxError):  # noqa: N818
    """This does not fit the present state."""

    status = 409
    code = "conflict"


class PreconditionFailed(IsaaxError):  # noqa: N818
    """It has changed since you read it."""

    status = 412
    code = "precondition-failed"


class TooLarge(IsaaxError):  # noqa: N818
    """The input is larger than the limit."""

    status = 413
    code = "too-large"


class LimitReached(IsaaxError):  # noqa: N818
    """A limit is reached."""

    status = 429
    code = "limit-reached"


class Unavailable(IsaaxError):  # noqa: N818
    """A part that is needed does not answer now; try again."""

    status = 503
    code = "unavailable"


class DeadlineExceeded(Unavailable):
    """The time for this was used up before it was done."""

    status = 504
    code = "deadline-exceeded"


class NotAvailable(Unavailable):
    """This hub does not offer that: the service that would is switched off."""

    status = 501
    code = "not-available"

    @classmethod
    def of(cls, service: str) -> "NotAvailable":
        """Say so of a service by its name."""
        return cls(
            f"the service {service} is switched off on this hub. Whoever runs the hub switches it "
            f"on: add {service} to hub.services (or to hub.remote, where another process runs it)"
        )


class ConfigError(IsaaxError):
    """The configuration is not valid."""

    code = "config"


class PluginError(IsaaxError):
    """A plugin cannot be used."""

    code = "plugin"


class StartError(IsaaxError):
    """The hub cannot start."""

    code = "start"


def by_code(code: str) -> type[IsaaxError]:
    """Give the error class that has this code (`IsaaxError` itself for an unknown one)."""
    known: list[type[IsaaxError]] = [IsaaxError]
    for cls in known:
        if cls.code == code:
            return cls
        known.extend(cls.__subclasses__())
    return IsaaxError
