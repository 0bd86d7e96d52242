"""Variables in a database: who is concerned by which change, secrets, versions, and races."""

import asyncio
import secrets
from typing import Any

import pytest

from hub.contracts import EventInfo
from hub.errors import Conflict, Invalid, NotFound, PreconditionFailed
from hub.vault import SealBroken, Vault
from services.devices import contracts as d
from services.devices import group_contracts as g
from services.envars import contracts as c
from services.envars.effective import Target, effective
from services.envars.levels import SQL
from services.envars.peers import GroupDeleted, ProjectAsked
from services.envars.variables import AGENTS
from services.projects import contracts as p
from services.projects.service import Projects
from tests.fixtures.variables import MINE, OTHERS, Hub


def level(fleet: Hub, **where: str) -> dict[str, Any]:
    """Name a level of my project: the project's own, unless a group or a device is named."""
    return {"account": MINE, "project": fleet.made[MINE], **where}


async def put(fleet: Hub, name: str, value: str | None = "x", **more: Any) -> c.Variable:
    where = {key: more.pop(key) for key in ("group", "device") if key in more}
    versions, absent = more.pop("versions", None), more.pop("absent", False)
    variable = c.Value(value, **more)
    return await fleet.rules.put(
        c.PutVariable(
            name=name, variable=variable, versions=versions, absent=absent, **level(fleet, **where)
        )
    )


async def replace(fleet: Hub, values: dict[str, c.Value], **more: Any) -> c.Level:
    where = {key: more.pop(key) for key in ("group", "device") if key in more}
    return await fleet.rules.replace(
        c.ReplaceLevel(variables=values, **level(fleet, **where), **more)
    )


async def asked(fleet: Hub, kind: Any, event: str = "00000000-0000-0000-0000-000000000001") -> None:
    wanted = ProjectAsked(kind, MINE, fleet.made[MINE])
    await fleet.rules.project_asked(wanted, EventInfo(event, wanted.project, 1))


async def test_only_whom_a_change_concerns_gets_it(fleet: Hub) -> None:
    """Not who has something nearer of that name, nor another group, project or account."""
    a, b = await fleet.device("a"), await fleet.device("b")
    canary = await fleet.device("c", group="canary")
    await fleet.device("x", account=OTHERS)
    assert len(await fleet.push()) == 4, "those that have come"
    await put(fleet, "WHO", "project")
    assert fleet.concerned == [a, b, canary]
    await put(fleet, "WHO", "group", group="canary")
    assert fleet.concerned == [canary]
    await put(fleet, "WHO", "device", device=b)
    assert fleet.concerned == [b]
    await put(fleet, "WHO", "project again")
    assert fleet.concerned == [a]
    await replace(fleet, {"WHO": c.Value("project"), "MORE": c.Value("more")})
    assert fleet.concerned == [a, b, canary], "MORE counts for all"
    await fleet.rules.delete(c.OneVariable(name="WHO", **level(fleet, group="canary")))
    assert fleet.concerned == [canary]
    sent = await fleet.push()
    assert {name: one[2]["WHO"] for name, one in sent.items()} == {
        a: "project", b: "device", canary: "project",
    }  # fmt: skip
    assert all(one[0] == f"s-{name[4:]}" for name, one in sent.items())


async def test_what_changes_nothing_is_sent_to_nobody(fleet: Hub) -> None:
    await fleet.device("a")
    first = await put(fleet, "A", "a", secret=True)
    fleet.concerned = []
    again = await put(fleet, "A", "a", secret=True)
    kept = await put(fleet, "A", None, secret=True)
    assert first == again == kept
    assert fleet.concerned == []


async def test_versions_guard_a_level_and_a_variable(fleet: Hub) -> None:
    made = await replace(fleet, {"A": c.Value("a"), "B": c.Value("b")}, versions=("1",))
    assert (made.version, [one.version for one in made.variables]) == (2, [2, 2])
    with pytest.raises(PreconditionFailed):
        await replace(fleet, {}, versions=("1",))
    changed = await put(fleet, "A", "aa", versions=("2",))
    assert changed.version == 3
    for versions in (("2",), ("0",), ()):
        with pytest.raises(PreconditionFailed):
            await put(fleet, "A", "lost", versions=versions)
    with pytest.raises(PreconditionFailed):
        await put(fleet, "NEW", "x", versions=("3",))
    with pytest.raises(PreconditionFailed):
        await put(fleet, "A", "x", absent=True)
    one = c.OneVariable(name="B", versions=("9",), **level(fleet))
    with pytest.raises(PreconditionFailed):
        await fleet.rules.delete(one)
    now = await fleet.rules.get(c.OneLevel(**level(fleet)))
    assert [(v.name, v.value, v.version) for v in now.variables] == [("A", "aa", 3), ("B", "b", 2)]


