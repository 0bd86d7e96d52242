"""The durable place of one lane of an integration in its stream."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from hub.relay.ledger import Ledger, Place
from hub.relay.reader import LARGEST_BATCH, Interrupted, Reader

_log = structlog.stdlib.get_logger(__name__)

# Nothing comes again by itself, out of order: we put the cursor back when it has to.
_ACK_WAIT: Final = 10 * 365 * 86400.0

# nats-server's error 10012 (JSConsumerStoreFailedErrF): what it kept of this consumer is damaged.
_UNREADABLE: Final = 10012
_MARGIN: Final = 0.01  # seconds: far more than is lost by rounding
_SPARES: Final = 10
"""How many times a consumer whose files are damaged is given another name."""

_START_AT: Final = "isaax-start-at"
"""Key in the consumer's metadata: since when it delivers, so that a replay is made once."""


class _Reset(msgspec.Struct, frozen=True):
    error: dict[str, Any] | None = None


class Source(NamedTuple):
    """What a cursor reads.

    Args:
        stream, consumer: names; `filter` is the subject.
        start_at: microseconds since the Unix epoch; None for all that the stream holds.
        largest: bytes of the largest message there.
    """

    stream: str
    consumer: str
    filter: str
    start_at: int | None
    largest: int = LARGEST_BATCH


class Standing(NamedTuple):
    """Where a consumer is.

    Args:
        pending: messages that are stored and not yet done with.
        until: stream sequence up to which all of them are.
    """

    pending: int
    until: int


