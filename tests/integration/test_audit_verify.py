"""Who owns the database can do anything with it, but not unnoticed."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from hub.audit.chain import GENESIS, Head, digest, link, read
from hub.audit.log import Recorder
from hub.database import Database, Query
from hub.embedded.postgres import Postgres
from hub.routes import Client
from hub.settings import PostgresSettings
from hub.telemetry import Metrics
from tests.fixtures.audit import Log, Thief

LENGTH = 6
_TEXT = Query.parse(
    "text", "SELECT entry FROM audit_entry WHERE account = :account AND seq = CAST(:seq AS bigint)"
)
_HASH = Query.parse(
    "hash", "SELECT hash FROM audit_entry WHERE account = :account AND seq = CAST(:seq AS bigint)"
)


@pytest.fixture
async def own(
    postgres_server: Postgres, core_settings: PostgresSettings
) -> AsyncIterator[PostgresSettings]:
    """A database of this test's own: some change the tables themselves."""
    name = f"audit_{secrets.token_hex(6)}"
    await postgres_server.create_database(name, template=core_settings.database)
    yield postgres_server.settings_for(name)
    await postgres_server.drop_database(name)


@pytest.fixture
async def audit_log(own: PostgresSettings) -> AsyncIterator[Log]:
    """A log in that."""
    async with Database.open(own) as database:
        yield Log(database, "acc_one")


@pytest.fixture
async def recorder(audit_log: Log) -> AsyncIterator[Recorder]:
    """What records and seals there."""
    async with Recorder.open(audit_log.database, Metrics()) as one:
        yield one


@pytest.fixture
async def thief(postgres_server: Postgres, own: PostgresSettings) -> AsyncIterator[Thief]:
    """An administrator of the server."""
    async with postgres_server.administer(own.database) as admin:
        yield Thief(admin)


@pytest.fixture
async def chained(audit_log: Log, recorder: Recorder) -> Log:
    """A log of six entries, with values of both kinds."""
    for number in range(LENGTH):
        async with audit_log.database.transaction(account=audit_log.account) as tx:
            client = Client(f"192.0.2.{number}", "curl")
            deed = audit_log.deed(client=client, after={"n": number}, object={"n": str(number)})
            await recorder.record(tx, deed)
    await audit_log.until(LENGTH)
    return audit_log


async def text_of(log: Log, seq: int) -> str:
    async with log.database.system() as tx:
        return await tx.one(_TEXT, str, account=log.account, seq=seq)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# ── what a thief may do ──


async def change_a_text(log: Log, thief: Thief) -> str:
    """Without its hash, which Postgres would not take: so without the check, too."""
    text = (await text_of(log, 3)).replace("thing.done", "thing.dull")
    await thief.run(
        "ALTER TABLE audit_entry DROP CONSTRAINT audit_entry_check; "
        f"UPDATE audit_entry SET entry = {quoted(text)} WHERE account = '{log.account}' AND seq = 3"
    )
    return "entry 3 was changed: its hash is not that of its text"


async def change_a_text_and_its_hash(log: Log, thief: Thief) -> str:
    """All of one entry anew: the next one still knows the old one."""
    text = (await text_of(log, 3)).replace("thing.done", "thing.dull")
    await thief.run(
        f"UPDATE audit_entry SET entry = {quoted(text)}, "
        f"hash = sha256(previous || convert_to({quoted(text)}, 'UTF8')) "
        f"WHERE account = '{log.account}' AND seq = 3"
    )
    return "entry 4 does not follow entry 3: that one was replaced"


async def change_a_column(log: Log, thief: Thief) -> str:
    """Columns are made of the text; whoever takes that away can write into them."""
    await thief.run(
        "ALTER TABLE audit_entry ALTER COLUMN outcome DROP EXPRESSION; "
        f"UPDATE audit_entry SET outcome = 'failed' WHERE account = '{log.account}' AND seq = 3"
    )
    return "entry 3 was changed: its columns are not those of its text"


async def delete_one(log: Log, thief: Thief) -> str:
    await thief.run(f"DELETE FROM audit_entry WHERE account = '{log.account}' AND seq = 3")
    return "entry 3 is missing: the next one is 4"


async def delete_the_first(log: Log, thief: Thief) -> str:
    await thief.run(f"DELETE FROM audit_entry WHERE account = '{log.account}' AND seq <= 2")
    return "entry 1 is missing: the next one is 3"


