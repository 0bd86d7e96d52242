"""`Prefer: return=minimal` (RFC 7240): a client that needs no body of what it changed gets none."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from hub.gateway.answers import Answer
from hub.gateway.routing import AnyRoute

APPLIED: Final = "Preference-Applied"
_CHANGES: Final = frozenset({"PUT", "PATCH"})

# RFC 7240, section 2: preferences, each with a value and parameters, in a list. Nothing that was
# taken is given back (`++`, `*+`), so what is not well formed is found out in one pass.
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_WORD = rf'(?:{_NAME}|"(?:[^"\\]|\\.)*+")'
_PREFERENCE = re.compile(
    rf"[ \t,]*+(?P<name>{_NAME})(?:[ \t]*=[ \t]*+(?P<value>{_WORD}))?+"
    rf"(?:[ \t]*+;[ \t]*+(?:{_NAME}(?:[ \t]*=[ \t]*+{_WORD})?+)?+)*+[ \t]*+(?=,|$)"
)


def apply_to(route: AnyRoute) -> bool:
    """Say whether a route's answer is the thing that it made or changed, which can be read again.

    It is not where the answer is what was asked for (a test's result), or is given only once.
    """
    made = route.method == "POST" and route.status == 201
    return route.response is not None and not route.once and (made or route.method in _CHANGES)


def wanted(headers: Iterable[str]) -> str:
    """Give what `return` is preferred: `minimal`, `representation`, or "".

    Of a preference that is there twice the first counts, and what is not well formed says nothing
    (section 2).
    """
    for header in headers:
        position = 0
        while match := _PREFERENCE.match(header, position):
            position = match.end()
            if match["name"].lower() == "return":
                value = (match["value"] or "").strip('"').lower()
                return value if value in {"minimal", "representation"} else ""
    return ""


def applied(answer: Answer, preference: str) -> Answer:
    """Give the answer as it is preferred; an error always says what is wrong."""
    if not preference or not 200 <= answer.status < 300:
        return answer
    headers = {**answer.headers, APPLIED: f"return={preference}"}
    if preference == "representation":
        return msgspec.structs.replace(answer, headers=headers)
    headers.pop("Content-Type", None)
    status = 204 if answer.status == 200 else answer.status
    return msgspec.structs.replace(answer, status=status, headers=headers, body=b"")
