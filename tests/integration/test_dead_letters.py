"""Dead letters: listed in order, read, fixed in their place, dropped, replayed exactly once."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import pytest
from nats.aio.client import Client

from hub.batches import Chunk, MetricChunk
from hub.contracts import Bus
from hub.database import Database
from hub.errors import Conflict, Invalid, NotFound, Unavailable
from hub.protocol import Codec, Lines, Samples, decode_lines, encode_batch
from hub.relay import contracts as c
from hub.relay.dead_letters import DeadLetters
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.letter_box import LetterBox
from hub.relay.letters import Letters
from hub.relay.reader import ordered
from hub.relay.replays import Replays
from hub.relay.streams import REPLAY, ensure_streams
from hub.settings import RelaySettings
from tests.fixtures.relay import keeping

PROJECT, INTEGRATION, DEVICE = "prj_one", "int_one", "dev_one"


class Nobody:
    """A bus on which nobody knows a device."""

    async def request(self, *_: object, **__: object) -> None:
        raise Unavailable("nobody knows")


class Desk:
    """Writes dead letters as deliveries do, and asks for them as the API does."""

    def __init__(self, nats: Client, kept: Keeping) -> None:
        self.nats = nats
        self.kept = kept
        self.dead = DeadLetters(nats, kept.room)
        self.told: list[str] = []
        self.letters = Letters(nats, HostNames(cast("Bus", Nobody())), kept)
        self.replays = Replays(nats, kept, replayed=self.told.append)

    async def bury(self, *texts: str, first: int, source: str = INTEGRATION) -> None:
        """Write a letter with these lines."""
        lines = Lines([1_700_000_000_000_000] * len(texts), 14, "app", [*texts])
        chunk = Chunk(PROJECT, DEVICE, "host-1", "app", 1, first, 1_700_000_000_500_000, lines)
        await self.dead.put_chunks(source, [(replace(chunk, labels={"a": "é"}), "too sad: é")])

    async def page(self, limit: int = 100, after: int = 0) -> c.DeadLetters:
        """List letters."""
        return await self.letters.page(c.ListDead(PROJECT, INTEGRATION, limit, after))

    async def texts(self) -> list[list[str]]:
        """Give the texts of every letter."""
        return [await self.texts_of(item.id) for item in (await self.page()).items]

    async def texts_of(self, id: str) -> list[str]:  # noqa: A002
        """Give the texts of one."""
        found = await self.letters.get(c.OneDead(PROJECT, INTEGRATION, id))
        return [line.message for line in found.lines]

    async def fix(self, id: str, *texts: str) -> c.DeadLetter:  # noqa: A002
        """Change the texts of one."""
        return await self.letters.fix(c.FixDead(PROJECT, INTEGRATION, id, [*texts]))

    async def drop(self, *ids: str) -> c.Counted:
        """Drop some, or all."""
        return await self.letters.drop(some(*ids))

    async def replay(self, *ids: str) -> c.Counted:
        """Replay some, or all."""
        return await self.replays.replay(some(*ids))

    async def replayed(self) -> list[tuple[dict[str, str], list[str]]]:
        """Give what lies in the replay stream: headers and texts."""
        async with ordered(self.nats, REPLAY, "replay.>", start=1) as reader:
            return [
                (message.headers, decode_lines(message.payload).messages)
                async for message in reader.stored()
            ]


def some(*ids: str) -> c.SomeDead:
    return c.SomeDead(PROJECT, INTEGRATION, [*ids] or None)


@asynccontextmanager
async def running(nats: Client, database: Database, *, share: float = 1.0) -> AsyncIterator[Desk]:
    async with keeping(nats, database, share=share) as kept:
        desk = Desk(nats, kept)
        tasks = [asyncio.create_task(part.run()) for part in (desk.dead, desk.replays)]
        try:
            yield desk
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def desk(relay_client: Client, core_database: Database) -> AsyncIterator[Desk]:
    await ensure_streams(relay_client.jetstream(), RelaySettings(max_bytes=1 << 26))
    async with running(relay_client, core_database) as desk:
        yield desk


# ── looking ───────────────────────────────────────────────────────────────────────────────────


async def test_pages_lead_through_all_of_them_in_order(desk: Desk) -> None:
    for number in range(1, 8):
        await desk.bury(f"line {number}", first=number)
    await desk.bury("of another", first=1, source="int_two")
    seen: list[str] = []
    after, more = 0, True
    while more:
        page = await desk.page(limit=3, after=after)
        assert page.total == 7
        seen += [item.id for item in page.items]
        after, more = int(page.items[-1].id), page.more
    assert [await desk.texts_of(one) for one in seen] == [[f"line {n}"] for n in range(1, 8)]


async def test_who_reads_waits_for_none_that_was_taken_out_meanwhile(desk: Desk) -> None:
    await desk.bury("a", "b", first=1)
    await desk.bury("c", first=3)
    async with ordered(desk.nats, "DEAD", "dead.>", start=1) as reader:
        assert reader.available == 2
        await desk.drop()
        async with asyncio.timeout(10):
            assert [message async for message in reader.stored()] == []
    await desk.bury("d", first=4)
    async with ordered(desk.nats, "DEAD", "dead.>", start=1) as reader:
        assert [message.sequence async for message in reader.stored()] == [3]


async def test_a_letter_tells_all_that_is_known(desk: Desk) -> None:
    await desk.bury("one", "two", first=7)
    (item,) = (await desk.page()).items
    assert (item.source, item.device, item.host, item.stream) == (
        INTEGRATION, DEVICE, "host-1", "app",
    )  # fmt: skip
    assert (item.reason, item.count, item.lines) == ("too sad: é", 2, [])
    assert item.received == "2023-11-14T22:13:20.500000Z"
    assert item.at > "2026"
    found = await desk.letters.get(c.OneDead(PROJECT, INTEGRATION, item.id))
    assert found.reason == "too sad: é"
    assert found.lines[1] == c.DeadLine(
        f"{DEVICE}-app-1-8", "2023-11-14T22:13:20.000000Z", 14, "app", "two"
    )


async def test_samples_can_be_looked_at(desk: Desk) -> None:
    samples = Samples([1, 2], ["cpu_ratio", "cpu_count"], [0.5, 4.0])
    chunk = MetricChunk(PROJECT, DEVICE, "host-1", "metric.cpu", 1, 5, 9, samples)
    await desk.dead.put_chunks(INTEGRATION, [(chunk, "no")])
    (item,) = (await desk.page()).items
    assert item.count == 2
    found = await desk.letters.get(c.OneDead(PROJECT, INTEGRATION, item.id))
    assert [(line.program, line.message) for line in found.lines] == [
        ("cpu_ratio", "0.5"), ("cpu_count", "4"),
    ]  # fmt: skip
    with pytest.raises(Invalid, match="only lines"):
        await desk.fix(item.id, "1", "2")


async def test_what_nobody_can_read_is_shown_as_it_came(desk: Desk) -> None:
    await desk.dead.put(
        project=PROJECT, source=INTEGRATION, id="x", payload=b"\xff\x00garbage", reason="bad"
    )
    (item,) = (await desk.page()).items
    found = await desk.letters.get(c.OneDead(PROJECT, INTEGRATION, item.id))
    assert base64.b64decode(found.raw) == b"\xff\x00garbage"
    assert (found.lines, found.count) == ([], 0)
    with pytest.raises(Invalid, match="only lines"):
        await desk.fix(item.id, "text")
    with pytest.raises(Invalid, match="cannot be decoded"):
        await desk.replay(item.id)


async def test_a_very_large_letter_is_shown_in_part(desk: Desk) -> None:
    await desk.bury(*(f"{n} {'x' * 2_000}" for n in range(900)), first=1)
    (item,) = (await desk.page()).items
    assert item.count == 900
    assert 100 < len(await desk.texts_of(item.id)) < 900


@pytest.mark.parametrize("id", ["", "0", "-1", "1e3", "٣", "999999", "9" * 30, "9" * 5_000, "abc"])
async def test_what_is_not_there_is_not_found(desk: Desk, id: str) -> None:  # noqa: A002
    await desk.bury("one", first=1)
    wanted = c.OneDead(PROJECT, INTEGRATION, id)
    for asked in (desk.letters.get(wanted), desk.fix(id, "x"), desk.drop(id), desk.replay(id)):
        with pytest.raises(NotFound):
            await asked
    assert (await desk.page()).total == 1


async def test_another_sources_letter_is_not_found(desk: Desk) -> None:
    await desk.bury("one", first=1, source="int_two")
    (item,) = (await desk.letters.page(c.ListDead(PROJECT, "int_two"))).items
    with pytest.raises(NotFound):
        await desk.letters.get(c.OneDead(PROJECT, INTEGRATION, item.id))
    with pytest.raises(NotFound):
        await desk.letters.get(c.OneDead("prj_two", "int_two", item.id))


async def test_a_page_has_its_limits(desk: Desk) -> None:
    await desk.bury("one", first=1)
    assert await desk.page(after=(1 << 63) - 1) == c.DeadLetters([], False, 1)
    for limit in (0, 201):
        with pytest.raises(Invalid):
            await desk.page(limit=limit)


# ── changing ──────────────────────────────────────────────────────────────────────────────────


async def test_a_fixed_letter_keeps_its_id_and_its_place(desk: Desk) -> None:
    for number in range(1, 4):
        await desk.bury(f"line {number}", first=number)
    before = (await desk.page()).items
    fixed = await desk.fix(before[1].id, "better")
    assert [line.message for line in fixed.lines] == ["better"]
    await desk.fix(before[1].id, "best")
    assert await desk.texts() == [["line 1"], ["best"], ["line 3"]]
    assert (await desk.page()).items == before
    assert (await desk.page(limit=1, after=int(before[0].id))).items == [before[1]]
    assert (await desk.page()).total == 3
    assert (await desk.nats.jetstream().stream_info("DEAD")).state.messages == 3


async def test_a_fix_has_a_text_for_each_line(desk: Desk) -> None:
    await desk.bury("one", "two", first=1)
    (item,) = (await desk.page()).items
    with pytest.raises(Invalid) as raised:
        await desk.fix(item.id, "only one")
    assert raised.value.errors[0].pointer == "/messages"
    with pytest.raises(Invalid) as raised:
        await desk.fix(item.id, "fine", "x" * 70_000)
    assert raised.value.errors[0].pointer == "/messages/1"
    assert await desk.texts() == [["one", "two"]]


async def test_of_a_fix_that_a_crash_left_half_done_the_new_one_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.bury("one", first=1)
    await desk.bury("two", first=2)
    first = (await desk.page()).items[0].id

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(LetterBox, "supersede", crash)
        with pytest.raises(ConnectionError):
            await desk.fix(first, "fixed")
    assert await desk.texts() == [["fixed"], ["two"]]
    assert (await desk.drop(first)).letters == 1
    assert await desk.texts() == [["two"]]
    assert (await desk.page()).total == 1


async def test_some_or_all_are_dropped(desk: Desk) -> None:
    for number in range(1, 6):
        await desk.bury(f"line {number}", "and more", first=2 * number)
    await desk.bury("of another", first=1, source="int_two")
    ids = [item.id for item in (await desk.page()).items]
    await desk.fix(ids[3], "fixed", "too")
    assert await desk.drop(ids[0], ids[3]) == c.Counted(2, 4)
    assert await desk.drop() == c.Counted(3, 6)
    assert await desk.drop() == c.Counted(0, 0)
    assert (await desk.letters.page(c.ListDead(PROJECT, "int_two"))).total == 1


async def test_many_are_dropped_in_groups(desk: Desk) -> None:
    await asyncio.gather(*(desk.bury(f"line {n}", first=n) for n in range(1, 451)))
    assert await desk.drop() == c.Counted(450, 450)
    assert (await desk.page()).total == 0


async def test_of_an_integration_that_is_gone_nothing_is_left(desk: Desk) -> None:
    for number in range(1, 4):
        await desk.bury(f"line {number}", first=number)
    ids = [item.id for item in (await desk.page()).items]
    await desk.fix(ids[0], "fixed")
    await desk.replay(ids[1])
    await desk.bury("of another", first=1, source="int_two")
    await desk.letters.forget(INTEGRATION)
    assert (await desk.page()).total == 0
    assert await desk.replayed() == []
    assert await desk.letters.counts(["int_two", INTEGRATION]) == {"int_two": 1, INTEGRATION: 0}


# ── replaying ─────────────────────────────────────────────────────────────────────────────────


async def test_all_are_replayed_in_their_order_with_what_was_fixed(desk: Desk) -> None:
    for number in range(1, 5):
        await desk.bury(f"line {number}", first=number)
    ids = [item.id for item in (await desk.page()).items]
    await desk.fix(ids[1], "fixed")
    assert await desk.replay() == c.Counted(4, 4)
    replayed = await desk.replayed()
    assert [texts for _, texts in replayed] == [["line 1"], ["fixed"], ["line 3"], ["line 4"]]
    headers = replayed[1][0]
    assert headers["Isaax-Batch"] == f"{DEVICE}:app:1:2:1"
    assert headers["Isaax-Received"] == "1700000000500000"
    assert headers["Isaax-Labels"] == '{"a": "\\u00e9"}'
    assert headers["Isaax-Host"] == "host-1"
    assert not {"Isaax-Fixes", "Isaax-Died"} & headers.keys()
    assert (await desk.page()).total == 0
    assert desk.told == [INTEGRATION]


async def test_exactly_those_that_are_asked_for_are_replayed_in_order(desk: Desk) -> None:
    for number in range(1, 6):
        await desk.bury(f"line {number}", first=number)
    ids = [item.id for item in (await desk.page()).items]
    assert await desk.replay(ids[3], ids[1], ids[1]) == c.Counted(2, 2)
    assert [texts for _, texts in await desk.replayed()] == [["line 2"], ["line 4"]]
    assert await desk.texts() == [["line 1"], ["line 3"], ["line 5"]]


async def test_what_cannot_be_decoded_stays_when_all_are_replayed(desk: Desk) -> None:
    await desk.bury("line 1", first=1)
    await desk.dead.put(
        project=PROJECT, source=INTEGRATION, id="x", payload=b"garbage", reason="bad"
    )
    await desk.bury("line 3", first=3)
    assert await desk.replay() == c.Counted(2, 2)
    assert [texts for _, texts in await desk.replayed()] == [["line 1"], ["line 3"]]
    assert (await desk.page()).total == 1
    assert await desk.replay() == c.Counted(0, 0)


async def test_many_are_replayed_in_order(desk: Desk) -> None:
    for number in range(1, 451):
        await desk.bury(f"line {number}", first=number)
    assert await desk.replay() == c.Counted(450, 450)
    assert [texts for _, texts in await desk.replayed()] == [[f"line {n}"] for n in range(1, 451)]


async def test_a_crash_between_handing_over_and_taking_out_repeats_nothing(
    desk: Desk, core_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        await desk.bury(f"line {number}", first=number)

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(LetterBox, "remove_until", crash)
        with pytest.raises(ConnectionError):
            await desk.replay()
    assert (await desk.page()).total == 3
    async with running(desk.nats, core_database) as again:
        assert await again.replay() == c.Counted(3, 3)
    assert [texts for _, texts in await desk.replayed()] == [[f"line {n}"] for n in range(1, 4)]
    assert (await desk.page()).total == 0


async def test_lines_are_numbered_without_a_hole_whatever_jetstream_had_already(
    desk: Desk, core_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who delivers them would else count the hole as lines that age took."""
    await desk.bury("a", "b", first=1)
    assert (await desk.replay()).letters == 1
    for first in (3, 5, 8):
        await desk.bury(*(f"line {n}" for n in range(first % 3 + 1)), first=first)
    chosen = (await desk.page()).items[1].id

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(LetterBox, "remove", crash)
        with pytest.raises(ConnectionError):
            await desk.replay(chosen)
    async with running(desk.nats, core_database) as again:
        assert await again.replay() == c.Counted(3, 7)
    numbers = [(int(headers["Isaax-Line"]), len(texts)) for headers, texts in await desk.replayed()]
    assert numbers == [(0, 2), (2, 3), (5, 1), (6, 3)]
    assert await desk.kept.places.replayed(INTEGRATION) == 9