async def delete_the_last(log: Log, thief: Thief) -> str:
    await thief.run(f"DELETE FROM audit_entry WHERE account = '{log.account}' AND seq > 4")
    return "entries 5 to 6 are missing: the chain was cut short"


async def delete_the_head(log: Log, thief: Thief) -> str:
    await thief.run(f"DELETE FROM audit_chain WHERE account = '{log.account}'")
    return "the chain has lost its head"


async def change_the_head(log: Log, thief: Thief) -> str:
    await thief.run(f"UPDATE audit_chain SET seq = 2 WHERE account = '{log.account}'")
    return "the head says 2 entries, and is not that of the last one"


async def swap_places(log: Log, thief: Thief) -> str:
    """Rows that exchange their numbers."""
    await thief.run(
        "ALTER TABLE audit_entry ALTER COLUMN seq DROP EXPRESSION; "
        f"UPDATE audit_entry SET seq = 100 WHERE account = '{log.account}' AND seq = 3; "
        f"UPDATE audit_entry SET seq = 3 WHERE account = '{log.account}' AND seq = 4; "
        f"UPDATE audit_entry SET seq = 4 WHERE account = '{log.account}' AND seq = 100"
    )
    return "entry 4 was moved to the place of entry 3"


async def swap_texts(log: Log, thief: Thief) -> str:
    """Entries that exchange their numbers and values, each bound anew to the one before."""
    third, fourth = [await text_of(log, seq) for seq in (3, 4)]
    async with log.database.system() as tx:
        second = await tx.one(_HASH, bytes, account=log.account, seq=2)
    new = [fourth.replace('"seq":4', '"seq":3'), third.replace('"seq":3', '"seq":4')]
    hashes = [second, digest(second, new[0])]
    mine = f"account = '{log.account}'"
    await thief.run(
        f"DELETE FROM audit_entry WHERE {mine} AND seq IN (3, 4); "
        "INSERT INTO audit_entry (entry, previous, hash) VALUES "
        + ", ".join(
            f"({quoted(text)}, '\\x{previous.hex()}', '\\x{digest(previous, text).hex()}')"
            for text, previous in zip(new, hashes, strict=True)
        )
        + "; UPDATE audit_value SET seq = CASE seq WHEN 3 THEN 104 ELSE 103 END "
        f"WHERE {mine} AND seq IN (3, 4); UPDATE audit_value SET seq = seq - 100 "
        f"WHERE {mine} AND seq > 100"
    )
    return "entry 5 does not follow entry 4: that one was replaced"


async def follow_another(log: Log, thief: Thief) -> str:
    """An entry bound to one that it did not follow."""
    text = quoted(await text_of(log, 4))
    second = f"(SELECT hash FROM audit_entry WHERE account = '{log.account}' AND seq = 2)"
    await thief.run(
        f"UPDATE audit_entry SET previous = {second}, "
        f"hash = sha256({second} || convert_to({text}, 'UTF8')) "
        f"WHERE account = '{log.account}' AND seq = 4"
    )
    return "entry 4 does not follow entry 3: it follows entry 2"


async def put_one_in(log: Log, thief: Thief) -> str:
    """One more at the end, which no head knows."""
    entry = read(await text_of(log, LENGTH))
    async with log.database.system() as tx:
        last = await tx.one(_HASH, bytes, account=log.account, seq=LENGTH)
    forged = link(
        msgspec.structs.replace(entry, seq=LENGTH + 1, id="aud_f", origin="", content=""), last
    )
    await thief.run(
        "INSERT INTO audit_entry (entry, previous, hash) VALUES "
        f"({quoted(forged.text)}, '\\x{forged.previous.hex()}', '\\x{forged.hash.hex()}')"
    )
    return f"the head says {LENGTH} entries, and is not that of the last one"


async def change_a_value(log: Log, thief: Thief) -> str:
    await thief.run(
        "UPDATE audit_value SET value = replace(value, '192.0.2', '203.0.113') "
        f"WHERE account = '{log.account}' AND seq = 3 AND part = 'origin'"
    )
    return "the origin of entry 3 was changed"


