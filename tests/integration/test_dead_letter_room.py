"""Room for dead letters and replays: who has to make it, and what is lost is counted."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest
from nats.aio.client import Client

from hub.batches import Chunk
from hub.contracts import Bus, Endpoint
from hub.database import Database
from hub.errors import Conflict, Unavailable
from hub.memory_bus import MemoryBus
from hub.protocol import Lines
from hub.relay import contracts as c
from hub.relay.books import Owner
from hub.relay.dead_letters import DeadLetters
from hub.relay.follower import Follower
from hub.relay.hosts import HostNames
from hub.relay.keeping import Keeping
from hub.relay.letters import Letters
from hub.relay.locks import Locks
from hub.relay.losses import Lost
from hub.relay.owners import Owners
from hub.relay.replays import Replays
from hub.relay.room import AskedRoom
from hub.relay.streams import DEAD, REPLAY, ensure_streams
from hub.relay.tasks import Tasks
from hub.settings import RelaySettings
from hub.telemetry import Metrics
from tests.fixtures.relay import until

SMALL = RelaySettings(max_bytes=1 << 23)
"""2 MiB for dead letters, and 1 MiB for replays."""
ROOM = 1 << 21


class Hub:
    """The relay's process, as far as it keeps dead letters; several may follow each other."""

    def __init__(self, nats: Client, database: Database) -> None:
        self.nats = nats
        self.database = database
        self.accounts: dict[str, str] = {}
        self.bus = MemoryBus()
        self.metrics = Metrics()
        self._numbers: dict[str, int] = {}

    async def who(self, request: c.AccountsOf) -> c.Accounts:
        """Answer as whoever keeps projects."""
        return c.Accounts({p: self.accounts[p] for p in request.projects if p in self.accounts})

    @asynccontextmanager
    async def running(self, *, share: float = 0.25) -> AsyncIterator["Running"]:
        """Run one."""
        async with AsyncExitStack() as stack:
            answers = Endpoint(c.PROJECT_ACCOUNTS, self.who)
            await stack.enter_async_context(self.bus.serve("projects", "1.0.0", [answers]))
            group = await stack.enter_async_context(asyncio.TaskGroup())
            tasks = Tasks(group)
            stack.push_async_callback(tasks.cancel)
            kept = Keeping.of(self.nats, self.bus, self.database, self.metrics, share=share)
            await stack.enter_async_context(kept.running(tasks))
            await kept.dead.ready.wait()
            yield Running(self, kept, tasks)

    def number(self, source: str) -> int:
        """Give the number of a source's next letter."""
        self._numbers[source] = self._numbers.get(source, 0) + 1
        return self._numbers[source]


class Running:
    """What runs of it."""

    def __init__(self, hub: Hub, kept: Keeping, tasks: Tasks) -> None:
        self.hub = hub
        self.kept = kept
        self.dead = DeadLetters(hub.nats, kept.room)
        self.letters = Letters(hub.nats, HostNames(hub.bus), kept)
        self.replays = Replays(hub.nats, kept, replayed=lambda _integration: None)
        tasks.start(self.dead.run())
        tasks.start(self.replays.run())

    async def bury(self, project: str, source: str, count: int = 1, *, size: int = 4_000) -> None:
        """Write letters of a line each, all at once; `size` in bytes, as they are stored."""
        chunks = []
        for _ in range(count):
            number = self.hub.number(source)
            noise = base64.b85encode(random.Random(number).randbytes(size)).decode()
            lines = Lines([1], 14, "app", [f"{number:06} {noise}"])
            chunks.append(Chunk(project, f"dev_{source}", "h", "app", 1, number, 1, lines))
        await self.dead.put_chunks(source, [(chunk, "too sad") for chunk in chunks])

    async def numbers(self, project: str, source: str) -> list[int]:
        """Give the numbers of the letters that a source has."""
        found: list[int] = []
        more = True
        after = 0
        while more:
            page = await self.letters.page(c.ListDead(project, source, 200, after))
            for item in page.items:
                one = await self.letters.get(c.OneDead(project, source, item.id))
                found.append(int(one.lines[0].message.split()[0]))
            after, more = int(page.items[-1].id) if page.items else 0, page.more
        return found

    def lost(self, project: str, source: str) -> int:
        """Say how many letters a source lost."""
        return self.kept.losses.of(Owner(project, source)).letters

    async def vanish(self, *, before: int) -> None:
        """Have the first messages of DEAD gone, as age takes them."""
        await self.hub.nats.jetstream().purge_stream(DEAD, seq=before)
        await self.kept.dead.refresh()


