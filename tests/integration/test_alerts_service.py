"""Alerts on a real database: told once, whatever ends in between, and only of what there is."""

from typing import Any, cast

import msgspec
import pytest

from hub.errors import Invalid, LimitReached, NotFound, PreconditionFailed
from services.alerts import contracts as c
from services.alerts import peers
from services.alerts.rules import MOST
from tests.fixtures.alerts import FULL, OFFLINE, Scene


async def test_a_device_that_is_away_is_told_once(scene: Scene) -> None:
    """And once that it is back; by lines of the project's agents, of their severities."""
    await scene.rule()
    for name in ("dev_1", "dev_2", "dev_3"):
        scene.device(name, online=True)
    said = []
    for minute in range(12):
        scene.minute = minute
        scene.device("dev_2", online=minute >= 9, seen=2 if minute < 9 else minute)
        said.append(await scene.look())
        assert await scene.history(firing=True) == [("fired", "dev_2", "")] * (7 <= minute < 9)
    assert said[7] == ["DEV_2 is offline, last seen 2026-11-23T12:02:00Z (away)"]
    assert said[9] == ["DEV_2 is online again (away)"]
    assert sum(map(len, said)) == 2
    assert [(p, h, priority, s) for p, h, priority, _, s in scene.told.lines] == [
        ("prj_a", "DEV_2", 8 + 3, "agent"), ("prj_a", "DEV_2", 8 + 5, "agent"),
    ]  # fmt: skip
    assert await scene.history() == [("fired", "dev_2", ""), ("resolved", "dev_2", "")]


async def test_what_was_not_told_is_told_the_next_time(scene: Scene) -> None:
    """The relay is away, or we end between noting and telling: it is told once, later."""
    await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    assert await scene.look(tells=False) == []
    scene.told.broken = True
    assert await scene.look() == []
    scene.told.broken = False
    assert len(await scene.look()) == 1
    assert await scene.look() == []
    assert await scene.history() == [("fired", "dev_1", "")]


async def test_a_project_of_which_nothing_can_be_told_holds_up_no_other(scene: Scene) -> None:
    """However much there is of it: that of others is told, and its own later."""
    await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    assert await scene.look(tells=False) == []
    async with scene.database.system() as tx:
        await tx.raw.execute(
            "INSERT INTO alerts_event (number, rule, rule_name, account, project, device, host, "
            "subject, state, severity, text, at) OVERRIDING SYSTEM VALUE "
            "SELECT -n, rule, rule_name, account, 'prj_b', device, host, "
            "subject, state, severity, text, at "
            "FROM alerts_event, generate_series(1, 600) AS n"
        )
    scene.told.away = "prj_b"
    assert len(await scene.look()) == 1
    scene.told.away = ""
    assert len(await scene.look()) == 600


async def test_each_series_is_told_by_itself(scene: Scene) -> None:
    """With its labels; what comes back within `clear` and its bound stays as it is."""
    made = await scene.rule(FULL)
    scene.device("dev_1", online=True)
    said = []
    for minute in range(12):
        scene.minute = minute
        scene.measure("dev_1", 0.95 if minute < 8 else 0.85 if minute < 10 else 0.5, mount="/")
        scene.measure("dev_1", 0.3, mount="/data")
        scene.measure("dev_unknown", 1.0)
        said.append(await scene.look())
        if minute == 8:
            assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 1
    assert said[5] == ["d{mount=/} of DEV_1 is over 0.9 for 5 min: 0.95 (full)"]
    assert said[10] == ["d{mount=/} of DEV_1 is no longer over 0.9: 0.5 (full)"]
    assert sum(map(len, said)) == 2
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 0


async def test_a_device_that_says_nothing_more_is_not_well_again(scene: Scene) -> None:
    """Until it is deleted; then there is nothing left to be told of it."""
    made = await scene.rule(FULL)
    scene.device("dev_1", online=True)
    for minute in range(7):
        scene.minute = minute
        scene.measure("dev_1", 1.0)
        await scene.look()
    assert len(scene.told.lines) == 1
    await scene.look()  # no sample
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 1
    scene.devices.clear()
    await scene.look()
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 0
    assert len(scene.told.lines) == 1