class Cursor:
    """One durable pull consumer with AckPolicy.ALL, its ledger, and the reader at its place.

    Its place moves by `acknowledge`, and `rewind` reads again from the first message that is not
    done.
    """

    def __init__(self, nats: Client, source: Source) -> None:
        self._nats = nats
        self._js = nats.jetstream()
        self.source = source
        self.ledger = Ledger()
        self._stream = source.stream
        self._name = source.consumer
        self._last: Place | None = None
        self._unsettled = False
        self._epoch = 0
        self._reader: Reader | None = None

    async def ensure(self) -> bool:
        """Make the consumer where it does not exist, or starts at another time; say whether.

        One whose files are damaged cannot be made, nor deleted: another takes its place.

        Raises:
            nats.errors.Error: JetStream does not answer, or refuses.
        """
        for spare in range(1, _SPARES + 1):
            try:
                return await self._ensure()
            except APIError as error:
                if error.err_code != _UNREADABLE or spare == _SPARES:
                    raise
                _log.error(
                    "what JetStream kept of a consumer is damaged; another takes its place",
                    stream=self._stream, consumer=self._name,
                )  # fmt: skip
                self._name = f"{self.source.consumer}-{spare}"
        return False  # not reached

    async def _ensure(self) -> bool:
        info = await self._info()
        state = (await self._js.stream_info(self._stream)).state
        if info is not None:
            known = (info.config.metadata or {}).get(_START_AT)
            is_ours = known is None or known == str(self.source.start_at)
            if is_ours and not await self._is_beyond(info, state):
                return False
            # Should we end here, the next one to look makes it anew at the same time.
            await delete_cursor(self._nats, self._name, self._stream)
        await self._js.add_consumer(self._stream, self._config(state.last_seq))
        return True

    async def _info(self) -> api.ConsumerInfo | None:
        try:
            info: api.ConsumerInfo = await self._js.consumer_info(self._stream, self._name)
        except NotFoundError:
            return None
        return info

    async def _is_beyond(self, info: api.ConsumerInfo, state: api.StreamState) -> bool:
        """Whether the stream lost its end, and with it our place; then forget that place.

        The consumer would let the messages pass that get the sequences of those that are lost.
        """
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        delivered = info.delivered.stream_seq if info.delivered else 0
        if max(floor, delivered, self.ledger.until) <= state.last_seq and await self._is_known():
            return False
        _log.error("a stream has lost its end", stream=self._stream, consumer=self._name)
        self.ledger.set_back()
        self._last, self._unsettled = None, False
        return True

    async def _is_known(self) -> bool:
        """Whether the last message that is done is still the one that it was."""
        if not self.ledger.until:
            return True
        try:
            message = await self._js.get_msg(self._stream, seq=self.ledger.until)
        except NotFoundError:  # retention took it
            return True
        if message.time is None:
            return True
        return message.time.timestamp() <= self.ledger.done_time / 1e9 + _MARGIN

    async def rewind(self) -> None:
        """Put the consumer back to its first message that was not acknowledged (ADR-60).

        Raises:
            Interrupted: JetStream did not do it.
        """
        try:
            await self.ensure()
            # Acknowledgements are worked off beside requests: wait for the last one first. After
            # a restart of NATS it may mean nothing any more; then the ledger helps.
            with contextlib.suppress(nats.errors.TimeoutError, nats.errors.NoRespondersError):
                await self.settle()
            self._unsettled = False
            self._epoch += 1
            answer = await self._nats.request(
                f"$JS.API.CONSUMER.RESET.{self._stream}.{self._name}", b"", timeout=5.0
            )
        except (nats.errors.Error, OSError) as error:
            raise Interrupted(str(error) or type(error).__name__) from error
        reset = msgspec.json.decode(answer.data, type=_Reset)
        if reset.error is not None:
            raise Interrupted(f"the cursor cannot be put back: {reset.error.get('description')}")

    def reader(self, *, window: int, wake: Callable[[], None]) -> Reader:
        """Make the reader for after a `rewind`."""
        self._reader = Reader(
            self._nats, self._stream, self._name, window=window, wake=wake, epoch=self._epoch,
            largest=self.source.largest,
        )  # fmt: skip
        return self._reader

    @property
    def held(self) -> int:
        """Bytes of messages that are read ahead."""
        return self._reader.held if self._reader else 0

    @property
    def is_reading(self) -> bool:
        """Messages are being read ahead."""
        return self._reader is not None and self._reader.is_open

    async def acknowledge(self) -> bool:
        """Acknowledge what the ledger says is done; say whether there was any news.

        Raises:
            Interrupted: JetStream does not take it.
        """
        place = self.ledger.advance()
        if place is None:
            return False
        last = self._last
        if last is None or place.epoch > last.epoch or place.sequence >= last.sequence:
            self._last = place
        if place.epoch != self._epoch:
            return True  # its reply would confuse the consumer; it comes again, and is told then
        self._unsettled = True
        try:
            await self._nats.publish(place.reply)
        except nats.errors.Error as error:
            raise Interrupted(str(error)) from error
        return True

    async def settle(self) -> None:
        """Wait until the server has worked off the last acknowledgement.

        Raises:
            nats.errors.Error: it does not answer.
        """
        if self._last is not None and self._unsettled and self._last.epoch == self._epoch:
            await self._nats.request(self._last.reply, b"+ACK", timeout=2.0)
            self._unsettled = False

    async def standing(self) -> Standing:
        """Look where the consumer is.

        Raises:
            nats.errors.Error: JetStream does not answer; NotFoundError: it is not made yet.
        """
        info = await self._js.consumer_info(self._stream, self._name)
        delivered = info.delivered.stream_seq if info.delivered else 0
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        pending = info.num_pending or 0
        # What was acknowledged a moment ago, the server may not have worked off.
        if self.ledger.until < delivered:
            pending += info.num_ack_pending or 0
        return Standing(pending, max(floor, self.ledger.until))

    async def first_kept(self) -> int:
        """Give the stream sequence of the oldest message that retention has kept.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        return (await self._js.stream_info(self._stream)).state.first_seq

    def _config(self, last_sequence: int) -> api.ConsumerConfig:
        start_at = self.source.start_at
        config = api.ConsumerConfig(
            durable_name=self._name,
            filter_subject=self.source.filter,
            ack_policy=api.AckPolicy.ALL,
            ack_wait=_ACK_WAIT,
            max_ack_pending=-1,
            max_deliver=-1,
            metadata=None if start_at is None else {_START_AT: str(start_at)},
        )
        done, done_time = self.ledger.done_until, self.ledger.done_time
        if done:  # somebody deleted it under us, or it was lost
            config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = min(done, last_sequence) + 1
        elif done_time:  # the stream lost its end; the ledger knows what of it is done
            config.deliver_policy = api.DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.fromtimestamp(done_time / 1e9 - _MARGIN, UTC)
        elif start_at is not None:
            config.deliver_policy = api.DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.fromtimestamp(start_at / 1e6, UTC)
        return config


async def delete_cursor(nats: Client, name: str, stream: str) -> None:
    """Delete a consumer; it is fine when there is none."""
    try:
        await nats.jetstream().delete_consumer(stream, name)
    except NotFoundError:
        return


async def consumer_names(nats: Client, stream: str) -> list[str]:
    """Give the names of a stream's durable consumers."""
    js = nats.jetstream()
    names: list[str] = []
    offset = 0
    while page := await js.consumers_info(stream, offset=offset):
        offset += len(page)
        names += [info.name for info in page if info.config.durable_name]
    return names
