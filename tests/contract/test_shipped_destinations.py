"""Every destination in `plugins/` is told of as its users need it."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub import structs
from hub.destinations import DestinationType
from hub.shaping.rules import Shape

FOLDERS = sorted(path.parent for path in Path(__file__).parents[2].glob("plugins/*/sample.json"))


def declared(folder: Path) -> DestinationType[Any]:
    """Give the type that a plugin declares."""
    (found,) = importlib.import_module(f"plugins.{folder.name}").isaax_destinations()
    assert isinstance(found, DestinationType)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_its_sample_can_be_used(folder: Path) -> None:
    """What the README tells to copy."""
    kind = declared(folder)
    sample = (folder / "sample.json").read_bytes()
    assert isinstance(structs.decode(kind.config, sample), kind.config)
    assert kind.name == folder.name
    assert kind.title
    assert kind.summary


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_key_is_described(folder: Path) -> None:
    """In the schema, for whoever fills a form, and in the README."""
    kind = declared(folder)
    schema = structs.schema(kind.config)
    keys = schema["$defs"][kind.config.__name__]["properties"]
    assert [name for name, key in keys.items() if '"description"' not in json.dumps(key)] == []
    readme = (folder / "README.md").read_text()
    assert [name for name in keys if f"`{name}`" not in readme] == []


def patterns(value: object) -> Iterator[str]:
    """Give every pattern of a JSON Schema."""
    if isinstance(value, dict):
        if isinstance(found := value.get("pattern"), str):
            yield found
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from patterns(item)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_pattern_lets_a_line_feed_through_at_the_end(folder: Path) -> None:
    """`$` alone would: with a value that was pasted with one, a header could not be sent."""
    schema = structs.schema(declared(folder).config)
    assert [one for one in patterns(schema) if re.search(r"(?<!\\)\$$", one)] == []


def test_neither_does_a_shape_nor_what_a_route_takes() -> None:
    """The same for what is decoded of a stranger's request."""
    bodies = [
        route.body
        for name in ("accounts", "auth", "devices", "messages", "projects")
        if hasattr(plugin := importlib.import_module(f"services.{name}"), "isaax_routes")
        for route in plugin.isaax_routes()
        if route.body is not None
    ]
    assert len(bodies) > 5
    found = [*patterns([structs.schema(body) for body in [*bodies, Shape]])]
    assert len(found) > 2
    assert [one for one in found if re.search(r"(?<!\\)\$$", one)] == []
