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
from hub.gateway import media, preferences, problems
from hub.gateway.openapi.parameters import has_etag, takes_key
from hub.gateway.openapi.schemas import JsonObject, Schemas
from hub.gateway.routing import AnyRoute, is_list, path_parameters

HEADERS: Final[JsonObject] = {
    "Deprecation": {
        "description": "Since when, or from when on, this is better not used any more, as `@` and "
        "seconds (RFC 9745).",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Version of the thing, for If-Match and If-None-Match; a weak one (`W/…`) "
        "is of the content, for If-None-Match alone.",
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
    "Preference-Applied": {
        "description": "The preference that was met (RFC 7240).",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of each limit that applies: `r` requests, and `t` seconds "
        "until there is one more (draft-ietf-httpapi-ratelimit-headers-10).",
        "schema": {"type": "string", "examples": ['"network";r=11999;t=1, "token";r=5999;t=1']},
    },
    "RateLimit-Policy": {
        "description": "The limits that apply: `q` requests in `w` seconds.",
        "schema": {"type": "string", "examples": ['"network";q=12000;w=60, "token";q=6000;w=60']},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer"},
    },
    "Sunset": {
        "description": "From when on this may stop to answer (RFC 8594).",
        "schema": {"type": "string"},
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
    if preferences.apply_to(route) and route.status == HTTPStatus.OK:
        responses["204"] = {
            "description": "Done, and `return=minimal` was preferred.",
            "headers": _headers(*_always(route), "ETag", "Preference-Applied"),
        }
    if route.accepted is not None:
        responses["202"] = {
            "description": HTTPStatus(202).phrase,
            "headers": _headers(*_always(route)),
            "content": {media.JSON: {"schema": schemas.of(route.accepted)}},
        }
    if route.method == "GET" and has_etag(route):
        responses["304"] = {
            "description": "It has not changed.",
            "headers": _headers("ETag", *_always(route)),
        }
    by_status: dict[int, list[type[IsaaxError]]] = {}
    for error in dict.fromkeys(errors_of(route)):
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        responses[str(status)] = _problem(route, status, errors)
    responses["default"] = {
        "description": "Any other problem.",
        "headers": _headers(*_always(route)),
        "content": _content(),
    }
    return responses


def _always(route: AnyRoute) -> list[str]:
    """Name the headers that every answer of a route carries."""
    deprecated = ["Deprecation"] if route.deprecated else []
    sunset = ["Sunset"] if route.deprecated and route.deprecated.sunset else []
    return ["RateLimit", "RateLimit-Policy", *deprecated, *sunset, "X-Request-Id"]


def errors_of(route: AnyRoute) -> Iterator[type[IsaaxError]]:
    """Give what a route may answer with besides success."""
    yield problems.Malformed
    yield from route.errors
    if not route.anonymous:
        yield Unauthenticated  # a credential that is shown must be valid
    if route.permission is not None:
        yield Forbidden
    if route.local:
        yield problems.LocalOnly
    if path_parameters(route.path):
        yield problems.NoSuchPath
    if route.response is not None or route.stream is not None or route.texts or route.download:
        yield problems.NotAcceptable
    if route.body is not None:
        yield from (
            Invalid, problems.BodyTooLarge, problems.UnsupportedMediaType, problems.RequestTimeout,
        )  # fmt: skip
    yield Invalid  # an unknown query parameter is refused everywhere
    if route.method in {"PUT", "PATCH", "DELETE"}:
        yield PreconditionFailed
    if route.if_match:
        yield problems.PreconditionRequired
    if takes_key(route):
        yield from (problems.KeyInFlight, problems.KeyReused)
    if route.key_required:
        yield problems.KeyRequired
    if route.stream is not None:
        yield LimitReached
    yield from (problems.TooManyRequests, IsaaxError, Unavailable, DeadlineExceeded)


def _success(route: AnyRoute, schemas: Schemas) -> JsonObject:
    names = _always(route)
    if route.status == HTTPStatus.CREATED:
        names.append("Location")
    names += ["ETag"] if has_etag(route) else []
    names += ["Link"] if route.method == "GET" and is_list(route) else []
    names += ["Preference-Applied"] if preferences.apply_to(route) else []
    success: JsonObject = {
        "description": HTTPStatus(route.status).phrase,
        "headers": _headers(*names),
    }
    content: JsonObject = {}
    if route.response is not None:
        content[media.JSON] = {"schema": schemas.of(route.response)}
    content |= _texts(route)
    if route.download:
        content[route.download] = {"schema": {"type": "string", "format": "binary"}}
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


def _problem(route: AnyRoute, status: int, errors: list[type[IsaaxError]]) -> JsonObject:
    titles = [(error.__doc__ or "").partition("\n")[0] for error in errors]
    headers = _headers(*_always(route))
    if status == Unauthenticated.status:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    if status in {problems.TooManyRequests.status, Unavailable.status}:
        headers |= _headers("Retry-After")
    return {
        "description": " ".join(titles),
        "headers": headers,
        "content": _content() | _texts(route),  # a page may tell of a problem in its own words
        "x-problems": [f"{problems.TYPES}{error.code}" for error in errors],
    }


def _texts(route: AnyRoute) -> JsonObject:
    return {text.partition(";")[0]: {"schema": {"type": "string"}} for text in route.texts}


def _content() -> JsonObject:
    return {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _headers(*names: str) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
