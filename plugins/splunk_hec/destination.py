"""Events to the HTTP Event Collector, and the question whether they are indexed.

Codes: https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector
("Possible error codes"). Acknowledgement:
https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck
"""

import asyncio
import time
import uuid
from typing import Final

import msgspec

from hub import (
    Answer,
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
from plugins.splunk_hec.config import SplunkHecConfig
from plugins.splunk_hec.events import Writer

LIMITS: Final = PieceLimits(
    max_items=10_000, max_bytes=1_000_000, max_item_bytes=1_000_000, overhead=1, frame=0
)
"""Splunk Cloud advises 1 MB a request; Splunk Enterprise takes 800 MB by default
(`max_content_length` in limits.conf)."""

_ABOUT_ONE_EVENT: Final = frozenset({6, 12, 13, 15})
"""Invalid data format, event field missing or blank, error in indexed fields: with the index,
from 0, of the first such event. (Code 7, incorrect index, concerns all: they name the same one.)"""

_FIRST_POLL: Final = 0.1
_LONGEST_POLL: Final = 2.0

_encode: Final = msgspec.json.Encoder().encode


class HecAnswer(msgspec.Struct, frozen=True, rename="kebab"):
    """What the collector says of a request."""

    text: str = ""
    code: int = 0
    invalid_event_number: int | None = None
    ack_id: int | None = msgspec.field(default=None, name="ackId")


class Asked(msgspec.Struct, frozen=True):
    """The question which requests are indexed."""

    acks: list[int]


class Acks(msgspec.Struct, frozen=True):
    """Its answer."""

    acks: dict[str, bool]


class SplunkHec:
    """Posts batches to one collector, on a channel of its own.

    Acknowledgements are kept by channel, and asked for where the events went: behind a load
    balancer, sessions have to be sticky.
    """

    def __init__(self, config: SplunkHecConfig, tools: Tools) -> None:
        self._config = config
        self._writer = Writer(config)
        headers = {
            "Authorization": f"Splunk {config.token.reveal()}",
            "Content-Type": "application/json",
            "X-Splunk-Request-Channel": str(uuid.uuid4()),
        }
        self._events = HttpTarget(
            tools, config.endpoint("event"), headers=headers, ca=config.ca, compress=config.gzip
        )
        self._acks = HttpTarget(tools, config.endpoint("ack"), headers=headers, ca=config.ca)

    async def send(self, batch: Batch) -> None:
        """Push one batch; it is indexed, or at least taken, when this returns."""
        events = [event for chunk in batch.chunks for event in self._writer.events(chunk)]
        await push_pieces(events, LIMITS, self._push)

    async def close(self) -> None:
        """Nothing is held: every batch was answered."""

    async def _push(self, piece: Piece) -> None:
        answer = await self._events.push(b"\n".join(piece.items))
        if not answer.ok:
            _blame(answer, piece)
        answer.check()
        if self._config.acknowledge:
            said = answer.decode(HecAnswer)
            if said is None or said.ack_id is None:
                raise Rejected(
                    "taken, but without an acknowledgement: enable indexer acknowledgement for "
                    "the token, or set acknowledge to false"
                )
            await self._indexed(said.ack_id)

    async def _indexed(self, number: int) -> None:
        """Return when a request is indexed.

        Raises:
            Retry: it is not, within the time that the config gives.
        """
        wait = _FIRST_POLL
        deadline = time.monotonic() + self._config.acknowledge_within
        while not await self._is_indexed(number):
            left = deadline - time.monotonic()
            if left <= 0:
                within = self._config.acknowledge_within
                raise Retry(f"taken, but not indexed within {within:g} seconds")
            await asyncio.sleep(min(wait, left))
            wait = min(wait * 2, _LONGEST_POLL)

    async def _is_indexed(self, number: int) -> bool:
        answer = await self._acks.push(_encode(Asked([number])))
        answer.check()
        said = answer.decode(Acks)
        return said is not None and said.acks.get(str(number), False)


def _blame(answer: Answer, piece: Piece) -> None:
    """Refuse the one event that the collector complains of, and send the others again.

    The documentation does not say whether it kept those before it: they may arrive twice.

    Raises:
        Partial: it named an event.
    """
    said = answer.decode(HecAnswer)
    if said is None or answer.status != 400 or said.code not in _ABOUT_ONE_EVENT:
        return
    number = said.invalid_event_number
    if number is None or not 0 <= number < len(piece.indexes):
        return
    others = [index for index in piece.indexes if index != piece.indexes[number]]
    reason = f"answered 400: {said.text} (code {said.code})"
    raise Partial(
        rejected=[(piece.indexes[number], reason)], retry=others, reason=reason, after=0.0
    )
