"""What a variable may be called and hold, and those that are the agent's own."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from hub import FieldError, Invalid
from hub.structs import pointer
from services.envars.contracts import Value
from services.envars.templates import longest, names_in

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
"""A name in POSIX's sense (IEEE Std 1003.1, 3.216), and not endless."""

VALUE_BYTES: Final = 16 * 1024
MOST: Final = 100
"""Variables of one level."""
LEVEL_BYTES: Final = 128 * 1024
"""Of one level, filled in and written as JSON: three of them fit into a message to a device."""

RESERVED: Final = "ISAAX_"
AGENTS: Final[Mapping[str, str]] = {
    "ISAAX_LOG_APP": "true",
    "ISAAX_LOG_SYS": "true",
    "ISAAX_LOG_AGENT": "true",
    "ISAAX_METRICS": "false",
    "ISAAX_METRICS_DEVICE": "true",
    "ISAAX_METRICS_CPU": "true",
    "ISAAX_METRICS_MEMORY": "true",
    "ISAAX_METRICS_DISK": "true",
    "ISAAX_METRICS_NETWORK": "true",
    "ISAAX_METRICS_PS": "true",
}
"""The agent's own, and what they are by default: a type of metric is sent when it and
`ISAAX_METRICS` are `true`."""


def check_name(name: str) -> None:
    """See that a variable may be called so.

    Raises:
        Invalid: it may not.
    """
    if problem := _name_problem(name):
        raise Invalid(problem, errors=[FieldError("", problem)])


def check(variables: Mapping[str, Value]) -> None:
    """See that these may be the variables of a level.

    Raises:
        Invalid: with an error for each that may not.
    """
    errors = [error for name, value in variables.items() for error in _problems(name, value)]
    if len(variables) > MOST:
        errors.append(FieldError("/variables", f"at most {MOST} variables, not {len(variables)}"))
    if not errors and sum(_weight(*each) for each in variables.items()) > LEVEL_BYTES:
        errors.append(FieldError("/variables", f"together at most {LEVEL_BYTES} bytes"))
    if errors:
        raise Invalid("the variables are not valid", errors=errors)


def _problems(name: str, value: Value) -> list[FieldError]:
    at = pointer("variables", name)
    if problem := _name_problem(name):
        return [FieldError(at, problem)]
    problem = _agents_problem(value) if name in AGENTS else _value_problem(value.value or "")
    return [FieldError(f"{at}/value", problem)] if problem else []


def _name_problem(name: str) -> str:
    if not NAME.fullmatch(name):
        return "a name is letters, digits and _, at most 128, and begins with no digit"
    if name.startswith(RESERVED) and name not in AGENTS:
        return f"{RESERVED}… is the agent's: there are {', '.join(AGENTS)}"
    return ""


def _agents_problem(value: Value) -> str:
    if value.secret:
        return "the agent's own are no secrets"
    return "" if value.value in {"true", "false"} else "is true or false"


def _value_problem(text: str) -> str:
    try:
        names_in(text)
    except Invalid as error:
        return error.detail
    if "\0" in text:
        return "no value holds a NUL"
    if longest(text) > VALUE_BYTES:
        return f"at most {VALUE_BYTES} bytes, with all filled in"
    return ""


def _weight(name: str, value: Value) -> int:
    text = value.value or ""
    return len(name) + len(msgspec.json.encode(text)) + 2 * (longest(text) - len(text.encode()))
