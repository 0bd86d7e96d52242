"""The audit log: told in the transaction of the deed, chained once and in order, never changed."""

import asyncio
import hashlib
import json

import asyncpg
import pytest

from hub.audit.deeds import Actor
from hub.audit.journal import Begun, Journal
from hub.audit.log import Audit, Recorder
from hub.audit.sealer import Sealer
from hub.database import Database, Query, QueryError, session
from hub.errors import Conflict, IsaaxError
from hub.routes import Client
from hub.settings import PostgresSettings
from hub.telemetry import Metrics
from hub.tenancy import SYSTEM, TENANT
from tests.deadline import until
from tests.fixtures.audit import Log

ROWS = Query.parse(
    "rows", "SELECT entry, previous, hash FROM audit_entry WHERE account = :account ORDER BY seq"
)


# ── telling ──


async def test_what_is_recorded_stands_with_the_transaction_or_not_at_all(
    audit_log: Log, recorder: Recorder
) -> None:
    await audit_log.record(recorder, 1)

    async def undone() -> None:
        async with audit_log.database.transaction(account=audit_log.account) as tx:
            await recorder.record(tx, audit_log.deed("thing.undone"))
            raise Conflict

    with pytest.raises(Conflict):
        await undone()
    await audit_log.record(recorder, 1, first=1)
    entries = await audit_log.until(2)
    assert [(one.seq, one.action, one.object, one.after) for one in entries] == [
        (1, "thing.done", {"n": "0"}, {"n": 0}),
        (2, "thing.done", {"n": "1"}, {"n": 1}),
    ]


async def test_all_that_is_told_is_shown(audit_log: Log, recorder: Recorder) -> None:
    deed = audit_log.deed(
        project="prj_1",
        object={"device": "dev_1"},
        actor=Actor("token", "apt_1", "usr_1", "admin"),
        outcome="failed",
        status=409,
        code="conflict",
        client=Client("192.0.2.1", "curl"),
        before={"a": 1, "token": "t"},
        after={"a": 2, "token": "u"},
        notes=("as it was",),
        request="r-1",
        replayed=True,
        count=3,
        follows="aud_0",
    )
    async with audit_log.database.system() as tx:
        await recorder.record(tx, deed)
    (one,) = await audit_log.until(1)
    assert (one.project, one.object, one.actor) == (deed.project, deed.object, deed.actor)
    assert (one.outcome, one.status, one.code) == ("failed", 409, "conflict")
    assert (one.address, one.agent, one.request) == ("192.0.2.1", "curl", "r-1")
    assert (one.before, one.after) == (
        {"a": 1, "token": "********"},
        {"a": 2, "token": "********"},
    )
    assert (one.changed, one.notes, one.replayed) == (["/a"], ["as it was"], True)
    assert (one.count, one.follows, one.erased) == (3, "aud_0", False)


async def test_a_command_records_without_anything_that_runs(audit_log: Log) -> None:
    """A hub seals it, whenever there is one."""
    async with audit_log.database.system() as tx:
        await Audit().record(tx, audit_log.deed(actor=Actor("terminal", "root")))
    assert await audit_log.pending() == 1
    async with Recorder.open(audit_log.database, Metrics()):
        (one,) = await audit_log.until(1)
    assert one.actor.kind == "terminal"


async def test_a_tenant_tells_of_its_own_account_alone_and_changes_nothing(
    audit_log: Log, recorder: Recorder
) -> None:
    await audit_log.record(recorder, 1)
    await audit_log.until(1)
    other = Log(audit_log.database, "acc_other")
    with pytest.raises(QueryError, match="42501"):
        async with audit_log.database.transaction(account=audit_log.account) as tx:
            await recorder.record(tx, other.deed())
    for statement in (
        "SELECT * FROM audit_pending",
        "UPDATE audit_chain SET seq = 0",
        "DELETE FROM audit_value",
        "INSERT INTO audit_entry (entry, previous, hash) VALUES ('{}', '', '')",
    ):
        with pytest.raises(QueryError, match="42501"):
            async with audit_log.database.transaction(account=audit_log.account) as tx:
                await tx.run(Query.parse("q", statement))
    assert await other.entries() == []
    async with audit_log.database.transaction(account="acc_other") as tx:
        assert await tx.all(ROWS, str, account=audit_log.account) == []


