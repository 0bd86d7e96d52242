"""The document as a whole (https://spec.openapis.org/oas/v3.1.1)."""

import inspect
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from hub.gateway import answers, decoding, deprecation
from hub.gateway.openapi.parameters import parameters_of
from hub.gateway.openapi.responses import HEADERS, responses_of
from hub.gateway.openapi.schemas import JsonObject, Schemas
from hub.gateway.openapi.security import Securities
from hub.gateway.routing import AnyRoute, Table, body_media

VERSION: Final = "3.1.1"
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_ABOUT: Final = """\
Send an API token as `Authorization: Bearer …`. Bodies are JSON in UTF-8 and bare, without a
wrapper. Every error is a problem document (RFC 9457); its `type` leads to a description, and its
`instance` names the request in the hub's log. Lists are paged by `Link: rel="next"`. A change is a
JSON merge patch (RFC 7396). A thing's ETag can be sent in `If-Match` and `If-None-Match`. A POST
with an `Idempotency-Key` can be sent again safely. `Prefer: return=minimal` spares you the body of
what you made or changed. A person who is a member of several accounts says in `Isaax-Account` which
one is meant (else it is the one they joined first). Unknown members and query parameters are
refused, and so are NUL in a string and integers of more than 64 bits."""


def describe(
    table: Table,
    *,
    version: str,
    schemes: Iterable[str] = ("Bearer",),
    cookies: Iterable[str] = (),
) -> JsonObject:
    """Describe the API that these routes make.

    Args:
        version: of this hub.
        schemes: of `Authorization`, by the authenticators.
        cookies: that may hold a credential instead, by their names without `__Host-`.
    """
    routes = [route for methods in table.values() for route in methods.values()]
    schemas = Schemas(routes)
    securities = Securities(schemes, cookies)
    identifiers = _operation_ids(routes)
    paths: JsonObject = {}
    for path, methods in sorted(table.items()):
        paths[path] = {
            method.lower(): _operation(route, identifiers[method, path], schemas, securities)
            for method, route in methods.items()
        }
    return {
        "openapi": VERSION,
        "info": {
            "title": "Isaax hub",
            "version": version,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted({route.tag for route in routes})],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": HEADERS,
            "securitySchemes": securities.components,
        },
    }


def _operation(
    route: AnyRoute, identifier: str, schemas: Schemas, securities: Securities
) -> JsonObject:
    operation: JsonObject = {
        "operationId": identifier,
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": parameters_of(route),
        "responses": responses_of(route, schemas),
        "security": securities.of(route),
    }
    if route.permission is not None:
        operation["x-permission"] = route.permission
    if description := described(route):
        operation["description"] = description
    if route.deprecated is not None:
        operation["deprecated"] = True
    if route.body is not None:
        operation["requestBody"] = _body(route, schemas)
    return operation


def described(route: AnyRoute) -> str:
    """Give all that is said of a route besides its summary."""
    notice = [deprecation.in_words(route.deprecated)] if route.deprecated else []
    return " ".join((*notice, route.description)).strip()


def _body(route: AnyRoute, schemas: Schemas) -> JsonObject:
    of = schemas.patch_of if route.method == "PATCH" else schemas.of
    content: JsonObject = {"schema": of(route.body)}
    if route.examples:
        content["examples"] = {
            str(number): {"value": msgspec.json.decode(answers.encode(example))}
            for number, example in enumerate(route.examples, 1)
        }
    needed = decoding.of_nothing(route) is None
    return {"required": needed, "content": {body_media(route): content}}


def _operation_ids(routes: Iterable[AnyRoute]) -> dict[tuple[str, str], str]:
    """Name each operation: as its handler, or after its path where that would not be unique."""
    names: dict[tuple[str, str], str] = {}
    for route in routes:
        name = getattr(inspect.unwrap(route.handler), "__name__", "")
        if not _IDENTIFIER.fullmatch(name) or name in names.values():
            words = re.findall(r"[a-z0-9]+", route.path.lower().removeprefix("/api/v1"))
            name = "_".join((route.method.lower(), *words))
        names[route.method, route.path] = name
    return names
