"""Idempotency keys on real Postgres: one effect, the same answer, whoever dies in between."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from hub.database import Database, Query
from hub.embedded.postgres import Postgres
from hub.gateway.answers import Answer
from hub.gateway.authentication import Identity
from hub.gateway.idempotency import Idempotency, Keyed
from hub.gateway.problems import KeyInFlight, KeyReused
from hub.routes import Caller
from hub.settings import PostgresSettings
from tests.fixtures.gateway import PATIENCE, Site

NOTES = "/api/v1/notes"
ALL = Query.parse("all", "SELECT * FROM gateway_idempotency WHERE account = :account")


def key() -> dict[str, str]:
    """Give a key that no other test uses."""
    return {"Idempotency-Key": str(uuid.uuid4())}


async def post(site: Site, text: str, headers: dict[str, str], **more: Any) -> tuple[int, Any, Any]:
    """Make a note; give status, body and headers."""
    body = {"text": text, **more}
    async with site.request("POST", NOTES, json=body, headers=headers) as response:
        return response.status, json.loads(await response.text()), response.headers.copy()


# ── over HTTP ─────────────────────────────────────────────────────────────────────────────────


async def test_the_same_request_gets_the_first_answer(site: Site) -> None:
    headers = key()
    first = await post(site, "milk", headers)
    again = await post(site, "milk", headers)
    assert (first[0], again[0]) == (201, 201)
    assert first[1] == again[1]
    for name in ("Location", "ETag", "Content-Type"):
        assert first[2][name] == again[2][name]
    assert "Idempotent-Replayed" not in first[2]
    assert again[2]["Idempotent-Replayed"] == "true"
    assert first[2]["X-Request-Id"] != again[2]["X-Request-Id"]
    assert site.notes.made == 1


async def test_without_a_key_nothing_is_kept(site: Site) -> None:
    assert (await post(site, "milk", {}))[0] == (await post(site, "milk", {}))[0] == 201
    assert site.notes.made == 2


async def test_another_body_with_the_key_is_422(site: Site) -> None:
    headers = key()
    await post(site, "milk", headers)
    status, problem, _ = await post(site, "bread", headers)
    assert (status, problem["type"]) == (422, "/problems/idempotency-key-reused")
    assert site.notes.made == 1


async def test_another_credential_of_the_account_with_the_key_is_422(site: Site) -> None:
    headers = key()
    await post(site, "milk", headers)
    other = {**headers, "Authorization": "Bearer writer-2"}
    status, problem, _ = await post(site, "milk", other)
    assert (status, problem["type"]) == (422, "/problems/idempotency-key-reused")


async def test_another_account_has_keys_of_its_own(site: Site) -> None:
    headers = key()
    await post(site, "milk", headers)
    status, note, _ = await post(site, "milk", {**headers, "Authorization": "Bearer stranger"})
    assert status == 201
    assert note["id"] == "n002"


async def test_a_second_request_meanwhile_is_409(site: Site) -> None:
    headers = key()
    first = asyncio.create_task(post(site, "slow", headers))
    async with asyncio.timeout(PATIENCE):
        await site.notes.started.wait()
    status, problem, answered = await post(site, "slow", headers)
    assert (status, problem["type"]) == (409, "/problems/idempotency-key-in-flight")
    assert answered["Retry-After"] == "1"
    site.notes.go_on.set()
    assert (await first)[0] == 201
    assert (await post(site, "slow", headers))[2]["Idempotent-Replayed"] == "true"
    assert site.notes.made == 1


async def test_many_at_once_have_one_effect(site: Site) -> None:
    headers = key()
    answers = await asyncio.gather(*(post(site, "milk", headers) for _ in range(12)))
    assert {status for status, _, _ in answers} <= {201, 409}
    assert site.notes.made == 1


@pytest.mark.parametrize(
    ("text", "status", "made"),
    [("conflict", 409, 1), ("crash", 500, 1), ("unavailable", 503, 2), ("limit", 429, 2)],
)
async def test_errors_are_kept_unless_they_say_that_nothing_was_done(
    site: Site, text: str, status: int, made: int
) -> None:
    headers = key()
    first, again = await post(site, text, headers), await post(site, text, headers)
    assert (first[0], again[0]) == (status, status)
    assert site.notes.made == made


async def test_what_is_not_valid_uses_no_key_up(site: Site) -> None:
    headers = key()
    assert (await post(site, "", headers))[0] == 422
    assert (await post(site, "milk", headers))[0] == 201


@pytest.mark.parametrize("value", ["", "x" * 256, "with space", "ü"])
async def test_what_is_no_key_is_400(site: Site, value: str) -> None:
    status, problem, _ = await post(site, "milk", {"Idempotency-Key": value})
    assert (status, problem["type"]) == (400, "/problems/malformed")
    assert site.notes.made == 0


async def test_what_is_kept_can_be_read_by_nobody(
    site: Site, gateway_database: PostgresSettings
) -> None:
    headers = key()
    await post(site, "a-very-private-text", headers)
    async with Database.open(gateway_database) as database, database.system() as tx:
        rows = await tx.raw.fetch(ALL.sql, "acc_one")
    shown = repr([dict(row) for row in rows])
    assert rows
    for secret in ("a-very-private-text", headers["Idempotency-Key"]):
        assert secret not in shown


async def test_without_postgres_nothing_is_done(site: Site, postgres_server: Postgres) -> None:
    postgres_server.kill()
    try:
        status, problem, _ = await post(site, "milk", key())
    finally:
        await postgres_server.restart()
    assert (status, problem["type"]) == (503, "/problems/unavailable")
    assert site.notes.made == 0


# ── leases ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def database(gateway_database: PostgresSettings) -> AsyncIterator[Database]:
    async with Database.open(gateway_database) as opened:
        yield opened


def keyed(content: bytes = b"body") -> Keyed:
    """Give a request under a key of its own."""
    caller = Caller(f"acc_{uuid.uuid4().hex}", "apt_x")
    return Keyed.of(Identity(caller, "isx_credential"), "POST /x", "key", content)


async def answer(text: bytes = b"done") -> Answer:
    """Do the work."""
    return Answer(201, {"Location": "/x/1"}, text)


async def die() -> Answer:
    """End as a hub that is killed does: without a word."""
    raise asyncio.CancelledError


async def test_a_hub_that_died_at_work_blocks_only_until_its_lease_ends(database: Database) -> None:
    request = keyed()
    with pytest.raises(asyncio.CancelledError):
        await Idempotency(database).once(request, die)
    with pytest.raises(KeyInFlight):
        await Idempotency(database).once(request, answer)
    with pytest.raises(asyncio.CancelledError):
        await Idempotency(database, lease=0).once(keyed_again := keyed(), die)
    assert (await Idempotency(database).once(keyed_again, answer)).body == b"done"


async def test_another_request_does_not_take_over_a_lease_that_ended(database: Database) -> None:
    request = keyed()
    with pytest.raises(asyncio.CancelledError):
        await Idempotency(database, lease=0).once(request, die)
    other = msgspec.json.encode("other")
    different = Keyed(
        request.account, request.route, request.key, request.actor, other, request.cipher
    )
    with pytest.raises(KeyReused):
        await Idempotency(database).once(different, answer)


async def test_a_hub_that_was_taken_for_dead_writes_over_nothing(database: Database) -> None:
    request = keyed()
    first = Idempotency(database, lease=0)

    async def overtaken() -> Answer:
        await Idempotency(database).once(request, answer)
        return await answer(b"too late")

    assert (await first.once(request, overtaken)).body == b"too late"
    assert (await first.once(request, answer)).body == b"done"


async def test_answers_are_forgotten_after_a_day(database: Database) -> None:
    request = keyed()
    short = Idempotency(database, kept=0)
    assert (await short.once(request, answer)).body == b"done"
    assert await short.clear() >= 1
    assert (await short.once(request, lambda: answer(b"again"))).body == b"again"
    # Old enough not to count, even when nobody has cleared it away yet.
    assert (await short.once(request, lambda: answer(b"once more"))).body == b"once more"


async def test_a_row_moved_to_another_key_does_not_open(database: Database) -> None:
    one = keyed()
    sealed = one.seal(await answer())
    assert one.open(sealed).body == b"done"
    with pytest.raises(KeyReused):
        keyed().open(sealed)