async def delete_a_value(log: Log, thief: Thief) -> str:
    await thief.run(
        f"DELETE FROM audit_value WHERE account = '{log.account}' AND seq = 3 AND part = 'content'"
    )
    return "the content of entry 3 is missing, and no erasure took it"


Crime = Callable[[Log, Thief], Awaitable[str]]
CRIMES: tuple[Crime, ...] = (
    change_a_text, change_a_text_and_its_hash, change_a_column, delete_one, delete_the_first,
    delete_the_last, delete_the_head, change_the_head, swap_places, swap_texts, follow_another,
    put_one_in, change_a_value, delete_a_value,
)  # fmt: skip


@pytest.mark.parametrize("crime", CRIMES, ids=lambda crime: crime.__name__)
async def test_what_was_done_to_a_chain_is_named(chained: Log, thief: Thief, crime: Crime) -> None:
    sound = await chained.verify()
    assert (sound.fault, sound.head.seq, sound.erased) == ("", LENGTH, 0)
    fault = await crime(chained, thief)
    assert (await chained.verify()).fault == fault


async def test_a_chain_that_was_changed_holds_up_no_other(
    chained: Log, recorder: Recorder, thief: Thief
) -> None:
    """Its head says a number that is taken: what it is told waits."""
    await change_the_head(chained, thief)
    await chained.record(recorder, 1)
    other = Log(chained.database, "acc_two")
    await other.record(recorder, 2)
    await other.until(2)
    assert await chained.pending() == 1
    assert (await other.verify()).fault == ""


async def test_a_chain_cut_short_with_its_head_is_told_by_an_earlier_head_alone(
    chained: Log, thief: Thief
) -> None:
    before = (await chained.verify()).head
    await thief.run(
        f"DELETE FROM audit_entry WHERE account = '{chained.account}' AND seq > 4; "
        "UPDATE audit_chain SET (seq, hash) = "
        f"(SELECT seq, hash FROM audit_entry WHERE account = '{chained.account}' AND seq = 4) "
        f"WHERE account = '{chained.account}'"
    )
    assert (await chained.verify()).fault == ""
    cut = await chained.verify(before)
    assert cut.fault == "entries 5 to 6 are missing: the chain was cut short"


async def test_a_chain_written_anew_is_told_by_an_earlier_head_alone(
    chained: Log, thief: Thief
) -> None:
    """Every entry from the third on, each bound to the one before, and the head."""
    before = (await chained.verify()).head
    async with chained.database.system() as tx:
        rows = await tx.raw.fetch(
            "SELECT entry, previous FROM audit_entry WHERE account = $1 ORDER BY seq",
            chained.account,
        )
    previous = bytes(rows[2]["previous"])
    for seq in range(3, LENGTH + 1):
        text = rows[seq - 1]["entry"].replace("thing.done", "thing.dull")
        now = digest(previous, text)
        await thief.run(
            f"UPDATE audit_entry SET entry = {quoted(text)}, previous = '\\x{previous.hex()}', "
            f"hash = '\\x{now.hex()}' WHERE account = '{chained.account}' AND seq = {seq}"
        )
        previous = now
    await thief.run(
        f"UPDATE audit_chain SET hash = '\\x{previous.hex()}' WHERE account = '{chained.account}'"
    )
    assert (await chained.verify()).fault == ""
    assert (await chained.verify(before)).fault == (
        f"entry {LENGTH} is another than when its head was taken"
    )


async def test_an_earlier_head_of_a_chain_that_goes_on_fits(
    chained: Log, recorder: Recorder
) -> None:
    before = (await chained.verify()).head
    await chained.record(recorder, 2)
    await chained.until(LENGTH + 2)
    after = await chained.verify(before)
    assert (after.fault, after.head.seq) == ("", LENGTH + 2)


async def test_an_account_without_a_log(audit_log: Log) -> None:
    assert await audit_log.verify() == (await audit_log.verify(Head(0, GENESIS)))
    lost = await audit_log.verify(Head(3, bytes(32)))
    assert lost.fault == "entries 1 to 3 are missing: the chain was cut short"


async def test_a_long_chain_is_walked_page_by_page(audit_log: Log, recorder: Recorder) -> None:
    async with audit_log.database.system() as tx:
        for _ in range(1_203):
            await recorder.record(tx, audit_log.deed())
    await audit_log.until(1_000)
    assert (await audit_log.verify()).head.seq == 1_203
