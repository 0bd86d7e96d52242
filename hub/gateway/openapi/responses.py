"""Responses of an operation: success, and every problem that may be expected of it."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from hub.errors import (
    DeadlineExceeded,
    Forbidden,
    Invalid,
    IsaaxError,
    LimitReached,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
)
from hub.gateway import media, problems
from hub.gateway.openapi.parameters import is_single, takes_if_match, takes_key
from hub.gateway.openapi.schemas import JsonObject, Schemas
from hub.gateway.routing import AnyRoute, path_parameters

HEADERS: Final[JsonObject] = {
    "ETag": {
        "description": "Version of the thing, for If-Match and If-None-Match.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The next page, as `</path?query>; rel="next"` (RFC 8288); absent on the '
        "last one.",
        "schema": {"type": "string"},
    },
    "Location": {
        "description": "Path of what was made.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "X-Request-Id": {
        "description": "Names this very request in the hub's log.",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
}
"""Under `components/headers`."""


def responses_of(route: AnyRoute, schemas: Schemas) -> JsonObject:
    """Give the responses of one route, by status."""
    responses = {str(route.status): _success(route, schemas)}
    if route.method == "GET" and is_single(route):
        responses["304"] = {
            "description": "It has not changed.",
            "headers": _headers("ETag", "X-Request-Id"),
        }
    by_status: dict[int, list[type[IsaaxError]]] = {}
    for error in dict.fromkeys(errors_of(route)):
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = _problem(status, errors)
    responses["default"] = {
        "description": "Any other problem.",
        "headers": _headers("X-Request-Id"),
        "content": _content(),
    }
    return responses


def errors_of(route: AnyRoute) -> Iterator[type[IsaaxError]]:
    """Give what a route may answer with besides success."""
    yield problems.Malformed
    yield from route.errors
    yield Unauthenticated  # a credential that is shown must be valid everywhere
    if route.permission is not None:
        yield Forbidden
    if route.local:
        yield problems.LocalOnly
    if path_parameters(route.path):
        yield problems.NoSuchPath
    if route.response is not None or route.stream is not None or route.texts:
        yield problems.NotAcceptable
    if route.body is not None:
        yield from (
            Invalid, problems.BodyTooLarge, problems.UnsupportedMediaType, problems.RequestTimeout,
        )  # fmt: skip
    yield Invalid  # an unknown query parameter is refused everywhere
    if takes_if_match(route):
        yield PreconditionFailed
    if route.if_match:
        yield problems.PreconditionRequired
    if takes_key(route):
        yield from (problems.KeyInFlight, problems.KeyReused)
    if route.stream is not None:
        yield LimitReached
    yield from (IsaaxError, Unavailable, DeadlineExceeded)


def _success(route: AnyRoute, schemas: Schemas) -> JsonObject:
    names = ["X-Request-Id"]
    if route.status == 201:
        names.append("Location")
    names += ["ETag"] if is_single(route) else ["Link"] if route.response is not None else []
    success: JsonObject = {
        "description": HTTPStatus(route.status).phrase,
        "headers": _headers(*names),
    }
    content: JsonObject = {}
    if route.response is not None:
        content[media.JSON] = {"schema": schemas.of(route.response)}
    for text in route.texts:
        content[text.partition(";")[0]] = {"schema": {"type": "string"}}
    if route.stream is not None:
        content[media.EVENTS] = {
            "schema": {
                "type": "string",
                "description": "Server-sent events. The `data` of each is JSON, as `x-event-data` "
                "says; an event named `problem` holds a Problem and ends the stream. Comments "
                "keep the connection alive.",
            },
            "x-event-data": schemas.of(route.stream),
        }
    if content:
        success["content"] = content
    return success


def _problem(status: int, errors: list[type[IsaaxError]]) -> JsonObject:
    titles = [(error.__doc__ or "").partition("\n")[0] for error in errors]
    headers = _headers("X-Request-Id")
    if status == Unauthenticated.status:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    if status == Unavailable.status:
        headers["Retry-After"] = {"required": True, "schema": {"type": "integer"}}
    return {"description": " ".join(titles), "headers": headers, "content": _content()}


def _content() -> JsonObject:
    return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _headers(*names: str) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