async def test_changes_at_once_come_one_by_one(fleet: Hub) -> None:
    """Of all levels of a project; none is lost, and none waits for ever."""
    devices = [await fleet.device(name) for name in "abc"]
    where: list[dict[str, str]] = [{}, {"group": "default"}, *({"device": one} for one in devices)]
    changes = [put(fleet, f"V{n}", "x", **where[n % len(where)]) for n in range(40)]
    reports = [fleet.report(one, n) for n in range(5) for one in devices]
    await asyncio.gather(*changes, *reports)
    for n, place in enumerate(where):
        found = await fleet.rules.get(c.OneLevel(**level(fleet, **place)))
        assert {v.name for v in found.variables} == {f"V{i}" for i in range(n, 40, len(where))}
        assert found.version == 9


# ── secrets ───────────────────────────────────────────────────────────────────────────────────


async def test_a_secret_is_sealed_in_its_place_and_never_shown(fleet: Hub) -> None:
    device = await fleet.device("a")
    shown = await put(fleet, "KEY", "t0p-s3cr3t of ${DEVICE_ID}", secret=True)
    assert (shown.value, shown.secret) == (None, True)
    level_shown = await fleet.rules.get(c.OneLevel(**level(fleet)))
    device_shown = await fleet.rules.effective(c.OneDevice(MINE, device))
    assert "t0p" not in repr((level_shown, device_shown))
    assert (await fleet.push())[device][2]["KEY"] == "t0p-s3cr3t of dev_a"
    async with fleet.admin() as tx:
        row = await tx.raw.fetchrow("SELECT value, sealed FROM envars_variable")
        assert row["value"] is None
        assert b"t0p" not in row["sealed"]
        # Moved to another name, or back to what it was before, it does not open.
        for column, moved in (("name", "'OTHER'"), ("version", "version + 1")):
            async with tx.savepoint():
                await tx.raw.execute(f"UPDATE envars_variable SET {column} = {moved}")
                target = Target(device, MINE, fleet.made[MINE], "a", "default")
                with pytest.raises(SealBroken):
                    await effective(tx, fleet.vault, [target])
                await tx.raw.execute("UPDATE envars_variable SET name = 'KEY', version = 2")


async def test_what_was_a_secret_is_not_shown_by_making_it_plain(fleet: Hub) -> None:
    await put(fleet, "KEY", "t0p", secret=True)
    with pytest.raises(Invalid, match="by staying a secret"):
        await put(fleet, "KEY", None)
    with pytest.raises(Invalid, match="needs a value"):
        await put(fleet, "NEW", None, secret=True)
    await put(fleet, "PLAIN", "seen")
    with pytest.raises(Invalid):
        await put(fleet, "PLAIN", None, secret=True)
    now = await replace(
        fleet, {"KEY": c.Value(None, secret=True, restart=True), "PLAIN": c.Value("new")}
    )
    assert [(v.name, v.value, v.restart) for v in now.variables] == [
        ("KEY", None, True), ("PLAIN", "new", False),
    ]  # fmt: skip
    assert (await put(fleet, "KEY", "now public")).value == "now public"


async def test_secrets_outlive_the_key_of_the_vault(fleet: Hub) -> None:
    """Wrapped anew while others still use the former one; then that one may go."""
    device = await fleet.device("a")
    old, new = fleet.vault, secrets.token_bytes(32)
    await put(fleet, "KEY", "t0p", secret=True)
    target = Target(device, MINE, fleet.made[MINE], "a", "default")
    old_key = old._current.key
    both = Vault(new, (old_key,))
    async with fleet.admin() as tx:
        assert await both.rewrap(tx) == 1
    for vault in (Vault(old_key, (new,)), both, Vault(new)):
        async with fleet.admin() as tx:
            (outfit,) = await effective(tx, vault, [target])
            assert [one.value for one in outfit.envars] == ["t0p"]


# ── projects that come and go ─────────────────────────────────────────────────────────────────


async def test_the_agents_own_stay(fleet: Hub) -> None:
    await put(fleet, "ISAAX_LOG_APP", "false")
    await asked(fleet, "defaults")
    await asked(fleet, "defaults")  # the same event comes again
    found = await fleet.rules.get(c.OneLevel(**level(fleet)))
    values = {one.name: one.value for one in found.variables}
    assert values == {**AGENTS, "ISAAX_LOG_APP": "false"}, "what was set meanwhile counts"
    with pytest.raises(Conflict, match="set it to true"):
        await fleet.rules.delete(c.OneVariable(name="ISAAX_LOG_APP", **level(fleet)))
    replaced = await replace(fleet, {"MINE": c.Value("x")})
    assert {one.name: one.value for one in replaced.variables} == {**AGENTS, "MINE": "x"}
    await fleet.group("canary")
    await put(fleet, "ISAAX_LOG_APP", "false", group="canary")
    await fleet.rules.delete(c.OneVariable(name="ISAAX_LOG_APP", **level(fleet, group="canary")))


async def test_nothing_is_left_of_a_project_that_is_gone(fleet: Hub) -> None:
    device = await fleet.device("a")
    await asked(fleet, "defaults")
    await put(fleet, "A", "a", device=device)
    await Projects(fleet.database, fleet.outbox).delete(p.DeleteProject(MINE, fleet.made[MINE]))
    with pytest.raises(NotFound):
        await put(fleet, "A", "late")
    await asked(fleet, "removal", "00000000-0000-0000-0000-000000000002")
    async with fleet.admin() as tx:
        for table in ("envars_level", "envars_variable", "envars_device"):
            assert await tx.raw.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize("what", ["project", "group", "device", "device's project"])
