"""Personal values go when somebody goes: the chain stands, and says what was taken out."""

from collections.abc import Sequence

from hub.audit.deeds import Actor
from hub.audit.export import get, put
from hub.audit.log import Recorder
from hub.database import Query
from hub.routes import Client
from tests.fixtures.audit import Log

_VALUES = Query.parse("values", "SELECT value FROM audit_value WHERE account = :account")
_PENDING = Query.parse(
    "pending", "SELECT coalesce(origin, '') || coalesce(content, '') FROM audit_pending "
    "WHERE account = :account",
)  # fmt: skip


async def act(log: Log, recorder: Recorder, user: str, after: object, **more: object) -> None:
    """Do something as somebody."""
    deed = log.deed(
        actor=Actor("person", f"ses_{user}", user, "owner"),
        client=Client(f"192.0.2.{len(user)}", user),
        after=after,
        **more,
    )
    async with log.database.transaction(account=log.account) as tx:
        await recorder.record(tx, deed)


async def texts(log: Log, query: Query = _VALUES) -> Sequence[str]:
    async with log.database.system() as tx:
        return await tx.all(query, str, account=log.account)


async def test_an_account_goes_and_its_chain_stays(audit_log: Log, recorder: Recorder) -> None:
    for number in range(3):
        await act(audit_log, recorder, "usr_a", {"email": f"a{number}@example.com"})
    before = await audit_log.until(3)
    await put(audit_log.database, audit_log.account, "prj_1")
    async with audit_log.database.system() as tx:
        await recorder.erase_account(tx, audit_log.account)
    await act(audit_log, recorder, "usr_b", {"email": "b@example.com"})
    entries = await audit_log.until(5)
    assert await texts(audit_log) == []
    assert [(one.address, one.agent, one.after) for one in entries] == [(None, None, None)] * 5
    assert [one.erased for one in entries] == [True, True, True, False, False]
    assert [one.hash for one in entries[:3]] == [one.hash for one in before]
    assert [one.action for one in entries[3:]] == ["audit.erased", "thing.done"]
    assert await get(audit_log.database, audit_log.account) is None
    verdict = await audit_log.verify()
    assert (verdict.fault, verdict.erased) == ("", 6)


async def test_an_account_that_is_erased_again_is_as_it_was(
    audit_log: Log, recorder: Recorder
) -> None:
    """A purge that begins anew after a crash tells of it once."""
    await act(audit_log, recorder, "usr_a", {"a": 1})
    await audit_log.until(1)
    for _ in range(3):
        async with audit_log.database.system() as tx:
            await recorder.erase_account(tx, audit_log.account)
    assert [one.action for one in await audit_log.until(2)] == ["thing.done", "audit.erased"]


async def test_what_is_at_work_while_an_account_goes_leaves_nothing(
    audit_log: Log, recorder: Recorder
) -> None:
    """The request that asked for it, for one."""
    deed = audit_log.deed(client=Client("192.0.2.9", "x"), before={"email": "a@example.com"})
    begun = await recorder.journal.begin(deed)
    async with audit_log.database.system() as tx:
        await recorder.erase_account(tx, audit_log.account)
    assert "".join(await texts(audit_log, _PENDING)) == ""
    recorder.journal.end(begun, deed)
    assert len(await audit_log.until(2)) == 2
    assert await texts(audit_log) == []
    assert (await audit_log.verify()).fault == ""


async def test_an_account_that_never_did_anything_can_go(
    audit_log: Log, recorder: Recorder
) -> None:
    async with audit_log.database.system() as tx:
        await recorder.erase_account(tx, audit_log.account)
    assert [one.action for one in await audit_log.until(1)] == ["audit.erased"]
    assert (await audit_log.verify()).fault == ""


async def test_a_person_goes_from_every_log(audit_log: Log, recorder: Recorder) -> None:
    """What others did stays, and what was done stays; where the person was, and its name, go."""
    other = Log(audit_log.database, f"{audit_log.account}_2")
    person, colleague = f"usr_{audit_log.account}", "usr_colleague"
    for log in (audit_log, other):
        await act(log, recorder, person, {"name": "a project"})
        await act(log, recorder, colleague, {"name": "a project"})
        await act(log, recorder, colleague, {"email": "Eve@Example.com"})
        await act(log, recorder, colleague, {"role": "x"}, object={"user": person})
        await log.until(4)
    async with audit_log.database.system() as tx:
        await recorder.erase_person(tx, person, mentions=["eve@example.com"])
    for log in (audit_log, other):
        entries = await log.until(5)
        assert [one.address is None for one in entries] == [True, False, False, False, True]
        assert [one.after for one in entries] == [
            {"name": "a project"}, {"name": "a project"}, None, None, None,
        ]  # fmt: skip
        assert [one.actor.user for one in entries[:2]] == [person, colleague]
        assert entries[4].action == "audit.erased"
        verdict = await log.verify()
        assert (verdict.fault, verdict.erased) == ("", 3)
        assert "eve" not in "".join(await texts(log)).lower()
