"""The examples of docs/shaping.md: each is taken as it stands, or refused in the words it says."""

import re
from pathlib import Path

import pytest

from hub.errors import Invalid
from hub.shaping.preview import preview
from hub.shaping.rules import Shape
from hub.shaping.template_rules import FILTERS
from hub.structs import decode
from hub.testing import make_chunk

GUIDE = (Path(__file__).parents[2] / "docs" / "shaping.md").read_text()
TAKEN = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
REFUSED = re.findall(r"```json refused\n(.*?)```\s+```text\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_has_examples_of_every_step() -> None:
    shapes = [decode(Shape, example.encode()) for example in TAKEN]
    for step in Shape.__struct_fields__:
        assert any(getattr(shape, step) != getattr(Shape(), step) for shape in shapes), step
    assert len(REFUSED) >= 4


@pytest.mark.parametrize("example", TAKEN)
def test_an_example_is_taken(example: str) -> None:
    chunk = make_chunk(["a", "password=x bob@example.com", "  b"])
    assert len(preview(decode(Shape, example.encode()), [(chunk, "pumps")])) == 3


@pytest.mark.parametrize(("example", "words"), REFUSED)
def test_an_example_is_refused_as_the_guide_says(example: str, words: str) -> None:
    with pytest.raises(Invalid) as refusal:
        preview(decode(Shape, example.encode()), [])
    told = [f"{error.pointer}: {error.detail}" for error in refusal.value.errors]
    assert told == words.strip().splitlines()


def test_every_filter_is_named() -> None:
    section = GUIDE.partition("## template")[2].partition("\n## ")[0]
    shorthand = {"d", "e"}
    assert {name for name in FILTERS - shorthand if f"`{name}`" not in section} == set()