async def test_what_is_written_while_its_place_goes_is_not_left(
    fleet: Hub, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The removal was here before the row was."""
    lock, device = fleet.rules._levels.lock, await fleet.device("a")
    await fleet.group("canary")

    async def goes() -> None:
        if what == "group":
            one = g.DeleteGroup(MINE, fleet.made[MINE], "canary")
            await fleet.bus.request(g.DELETE, one)
        elif what == "device":
            async with fleet.admin() as tx:
                await tx.raw.execute("DELETE FROM devices_device WHERE id = $1", device)
            await fleet.happens("revoked", device)
        else:
            rules = Projects(fleet.database, fleet.outbox)
            await rules.delete(p.DeleteProject(MINE, fleet.made[MINE]))
            await asked(fleet, "removal")
            async with fleet.admin() as tx:
                await tx.raw.execute("DELETE FROM devices_device")

    async def slow(*args: Any, **more: Any) -> Any:
        await goes()
        return await lock(*args, **more)

    monkeypatch.setattr(fleet.rules._levels, "lock", slow)
    where = {"group": "canary"} if what == "group" else {"device": device} if "dev" in what else {}
    with pytest.raises(NotFound):
        await put(fleet, "A", "late", **where)
    async with fleet.admin() as tx:
        assert await tx.raw.fetchval("SELECT count(*) FROM envars_level") == 0


async def test_nothing_is_left_of_a_device_that_is_gone(fleet: Hub) -> None:
    """However it went, and also where an event of its past comes late."""
    for name, kind in (("a", "revoked"), ("b", "dropped")):
        device = await fleet.device(name)
        await put(fleet, "A", "a", device=device)
        await fleet.happens(kind, device)
    device = await fleet.device("c")
    await put(fleet, "A", "a", device=device)
    async with fleet.admin() as tx:
        await tx.raw.execute("DELETE FROM devices_device")
    await fleet.described(device)
    async with fleet.admin() as tx:
        left = await tx.raw.fetchval("SELECT count(*) FROM envars_device")
        levels = await tx.raw.fetch("SELECT level FROM envars_level WHERE level = 'device'")
    assert (left, levels) == (0, [])


async def test_what_is_set_for_a_group_goes_with_it(fleet: Hub) -> None:
    """One of that name that is made later begins with nothing."""
    with pytest.raises(NotFound):
        await put(fleet, "A", "a", group="canary")
    await fleet.group("canary")
    await put(fleet, "A", "a", group="canary")
    await put(fleet, "A", "a")
    gone = GroupDeleted(MINE, fleet.made[MINE], "canary")
    await fleet.rules.group_deleted(gone, EventInfo("x", "canary", 1))
    found = await fleet.rules.get(c.OneLevel(**level(fleet, group="canary")))
    assert (found.version, found.variables) == (1, [])
    assert len((await fleet.rules.get(c.OneLevel(**level(fleet)))).variables) == 1


async def test_another_accounts_are_not_there(fleet: Hub) -> None:
    device = await fleet.device("a")
    await put(fleet, "A", "a")
    theirs = {"account": OTHERS, "project": fleet.made[MINE]}
    for where in (theirs, {**theirs, "group": "default"}, {"account": OTHERS, "device": device}):
        with pytest.raises(NotFound):
            await fleet.rules.get(c.OneLevel(**where))
        with pytest.raises(NotFound):
            await fleet.rules.put(c.PutVariable(name="A", variable=c.Value("x"), **where))
    with pytest.raises(NotFound):
        await fleet.rules.effective(c.OneDevice(OTHERS, device))
    with pytest.raises(NotFound):
        await fleet.rules.statuses(c.ListStatuses(OTHERS, fleet.made[MINE], 10))


async def test_a_new_label_or_group_changes_what_a_device_gets(fleet: Hub) -> None:
    device = await fleet.device("a")
    await fleet.group("canary")
    await put(fleet, "PLAIN", "x")
    await put(fleet, "WHO", "canaries", group="canary")
    await fleet.push()

    async def becomes(label: str, group: str) -> dict[str, str] | None:
        await fleet.devices.change(d.ChangeDevice(MINE, device, label, group, []))
        await fleet.described(device)
        sent = await fleet.push()
        version = await _version(fleet, device)
        assert device not in sent or sent[device][1] == version
        return sent[device][2] if device in sent else None

    before = await _version(fleet, device)
    await becomes("pump", "default")
    assert await _version(fleet, device) == before, "no variable has its label"
    await put(fleet, "HOST", "${DEVICE_LABEL}.example.com")
    assert (await fleet.push())[device][2]["HOST"] == "pump.example.com"
    assert (await becomes("fan", "default") or {})["HOST"] == "fan.example.com"
    assert (await becomes("fan", "canary") or {})["WHO"] == "canaries"


async def _version(fleet: Hub, device: str) -> int:
    async with fleet.admin() as tx:
        return await tx.one(SQL["wanted"], int, device=device, project=fleet.made[MINE])
