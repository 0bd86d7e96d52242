"""GELF over HTTP: a message a request, or many where the input is set to take them.

https://go2docs.graylog.org/current/getting_in_log_data/gelf_inputs.html
"""

from collections.abc import Sequence

from hub import Batch, HttpTarget, Piece, PieceLimits, Tools, push_lanes, push_pieces
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
            lanes = _lanes(batch, items)
            await push_lanes(lanes, self._push, concurrency=self._concurrency)

    async def close(self) -> None:
        """Nothing is held: every message was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._target.push(b"\n".join(piece.items))
        answer.check()


def _lanes(batch: Batch, items: Sequence[bytes]) -> list[list[Piece]]:
    """Give a piece for each line, by the device's stream that it is of."""
    lanes: dict[tuple[str, str], list[Piece]] = {}
    start = 0
    for chunk in batch.chunks:
        lane = lanes.setdefault((chunk.device, chunk.stream), [])
        lane += [Piece([at], [items[at]]) for at in range(start, start + len(chunk))]
        start += len(chunk)
    return list(lanes.values())
