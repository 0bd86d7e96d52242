"""JSON Schemas, as msgspec writes them, become annotations of Python."""

import builtins
import keyword
import textwrap
from collections.abc import Mapping
from typing import Any, Final

JsonObject = Mapping[str, Any]

_SIMPLE: Final = {
    "string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None",
}  # fmt: skip
WIDTH: Final = 92


def annotation(schema: JsonObject, *, closed: bool) -> str:
    """Give the annotation of a schema.

    Args:
        closed: an enumeration is a Literal; otherwise any text, for a newer hub may know more.

    Raises:
        ValueError: there is no form for it here yet.
    """
    match schema:
        case {"$ref": _}:
            text = name_of(schema)
        case {"anyOf": some}:
            text = " | ".join(annotation(one, closed=closed) for one in some)
        case {"enum": values}:
            text = f"Literal[{', '.join(map(repr, values))}]" if closed else "str"
        case {"type": "string", "writeOnly": True}:
            text = "Secret"
        case {"type": "string", "format": "date-time"}:
            text = "datetime"
        case {"type": "array"}:
            text = f"list[{annotation(schema.get('items', {}), closed=closed)}]"
        case {"type": "object"}:
            of = annotation(schema.get("additionalProperties", {}), closed=closed)
            text = f"dict[str, {of}]"
        case {"type": kind}:
            text = _SIMPLE.get(kind, "")
        case _:
            text = "" if schema.keys() - {"description", "default", "title"} else "Any"
    if not text:
        raise ValueError(f"no annotation for {schema}")
    return text


def name_of(schema: JsonObject) -> str:
    """Give the name of the Struct that a schema refers to."""
    name = str(schema["$ref"]).rpartition("/")[2]
    if not name.isidentifier():
        raise ValueError(f"two Structs have the name of {name}: rename one")
    return name


def references(schema: Any) -> list[str]:
    """Give the names of all Structs that a schema refers to."""
    if isinstance(schema, Mapping):
        own = [name_of(schema)] if isinstance(schema.get("$ref"), str) else []
        return own + [name for value in schema.values() for name in references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in references(value)]
    return []


def identifier(name: str) -> str:
    """Give a name that Python, and whoever reads it, does not take for something else."""
    return f"{name}_" if keyword.iskeyword(name) or hasattr(builtins, name) else name


def docstring(summary: str, description: str = "", arguments: str = "", *, indent: int) -> str:
    """Write a docstring.

    Args:
        arguments: `Args:` and all that follows, as it is to be.
    """
    margin = " " * indent
    paragraphs = [_filled(summary.rstrip(".") + ".", indent)]
    paragraphs += [one for one in (_filled(description, indent), arguments) if one]
    text = f"\n\n{margin}".join(paragraphs).replace("\\", "\\\\").replace('"""', '\\"""')
    end = f"\n{margin}" if "\n" in text else ""
    return f'{margin}"""{text}{end}"""\n'


def _filled(text: str, indent: int) -> str:
    margin = " " * indent
    filled = textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin)
    return filled.strip()
