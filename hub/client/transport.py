"""What goes wrong between this client and a hub, in words a user understands."""

import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from hub.client import errors
from hub.client.errors import ClientError, Lost, NotUnderstood, Problem, Refused, Unreachable

_SCOPE = re.compile(r'\bscope="([^"]*)"')


def trouble(error: httpx.TransportError, url: str) -> ClientError:
    """Give the error of a connection.

    Args:
        url: of the hub.
    """
    if not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        slow = isinstance(error, httpx.TimeoutException)
        what = "took too long to answer" if slow else f"broke off ({error})"
        return Lost(f"{url} {what}; it may have been done all the same")
    return Unreachable(_why(error, url))


def _why(error: httpx.TransportError, url: str) -> str:
    why = f"{url} cannot be reached: {error}"
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return (
                    f"the certificate of {url} is not trusted ({cause.verify_message}): name the "
                    "file of the authority that signed it (--ca-file of `isaax login`)"
                )
            case ssl.SSLError():
                why = f"{url} does not speak TLS ({cause.reason}): is it plain http://?"
            case ConnectionRefusedError():
                why = f"nothing listens at {url}: is the hub running, and is this its address?"
            case socket.gaierror():
                why = f"there is no host of the name in {url} ({cause.strerror})"
            case TimeoutError():
                why = f"{url} does not answer: is this the hub's address?"
    return why


def refusal(response: httpx.Response, url: str) -> Refused:
    """Give the error of an answer that is none of success."""
    problem = _problem(response)
    if problem is None:
        detail = f"{url} answered {response.status_code}, but not as a hub of Isaax does"
        if location := response.headers.get("location"):
            detail += f"; it points to {location}"
        problem = Problem(title="", status=response.status_code, detail=detail)
    found = _SCOPE.search(response.headers.get("www-authenticate", ""))
    return errors.refusal(
        problem,
        again_after=_seconds(response.headers.get("retry-after")),
        scope=found[1] if found else "",
    )


def foreign(url: str) -> NotUnderstood:
    """Give the error of an answer of something else than a hub."""
    return NotUnderstood(f"{url} does not answer as a hub of Isaax does: is this its address?")


def _problem(response: httpx.Response) -> Problem | None:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except msgspec.DecodeError:
        return None
    return msgspec.structs.replace(problem, status=response.status_code)


def _seconds(header: str | None) -> float | None:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date."""
    if header is None:
        return None
    if header.isdecimal():
        return float(header)
    try:
        left = parsedate_to_datetime(header) - datetime.now(UTC)
    except (TypeError, ValueError):
        return None
    return max(0.0, left.total_seconds())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
