"""The methods of the client: one for each operation, and a second where it can be followed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hub.client.generator.annotations import annotation, docstring, identifier
from hub.client.generator.structs import accepted, body, operations, success

JsonObject = Mapping[str, Any]

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_MERGE: Final = "application/merge-patch+json"

_HEAD: Final = '''
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal

from hub.client.answers import Answer, Pages
from hub.client.asking import Ask, Json, part
from hub.client.calls import Calls
from hub.client.events import Events
from hub.client.structs import {structs}


class Api:
    """The API of one hub.

    What is changed by a merge patch (RFC 7396) is given as JSON values. `if_match` is the `etag` of
    an answer: the change is made only if nobody else made one since; with `if_absent` only where
    there is nothing yet. A list fetches its pages as it is iterated over, a file its pieces.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
'''


def methods(document: JsonObject, structs: Mapping[str, str]) -> str:
    """Write the class with all methods; `structs` are the names that it may refer to."""
    text = _HEAD.format(structs=", ".join(name for name in structs if name))
    for method, path, operation in operations(document):
        text += "".join(_of(_Operation(method, path, operation)))
    return text


@dataclass(frozen=True, slots=True)
class _Operation:
    method: str
    path: str
    spec: JsonObject

    def parameters(self, place: str) -> dict[str, JsonObject]:
        """Give the parameters of a place (`path`, `query`, `header`) by name."""
        return {one["name"]: one for one in self.spec["parameters"] if one["in"] == place}

    @property
    def name(self) -> str:
        """The method's name."""
        return str(self.spec["operationId"])


def _of(operation: _Operation) -> Iterator[str]:
    answers = success(operation.spec)
    texts = [media for media in answers if media not in {_JSON, _EVENTS}]
    files = [media for media in texts if answers[media].get("format") == "binary"]
    query = operation.parameters("query")
    if _JSON in answers:
        schema = answers[_JSON]
        if schema.get("type") == "array" and operation.method == "GET":
            item = annotation(schema["items"], closed=False)
            yield _method(operation, query, f"Pages[{item}]", f"pages({{ask}}, {item})")
        elif (other := accepted(operation.spec)) is not None:
            kinds = [annotation(one, closed=False) for one in (schema, other)]
            call = f"either({{ask}}, {', '.join(kinds)})"
            yield _method(operation, query, f"Answer[{' | '.join(kinds)}]", call)
        else:
            kind = annotation(schema, closed=False)
            yield _method(operation, query, f"Answer[{kind}]", f"answer({{ask}}, {kind})")
    elif files:
        yield _method(operation, query, "AbstractContextManager[Iterator[bytes]]", "file({ask})")
    elif texts:
        yield _method(operation, query, "Answer[str]", "text({ask})")
    elif _EVENTS not in answers:
        yield _method(operation, query, "Answer[None]", "nothing({ask})")
    if _EVENTS in answers:
        kept = {name: one for name, one in query.items() if name not in {"limit", "cursor"}}
        item = annotation(answers[_EVENTS], closed=False)
        name = f"follow_{operation.name.partition('_')[2]}"
        yield _method(
            operation, kept, f"Events[{item}]", f"events({{ask}}, {item}, after=after)",
            name=name, more=["after: str = ''"],
        )  # fmt: skip


def _method(
    operation: _Operation,
    query: Mapping[str, JsonObject],
    gives: str,
    call: str,
    *,
    name: str = "",
    more: list[str] | None = None,
) -> str:
    spec = operation.spec
    positional = [f"{identifier(one)}: str" for one in operation.parameters("path")]
    keywords = [_keyword(one, parameter) for one, parameter in query.items()] + (more or [])
    path = re.sub(r"\{(\w+)\}", lambda found: f"{{part({identifier(found[1])})}}", operation.path)
    ask = [repr(operation.method), f"f{path!r}" if "{" in path else repr(path)]
    if query:
        items = ", ".join(f"{one!r}: {identifier(one)}" for one in query)
        ask.append(f"query={{{items}}}")
    if taken := body(spec):
        parameter, argument = _body(taken, required=spec["requestBody"]["required"])
        positional.append(parameter)
        ask.append(argument)
    headers = operation.parameters("header")
    if "If-Match" in headers:
        none = "" if headers["If-Match"]["required"] else " | None = None"
        keywords.append(f"if_match: str{none}")
        ask.append("if_match=if_match")
    if operation.method == "PUT" and "If-None-Match" in headers:
        keywords.append("if_absent: bool = False")
        ask.append("if_absent=if_absent")
    if "Idempotency-Key" in headers:
        ask.append("keyed=True")
    parameters = ["self", *positional, *(["*", *keywords] if keywords else [])]
    written = docstring(
        f"Follow: {spec['summary'][0].lower()}{spec['summary'][1:]}" if name else spec["summary"],
        spec.get("description", ""),
        indent=8,
    )
    called = call.format(ask=f"Ask({', '.join(ask)})")
    return (
        f"\n    def {name or operation.name}({', '.join(parameters)}) -> {gives}:\n{written}"
        f"        return self._calls.{called}\n"
    )


def _keyword(name: str, parameter: JsonObject) -> str:
    schema = parameter["schema"]
    kind = annotation(schema, closed=True)
    if schema.get("type") == "array":
        return f"{identifier(name)}: {kind.replace('list[', 'Sequence[', 1)} = ()"
    if parameter["required"]:
        return f"{identifier(name)}: {kind}"
    return f"{identifier(name)}: {kind} | None = None"


def _body(taken: JsonObject, *, required: bool) -> tuple[str, str]:
    """Give the parameter, and the argument that it becomes."""
    if _MERGE in taken:
        return "changes: Json", "body=changes, merge=True"
    kind = f"{annotation(taken[_JSON], closed=True)} | Json"
    return f"body: {kind}{'' if required else ' | None = None'}", "body=body"
