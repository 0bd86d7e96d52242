"""Work whose length its input decides is done beside the loop once it takes long."""

import threading

from hub.relay.apart import LARGE, LONG, WARY, Apart


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def is_apart(apart: Apart, size: int = 1) -> bool:
    return await apart.run(threading.get_ident, size) != threading.get_ident()


async def test_small_quick_work_stays_where_it_is() -> None:
    apart = Apart(clock=Clock())
    assert not await is_apart(apart)
    assert not await is_apart(apart, LARGE)


async def test_large_work_is_done_apart_without_trying() -> None:
    assert await is_apart(Apart(clock=Clock()), LARGE + 1)


async def test_after_a_long_piece_the_next_ones_are_done_apart() -> None:
    clock = Clock()
    apart = Apart(clock=clock)

    def long() -> int:
        clock.now += 2 * LONG
        return threading.get_ident()

    assert await apart.run(long, 1) == threading.get_ident()
    assert [await is_apart(apart) for _ in range(WARY)] == [True] * WARY
    assert not await is_apart(apart)
