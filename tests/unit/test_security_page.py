"""What SECURITY.md says is tried, is tried."""

import re
from collections.abc import Iterator

import pytest

from tests.fixtures.spine import ROOT

_NAMED = re.compile(r"`(tests/[\w/]+\.py)?::(\w+)`")


def named() -> Iterator[tuple[str, str]]:
    """Give each test that the page names; one without a file is in that of the one before it."""
    file = ""
    for path, name in _NAMED.findall((ROOT / "SECURITY.md").read_text()):
        file = path or file
        yield file, name


def test_the_page_names_tests() -> None:
    assert len(list(named())) > 30


@pytest.mark.parametrize(("file", "name"), [*named()], ids=lambda text: text.rpartition("/")[2])
def test_what_the_page_names_is_there(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
