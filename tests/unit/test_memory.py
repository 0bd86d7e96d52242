"""How the process handles memory."""

import gc
from collections.abc import Iterator

import pytest

from hub.memory import collect_seldom, keep_freed_buffers


@pytest.fixture
def threshold() -> Iterator[tuple[int, int, int]]:
    """Give the collector's settings, and put them back."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_cycles_are_looked_for_seldom_but_found(threshold: tuple[int, int, int]) -> None:
    """Less often than by default, and not never."""
    gc.set_threshold(700, 10, 10)
    collect_seldom()
    assert gc.isenabled()
    assert gc.get_threshold() > (700, 10, 10)
    assert all(gc.get_threshold())


def test_freed_buffers_are_kept_where_the_library_can() -> None:
    """It says whether; glibc can."""
    assert keep_freed_buffers() in {True, False}
