"""JSON Schemas in words: what a member or parameter is, what holds for it, and what is in it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from hub.gateway.openapi.schemas import JsonObject

_DEEPEST: Final = 8
_FORMATS: Final = {
    "date-time": "time",
    "date": "day",
    "uuid": "UUID",
    "password": "secret",
    "uri-reference": "path",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A member of a body, or a parameter.

    Args:
        type: in words: `list of string`.
        rules: what holds for it, in words.
        fields: of the object, or of each item, that it is.
    """

    name: str
    type: str
    required: bool
    description: str
    rules: tuple[str, ...]
    fields: tuple["Field", ...] = ()


class Reader:
    """Reads schemas.

    Args:
        components: what `$ref` refers to, by name.
    """

    def __init__(self, components: JsonObject) -> None:
        self._components = components

    def fields(self, schema: JsonObject, *, depth: int = 0) -> tuple[Field, ...]:
        """Give the members of an object, of each item of a list, or of each of several kinds."""
        inner = self._object(schema)
        if inner is None or depth > _DEEPEST:
            return ()
        required = set(inner.get("required", ()))
        return tuple(
            self.field(name, one, required=name in required, depth=depth)
            for name, one in inner.get("properties", {}).items()
        )

    def field(
        self, name: str, schema: JsonObject, *, required: bool, depth: int = 0, said: str = ""
    ) -> Field:
        """Describe one member or parameter.

        Args:
            said: of it, where the schema does not say it.
        """
        return Field(
            name,
            self.type(schema),
            required,
            said or schema.get("description", "") or self._whole(schema).get("description", ""),
            tuple(self._rules(schema)),
            self.fields(schema, depth=depth + 1),
        )

    def type(self, schema: JsonObject) -> str:
        """Say in words what a schema lets through."""
        schema = self._whole(schema)
        kinds = self._kinds(schema)
        if len(kinds) > 1:
            return " or ".join(dict.fromkeys(self.type(kind) for kind in kinds))
        if "enum" in schema:
            return "one of " + ", ".join(json.dumps(one) for one in schema["enum"])
        return self._plain_type(schema)

    def _plain_type(self, schema: JsonObject) -> str:
        match schema.get("type"):
            case "array":
                return f"list of {self.type(schema.get('items', {}))}"
            case "object" if isinstance(inner := schema.get("additionalProperties"), dict):
                return f"map of {self.type(inner)}"
            case str(kind):
                return _FORMATS.get(schema.get("format", ""), kind)
            case _:
                return json.dumps(schema["const"]) if "const" in schema else "any value"

    def _kinds(self, schema: JsonObject) -> list[JsonObject]:
        """Give what it may be, null last."""
        kinds: list[JsonObject] = [*schema.get("anyOf", []), *schema.get("oneOf", [])]
        return sorted(kinds, key=lambda kind: kind.get("type") == "null")

    def _whole(self, schema: JsonObject) -> JsonObject:
        """Follow references; what stands beside one counts more."""
        while "$ref" in schema:
            found = self._components[str(schema["$ref"]).rpartition("/")[2]]
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**found, **beside}
        return schema

    def _object(self, schema: JsonObject) -> JsonObject | None:
        schema = self._whole(schema)
        for kind in self._kinds(schema):
            if (found := self._object(kind)) is not None:
                return found
        if schema.get("type") == "array":
            return self._object(schema.get("items", {}))
        inner = schema.get("additionalProperties")
        if isinstance(inner, dict):
            return self._object(inner)
        return schema if schema.get("properties") else None

    def _rules(self, schema: JsonObject) -> Iterator[str]:
        schema = self._whole(schema)
        yield from _bounds(schema)
        for kind in self._kinds(schema):
            yield from _bounds(self._whole(kind))
        if schema.get("type") == "array":
            yield from (f"each {rule}" for rule in _bounds(self._whole(schema.get("items", {}))))
        if schema.get("writeOnly"):
            yield "never shown again"
        default = schema.get("default")
        if default not in (None, "", [], {}):
            yield f"default {json.dumps(default)}"


def _bounds(schema: JsonObject) -> Iterator[str]:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "items"),
        ("minProperties", "maxProperties", "members"),
    ):
        yield from _range(schema.get(low), schema.get(high), unit)
    if "pattern" in schema:
        yield "pattern `" + str(schema["pattern"]).removesuffix(r"(?!\n)") + "`"


def _range(low: Any, high: Any, unit: str) -> Iterator[str]:
    if low is not None and high is not None:
        yield f"{low:,} to {high:,} {unit}".strip()
    elif high is not None:
        yield f"at most {high:,} {unit}".strip()
    elif low == 1 and unit:
        yield "not empty"
    elif low is not None:
        yield f"at least {low:,} {unit}".strip()
