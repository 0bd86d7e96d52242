"""The event loop's watchdog on a machine that has no time for us."""

import asyncio
import time

import pytest

from hub import watchdog
from hub.watchdog import BlockedLoop, HeldUp, Watchdog

LIMIT = 0.2


async def held_up() -> list[str]:
    """Hold the loop up for three times the limit, and give where that was noticed."""
    found: list[str] = []

    def seen(_: object | None, what: HeldUp) -> bool:
        found.append(what.where)
        return True

    async def step() -> None:
        try:
            time.sleep(3 * LIMIT)  # noqa: ASYNC251
        except BlockedLoop:
            found.append("interrupted")

    with Watchdog(LIMIT, lambda: "somebody", seen).watching():
        await asyncio.create_task(step())
    return found


async def test_what_others_had_of_the_processor_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert (await held_up())[-1:] == ["interrupted"]
    begun = time.monotonic()
    monkeypatch.setattr(watchdog, "_starved", lambda: time.monotonic() - begun)
    assert await held_up() == []


def test_the_kernel_says_how_long_one_waited() -> None:
    first = watchdog._starved()
    assert 0 <= first <= watchdog._starved()
