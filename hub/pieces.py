"""Batches for destinations that limit one request: by items, by bytes, and by the size of an item.

The hub cuts batches by the bytes of their texts; what an encoding makes of them may be more. Here
they are cut again, once encoded, and what came of each request is told by line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hub.outcomes import Partial, Rejected, Retry


@dataclass(frozen=True, slots=True)
class PieceLimits:
    """What one request may hold.

    Args:
        max_items: encoded lines.
        max_bytes: of them together, with `overhead` for each and `frame` for the whole.
        max_item_bytes: of one; a longer one is refused without asking.
        overhead: bytes that stand between two items.
        frame: bytes around all of them.
    """

    max_items: int
    max_bytes: int
    max_item_bytes: int
    overhead: int = 1
    frame: int = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a batch, encoded, in order.

    Args:
        indexes: of the lines in the batch.
        items: the encoded lines.
    """

    indexes: Sequence[int]
    items: Sequence[bytes]


P = TypeVar("P", bound=Piece)


async def push_pieces(
    items: Sequence[bytes], limits: PieceLimits, send: Callable[[Piece], Awaitable[None]]
) -> None:
    """Send a batch's encoded lines, in order, in as few requests as the limits allow.

    Args:
        items: one for each line of the batch.
        send: makes one request. It may raise `Retry` or `Rejected`, which then concern the
            lines of this piece, or `Partial` with the indexes of the *batch* (`Piece.indexes`).
            After a `Retry` nothing more is sent: what is left comes again, in order.

    Raises:
        Retry: nothing was taken yet.
        Rejected: all of it is refused, for one reason.
        Partial: anything between.
    """
    fit = limits.max_item_bytes
    rejected = [
        (index, f"the line takes {len(item)} bytes; {fit} is the most that one may take")
        for index, item in enumerate(items)
        if len(item) > fit
    ]
    refused = {index for index, _ in rejected}
    left = [index for index in range(len(items)) if index not in refused]
    await push_each(list(_cut(left, items, limits)), send, rejected=rejected)


async def push_each(
    pieces: Sequence[P],
    send: Callable[[P], Awaitable[None]],
    *,
    rejected: Sequence[tuple[int, str]] = (),
) -> None:
    """Send pieces that were cut already, in order, and tell what came of each by line.

    Args:
        send: as for `push_pieces`.
        rejected: lines that are in no piece, because they are refused without asking.

    Raises:
        Retry, Rejected, Partial: as `push_pieces`.
    """
    refused = list(rejected)
    everything = len(refused) + sum(len(piece.indexes) for piece in pieces)
    for number, piece in enumerate(pieces):
        left = [index for later in pieces[number:] for index in later.indexes]
        try:
            await send(piece)
        except Retry as retry:
            if len(left) == everything:
                raise
            raise Partial(
                rejected=refused, retry=sorted(left), reason=retry.reason, after=retry.after
            ) from retry
        except Rejected as final:
            if len(piece.indexes) == everything:
                raise
            refused += [(index, final.reason) for index in piece.indexes]
        except Partial as partial:
            refused += partial.rejected
            if partial.retry:
                later = left[len(piece.indexes) :]
                raise Partial(
                    rejected=refused,
                    retry=sorted([*partial.retry, *later]),
                    reason=partial.reason,
                    after=partial.after,
                ) from partial
    if refused:
        raise Partial(rejected=refused)


async def push_lanes(
    lanes: Sequence[Sequence[P]],
    send: Callable[[P], Awaitable[None]],
    *,
    concurrency: int,
    rejected: Sequence[tuple[int, str]] = (),
) -> None:
    """Send lanes of pieces beside each other, and tell what came of each line.

    Args:
        lanes: pieces that have to arrive in their order.
        send: as for `push_pieces`. After a `Retry` nothing more is begun, in any lane.
        concurrency: lanes at once.
        rejected: as for `push_each`.

    Raises:
        Retry, Rejected, Partial: as `push_pieces`.
    """
    turns = asyncio.Semaphore(concurrency)
    stopped: list[Retry] = []
    refused = list(rejected)
    waiting: list[int] = []

    async def guarded(piece: P) -> None:
        if stopped:
            raise stopped[0]
        try:
            await send(piece)
        except Retry as retry:
            stopped.append(retry)
            raise
        except Partial as partial:
            if partial.retry:
                stopped.append(Retry(partial.reason, after=partial.after))
            raise

    async def follow(lane: Sequence[P]) -> None:
        lines = [index for piece in lane for index in piece.indexes]
        async with turns:
            try:
                await push_each(lane, guarded)
            except Retry:
                waiting.extend(lines)
            except Rejected as final:
                refused.extend((index, final.reason) for index in lines)
            except Partial as partial:
                refused.extend(partial.rejected)
                waiting.extend(partial.retry)

    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(follow(lane))
    everything = len(rejected) + sum(len(piece.indexes) for lane in lanes for piece in lane)
    if waiting:
        first = stopped[0]
        if len(waiting) == everything:
            raise first
        raise Partial(
            rejected=sorted(refused), retry=sorted(waiting), reason=first.reason, after=first.after
        ) from first
    if len(refused) > len(rejected) and len(refused) == everything:
        reasons = {reason for _, reason in refused}
        if len(reasons) == 1:
            raise Rejected(reasons.pop())
    if refused:
        raise Partial(rejected=sorted(refused))


def _cut(indexes: Sequence[int], items: Sequence[bytes], limits: PieceLimits) -> Iterator[Piece]:
    taken: list[int] = []
    size = limits.frame
    for index in indexes:
        cost = len(items[index]) + limits.overhead
        if taken and (len(taken) == limits.max_items or size + cost > limits.max_bytes):
            yield Piece(taken, [items[i] for i in taken])
            taken, size = [], limits.frame
        taken.append(index)
        size += cost
    if taken:
        yield Piece(taken, [items[i] for i in taken])
