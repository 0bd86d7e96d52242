"""JSON Schemas of the routes' types, shared under `components`."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from hub import structs
from hub.gateway.problems import Problem
from hub.gateway.routing import AnyRoute

JsonObject = dict[str, Any]


class Schemas:
    """The schema of every type that the routes name.

    `components` holds what they share; `of` refers to it.
    """

    def __init__(self, routes: Iterable[AnyRoute]) -> None:
        """Make all schemas at once, so that no two types take the same name."""
        types = list(_unique(_types(routes)))
        schemas, self.components = structs.schema_components(types)
        self._by_type = list(zip(types, schemas, strict=True))

    def of(self, kind: Any) -> JsonObject:
        """Give the schema of a type that a route names."""
        return next(schema for known, schema in self._by_type if known == kind)

    def patch_of(self, kind: Any) -> JsonObject:
        """Give the schema of a merge patch for a type: no member is required."""
        reference = str(self.of(kind)["$ref"])
        whole = self.components[reference.rpartition("/")[2]]
        partial = {key: value for key, value in whole.items() if key != "required"}
        properties = {
            name: {key: value for key, value in schema.items() if key != "default"}
            for name, schema in whole.get("properties", {}).items()
        }
        return {
            **partial,
            "title": f"{whole.get('title', 'Merge')}Patch",
            "description": "A JSON merge patch (RFC 7396): what is left out stays as it is.",
            "properties": properties,
        }


def properties_of(query: type[msgspec.Struct]) -> dict[str, JsonObject]:
    """Give the schema of each parameter of a query, without references and nulls.

    A query string has no null: what may be None is a parameter that is left out.
    """
    schema = structs.schema(query)
    definitions = schema.get("$defs", {})
    whole = _resolve(schema, definitions)
    return {
        name: _without_null(_resolve(one, definitions))
        for name, one in whole.get("properties", {}).items()
    }


def _resolve(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    if "$ref" not in schema:
        return schema
    found = definitions[str(schema["$ref"]).rpartition("/")[2]]
    return {**found, **{key: value for key, value in schema.items() if key != "$ref"}}


def _without_null(schema: JsonObject) -> JsonObject:
    schema = dict(schema)
    if schema.get("default", ...) in (None, ""):
        del schema["default"]
    some = [one for one in schema.pop("anyOf", []) if one != {"type": "null"}]
    if len(some) == 1:
        return {**some[0], **schema}
    return {**schema, "anyOf": some} if some else schema


def _types(routes: Iterable[AnyRoute]) -> Iterator[Any]:
    yield Problem
    for route in routes:
        named = (route.body, route.response, route.accepted, route.stream)
        yield from (one for one in named if one is not None)


def _unique(types: Iterable[Any]) -> Iterator[Any]:
    seen: list[Any] = []  # a type such as list[X] | None need not be hashable
    for one in types:
        if one not in seen:
            seen.append(one)
            yield one