async def test_one_that_was_fixed_after_such_a_crash_goes_as_it_is_now(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.bury("line 1", first=1)

    async def crash(*_: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(LetterBox, "remove_until", crash)
        with pytest.raises(ConnectionError):
            await desk.replay()
    (item,) = (await desk.page()).items
    await desk.fix(item.id, "fixed")
    await desk.replay()
    assert [texts for _, texts in await desk.replayed()] == [["line 1"], ["fixed"]]


async def test_a_replay_that_would_displace_another_is_refused(
    relay_client: Client, core_database: Database
) -> None:
    js = relay_client.jetstream()
    await ensure_streams(js, RelaySettings(max_bytes=1 << 18))  # a replay may take 32 KiB
    async with running(relay_client, core_database) as desk:
        payload = encode_batch(
            Lines([1], 14, "app", [base64.b85encode(bytes(range(256)) * 20).decode()]),
            boot=1, first=1, codec=Codec.NONE,
        )  # fmt: skip
        for number in range(8):
            await desk.dead.put(
                project=PROJECT, source=INTEGRATION, id=str(number), payload=payload, reason="no"
            )
        ids = [item.id for item in (await desk.page()).items]
        first = await desk.replay(*ids[1:])
        assert first.more
        assert 0 < first.letters < 7

        async def until_refused() -> None:
            while await desk.replay():
                pass

        with pytest.raises(Conflict, match="takes all the room"):
            await until_refused()
        replayed = len(await desk.replayed())
        assert replayed >= first.letters
        assert (await desk.page()).total == 8 - replayed


async def test_without_jetstream_it_says_so(desk: Desk, relay_client: Client) -> None:
    await relay_client.close()
    with pytest.raises(Unavailable):
        await desk.page()
    assert await desk.letters.counts([INTEGRATION]) == {}
