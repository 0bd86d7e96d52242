"""What the reference says of each route."""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from hub.gateway import deprecation, media
from hub.gateway.openapi.responses import errors_of
from hub.gateway.openapi.schemas import JsonObject
from hub.gateway.reference.fields import Field, Reader
from hub.gateway.routing import AnyRoute, Table
from hub.permissions import Permissions, Role

API: Final = "/api/"
"""What the reference is of: other routes are pages."""
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ONE_LINE: Final = 60  # characters of an example's body that stand in one line


@dataclass(frozen=True, slots=True)
class Answer:
    """One way in which a route answers with success."""

    status: int
    phrase: str
    media: str
    type: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One type of problem that a route answers with."""

    status: int
    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One route, for people.

    Args:
        id: of its place in the page.
        parts: of its path; those of parameters in braces.
        permission, roles: that it asks for, and who has it; "" where anyone may come.
        parameters: by where they go: `path`, `query`, `header`.
        examples: as commands of a shell.
    """

    id: str
    tag: str
    method: str
    path: str
    parts: tuple[str, ...]
    summary: str
    description: str
    permission: str
    roles: tuple[str, ...]
    interactive: bool
    deprecated: str
    parameters: dict[str, tuple[Field, ...]]
    media: str
    fields: tuple[Field, ...]
    answers: tuple[Answer, ...]
    refusals: tuple[Refusal, ...]
    examples: tuple[str, ...]


def operations_of(
    table: Table, document: JsonObject, permissions: Permissions
) -> Iterator[Operation]:
    """Give the operations of an API, in the order in which they were declared.

    Args:
        document: its OpenAPI description.
    """
    reader = Reader(document["components"]["schemas"])
    roles = {
        one.name: tuple(role for role in Role if role in one.roles) for one in permissions.table()
    }
    for path, methods in table.items():
        if not path.startswith(API):
            continue
        for method, route in methods.items():
            described = document["paths"][path][method.lower()]
            yield _operation(route, described, reader, roles.get(route.permission or "", ()))


def _operation(
    route: AnyRoute, described: JsonObject, reader: Reader, roles: tuple[str, ...]
) -> Operation:
    ((kind, content),) = described.get("requestBody", {"content": {"": {}}})["content"].items()
    examples = [one["value"] for one in content.get("examples", {}).values()] or [None]
    return Operation(
        id=described["operationId"],
        tag=route.tag,
        method=route.method,
        path=route.path,
        parts=tuple(re.split(r"(\{\w+\})", route.path)),
        summary=route.summary,
        description=route.description,
        permission=route.permission or "",
        roles=roles,
        interactive=route.interactive,
        deprecated=deprecation.in_words(route.deprecated) if route.deprecated else "",
        parameters=_parameters(described, reader),
        media=kind,
        fields=reader.fields(content["schema"]) if kind else (),
        answers=tuple(_answers(described, reader)),
        refusals=tuple(_refusals(route)),
        examples=tuple(_example(route, kind, example) for example in examples),
    )


def _parameters(described: JsonObject, reader: Reader) -> dict[str, tuple[Field, ...]]:
    found: dict[str, list[Field]] = {}
    for one in described["parameters"]:
        field = reader.field(
            one["name"],
            one["schema"],
            required=one["required"],
            said=one.get("description", ""),
        )
        if one["in"] != "query":  # what an id or a header is, is the same everywhere
            field = replace(field, rules=())
        found.setdefault(one["in"], []).append(field)
    return {place: tuple(fields) for place, fields in found.items()}


def _answers(described: JsonObject, reader: Reader) -> Iterator[Answer]:
    for status, response in described["responses"].items():
        if not status.startswith("2"):
            continue
        number = int(status)
        phrase = HTTPStatus(number).phrase
        contents = response.get("content", {"": {}})
        for kind, content in contents.items():
            schema = content.get("x-event-data", content.get("schema", {}))
            words = reader.type(schema) if kind in {media.JSON, media.EVENTS} else ""
            yield Answer(number, phrase, kind, words, reader.fields(schema) if kind else ())


def _refusals(route: AnyRoute) -> Iterator[Refusal]:
    known = {error.code: error for error in errors_of(route)}
    for error in sorted(known.values(), key=lambda error: (error.status, error.code)):
        title = (error.__doc__ or "").partition("\n")[0].rstrip(".")
        yield Refusal(error.status, error.code, title)


def variable(name: str) -> str:
    """Give the shell's variable that stands for a parameter of a path."""
    return name.upper()


def _example(route: AnyRoute, kind: str, body: Any) -> str:
    """Write a request as a command of a shell, that can be run as it stands."""
    path = _PARAMETER.sub(lambda match: f"${{{variable(match[1])}}}", route.path)
    path = re.sub(r"\$\{(\w+)\}(?=/|$)", r"$\1", path)
    lines = [f'"$ISAAX_HUB{path}"']
    if route.method != "GET":
        lines[0] = f"-X {route.method} {lines[0]}"
    if route.permission is not None:
        lines.append('-H "Authorization: Bearer $ISAAX_TOKEN"')
    if route.key_required:
        lines.append('-H "Idempotency-Key: $(cat /proc/sys/kernel/random/uuid)"')
    if route.if_match:
        lines.append('-H "If-Match: $ETAG"')
    if body is not None:
        lines.append(f'-H "Content-Type: {kind}"')
        lines.append(f"-d {shlex.quote(_written(body))}")
    return "curl " + " \\\n  ".join(lines)


def _written(body: Any) -> str:
    short = json.dumps(body, ensure_ascii=False)
    return short if len(short) <= _ONE_LINE else json.dumps(body, indent=2, ensure_ascii=False)


def slug(tag: str) -> str:
    """Give the name of a tag's page."""
    return re.sub(r"[^a-z0-9]+", "-", tag.lower()).strip("-")
