"""Parameters of an operation: path, query, and the headers that conventions give a meaning."""

from typing import Final

import msgspec

from hub.gateway import preferences
from hub.gateway.openapi.schemas import JsonObject, properties_of
from hub.gateway.routing import AnyRoute, is_list, path_parameters

_ENTITY_TAGS: Final[JsonObject] = {
    "type": "string",
    "pattern": r'^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$',
    "examples": ['"3"'],
}


def parameters_of(route: AnyRoute) -> list[JsonObject]:
    """Give the parameters of one route."""
    return [*_in_path(route), *_in_query(route), *_in_headers(route)]


def is_single(route: AnyRoute) -> bool:
    """Say whether the route answers one thing, which may have a version, rather than a list."""
    return route.response is not None and not is_list(route)


def has_etag(route: AnyRoute) -> bool:
    """Say whether its answer has an ETag."""
    return route.response is not None and (route.method == "GET" or is_single(route))


def takes_key(route: AnyRoute) -> bool:
    """Say whether an Idempotency-Key means something here."""
    return route.method == "POST" and route.permission is not None


def takes_if_match(route: AnyRoute) -> bool:
    """Say whether If-Match means something here."""
    return route.versioned and route.method in {"PUT", "PATCH", "DELETE"}


def _in_path(route: AnyRoute) -> list[JsonObject]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"Id of the {name}.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in path_parameters(route.path)
    ]


def _in_query(route: AnyRoute) -> list[JsonObject]:
    fields = msgspec.structs.fields(route.query)
    required = {field.encode_name for field in fields if field.required}
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            **({"description": schema["description"]} if "description" in schema else {}),
            "schema": {key: value for key, value in schema.items() if key != "description"},
        }
        for name, schema in properties_of(route.query).items()
    ]


def _in_headers(route: AnyRoute) -> list[JsonObject]:
    headers: list[JsonObject] = []
    if route.creates:
        headers.append(_header(
            "If-None-Match", "`*`: go on only if there is no such thing yet (412 otherwise).",
            {"type": "string", "enum": ["*"]},
        ))  # fmt: skip
    if takes_if_match(route):
        headers.append(_header(
            "If-Match", "Go on only if the thing still has this ETag (412 otherwise).",
            _ENTITY_TAGS, required=route.if_match,
        ))  # fmt: skip
    if route.method == "GET" and has_etag(route):
        headers.append(_header(
            "If-None-Match", "Answer 304 if the thing still has this ETag.",
            _ENTITY_TAGS,
        ))  # fmt: skip
    if takes_key(route):
        headers.append(_header(
            "Idempotency-Key",
            "Makes it safe to send this request again: for 24 hours the same key, with the same "
            "request and credential, gets the first answer and has no second effect.",
            {"type": "string", "pattern": "^[!-~]{1,255}$"}, required=route.key_required,
        ))  # fmt: skip
    if preferences.apply_to(route):
        headers.append(_header(
            "Prefer", "`return=minimal` spares you the body of the answer (RFC 7240).",
            {"type": "string", "enum": ["return=minimal", "return=representation"]},
        ))  # fmt: skip
    if route.stream is not None:
        headers.append(_header(
            "Last-Event-ID", "Go on after this event (with `Accept: text/event-stream`).",
            {"type": "string", "pattern": "^[ -~]{0,256}$"},
        ))  # fmt: skip
    return headers


def _header(
    name: str, description: str, schema: JsonObject, *, required: bool = False
) -> JsonObject:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": schema,
    }
