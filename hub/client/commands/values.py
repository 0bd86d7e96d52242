"""Values of a config on the command line: `--set host=logs.example.com --set token=@token.txt`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

Json = Mapping[str, Any]

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,), "object": (dict,), "null": (type(None),),
}  # fmt: skip


def config(
    assigned: Iterable[str], file: str | None, secrets: Iterable[str], schema: Json
) -> dict[str, Any]:
    """Put a config together.

    Args:
        assigned: `NAME=VALUE`; NAME may have dots, and `@FILE` is what is in a file.
        file: of JSON, to begin with; `-` is standard input.
        secrets: names of what is asked for, and not shown.
        schema: JSON Schema of the config: what is text there is taken as it is written.

    Raises:
        typer.BadParameter: it cannot be put together.
    """
    whole = read_json(file, "--config") if file else {}
    for text in assigned:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--set")
        put(whole, name, typed(given(value, "--set"), schema, name))
    for name in secrets:
        put(whole, name, asked(name, f"give {name} by --set {name}=@FILE", "--secret"))
    return whole


def read_json(file: str, option: str) -> dict[str, Any]:
    """Read an object of JSON from a file, or from standard input where it is `-`.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return msgspec.json.decode(_content(file, option), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(
            f"{file} is not a JSON object: {error}", param_hint=option
        ) from None


def typed(text: str, schema: Json, name: str) -> Any:
    """Read a value as its schema wants it: `514` may be a port, or a password.

    Args:
        name: of the setting, with dots where it lies deeper.
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    kinds = {kind for one in _at(schema, schema, name.split(".")) for kind in _kinds(one)}
    if "string" not in kinds:
        return value
    fits = any(type(value) in _KINDS[kind] for kind in kinds - {"string"})
    return value if fits else text


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a config, as it is listed."""

    name: str
    kind: str
    required: bool
    description: str


def settings(schema: Json) -> list[Setting]:
    """List the settings that a config may have, over all alternatives."""
    found: dict[str, Setting] = {}
    for one in _alternatives(schema, schema):
        for name, of in one.get("properties", {}).items():
            kinds = [kind for each in _alternatives(of, schema) for kind in _shown(each)]
            kind = " or ".join(dict.fromkeys(kinds)) or "anything"
            required = name in one.get("required", ())
            description = of.get("description", "")
            found.setdefault(name, Setting(name, kind, required, description))
    return list(found.values())


def _shown(schema: Json) -> Iterator[str]:
    """Say what a value may be."""
    if "enum" in schema:
        yield from map(str, schema["enum"])
    elif schema.get("writeOnly"):
        yield "secret"
    elif schema.get("type") != "null":
        yield from _kinds(schema)


def _at(schema: Json, root: Json, path: list[str]) -> Iterator[Json]:
    """Give every schema that a setting may have, over all alternatives."""
    for one in _alternatives(schema, root):
        if not path:
            yield one
        elif path[0] in one.get("properties", {}):
            yield from _at(one["properties"][path[0]], root, path[1:])
        elif isinstance(one.get("additionalProperties"), dict):
            yield from _at(one["additionalProperties"], root, path[1:])


def _alternatives(schema: Json, root: Json) -> Iterator[Json]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        yield from _alternatives(root.get("$defs", {})[name], root)
    for one in schema.get("anyOf", ()):
        yield from _alternatives(one, root)
    if "$ref" not in schema and "anyOf" not in schema:
        yield schema


def _kinds(schema: Json) -> Iterator[str]:
    kind = schema.get("type")
    if isinstance(kind, str):
        yield kind
    elif any(isinstance(one, str) for one in schema.get("enum", ())):
        yield "string"


def put(whole: dict[str, Any], name: str, value: Any) -> None:
    """Set a value by its name, which may have dots.

    Raises:
        typer.BadParameter: something else stands where an object is needed.
    """
    *parents, last = name.split(".")
    for parent in parents:
        whole = whole.setdefault(parent, {})
        if not isinstance(whole, dict):
            raise typer.BadParameter(f"{name}: {parent} is no object", param_hint="--set")
    whole[last] = value


def _content(file: str, option: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise typer.BadParameter(f"{file}: {why}", param_hint=option) from None


def given(value: str, option: str) -> str:
    """Give a value as it is written, or what is in a file where it is `@FILE`.

    Raises:
        typer.BadParameter: the file cannot be read.
    """
    return _content(value[1:], option).rstrip("\n") if value.startswith("@") else value


def asked(name: str, instead: str, option: str) -> str:
    """Ask for a value without showing it.

    Args:
        instead: what to do where nobody can be asked.

    Raises:
        typer.BadParameter: nobody can be asked here.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nobody can be asked here: {instead}", param_hint=option)
    return str(typer.prompt(name, hide_input=True, err=True))