@pytest.fixture
async def hub(relay_client: Client, core_database: Database) -> Hub:
    await ensure_streams(relay_client.jetstream(), SMALL)
    return Hub(relay_client, core_database)


async def last(hub: Hub, stream: str = DEAD) -> int:
    return (await hub.nats.jetstream().stream_info(stream)).state.last_seq


# ── whose letters make room ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at_once", [1, 25, 900])
async def test_a_flood_displaces_the_oldest_letters_of_its_own_project_alone(
    hub: Hub, at_once: int
) -> None:
    async with hub.running() as running:
        await running.bury("prj_quiet", "int_quiet", 5)
        for _ in range(900 // at_once):
            await running.bury("prj_loud", "int_loud", at_once)
        await running.bury("prj_quiet", "int_quiet", 5)
        assert await running.numbers("prj_quiet", "int_quiet") == list(range(1, 11))
        left = await running.numbers("prj_loud", "int_loud")
        assert left == list(range(901 - len(left), 901)), "its newest"
        assert len(left) > 50
        assert running.lost("prj_loud", "int_loud") == 900 - len(left)
        assert running.lost("prj_quiet", "int_quiet") == 0
        await running.kept.dead.refresh()
        assert running.kept.dead.books.weights["prj_loud"] <= max(0.25 * ROOM, at_once * 5_000)


async def test_within_a_project_the_source_that_holds_most_makes_room(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_quiet", 10)
        await running.bury("prj_one", "intake", 10)
        for _ in range(20):
            await running.bury("prj_one", "int_loud", 20)
        assert len(await running.numbers("prj_one", "int_quiet")) == 10
        assert len(await running.numbers("prj_one", "intake")) == 10
        assert running.lost("prj_one", "int_loud") > 0


async def test_where_all_is_full_the_account_that_holds_most_makes_room(hub: Hub) -> None:
    """Its many projects hold their shares, and no more than others each."""
    hub.accounts = {f"prj_{n}": "acc_greedy" for n in range(8)} | {"prj_small": "acc_small"}
    async with hub.running(share=0.2) as running:
        await running.bury("prj_small", "int_small", 60)  # more than each of the others
        for _ in range(5):
            for number in range(8):
                await running.bury(f"prj_{number}", f"int_{number}", 10)
        assert len(await running.numbers("prj_small", "int_small")) == 60
        assert running.kept.losses.letters_in(hub.accounts) > 0
        assert running.lost("prj_small", "int_small") == 0
        state = (await hub.nats.jetstream().stream_info(DEAD)).state
        assert state.bytes < 0.95 * ROOM, "JetStream itself displaced nothing"


async def test_without_an_answer_each_project_stands_for_itself(hub: Hub) -> None:
    class Silent:
        async def request(self, *_: object, **__: object) -> None:
            raise Unavailable("nobody")

    owners = Owners(cast("Bus", Silent()))
    assert await owners.of(["prj_a", "prj_b"]) == {"prj_a": "prj_a", "prj_b": "prj_b"}


async def test_accounts_are_asked_for_again_when_there_is_a_new_project(hub: Hub) -> None:
    now = [0.0]
    asked: list[list[str]] = []

    class Directory:
        async def request(
            self, _: object, request: c.AccountsOf, *, timeout: float | None = None
        ) -> c.Accounts:
            asked.append(request.projects)
            return c.Accounts(dict.fromkeys(request.projects, "acc_one"))

    owners = Owners(cast("Bus", Directory()), clock=lambda: now[0])
    assert await owners.of(["prj_a"]) == await owners.of(["prj_a"]) == {"prj_a": "acc_one"}
    assert await owners.of(["prj_b", "prj_a"]) == dict.fromkeys(["prj_a", "prj_b"], "acc_one")
    now[0] = 601.0
    await owners.of(["prj_a"])
    assert asked == [["prj_a"], ["prj_a", "prj_b"], ["prj_a"]]


async def test_who_delivers_in_another_process_asks_for_room(hub: Hub) -> None:
    async with hub.running() as running:
        beside = DeadLetters(hub.nats, AskedRoom(hub.bus))
        task = asyncio.ensure_future(beside.run())
        running.dead = beside
        try:
            await running.bury("prj_one", "int_one")  # nobody answers: written all the same
            answers = Endpoint(c.MAKE_ROOM, running.kept.room.make)
            async with hub.bus.serve("relay", "1.0.0", [answers]):
                for _ in range(30):
                    await running.bury("prj_one", "int_one", 10)
            left = await running.numbers("prj_one", "int_one")
            assert left == list(range(302 - len(left), 302))
            assert running.lost("prj_one", "int_one") == 301 - len(left) > 0
        finally:
            task.cancel()


async def test_a_letter_that_was_fixed_makes_room_in_its_turn(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 3)
        first = (await running.letters.page(c.ListDead("prj_one", "int_one"))).items[0]
        await running.letters.fix(c.FixDead("prj_one", "int_one", first.id, ["000001 fixed"]))
        for _ in range(20):
            await running.bury("prj_one", "int_one", 20)
        left = await running.numbers("prj_one", "int_one")
        assert left == list(range(404 - len(left), 404))
        assert running.lost("prj_one", "int_one") == 403 - len(left)
        subjects = await hub.nats.jetstream().stream_info(DEAD, subjects_filter="dead.>")
        assert set(subjects.state.subjects or {}) == {"dead.prj_one.int_one"}


# ── what is lost ──────────────────────────────────────────────────────────────────────────────


async def test_what_age_takes_is_counted_and_what_people_take_out_is_not(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 6)
        await running.bury("prj_two", "intake", 2)
        ids = [i.id for i in (await running.letters.page(c.ListDead("prj_one", "int_one"))).items]
        await running.letters.drop(c.SomeDead("prj_one", "int_one", ids[:1]))
        await running.replays.replay(c.SomeDead("prj_one", "int_one", ids[1:2]))
        await running.letters.fix(c.FixDead("prj_one", "int_one", ids[2], ["000003 fixed"]))
        await running.vanish(before=5)
        assert await running.numbers("prj_one", "int_one") == [3, 5, 6], "the fixed one is newer"
        assert running.kept.losses.of(Owner("prj_one", "int_one")) == Lost(1, 1)
        await running.letters.drop(c.SomeDead("prj_one", "int_one"))
        await running.vanish(before=await last(hub) + 1)
        assert running.kept.losses.of(Owner("prj_one", "int_one")) == Lost(1, 1)
        page = await running.letters.page(c.ListDead("prj_two", "intake"))
        assert (page.total, page.lost) == (0, 2)
        rendered = hub.metrics.render()
        assert b'isaax_dead_letters_lost_total{source="int_one"} 1.0' in rendered
        assert b'isaax_dead_letters_lost_lines_total{source="intake"} 2.0' in rendered


async def test_age_itself_is_noticed(relay_client: Client, core_database: Database) -> None:
    js = relay_client.jetstream()
    await ensure_streams(js, RelaySettings(max_bytes=1 << 23, max_age=1.0))
    async with Hub(relay_client, core_database).running() as running:
        await running.bury("prj_one", "int_one", 4)

        async def is_counted() -> bool:
            await running.kept.dead.refresh()
            return running.lost("prj_one", "int_one") == 4

        await until(is_counted)
        assert running.kept.dead.books.weights == {}


async def test_what_is_lost_while_the_hub_is_down_is_counted_at_its_start(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 6)
        await running.bury("prj_two", "intake", 3)
        ids = [i.id for i in (await running.letters.page(c.ListDead("prj_one", "int_one"))).items]
        await running.letters.fix(c.FixDead("prj_one", "int_one", ids[0], ["000001 fixed"]))
        await running.letters.drop(c.SomeDead("prj_one", "int_one", ids[5:]))
    await hub.nats.jetstream().purge_stream(DEAD, seq=4)
    async with hub.running() as running:
        await running.kept.losses.settled.wait()
        assert running.kept.losses.of(Owner("prj_one", "int_one")) == Lost(2, 2)
        assert running.lost("prj_two", "intake") == 0
        assert await running.numbers("prj_one", "int_one") == [1, 4, 5]
    async with hub.running() as running:
        await running.kept.losses.settled.wait()
        assert running.lost("prj_one", "int_one") == 2, "counted once, and not forgotten"
        await running.kept.losses.forget("int_one")
        await running.letters.drop(c.SomeDead("prj_two", "intake", gone=True))
    async with hub.running() as running:
        assert running.lost("prj_one", "int_one") == 0
        async with hub.database.system() as tx:
            rows = await tx.raw.fetch("SELECT source FROM relay_letters")
        assert {row["source"] for row in rows} == {"int_one"}, "its letters are still there"


async def test_what_somebody_takes_from_the_middle_is_counted(hub: Hub) -> None:
    """As an operator does by the tools of NATS; and what they leave of a fix counts once."""
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 5)
        await running.bury("prj_two", "int_two", 1)
        await hub.nats.jetstream().delete_msg(DEAD, 3)
        await running.kept.dead.refresh()
        headers = {"Isaax-Fixes": "4"}
        await hub.nats.jetstream().publish("dead.prj_one.int_one.fixed.4", b"x", headers=headers)
        await running.kept.dead.refresh()
        assert running.lost("prj_one", "int_one") == 1
        assert list(running.kept.dead.books.shelves[Owner("prj_one", "int_one")]) == [1, 2, 4, 5]
        assert running.lost("prj_two", "int_two") == 0


async def test_what_could_not_be_deleted_is_found_again(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 3)
        await running.kept.dead.take_out(Owner("prj_one", "int_one"), [2])  # and no more
        assert list(running.kept.dead.books.shelves[Owner("prj_one", "int_one")]) == [1, 3]
        await running.kept.dead.refresh()
        assert list(running.kept.dead.books.shelves[Owner("prj_one", "int_one")]) == [1, 2, 3]
        assert running.lost("prj_one", "int_one") == 0


async def test_a_stream_that_is_made_anew_is_followed_from_its_start(hub: Hub) -> None:
    js = hub.nats.jetstream()
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 5)
        await js.delete_stream(DEAD)
        await ensure_streams(js, SMALL)
        await js.publish("dead.prj_one.int_one", b"x")

        async def is_followed() -> bool:
            await running.kept.dead.refresh()
            return running.kept.dead.books.letters == 1 and running.kept.dead.position == 1

        await until(is_followed)
        assert running.lost("prj_one", "int_one") == 5


