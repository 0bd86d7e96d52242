"""Intake against a model of JetStream that loses, delays and refuses: nothing acked is lost.

Whatever a device sends in whatever order, and however publishing fails: the stream holds each line
once and in order, everything that was acknowledged is in it, and the device can always go on.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

import hypothesis.strategies as st
import nats.errors
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from nats.aio.client import Client

from hub.contracts import Bus
from hub.protocol import Lines, Mark, decode_lines, encode_batch
from hub.relay.admission import Rates
from hub.relay.counts import CountKey, LineCounts
from hub.relay.dead_letters import DeadLetters
from hub.relay.intake import Intake
from hub.relay.limits import Gate
from hub.relay.marks import MarkKey, MarkTable
from hub.relay.meters import IntakeMeters
from hub.relay.retry import Backoff
from hub.relay.stored import LINE, BatchId
from hub.relay.usage import Usage
from hub.relay.writer import Writer
from hub.telemetry import Metrics
from tests.fixtures.relay import DEVICE, PROJECT, Answers, Directory, Message, topic

KEY = MarkKey(PROJECT, DEVICE, "app")
COUNT = CountKey("log", PROJECT)


@dataclass
class Reply:
    data: bytes


@dataclass
class Publish:
    subject: str
    payload: bytes
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return self.headers["Nats-Msg-Id"]


def lines_of(message: Publish) -> int:
    """What a stored message counts for."""
    return 0 if ".void." in message.subject else BatchId.parse(message.id).lines


@dataclass
class FakeJetStream:
    """Stores what is published, with dedup and atomic batches, and fails as it is told.

    Each request to the relay's stream takes the next of `plan`: `ok`; `lost` (never arrived);
    `unheard` (stored, but the ack is lost); `late` (arrives before the next request);
    `refused`.
    """

    stream: list[Publish] = field(default_factory=list)
    dead: list[Publish] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    staged: dict[str, list[Publish]] = field(default_factory=dict)
    late: list[list[Publish]] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    is_connected: bool = True

    async def publish(self, subject: str, payload: bytes, *, headers: dict[str, str]) -> None:
        self.staged.setdefault(headers["Nats-Batch-Id"], []).append(
            Publish(subject, payload, headers)
        )

    async def request(
        self, subject: str, payload: bytes, *, timeout: float, headers: dict[str, str]
    ) -> Reply:
        message = Publish(subject, payload, headers)
        if subject.startswith("dead."):
            self.dead += [*self.staged.pop(headers.get("Nats-Batch-Id", ""), []), message]
            return Reply(json.dumps({"stream": "DEAD", "seq": len(self.dead)}).encode())
        self.arrive_late()
        group = [*self.staged.pop(headers.get("Nats-Batch-Id", ""), []), message]
        await asyncio.sleep(0)
        match self.plan.pop(0) if self.plan else "ok":
            case "lost":
                raise nats.errors.TimeoutError
            case "late":
                self.late.append(group)
                raise nats.errors.TimeoutError
            case "refused":
                return Reply(b'{"error": {"code": 503, "err_code": 10077, "description": "no"}}')
            case "unheard":
                self.store(group)
                raise nats.errors.TimeoutError
            case _:
                return Reply(json.dumps(self.store(group)).encode())

    def arrive_late(self) -> None:
        for group in self.late:
            self.store(group)
        self.late.clear()

    def store(self, group: list[Publish]) -> dict[str, Any]:
        known = [message for message in group if message.id in self.ids]
        if known and len(group) > 1:
            return {"error": {"code": 400, "err_code": 10201, "description": "duplicate"}}
        if known:
            return {"stream": "R", "seq": self.ids[known[0].id], "duplicate": True}
        for message in group:
            self.stream.append(message)
            self.ids[message.id] = len(self.stream)
        return {"stream": "R", "seq": len(self.stream)}


class IntakeMachine(RuleBasedStateMachine):
    """One device's stream, in any order, through crashes and failures."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.nats = FakeJetStream()
        self.answers = Answers()
        self.messages: list[Message] = []
        self.checkpoint: tuple[dict[MarkKey, Mark], int, int] = ({}, 0, 0)
        self.boot = 1
        self.task: asyncio.Task[None] | None = None
        self.run(self.begin(MarkTable(), LineCounts(), 0))

    async def begin(self, marks: MarkTable, counts: LineCounts, place: int) -> None:
        client = cast("Client", self.nats)
        self.marks = marks
        self.counts = counts
        self.gate = Gate(cast("Bus", Directory()), Rates())
        self.dead = DeadLetters(client)
        meters = IntakeMeters.of(Metrics())
        self.writer = Writer(
            client,
            shards=1,
            places={"RELAY_0": place},
            marks=marks,
            counts=counts,
            usage=Usage(),
            meters=meters,
            backoff=lambda: Backoff(base=0.0, cap=0.0),
        )
        self.intake = Intake(
            self.writer,
            marks=marks,
            gate=self.gate,
            dead=self.dead,
            answer=self.answers,
            meters=meters,
        )
        self.task = asyncio.ensure_future(self.both())

    async def both(self) -> None:
        await asyncio.gather(self.writer.run(), self.dead.run())

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def send(self, payload: bytes) -> None:
        message = Message(topic(), payload)
        self.messages.append(message)
        self.run(self.accept(message))

    async def accept(self, message: Message) -> None:
        self.intake.accept(message)
        await asyncio.sleep(0)

    def batch(self, first: int, count: int, *, missing: int = 0) -> bytes:
        numbers = range(first, first + count)
        texts = ["missing" if missing else f"{self.boot}:{n}" for n in numbers]
        lines = Lines([1] * count, 14, "app", texts)
        return encode_batch(lines, boot=self.boot, first=first, span=count + missing)

    # ── what a device does ──

    @rule(first=st.integers(1, 30), count=st.integers(1, 6))
    def sends_any_batch(self, first: int, count: int) -> None:
        self.send(self.batch(first, count))

    @rule(count=st.integers(1, 4), times=st.integers(1, 5))
    def sends_the_next_batches(self, count: int, times: int) -> None:
        for _ in range(times):
            offered = self.marks._entry(KEY).offered
            following = offered.seq + 1 if offered.boot == self.boot else 1
            self.send(self.batch(following, count))

    @rule(first=st.integers(1, 30), count=st.integers(1, 3), missing=st.integers(1, 5))
    def sends_a_batch_with_lost_lines(self, first: int, count: int, missing: int) -> None:
        self.send(self.batch(first, count, missing=missing))

    @rule(first=st.integers(1, 30), count=st.integers(1, 3), cut=st.booleans())
    def sends_garbage_in_its_place(self, first: int, count: int, cut: bool) -> None:
        payload = bytearray(self.batch(first, count))
        if cut:
            del payload[24:]
        else:
            payload[1] = 9
        self.send(bytes(payload))

    @rule(payload=st.binary(max_size=60))
    def sends_garbage(self, payload: bytes) -> None:
        if payload[:1] != b"\x01":  # what happens to read as a batch is the device's own say
            self.send(payload)

    @rule()
    def loses_its_spool(self) -> None:
        self.boot += 1

    # ── what JetStream and the hub do ──

    @rule(plan=st.lists(st.sampled_from(["ok", "lost", "unheard", "late", "refused"]), max_size=6))
    def fails(self, plan: list[str]) -> None:
        self.nats.plan += plan

    @rule()
    def turns(self) -> None:
        self.run(asyncio.sleep(0))

    @rule()
    def settles(self) -> None:
        self.run(self.drain())
        assert all(message.acked for message in self.messages)

    async def drain(self) -> None:
        async with asyncio.timeout(5):
            await self.intake.drain()

    @rule()
    def writes_a_checkpoint(self) -> None:
        marks, _, _ = self.checkpoint
        place = self.writer.places()["RELAY_0"]
        self.checkpoint = (marks | self.marks.take_changed(), self.counts.durable(COUNT), place)

    @rule()
    def crashes(self) -> None:
        self.run(self.end())
        self.nats.arrive_late()  # what was on its way is in before the next process looks
        self.nats.staged.clear()
        self.nats.plan.clear()
        self.messages.clear()
        marks, counts = MarkTable(), LineCounts()
        known, counted, place = self.checkpoint
        counts.stored(COUNT, counted)
        for key, mark in known.items():
            marks.stored(key, mark)
        for message in self.nats.stream[place:]:
            batch = BatchId.parse(message.id)
            marks.stored(KEY, Mark(batch.boot, batch.last))
            counts.stored(COUNT, int(message.headers[LINE]) + lines_of(message))
        self.run(self.begin(marks, counts, len(self.nats.stream)))

    async def end(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.gate.close()

    @precondition(lambda self: not self.nats.plan and not self.nats.late)
    @rule()
    def an_hour_passes(self) -> None:
        self.run(self.drain())
        self.nats.ids.clear()

    # ── what must hold ──

    @invariant()
    def each_position_is_stored_once_and_in_order(self) -> None:
        if not hasattr(self, "nats"):
            return
        mark = Mark()
        for message in self.nats.stream:
            batch = BatchId.parse(message.id)
            if batch.boot == mark.boot:
                assert batch.first == mark.seq + 1, "no hole, no repetition"
            else:
                assert batch.boot > mark.boot
                assert batch.first == 1
            mark = Mark(batch.boot, batch.last)
            if ".void." in message.subject:
                continue
            texts = decode_lines(message.payload).messages
            if "missing" not in texts:
                assert texts == [f"{batch.boot}:{n}" for n in range(batch.first, batch.last + 1)]

    @invariant()
    def each_message_says_how_many_lines_came_before_it(self) -> None:
        if not hasattr(self, "nats"):
            return
        before = 0
        for message in self.nats.stream:
            assert int(message.headers[LINE]) == before
            before += lines_of(message)

    @invariant()
    def what_was_acknowledged_is_stored(self) -> None:
        if not hasattr(self, "nats"):
            return
        held = Mark()
        for message in self.nats.stream:
            batch = BatchId.parse(message.id)
            held = max(held, Mark(batch.boot, batch.last))
        for answer in map(json.loads, self.answers.payloads):
            if answer["op"] == "ack":
                assert Mark(answer["boot"], answer["seq"]) <= held

    @invariant()
    def what_has_no_place_is_a_dead_letter(self) -> None:
        if not hasattr(self, "nats"):
            return
        void = [message.id for message in self.nats.stream if ".void." in message.subject]
        kept = {message.id.removeprefix("intake:") for message in self.nats.dead}
        assert set(void) <= kept

    def teardown(self) -> None:
        """In the end the device can go on: what it sends next is stored and acknowledged."""
        if not hasattr(self, "nats"):
            return
        try:
            self.goes_on()
        finally:
            self.run(self.end())
            self.loop.close()

    def goes_on(self) -> None:
        """Send the first batch of a new life of the spool."""
        self.nats.plan.clear()
        self.run(self.drain())
        self.boot += 1
        self.send(self.batch(1, 2))
        self.run(self.drain())
        assert self.marks.of_device(PROJECT, DEVICE) == {"app": Mark(self.boot, 2)}
        assert json.loads(self.answers.payloads[-1]) == {
            "op": "ack", "stream": "app", "boot": self.boot, "seq": 2,
        }  # fmt: skip
        self.each_position_is_stored_once_and_in_order()


IntakeMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestIntake = IntakeMachine.TestCase
