"""Documents by the bulk API, and what became of each.

https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
"""

from dataclasses import replace
from typing import Final

import msgspec

from hub import (
    Answer,
    Batch,
    HttpTarget,
    Partial,
    Piece,
    PieceLimits,
    Retry,
    Tools,
    comes_again,
    push_pieces,
)
from plugins.elasticsearch.config import ElasticsearchConfig
from plugins.elasticsearch.documents import Writer

LIMITS: Final = PieceLimits(
    max_items=5_000, max_bytes=8_000_000, max_item_bytes=8_000_000, overhead=0, frame=0
)
"""Elastic advises some 5 to 15 MB a request; `http.max_content_length` is 100 MB by default, but
proxies and hosted clusters take less: see `Elasticsearch.send`."""

_MAX_ANSWER: Final = 16 * 1024 * 1024
_ONLY_WHAT_IS_READ: Final = (
    "errors,items.create.status,items.create.error.type,items.create.error.reason"
)


class Problem(msgspec.Struct, frozen=True):
    """Why a document was not taken."""

    type: str = ""
    reason: str | None = None


class Created(msgspec.Struct, frozen=True):
    """What became of one document."""

    status: int
    error: Problem | None = None


class Item(msgspec.Struct, frozen=True):
    """One action's outcome."""

    create: Created


class BulkAnswer(msgspec.Struct, frozen=True):
    """The answer to a bulk request: in the order of its actions."""

    errors: bool
    items: list[Item]


class _TooLarge(Exception):  # noqa: N818 - an outcome, as those of the hub
    """The server takes no request of this size; a smaller one comes next."""


class Elasticsearch:
    """Creates a document for each line, by its id: one that is there already is no other one."""

    def __init__(self, config: ElasticsearchConfig, tools: Tools) -> None:
        self._writer = Writer(config.index)
        self._limits = LIMITS
        query = f"?filter_path={_ONLY_WHAT_IS_READ}"
        if config.pipeline:
            query += f"&pipeline={config.pipeline}"
        self._target = HttpTarget(
            tools,
            f"{config.url.rstrip('/')}/_bulk{query}",
            headers={**config.authorization(), "Content-Type": "application/x-ndjson"},
            ca=config.ca,
            compress=config.gzip,
            limit=_MAX_ANSWER,
        )

    async def send(self, batch: Batch) -> None:
        """Push one batch; every document is in its index when this returns.

        Requests that are too large for the server (413) are halved until they fit, and stay so.
        What was taken before is sent again then, which does no harm: its ids are known.
        """
        items = [item for chunk in batch.chunks for item in self._writer.items(chunk)]
        while True:
            try:
                await push_pieces(items, self._limits, self._push)
            except _TooLarge:
                continue
            else:
                return

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        body = b"".join(piece.items)
        answer = await self._target.push(body)
        if answer.status == 413 and len(piece.items) > 1:
            self._limits = replace(self._limits, max_bytes=len(body) // 2)
            raise _TooLarge
        answer.check()
        _settle(answer, piece)


def _settle(answer: Answer, piece: Piece) -> None:
    """Say by line what was not taken.

    Raises:
        Retry: the answer cannot be read, or nothing was taken for now.
        Partial: some were not taken.
    """
    said = answer.decode(BulkAnswer)
    if said is None or len(said.items) != len(piece.items):
        raise Retry(f"answered {answer.status} with something else than a bulk answer")
    if not said.errors:
        return
    rejected: list[tuple[int, str]] = []
    again: list[int] = []
    reason = ""
    for index, item in zip(piece.indexes, said.items, strict=True):
        outcome = item.create
        if outcome.status < 300 or outcome.status == 409:
            continue
        if _comes_again(outcome):
            again.append(index)
            reason = reason or _words(outcome)
        else:
            rejected.append((index, _words(outcome)))
    if rejected or again:
        raise Partial(rejected=rejected, retry=again, reason=reason)


def _comes_again(outcome: Created) -> bool:
    """Say whether a document may be taken later: 429 and 5xx, or a block that somebody lifts.

    An index is blocked for writing when a disk is full, by 429 or, in OpenSearch, by 403.
    """
    blocked = outcome.error is not None and outcome.error.type == "cluster_block_exception"
    return blocked or comes_again(outcome.status)


def _words(outcome: Created) -> str:
    problem = outcome.error or Problem()
    return f"answered {outcome.status}: {problem.type}: {problem.reason or ''}"[:300].rstrip(": ")
