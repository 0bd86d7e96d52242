"""Batches in pieces: what is cut, and what came of each line."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hub.outcomes import Partial, Rejected, Retry
from hub.pieces import Piece, PieceLimits, push_each, push_lanes, push_pieces

LIMITS = PieceLimits(max_items=3, max_bytes=20, max_item_bytes=10, overhead=1, frame=2)
Send = Callable[[Piece], Awaitable[None]]


class Script:
    """Says of a piece by its first line what comes of it, and notes what was asked."""

    def __init__(self, **failures: Exception) -> None:
        self.failures = {int(name[1:]): failure for name, failure in failures.items()}
        self.asked: list[tuple[int, ...]] = []
        self.at_once = 0
        self._now = 0

    async def __call__(self, piece: Piece) -> None:
        """Take a piece."""
        self.asked.append(tuple(piece.indexes))
        self._now += 1
        self.at_once = max(self.at_once, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        failure = self.failures.get(piece.indexes[0])
        if failure is not None:
            raise failure


def piece(*indexes: int) -> Piece:
    """Give a piece of these lines."""
    return Piece(indexes, [b"x"] * len(indexes))


async def test_pieces_keep_within_every_limit() -> None:
    """Items, bytes with what stands around them, and the size of one."""
    send = Script()
    with pytest.raises(Partial) as partial:
        await push_pieces([b"1", b"2", b"3", b"4", b"x" * 11, b"y" * 10, b"z" * 10], LIMITS, send)
    assert send.asked == [(0, 1, 2), (3, 5), (6,)]
    assert partial.value.rejected == (
        (4, "the line takes 11 bytes; 10 is the most that one may take"),
    )
    assert partial.value.retry == ()


async def test_nothing_to_send_is_no_request() -> None:
    """And no failure."""
    send = Script()
    await push_pieces([], LIMITS, send)
    await push_each([], send)
    await push_lanes([], send, concurrency=1)
    assert send.asked == []


async def one_lane(pieces: list[Piece], send: Send) -> None:
    """Send a list of pieces as the only lane."""
    await push_lanes([pieces], send, concurrency=3)


@pytest.mark.parametrize("push", [push_each, one_lane])
async def test_what_failed_at_once_is_told_as_it_is(
    push: Callable[[list[Piece], Send], Awaitable[None]],
) -> None:
    """Nothing was taken: the whole batch comes again, or never will be."""
    with pytest.raises(Retry, match="busy") as retry:
        await push([piece(0, 1), piece(2)], Script(_0=Retry("busy", after=3)))
    assert retry.value.after == 3
    with pytest.raises(Rejected, match="bad"):
        await push([piece(0, 1)], Script(_0=Rejected("bad")))


@pytest.mark.parametrize("push", [push_each, one_lane])
async def test_after_a_retry_nothing_more_is_sent(
    push: Callable[[list[Piece], Send], Awaitable[None]],
) -> None:
    """What is final stays final; what is left comes again, in order."""
    send = Script(_1=Rejected("bad"), _3=Retry("busy", after=3))
    with pytest.raises(Partial) as partial:
        await push([piece(0), piece(1, 2), piece(3), piece(5, 4)], send)
    assert send.asked == [(0,), (1, 2), (3,)]
    assert partial.value.rejected == ((1, "bad"), (2, "bad"))
    assert partial.value.retry == (3, 4, 5)
    assert (partial.value.reason, partial.value.after) == ("busy", 3)


@pytest.mark.parametrize("push", [push_each, one_lane])
async def test_a_part_that_was_taken_counts_by_line(
    push: Callable[[list[Piece], Send], Awaitable[None]],
) -> None:
    """A piece may itself say of its lines what came of them."""
    some = Partial(rejected=[(1, "old")], retry=[2], reason="busy", after=1)
    send = Script(_0=Partial(rejected=[(0, "new")]), _1=some)
    with pytest.raises(Partial) as partial:
        await push([piece(0), piece(1, 2, 3), piece(4)], send)
    assert partial.value.rejected == ((0, "new"), (1, "old"))
    assert partial.value.retry == (2, 4)
    assert (partial.value.reason, partial.value.after) == ("busy", 1)


async def test_lanes_go_beside_each_other_as_far_as_they_may() -> None:
    """Each in its own order."""
    send = Script()
    lanes = [[piece(lane * 10 + at) for at in range(3)] for lane in range(5)]
    await push_lanes(lanes, send, concurrency=2)
    assert send.at_once == 2
    for lane in range(5):
        own = [index for (index,) in send.asked if index // 10 == lane]
        assert own == [lane * 10 + at for at in range(3)]


async def test_a_lane_that_is_held_up_stops_the_others_and_loses_nothing() -> None:
    """Every line is taken, final, or comes again: exactly one of these."""
    send = Script(_10=Retry("busy"), _20=Rejected("bad"))
    lanes = [[piece(10), piece(11)], [piece(0), piece(1), piece(2)], [piece(20), piece(21)]]
    with pytest.raises(Partial) as partial:
        await push_lanes(lanes, send, concurrency=3, rejected=[(30, "long")])
    assert set(send.asked) == {(0,), (10,), (20,)}
    assert partial.value.rejected == ((20, "bad"), (30, "long"))
    assert partial.value.retry == (1, 2, 10, 11, 21)
    assert partial.value.reason == "busy"


async def test_lanes_that_are_all_refused_for_one_reason_are_rejected() -> None:
    """And for two reasons each line has its own."""
    lanes = [[piece(0)], [piece(1)]]
    with pytest.raises(Rejected, match="bad"):
        await push_lanes(lanes, Script(_0=Rejected("bad"), _1=Rejected("bad")), concurrency=2)
    with pytest.raises(Partial) as partial:
        await push_lanes(lanes, Script(_0=Rejected("bad"), _1=Rejected("worse")), concurrency=2)
    assert partial.value.rejected == ((0, "bad"), (1, "worse"))
