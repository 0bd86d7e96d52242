"""Alerts about lines, on real streams and a real database: told once, over every restart."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest

from hub.database import Connection
from hub.errors import Unavailable
from hub.relay.hearing import HeardLines, LineFeed, LinePlace
from hub.relay.streams import shard_stream
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.listener import Listener
from tests.fixtures.alerts import Scene

ERRORS = c.What(
    "errors", "error-rate", "", "err", True, 5, "", 3.0, None, None, level="err", stream="app"
)
SILENT = c.What("quiet", "silence", "", "warning", True, 5, "", None, None, None)
ERROR, INFO = 3, 6


@pytest.fixture
def live(scene: Scene) -> Scene:
    """A scene whose time goes on from the real one, as JetStream's does."""
    scene.is_live = True
    for name in ("dev_1", "dev_2"):
        scene.device(name, online=True)
    return scene


async def test_too_many_bad_lines_are_told_once(live: Scene) -> None:
    """Of a device by itself, of the severity and the stream; and once that they are over."""
    await live.rule(ERRORS)
    live.lasting = live.watcher()
    assert await live.look() == []
    await live.say("dev_1", ERROR, ERROR, INFO, 2)
    await live.say("dev_2", INFO, INFO, INFO, INFO, INFO)
    await live.say("dev_2", ERROR, ERROR, ERROR, ERROR, stream="sys")
    assert await live.look() == []  # three are not more than three
    await live.say("dev_1", ERROR)
    assert await live.look() == ["4 lines err or worse in app of DEV_1 within 5 min (errors)"]
    for minute in (1.0, 2.0, 3.0, 4.0):
        live.minute = minute
        assert await live.look() == []
    live.minute = 6
    assert await live.look() == ["only 0 lines err or worse in app of DEV_1 within 5 min (errors)"]
    assert [told[2] for told in live.told.lines] == [8 + 3, 8 + 5]


async def test_another_hub_goes_on_counting(live: Scene) -> None:
    """What was said to the one before, it reads again; what was told, it does not tell again."""
    await live.rule(ERRORS)
    await live.look()
    await live.say("dev_1", ERROR, ERROR)
    assert await live.look() == []
    await live.say("dev_1", ERROR, ERROR)
    assert len(await live.look()) == 1
    assert await live.look() == []
    live.minute = 3
    assert await live.look() == []
    live.minute = 6
    assert len(await live.look()) == 1
    assert await live.look() == []


async def test_a_burst_between_two_looks_is_told(live: Scene) -> None:
    """Though it is no longer within the rule's time when it is looked at."""
    await live.rule(c.What("e", "error-rate", "", "err", True, 1, "", 1.0, None, None, level="err"))
    live.lasting = live.watcher()
    await live.look()
    await live.say("dev_1", ERROR, ERROR)
    live.minute = 1.5
    assert len(await live.look()) == 1
    assert len(await live.look()) == 1
    assert await live.history() == [("fired", "dev_1", ""), ("resolved", "dev_1", "")]


async def test_a_device_that_says_nothing_is_told(live: Scene) -> None:
    """Connected or not, and whatever it said in other streams, if one is named; told once."""
    await live.rule(SILENT)
    await live.rule(
        c.What("app", "silence", "", "err", True, 3, "", None, None, None, stream="app")
    )
    live.lasting = live.watcher()
    await live.look()
    for minute in (1.0, 2.0, 2.9):
        live.minute = minute
        assert await live.look() == []
    live.minute = 0  # JetStream's clock, by which they speak
    await live.say("dev_1", INFO, stream="sys")
    live.minute = 3.1
    said = await live.look()
    assert said == [
        "no lines in app of DEV_1 for 3 min (app)", "no lines in app of DEV_2 for 3 min (app)",
    ]  # fmt: skip
    live.minute = 4.9
    assert await live.look() == []
    live.minute = 6
    said = await live.look()
    assert said == ["no lines of DEV_1 for 5 min (quiet)", "no lines of DEV_2 for 5 min (quiet)"]
    live.minute = 0
    await live.say("dev_1", INFO, stream="app")
    live.minute = 1
    said = await live.look()
    assert said == ["lines of DEV_1 again (quiet)", "lines in app of DEV_1 again (app)"]


