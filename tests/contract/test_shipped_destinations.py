"""Every destination in `plugins/` is told of as its users need it."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from hub import structs
from hub.destinations import DestinationType

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