async def test_nothing_is_taken_out_before_it_is_known(hub: Hub) -> None:
    follower = Follower(hub.nats, DEAD, Locks())
    with pytest.raises(Unavailable, match="being counted"):
        await follower.take_out(Owner("prj_one", "int_one"), [1])


# ── room for replays ──────────────────────────────────────────────────────────────────────────


async def replay_all(running: Running, project: str, source: str) -> tuple[int, str]:
    """Replay until there is no room: give how many letters went, and what was said."""
    letters = 0
    while True:
        try:
            done = await running.replays.replay(c.SomeDead(project, source))
        except Conflict as error:
            return letters, error.detail
        letters += done.letters
        if not done.more:
            return letters, ""


async def test_a_replay_takes_no_more_than_its_projects_share(hub: Hub) -> None:
    async with hub.running(share=0.25) as running:
        await running.bury("prj_one", "int_one", 90)
        await running.bury("prj_two", "int_two", 20)
        went, words = await replay_all(running, "prj_one", "int_one")
        assert 40 < went < 70
        assert words == (
            "what was replayed of this project before is not delivered yet and takes all the room"
        )
        assert await replay_all(running, "prj_two", "int_two") == (20, "")
        assert len(await running.numbers("prj_one", "int_one")) == 90 - went
        # Once it is delivered, the rest goes.
        await hub.nats.jetstream().purge_stream(REPLAY, subject="replay.prj_one.int_one")
        assert (await running.replays.replay(c.SomeDead("prj_one", "int_one"))).letters > 20