async def test_a_restart_tells_nothing_false_and_forgets_nothing(live: Scene) -> None:
    """The time that a hub is away is no silence; what was told of stays so until it speaks."""
    made = await live.rule(SILENT)
    live.lasting = live.watcher()
    live.minute = -400
    await live.look()
    async with live.database.system() as tx:
        await tx.raw.execute(
            "INSERT INTO alerts_heard VALUES ('prj_a', 'dev_2', 'app', 'acc_a', $1)", live.now
        )
    for minute in (1.5, 3.0, 4.5):
        live.minute = minute - 400
        assert await live.look() == []
    live.minute = -300
    live.lasting = live.watcher()
    assert await live.look() == []
    live.minute = -299.8
    assert await live.look() == []
    live.minute = -299  # four and a half minutes before, and this one
    assert len(await live.look()) == 2
    live.lasting = None  # each look is a hub's first
    live.minute = -100
    assert await live.look() == []
    assert (await live.alerts.get(c.OneRule("acc_a", made.id))).firing == 2
    live.minute = 0
    await live.say("dev_1", INFO)
    assert await live.look() == ["lines of DEV_1 again (quiet)"]
    assert (await live.alerts.get(c.OneRule("acc_a", made.id))).firing == 1


async def test_what_is_known_ends_with_the_rules(live: Scene) -> None:
    """A rule that is off, or a project that is gone: what was heard goes, and it begins anew."""
    made = await live.rule(SILENT)
    await live.say("dev_1", INFO)
    await live.look()
    assert await _rows(live) == (1, 1)
    off = c.What("quiet", "silence", "", "warning", False, 5, "", None, None, None)
    await live.alerts.change(c.ChangeRule("acc_a", made.id, off))
    await live.look()
    assert await _rows(live) == (0, 0)
    await live.alerts.change(c.ChangeRule("acc_a", made.id, SILENT))
    await live.look()
    assert await _rows(live) == (1, 1)
    await live.alerts.project_deleted(peers.ProjectChanged("acc_a", "prj_a"), cast("Any", None))
    assert await _rows(live) == (0, 0)


async def test_lines_that_cannot_be_read_hold_up_no_other_rule(live: Scene) -> None:
    await live.rule(ERRORS)
    await live.rule()
    live.device("dev_1", online=False, seen=-60)
    await live.nats.jetstream().delete_stream(shard_stream(0))
    assert len(await live.look()) == 1
    with pytest.raises(Unavailable):
        async for _ in live.feed.after("prj_a", LinePlace(0), severities=True):
            pass


async def _rows(scene: Scene) -> tuple[int, int]:
    async with scene.database.system() as tx:
        ears = await tx.raw.fetchval("SELECT count(*) FROM alerts_ear")
        return ears, await tx.raw.fetchval("SELECT count(*) FROM alerts_heard")


class Flood:
    """A feed that never comes to its end."""

    def __init__(self) -> None:
        self.asked: list[LinePlace] = []

    async def after(
        self, _: str, place: LinePlace, *, severities: bool
    ) -> AsyncIterator[HeardLines]:
        """Give one batch, of a second later, and then let wait."""
        assert severities
        self.asked.append(place)
        yield HeardLines("dev_1", "app", LinePlace(place.time + 10**9), [])
        await asyncio.Event().wait()


async def test_more_lines_than_can_be_counted_at_a_time_are_counted_on(live: Scene) -> None:
    """It goes on from its place each time, and never begins anew: nothing was missed."""
    rule, flood = await live.rule(ERRORS), Flood()
    listener = Listener(cast("LineFeed", flood))
    async with live.database.session() as raw:
        for minutes in (0, 1.5, 3, 4.5):
            listener._ends = 0.0  # others have had most of the time
            with pytest.raises(Unavailable, match="more lines"):
                await listener.hear(Connection(raw), [rule], live.now + timedelta(minutes=minutes))
    first = flood.asked[0].time
    assert [one.time - first for one in flood.asked] == [0, 10**9, 2 * 10**9, 3 * 10**9]
