"""The durable place of one integration in its shard's stream."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from hub.relay.contracts import IntegrationSpec
from hub.relay.reader import Interrupted, Reader, StoredMessage
from hub.relay.streams import logs_filter, shard_of, shard_stream

# Nothing comes again by itself, out of order: we put the cursor back when it has to.
_ACK_WAIT: Final = 10 * 365 * 86400.0


class _Reset(msgspec.Struct, frozen=True):
    error: dict[str, Any] | None = None


class View(msgspec.Struct, frozen=True):
    """A look at a cursor.

    Args:
        pending: messages not yet read.
        read: stream sequence of the last message that was read in this process.
        first_kept: stream sequence of the oldest message that retention has kept.
    """

    pending: int
    read: int
    first_kept: int


class Cursor:
    """One durable pull consumer with AckPolicy.ALL, and the reader at its place.

    Its place moves by `taken`, and `rewind` reads again from the first message that is not.
    """

    def __init__(self, nats: Client, spec: IntegrationSpec, *, shards: int) -> None:
        shard = shard_of(spec.project, shards)
        self._nats = nats
        self._js = nats.jetstream()
        self._stream = shard_stream(shard)
        self._name = spec.id
        self._start_at = spec.start_at
        self._filter = logs_filter(shard, spec.project)
        self._last: StoredMessage | None = None
        self._unsettled = False
        self._epoch = 0
        self._seen: View | None = None
        self._reader: Reader | None = None

    @property
    def taken_until(self) -> int:
        """Stream sequence of the last message that was taken in this process (0: none)."""
        return self._last.sequence if self._last else 0

    async def ensure(self) -> None:
        """Make the consumer where it does not exist.

        Raises:
            nats.errors.Error: JetStream does not answer, or refuses.
        """
        try:
            await self._js.consumer_info(self._stream, self._name)
        except NotFoundError:
            await self._js.add_consumer(self._stream, self._config())

    async def rewind(self) -> None:
        """Put the consumer back to its first message that was not taken (ADR-60).

        Raises:
            Interrupted: JetStream did not do it.
        """
        try:
            await self.ensure()
            # Acknowledgements are worked off beside requests: wait for the last one first. After
            # a restart of NATS it may mean nothing any more; then `is_taken` helps.
            with contextlib.suppress(nats.errors.TimeoutError):
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
            self._nats, self._stream, self._name, window=window, wake=wake, epoch=self._epoch
        )
        return self._reader

    def is_taken(self, message: StoredMessage) -> bool:
        """Say whether it was taken before: a crashed NATS may forget its last acknowledgements."""
        return message.sequence <= self.taken_until

    async def taken(self, message: StoredMessage) -> None:
        """Note that this message and all before it were taken."""
        if message.sequence >= self.taken_until:
            self._last = message
        if message.epoch != self._epoch:
            return  # its reply would confuse the consumer; it comes again, and is told then
        self._unsettled = True
        try:
            await self._nats.publish(message.reply)
        except nats.errors.Error as error:
            raise Interrupted(str(error)) from error

    async def settle(self) -> None:
        """Wait until the server has worked off the last acknowledgement.

        Raises:
            nats.errors.Error: it does not answer.
        """
        if self._last is not None and self._unsettled and self._last.epoch == self._epoch:
            await self._nats.request(self._last.reply, b"+ACK", timeout=2.0)
            self._unsettled = False

    async def view(self) -> "View":
        """Look at the consumer and its stream.

        Raises:
            nats.errors.Error: JetStream does not answer.
        """
        consumer = await self._js.consumer_info(self._stream, self._name)
        stream = await self._js.stream_info(self._stream)
        # What the server calls delivered moves over what retention took, too.
        read = self._reader.position if self._reader else 0
        return View(consumer.num_pending or 0, max(read, self.taken_until), stream.state.first_seq)

    def newly_lost(self, view: "View") -> int:
        """Say how many stream positions retention took since the last look, unread (at most).

        Other projects of the shard have theirs among them. An integration that had read all
        there was has lost nothing.
        """
        before, self._seen = self._seen, view
        if before is None or not before.pending:
            return 0
        return max(0, view.first_kept - 1 - max(before.read, view.read, before.first_kept - 1))

    def _config(self) -> api.ConsumerConfig:
        config = api.ConsumerConfig(
            durable_name=self._name,
            filter_subject=self._filter,
            ack_policy=api.AckPolicy.ALL,
            ack_wait=_ACK_WAIT,
            max_ack_pending=-1,
            max_deliver=-1,
        )
        if self._last is None:
            config.deliver_policy = api.DeliverPolicy.BY_START_TIME
            config.opt_start_time = datetime.fromtimestamp(self._start_at / 1e6, UTC)
        else:  # somebody deleted it under us
            config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
            config.opt_start_seq = self._last.sequence + 1
        return config


async def delete_cursor(nats: Client, spec_id: str, stream: str) -> None:
    """Delete an integration's consumer; it is fine when there is none."""
    try:
        await nats.jetstream().delete_consumer(stream, spec_id)
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