async def test_one_letter_may_go_however_small_the_share_is(hub: Hub) -> None:
    async with hub.running(share=1e-6) as running:
        await running.bury("prj_one", "int_one", 1)
        assert await replay_all(running, "prj_one", "int_one") == (1, "")
        await running.bury("prj_one", "int_one", 1)
        went, words = await replay_all(running, "prj_one", "int_one")
        assert went == 0
        assert "of this project" in words


async def test_what_was_delivered_before_a_start_takes_no_room_and_no_time(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_one", 5)
        assert await replay_all(running, "prj_one", "int_one") == (5, "")
        await hub.nats.jetstream().purge_stream(REPLAY)
        await running.kept.replays.refresh()
        assert running.kept.replays.books.letters == 0
    async with hub.running() as running:
        await running.kept.replays.refresh()
        assert running.kept.replays.position == await last(hub, REPLAY) == 5


async def test_what_is_gone_before_it_was_seen_is_not_waited_for(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.relay.follower._BEHIND", 1_000.0)
    follower = Follower(hub.nats, DEAD, Locks())
    for _ in range(3):
        await hub.nats.jetstream().publish("dead.prj_one.int_one", b"x")
    await hub.nats.jetstream().purge_stream(DEAD)
    async with asyncio.timeout(10):
        await follower.refresh()
    assert follower.position == 3
    assert follower.ready.is_set()


async def test_who_replays_in_parts_sees_what_was_delivered_of_the_first(hub: Hub) -> None:
    async with hub.running() as running:
        await running.bury("prj_one", "int_zero", 1)
        await running.bury("prj_one", "int_one", 90)
        assert await replay_all(running, "prj_one", "int_zero") == (1, "")
        went, _ = await replay_all(running, "prj_one", "int_one")
        await hub.nats.jetstream().purge_stream(REPLAY, subject="replay.prj_one.int_one")
        async with asyncio.timeout(10):
            done = await running.replays.replay(c.SomeDead("prj_one", "int_one"))
        assert done.letters == min(went, 90 - went)


async def test_an_account_leaves_as_much_room_as_it_takes(hub: Hub) -> None:
    hub.accounts = {"prj_a": "acc_one", "prj_b": "acc_one", "prj_c": "acc_two"}
    async with hub.running(share=1.0) as running:
        for project in ("prj_a", "prj_b", "prj_c"):
            await running.bury(project, f"int_{project}", 125)
        sizes = [(await replay_all(running, p, f"int_{p}"))[0] for p in ("prj_a", "prj_b")]
        went, words = await replay_all(running, "prj_c", "int_prj_c")
        assert sum(sizes) * 4_200 < (1 << 20) * 0.5
        assert went * 4_200 > (1 << 20) * 0.15, "there is room for another"
        assert words == "what was replayed before is not delivered yet and takes all the room"