async def test_a_rule_concerns_its_device(scene: Scene) -> None:
    """No other, and nobody asks for another; it has to be one of the project."""
    what = c.What("d", "offline", "", "err", True, 5, "", None, None, None, device="dev_2")
    with pytest.raises(Invalid):
        await scene.rule(what)
    for name in ("dev_1", "dev_2"):
        scene.device(name, online=False, seen=-10)
    made = await scene.rule(what)
    scene.asked.clear()
    await scene.look()
    assert await scene.history() == [("fired", "dev_2", "")]
    assert scene.asked == ["dev_2"]
    del scene.devices["dev_2"]
    await scene.look()
    assert (await scene.alerts.get(c.OneRule("acc_a", made.id))).firing == 0
    paused = msgspec.structs.replace(what, enabled=False)
    assert not (await scene.alerts.change(c.ChangeRule("acc_a", made.id, paused))).enabled


async def test_a_rule_concerns_its_group(scene: Scene) -> None:
    await scene.rule(c.What("g", "offline", "canary", "err", True, 5, "", None, None, None))
    scene.device("dev_1", online=False, seen=-10)
    scene.device("dev_2", online=False, seen=-10, group="canary")
    await scene.look()
    assert await scene.history() == [("fired", "dev_2", "")]
    assert scene.asked == ["canary"]


async def test_a_rule_that_is_off_or_changed(scene: Scene) -> None:
    """Off, it tells nothing; changed, it begins anew; its version counts."""
    made = await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    off = c.What("away", "offline", "", "err", False, 5, "", None, None, None)
    changed = await scene.alerts.change(c.ChangeRule("acc_a", made.id, off, ("1",)))
    assert changed.version == 2
    assert await scene.look() == []
    with pytest.raises(PreconditionFailed):
        await scene.alerts.change(c.ChangeRule("acc_a", made.id, OFFLINE, ("1",)))
    for _ in range(2):
        await scene.alerts.change(c.ChangeRule("acc_a", made.id, OFFLINE))
        assert len(await scene.look()) == 1
        assert await scene.look() == []
    await scene.alerts.delete(c.DeleteRule("acc_a", made.id))
    assert await scene.look() == []
    assert len(await scene.history()) == 2


async def test_a_project_about_which_nobody_answers_holds_up_no_other(scene: Scene) -> None:
    await scene.rule(project="prj_b")
    await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    assert len(await scene.look()) == 1


async def test_a_project_has_only_so_many_rules(scene: Scene) -> None:
    for _ in range(MOST):
        await scene.rule()
    with pytest.raises(LimitReached):
        await scene.rule()
    await scene.rule(project="prj_b")


async def test_what_is_anothers_is_not_there(scene: Scene) -> None:
    """Neither the rule, nor what it told; nor after the project is deleted."""
    made = await scene.rule()
    scene.device("dev_1", online=False, seen=-10)
    await scene.look()
    with pytest.raises(NotFound):
        await scene.alerts.get(c.OneRule("acc_b", made.id))
    with pytest.raises(NotFound):
        await scene.alerts.change(c.ChangeRule("acc_b", made.id, OFFLINE))
    with pytest.raises(NotFound):
        await scene.alerts.delete(c.DeleteRule("acc_b", made.id))
    with pytest.raises(NotFound):
        await scene.alerts.events(c.ListEvents("acc_b", "prj_a", 10))
    event = peers.ProjectChanged("acc_a", "prj_a")
    await scene.alerts.project_deleted(event, cast("Any", None))
    async with scene.database.system() as tx:
        for table in ("rule", "state", "event"):
            assert await tx.raw.fetchval(f"SELECT count(*) FROM alerts_{table}") == 0