@pytest.mark.parametrize("table", ["audit_entry", "audit_value"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET project = 'x'", "DELETE FROM {}", "TRUNCATE {}"]
)
@pytest.mark.parametrize("role", ["NONE", SYSTEM, TENANT])
async def test_no_role_changes_or_deletes_what_is_sealed(
    core_settings: PostgresSettings, table: str, statement: str, role: str
) -> None:
    """Neither those of transactions nor the owner of the tables."""
    async with session(core_settings) as raw:
        await raw.execute(f"SET ROLE {role}")
        sql = statement.format(table)
        if table == "audit_entry":
            sql = sql.replace("project = 'x'", "previous = hash")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await raw.execute(sql)


# ── the journal of the gateway ──


async def test_an_end_completes_its_beginning(audit_log: Log, recorder: Recorder) -> None:
    journal = recorder.journal
    begun = await journal.begin(audit_log.deed(before={"a": 1}))
    assert (await audit_log.pending(), await audit_log.entries()) == (1, [])
    journal.end(begun, audit_log.deed(before={"a": 1}, after={"a": 2}, status=200))
    (one,) = await audit_log.until(1)
    assert (one.id, one.outcome, one.status, one.changed) == (begun.entry, "done", 200, ["/a"])


async def test_many_at_once_share_transactions_and_stay_apart(
    audit_log: Log, recorder: Recorder
) -> None:
    async def one(number: int) -> None:
        deed = audit_log.deed(object={"n": str(number)})
        recorder.journal.end(await recorder.journal.begin(deed), deed)

    await asyncio.gather(*(one(number) for number in range(300)))
    entries = await audit_log.until(300)
    assert {entry.object["n"] for entry in entries} == {str(number) for number in range(300)}
    assert {entry.outcome for entry in entries} == {"done"}
    assert (await audit_log.verify()).fault == ""


async def test_a_beginning_without_an_end_is_sealed_as_unknown_and_a_late_end_follows(
    audit_log: Log,
) -> None:
    told, sealed = asyncio.Event(), asyncio.Event()
    journal = Journal(audit_log.database, told, Metrics())
    async with journal.run():
        begun = await journal.begin(audit_log.deed(before={"a": 1}))
        sealer = Sealer(audit_log.database, told, sealed, Metrics(), lease=0.0)
        async with sealer.run():
            (one,) = await audit_log.until(1)
            assert (one.id, one.outcome, one.status) == (begun.entry, "unknown", None)
            assert one.before == {"a": 1}
            journal.end(begun, audit_log.deed(status=204))
            _, late = await audit_log.until(2)
    assert (late.outcome, late.status, late.follows) == ("done", 204, begun.entry)
    assert late.id != begun.entry


async def test_what_cannot_be_written_holds_up_nothing_else(
    audit_log: Log, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One beginning that Postgres refuses, for it has the id of another, in a group of three."""
    journal = recorder.journal
    ids = ["aud_a", "aud_b", "aud_a", "aud_c"]
    ours = [f"{one}_{audit_log.account}" for one in ids]
    monkeypatch.setattr("hub.audit.deeds.new", lambda _: ours.pop(0))
    first = await journal.begin(audit_log.deed())
    others = await asyncio.gather(
        *(journal.begin(audit_log.deed()) for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(one, IsaaxError) for one in others] == [False, True, False]
    for begun in (first, others[0], others[2]):
        assert isinstance(begun, Begun)
        journal.end(begun, audit_log.deed())
    await audit_log.until(3)


# ── sealing ──


async def test_each_entry_is_bound_to_the_one_before(audit_log: Log, recorder: Recorder) -> None:
    """By the rules that docs/audit.md tells, worked out here anew."""
    await audit_log.record(recorder, 5)
    await audit_log.until(5)
    async with audit_log.database.system() as tx:
        rows = await tx.raw.fetch(ROWS.sql, audit_log.account)
    previous = bytes(32)
    for number, row in enumerate(rows, 1):
        fields = json.loads(row["entry"])
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row["entry"] == canonical
        assert (fields["seq"], fields["account"]) == (number, audit_log.account)
        assert row["previous"] == previous
        previous = hashlib.sha256(previous + row["entry"].encode()).digest()
        assert row["hash"] == previous
    assert (await audit_log.verify()).head.hash == previous


async def test_several_hubs_seal_each_deed_once_in_one_order(core_database: Database) -> None:
    logs = [Log(core_database, f"acc_several_{number}") for number in range(3)]

    async def hub(number: int) -> None:
        async with Recorder.open(core_database, Metrics()) as recorder:
            await asyncio.gather(*(log.record(recorder, 40, 1_000 * number) for log in logs))

    await asyncio.gather(*(hub(number) for number in range(4)))
    async with Recorder.open(core_database, Metrics()):
        for log in logs:
            entries = await log.until(160)
            assert [entry.seq for entry in entries] == [*range(1, 161)]
            numbers = [int(entry.object["n"]) for entry in entries]
            for number in range(4):
                of_hub = [n for n in numbers if n // 1_000 == number]
                assert of_hub == [*range(1_000 * number, 1_000 * number + 40)]
            assert (await log.verify()).fault == ""


async def test_what_a_hub_cannot_read_is_sealed_all_the_same(
    audit_log: Log, recorder: Recorder
) -> None:
    """Else one deed of a newer version would stop every chain."""
    async with audit_log.database.system() as tx:
        await tx.raw.execute(
            'INSERT INTO audit_pending (entry, account, "user", deed, content, ended_at) '
            "VALUES ($1, $2, '', '{\"new\": 1}', '{}', now())",
            f"aud_{audit_log.account}",
            audit_log.account,
        )
    await audit_log.record(recorder, 1)
    first, second = await audit_log.until(2)
    assert (first.action, second.action) == ("audit.unreadable", "thing.done")
    assert (await audit_log.verify()).fault == ""


async def test_heads_are_told_to_the_hubs_own_log(
    audit_log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Recorder.open(audit_log.database, Metrics()) as recorder:
        await audit_log.record(recorder, 2)
        await audit_log.until(2)
    head = (await audit_log.verify()).head
    told = capsys.readouterr()
    assert str(head) in told.out + told.err


async def test_waiting_deeds_are_counted(audit_log: Log) -> None:
    metrics = Metrics()
    async with Recorder.open(audit_log.database, metrics) as recorder:
        begun = await recorder.journal.begin(audit_log.deed())

        def counted() -> bool:
            return b"isaax_audit_pending 1.0" in metrics.render()

        await until(counted, what="the gauge", timeout=30)
        recorder.journal.end(begun, audit_log.deed())
        await audit_log.until(1)
    assert b"isaax_audit_entries_total 1.0" in metrics.render()
