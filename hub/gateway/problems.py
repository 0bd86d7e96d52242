# ruff: noqa: N818 - an error reads as the outcome it names: `raise NotAcceptable(...)`
"""Every error over HTTP is a problem document (RFC 9457), and here is how it is made."""

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import msgspec

from hub.errors import (
    Conflict,
    DeadlineExceeded,
    FieldError,
    Forbidden,
    Invalid,
    IsaaxError,
    LimitReached,
    NotAvailable,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "/problems/"
"""Where the page about each type of problem is: `/problems/<code>`."""


class HttpError(IsaaxError):
    """The request cannot be served as HTTP.

    Args:
        headers: that the answer must carry, such as `Allow`.
        close: the connection cannot be used after this.
    """

    close: ClassVar[bool] = False

    def __init__(
        self,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        errors: tuple[FieldError, ...] = (),
    ) -> None:
        super().__init__(detail, errors=errors)
        self.headers = dict(headers or {})


class Malformed(HttpError):
    """The request is not well formed."""

    status = 400
    code = "malformed"


class BadHttp(Malformed):
    """What came is not HTTP."""

    code = "bad-http"
    close = True


class NoSuchPath(HttpError):
    """There is nothing at this path."""

    status = 404
    code = "no-such-path"


class MethodNotAllowed(HttpError):
    """This method is not allowed here."""

    status = 405
    code = "method-not-allowed"


class NotAcceptable(HttpError):
    """There is no answer of a media type that the request accepts."""

    status = 406
    code = "not-acceptable"


class RequestTimeout(HttpError):
    """The request did not arrive in time."""

    status = 408
    code = "request-timeout"
    close = True


class BodyTooLarge(HttpError):
    """The body is larger than the limit."""

    status = 413
    code = "body-too-large"
    close = True


class UnsupportedMediaType(HttpError):
    """The body is of a media type or encoding that is not taken here."""

    status = 415
    code = "unsupported-media-type"


class ExpectationFailed(HttpError):
    """What the header Expect asks for cannot be met."""

    status = 417
    code = "expectation-failed"
    close = True


class PreconditionRequired(HttpError):
    """This change needs the header If-Match."""

    status = 428
    code = "precondition-required"


class TooManyRequests(HttpError):
    """There are too many requests.

    The answer says in `Retry-After` (seconds) when to come again, and every answer in `RateLimit`
    how many requests are left.
    """

    status = 429
    code = "too-many-requests"


class HeadersTooLarge(HttpError):
    """The header fields, or the request line, are larger than the limit."""

    status = 431
    code = "headers-too-large"
    close = True


class KeyRequired(HttpError):
    """This request needs the header Idempotency-Key."""

    status = 400
    code = "idempotency-key-required"


class KeyInFlight(HttpError):
    """The first request with this idempotency key is still at work."""

    status = 409
    code = "idempotency-key-in-flight"


class KeyReused(HttpError):
    """This idempotency key was used with another request."""

    status = 422
    code = "idempotency-key-reused"


class MetricsForbidden(HttpError):
    """The metrics are not for everyone."""

    status = 403
    code = "metrics-forbidden"


class LocalOnly(HttpError):
    """This is shown on the hub's own machine alone."""

    status = 403
    code = "local-only"


CATALOGUE: Final[tuple[type[IsaaxError], ...]] = (
    Invalid, Unauthenticated, Forbidden, NotFound, Conflict, PreconditionFailed, TooLarge,
    LimitReached, IsaaxError, Unavailable, DeadlineExceeded, NotAvailable,
    Malformed, BadHttp, NoSuchPath, MethodNotAllowed, NotAcceptable, RequestTimeout, BodyTooLarge,
    UnsupportedMediaType, ExpectationFailed, PreconditionRequired, TooManyRequests, HeadersTooLarge,
    KeyRequired, KeyInFlight, KeyReused, MetricsForbidden, LocalOnly,
)  # fmt: skip
"""Every type of problem that the core itself can answer with."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457, section 3.1).

    Args:
        type: identifies the kind of problem, and leads to a description of it.
        title: says the kind in words; always the same for a type.
        status: the HTTP status of the answer.
        instance: identifies this very occurrence: the request's id, as in `X-Request-Id`.
        detail: says what happened this time, and what to do about it.
        errors: what is wrong in the input, one by one.
    """

    type: str
    title: str
    status: int
    instance: str
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


_PAUSE: Final = 2  # seconds that a client waits for what is not available
_UNEXPECTED: Final = "this is a fault of the hub; its log says more under this request's id"


def problem_of(error: IsaaxError, request_id: str) -> Problem:
    """Describe an error to the client.

    Of an error without a code of its own only the request id is told: what it says is meant for
    the hub's log.
    """
    internal = error.code == IsaaxError.code
    return Problem(
        type=f"{TYPES}{error.code}",
        title=IsaaxError.__doc__.rstrip(".") if internal and IsaaxError.__doc__ else error.title,
        status=error.status,
        instance=f"urn:uuid:{request_id}",
        detail=_UNEXPECTED if internal else error.detail,
        errors=() if internal else error.errors,
    )


def headers_of(error: IsaaxError) -> dict[str, str]:
    """Give the headers that go with an error."""
    if isinstance(error, HttpError):
        return dict(error.headers)
    headers: dict[str, str] = {}
    if error.status == 401:  # RFC 9110, section 15.5.2: it must say how to authenticate
        headers["WWW-Authenticate"] = 'Bearer realm="isaax"'
    seconds = error.retry_after or (_PAUSE if error.status == 503 else 0)
    if seconds:
        headers["Retry-After"] = str(math.ceil(seconds))
    return headers


def closes_connection(error: IsaaxError) -> bool:
    """Say whether the rest of the connection cannot be understood, or is not worth reading."""
    return isinstance(error, HttpError) and error.close


class ProblemPage(msgspec.Struct, frozen=True):
    """What the address in a problem's `type` leads to."""

    type: str
    title: str
    status: int
    description: str


def describe_problems(declared: Iterable[type[IsaaxError]] = ()) -> dict[str, ProblemPage]:
    """Describe the core's problems, and those that routes declared, by code."""
    known = dict.fromkeys((*CATALOGUE, *declared))
    return {error.code: _page(error) for error in known}


def _page(error: type[IsaaxError]) -> ProblemPage:
    title, _, rest = (error.__doc__ or "").partition("\n")
    description = " ".join(rest.partition("Args:")[0].split())
    return ProblemPage(
        f"{TYPES}{error.code}", title.rstrip("."), error.status, description or title
    )
