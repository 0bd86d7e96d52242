"""GELF over HTTP: a message a request, or many where the input is set to take them.

https://go2docs.graylog.org/current/getting_in_log_data/gelf_inputs.html
"""

import asyncio
from collections.abc import Iterable, Sequence

from hub import (
    Batch,
    HttpTarget,
    Partial,
    Piece,
    PieceLimits,
    Rejected,
    Retry,
    Tools,
    push_pieces,
)
from plugins.gelf.config import GelfConfig
from plugins.gelf.message import messages


class GelfHttp:
    """Posts messages; an input that has taken one answers 202."""

    def __init__(self, config: GelfConfig, tools: Tools) -> None:
        self._bulk = config.bulk
        self._concurrency = config.concurrency
        self._limits = PieceLimits(
            max_items=2_000, max_bytes=config.max_body, max_item_bytes=config.max_body, frame=0
        )
        self._target = HttpTarget(
            tools,
            config.url or "",
            headers={
                **{name: value.reveal() for name, value in config.headers.items()},
                "Content-Type": "application/json",
            },
            ca=config.ca,
            compress=config.compression == "gzip",
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; the input has taken it when this returns."""
        items = messages(batch)
        if self._bulk:
            await push_pieces(items, self._limits, self._push)
        else:
            await self._push_singly(_lanes(batch), items)

    async def close(self) -> None:
        """Nothing is held: every message was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"\n".join(piece.items))
        answer.check()

    async def _push_singly(self, lanes: Iterable[Sequence[int]], items: Sequence[bytes]) -> None:
        """Send a message a request, some lanes at once.

        Args:
            lanes: the indexes of lines that have to arrive in their order.
        """
        waiting = set(range(len(items)))
        rejected: list[tuple[int, str]] = []
        failures: list[Retry] = []
        turns = asyncio.Semaphore(self._concurrency)

        async def follow(lane: Sequence[int]) -> None:
            async with turns:
                for index in lane:
                    if failures:
                        return
                    try:
                        await self._push(Piece([index], [items[index]]))
                    except Retry as failure:
                        failures.append(failure)
                        return
                    except Rejected as final:
                        rejected.append((index, final.reason))
                    waiting.discard(index)

        async with asyncio.TaskGroup() as group:
            for lane in lanes:
                group.create_task(follow(lane))
        _settle(sorted(waiting), sorted(rejected), failures, len(items))


def _lanes(batch: Batch) -> Iterable[Sequence[int]]:
    """Give the indexes of the lines of each device's stream."""
    lanes: dict[tuple[str, str], list[int]] = {}
    start = 0
    for chunk in batch.chunks:
        stop = start + len(chunk)
        lanes.setdefault((chunk.device, chunk.stream), []).extend(range(start, stop))
        start = stop
    return lanes.values()


def _settle(
    waiting: list[int], rejected: list[tuple[int, str]], failures: list[Retry], count: int
) -> None:
    """Say what came of a batch.

    Raises:
        Retry, Partial, Rejected: by what is left of it.
    """
    if failures and len(waiting) == count:
        raise failures[0]
    if failures:
        first = failures[0]
        raise Partial(rejected=rejected, retry=waiting, reason=first.reason, after=first.after)
    if len(rejected) == count and len({reason for _, reason in rejected}) == 1:
        raise Rejected(rejected[0][1])
    if rejected:
        raise Partial(rejected=rejected)
