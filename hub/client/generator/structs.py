"""The Structs of the client."""

import graphlib
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hub.client.generator.annotations import WIDTH, annotation, docstring, references

JsonObject = Mapping[str, Any]

_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")
_JSON: Final = "application/json"
_PAGE: Final = "text/html"
_IMPORTS: Final = """
from datetime import datetime
from typing import Any, Literal

import msgspec

from hub.secret import Secret
"""


def structs(document: JsonObject) -> dict[str, str]:
    """Give the text of each Struct by name, after those that it refers to; "" has the imports."""
    schemas: JsonObject = document["components"]["schemas"]
    bodies, answers = _reached(document, schemas)
    needs = {name: references(schemas[name]) for name in sorted(bodies | answers)}
    texts = {"": _IMPORTS}
    for name in graphlib.TopologicalSorter(needs).static_order():
        texts[name] = _struct(name, schemas, body=name in bodies, closed=name not in answers)
    return texts


def operations(document: JsonObject) -> Iterator[tuple[str, str, JsonObject]]:
    """Give method, path and description of each operation; pages for people are none of them."""
    found = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    yield from sorted(
        (one for one in found if set(success(one[2])) != {_PAGE}),
        key=lambda one: (one[2]["tags"], one[1], one[0]),
    )


def accepted(operation: JsonObject) -> JsonObject | None:
    """Give the schema of a 202 that may come instead of the whole success; None without one."""
    answers = [one for status, one in operation["responses"].items() if status[0] == "2"]
    content = operation["responses"].get("202", {}).get("content", {})
    schema: JsonObject | None = content.get(_JSON, {}).get("schema") if len(answers) > 1 else None
    return schema


def success(operation: JsonObject) -> JsonObject:
    """Give what an operation answers when all went well: schema by media type.

    An answer without content is what some give on demand (`Prefer: return=minimal`).
    """
    answers = [one for status, one in operation["responses"].items() if status[0] == "2"]
    content: JsonObject = next((one["content"] for one in answers if "content" in one), {})
    return {media: one.get("x-event-data", one["schema"]) for media, one in content.items()}


def body(operation: JsonObject) -> JsonObject:
    """Give the schema of what an operation takes by media type; of a merge patch there is none."""
    content: JsonObject = operation.get("requestBody", {}).get("content", {})
    return {media: one["schema"] for media, one in content.items()}


def _reached(document: JsonObject, schemas: JsonObject) -> tuple[set[str], set[str]]:
    """Give the names of the Structs that are taken, and of those that are answered."""
    bodies: set[str] = set()
    answers: set[str] = set()
    for _, _, operation in operations(document):
        taken = body(operation)
        if "application/merge-patch+json" not in taken:
            bodies |= _closure(references(taken), schemas)
        answers |= _closure(references([success(operation), accepted(operation)]), schemas)
    return bodies, answers


def _closure(names: Iterable[str], schemas: JsonObject) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += references(schemas[name])
    return found


def _struct(name: str, schemas: JsonObject, *, body: bool, closed: bool) -> str:
    schema: JsonObject = schemas[name]
    if "enum" in schema:
        return _words(name, schema, closed=closed)
    options = ", omit_defaults=True" if body else ""
    lines = [f"\n\nclass {name}(msgspec.Struct, frozen=True, kw_only=True{options}):\n"]
    described = schema.get("description", name)
    lines.append(docstring(described, arguments=_arguments(schema), indent=4))
    lines.append("\n")
    for key, one in schema.get("properties", {}).items():
        kind = annotation(one, closed=closed)
        value = "" if key in schema["required"] else _default(one, schemas, kind)
        snake = _CAPITAL.sub(r"_\1", key).lower()
        python = f"{snake}_" if keyword.iskeyword(snake) else snake
        if python != key:
            value = f'msgspec.field(name="{key}"{f", default={value}" if value else ""})'
        lines.append(f"    {python}: {kind}{f' = {value}' if value else ''}\n")
    return "".join(lines)


def _words(name: str, schema: JsonObject, *, closed: bool) -> str:
    """Write the type of what is one of some words; see `annotation`."""
    described = docstring(schema.get("description", name), indent=0)
    return f"\n\n{name} = {annotation({'enum': schema['enum']}, closed=closed)}\n{described}\n"


def _default(schema: JsonObject, schemas: JsonObject, kind: str) -> str:
    if "default" in schema:
        text = repr(schema["default"])
        return f"Secret({text})" if kind == "Secret" else text
    (name,) = references(schema)
    if schemas[name]["required"]:
        raise ValueError(f"{name} has no default")
    return f"{name}()"


def _arguments(schema: JsonObject) -> str:
    """Write what is known of the fields; those with the same words stand together."""
    docs: dict[str, list[str]] = {}
    for key, one in schema.get("properties", {}).items():
        if one.get("description"):
            docs.setdefault(one["description"], []).append(key)
    if not docs:
        return ""
    lines = [
        textwrap.fill(
            f"{', '.join(keys)}: {text}", WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12
        )
        for text, keys in docs.items()
    ]
    return "\n".join(["Args:", *lines])
