"""Who is sent variables, when, and how often: the way down is a list, the clock the test's."""

import pytest

from hub.protocol import Session
from hub.pushing import EVERY, SLOWEST
from services.envars import contracts as c
from tests.fixtures.variables import MINE, Hub


async def put(fleet: Hub, value: str) -> None:
    await fleet.rules.put(c.PutVariable(MINE, "A", c.Value(value), project=fleet.made[MINE]))


async def statuses(fleet: Hub, *, pending: bool | None = None) -> dict[str, tuple[int, int]]:
    request = c.ListStatuses(MINE, fleet.made[MINE], 100, pending=pending)
    return {s.device: (s.version, s.applied) for s in (await fleet.rules.statuses(request)).items}


async def test_who_takes_it_up_is_left_alone(fleet: Hub) -> None:
    a, b = await fleet.device("a"), await fleet.device("b")
    await put(fleet, "one")
    sent = await fleet.push()
    assert {device: one[1:] for device, one in sent.items()} == {
        a: (2, {"A": "one"}), b: (2, {"A": "one"}),
    }  # fmt: skip
    await fleet.report(a, 2)
    assert await statuses(fleet) == {a: (2, 2), b: (2, 0)}
    assert list(await statuses(fleet, pending=True)) == [b]
    assert list(await statuses(fleet, pending=False)) == [a]
    fleet.clock.now += EVERY
    assert list(await fleet.look()) == [b]


async def test_who_is_silent_is_sent_it_ever_more_seldom(fleet: Hub) -> None:
    device = await fleet.device("a")
    await put(fleet, "one")
    await fleet.push()
    waits, last = [], fleet.clock.now
    for _ in range(2000):
        fleet.clock.now += EVERY
        if device in await fleet.look():
            waits.append(fleet.clock.now - last)
            last = fleet.clock.now
    assert waits[:4] == [EVERY, 2 * EVERY, 4 * EVERY, 8 * EVERY]
    assert waits == sorted(waits)
    assert waits[-1] == SLOWEST
    await put(fleet, "two")
    assert (await fleet.push())[device][1] == 3, "what is new goes at once"


async def test_who_says_that_it_is_behind_is_answered_where_it_said_so(fleet: Hub) -> None:
    """Its new session may not be known by the events yet; and no device makes a loop of it."""
    device = await fleet.device("a")
    await put(fleet, "one")
    await fleet.push()
    answers = []
    for _ in range(10):
        await fleet.report(device, 1, session="newer")
        answers += [one[0] for one in (await fleet.push()).values()]
    assert answers == ["newer"] * 3
    fleet.clock.now += 4 * EVERY
    await fleet.report(device, 1, session="newer")
    assert list(await fleet.push()) == [device]


async def test_who_cannot_take_it_up_says_why_and_is_asked_again_later(fleet: Hub) -> None:
    device = await fleet.device("a")
    await put(fleet, "one")
    await fleet.push()
    await fleet.report(device, 1, error="the disk is full\0")
    assert await fleet.push() == {}
    (status,) = (await fleet.rules.statuses(c.ListStatuses(MINE, fleet.made[MINE], 10))).items
    assert (status.error, status.applied, status.online) == ("the disk is full", 1, True)
    fleet.clock.now += EVERY
    assert list(await fleet.look()) == [device]
    await fleet.report(device, 2)
    (status,) = (await fleet.rules.statuses(c.ListStatuses(MINE, fleet.made[MINE], 10))).items
    assert (status.error, status.applied) == ("", 2)


async def test_who_is_away_is_sent_nothing_and_the_newest_when_it_is_back(fleet: Hub) -> None:
    device = await fleet.device("a")
    await fleet.happens("closed", device, session="s-a")
    for value in ("one", "two", "three"):
        await put(fleet, value)
        assert await fleet.push() == {}
    fleet.clock.now += EVERY
    assert await fleet.look() == {}
    await fleet.happens("opened", device, session="s-b")
    assert await fleet.push() == {device: ("s-b", 4, {"A": "three"})}
    await fleet.happens("closed", device, session="s-a")  # an older one's end comes late
    await put(fleet, "four")
    assert (await fleet.push())[device][0] == "s-b"


async def test_a_device_that_is_ahead_has_it_from_before_a_restore(fleet: Hub) -> None:
    """The hub counts on from there, so that what it sends counts again."""
    device = await fleet.device("a")
    await fleet.report(device, 41)
    assert await fleet.push() == {device: ("s-a", 42, {})}
    await fleet.report(device, 42)
    await put(fleet, "one")
    assert (await fleet.push())[device][1] == 43


async def test_of_reports_of_one_device_the_last_counts(fleet: Hub) -> None:
    from hub.downlink import DeviceReport
    from hub.protocol import State

    device = await fleet.device("a")
    where = Session(fleet.made[MINE], device, "s-a")
    told = [DeviceReport(where, State({"envars": n})) for n in (0, 1)]
    stranger = DeviceReport(Session("prj_other", device, "s"), State({"envars": 9}))
    mute = DeviceReport(where, State({"scripts": 3}))
    await fleet.fleet.reports.heard([*told, mute])
    assert await statuses(fleet) == {device: (1, 1)}
    await fleet.fleet.reports.heard([stranger])
    assert await statuses(fleet) == {device: (1, 1)}, "its project is another"


async def test_one_projects_broken_secret_keeps_nothing_from_others(
    fleet: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.fixtures.variables import OTHERS

    broken, good = await fleet.device("a"), await fleet.device("x", account=OTHERS)
    await fleet.rules.put(
        c.PutVariable(MINE, "K", c.Value("t0p", secret=True), project=fleet.made[MINE])
    )
    await fleet.rules.put(c.PutVariable(OTHERS, "A", c.Value("x"), project=fleet.made[OTHERS]))
    await fleet.push()
    async with fleet.admin() as tx:
        await tx.raw.execute("UPDATE envars_variable SET sealed = '\\x01' WHERE name = 'K'")
    fleet.pusher.push([broken, good])
    assert list(await fleet.push()) == [good]
