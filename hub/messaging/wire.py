"""How requests and answers look on the wire: JSON bodies, and headers for all the rest.

`Nats-Service-Error` and `Nats-Service-Error-Code` are those of the NATS service protocol
(ADR-32), so that the usual tools count errors; the others are ours.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

import msgspec

from hub import structs
from hub.errors import DeadlineExceeded, FieldError, Invalid, IsaaxError, by_code
from hub.messaging.transport import Message
from hub.scope import hidden_projects
from hub.telemetry import current_traceparent

T = TypeVar("T")

BUDGET: Final = "Isaax-Budget"
"""Milliseconds that the caller still waits, counted from the arrival: no clocks are compared."""
TRACE: Final = "traceparent"
HIDDEN: Final = "Isaax-Hidden"
"""Ids of the projects that are hidden from whoever is served, by commas; see `hub/scope.py`."""
ERROR: Final = "Nats-Service-Error"
ERROR_CODE: Final = "Nats-Service-Error-Code"
ERROR_KIND: Final = "Isaax-Error"

_HEADER_UNSAFE: Final = re.compile(r"[^\x20-\x7e]+")

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


# ── deadlines ─────────────────────────────────────────────────────────────────────────────────


def budget(timeout: float) -> float:
    """Give the seconds that a request may take: `timeout`, or less when its own caller's end first.

    Raises:
        DeadlineExceeded: nothing is left.
    """
    until = _deadline.get()
    if until is None:
        return timeout
    left = until - asyncio.get_running_loop().time()
    if left <= 0:
        raise DeadlineExceeded("the caller's time was used up before this was asked")
    return min(timeout, left)


@contextmanager
def deadline(until: float | None) -> Iterator[None]:
    """Work for somebody who waits until then (the loop's clock), or for nobody in particular."""
    token = _deadline.set(until)
    try:
        yield
    finally:
        _deadline.reset(token)


def arrival_deadline(headers: Mapping[str, str], default: float) -> float:
    """Give when the caller of a request that arrives now gives up, by the loop's clock.

    Raises:
        Invalid: the header is no number.
    """
    text = headers.get(BUDGET)
    if text is None:
        left = default
    elif text.isdecimal():
        left = int(text) / 1000
    else:
        raise Invalid(f"{BUDGET} is not a number of milliseconds")
    return asyncio.get_running_loop().time() + left


# ── headers and bodies ────────────────────────────────────────────────────────────────────────


def request_headers(seconds: float) -> dict[str, str]:
    """Make the headers of a request that may take so long."""
    headers = {BUDGET: str(int(seconds * 1000)), **trace_headers()}
    if hidden := hidden_projects():
        headers[HIDDEN] = ",".join(sorted(hidden))
    return headers


def hidden_by(headers: Mapping[str, str]) -> list[str]:
    """Give the projects that are hidden from whoever sent this."""
    return [project for project in headers.get(HIDDEN, "").split(",") if project]


def trace_headers() -> dict[str, str]:
    """Make the header that carries the trace on; empty when there is none."""
    trace = current_traceparent()
    return {TRACE: trace} if trace else {}


def header_value(text: str) -> str:
    """Make a text safe for a header: one line of printable ASCII."""
    return _HEADER_UNSAFE.sub(" ", text).strip()


def encode(value: msgspec.Struct) -> bytes:
    """Make a body; a `Secret` travels in clear."""
    return structs.encode(value)


def decode_request(data: bytes, into: type[T]) -> T:
    """Read the body of a request.

    Raises:
        Invalid: it does not fit, with a pointer to where.
    """
    return structs.decode(into, data)


def decode_answer(data: bytes, into: type[T], what: str) -> T:
    """Read the body of an answer.

    Raises:
        IsaaxError: it does not fit: the service speaks another version of the contract.
    """
    try:
        return structs.decode(into, data)
    except Invalid as error:
        raise IsaaxError(
            f"the answer to {what} does not fit its contract: {error.detail}"
        ) from None


# ── errors ────────────────────────────────────────────────────────────────────────────────────


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    errors: tuple[FieldError, ...] = ()
    retry_after: float = 0.0


def error_message(error: IsaaxError) -> tuple[bytes, dict[str, str]]:
    """Give body and headers that carry an error to the caller."""
    headers = {
        ERROR: header_value(error.title),
        ERROR_CODE: str(error.status),
        ERROR_KIND: error.code,
    }
    return msgspec.json.encode(_Problem(error.detail, error.errors, error.retry_after)), headers


def raise_error(message: Message) -> None:
    """Raise the error that a message carries, as the class that the service raised; or do nothing.

    Raises:
        IsaaxError: or the subclass that has its code.
    """
    if ERROR_CODE not in message.headers:
        return
    try:
        problem = msgspec.json.decode(message.data, type=_Problem)
    except msgspec.DecodeError:
        # Not one of ours: another service of the same protocol.
        problem = _Problem(message.headers.get(ERROR, ""))
    error = by_code(message.headers.get(ERROR_KIND, "internal"))(
        problem.detail, errors=problem.errors
    )
    error.retry_after = problem.retry_after  # not every subclass takes it
    raise error
