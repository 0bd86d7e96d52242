"""schemathesis holds what concerns people to its description: as somebody who is logged in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.database import Database
from hub.ids import new
from hub.secret import Secret
from hub.telemetry import Metrics
from services.accounts.identity.passwords import Passwords
from tests.e2e.test_rest_schemathesis import described, run
from tests.fixtures.lobby import PASSWORD, Visitor
from tests.fixtures.parts import run_now
from tests.fixtures.spine import Spine, running_spine

__all__ = ["described"]

EMAIL = "fuzzed@example.com"


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """A hub that lets one address try as much as it likes."""
    with running_spine({"accounts": {"tries_per_address": 0, "tries_per_network": 0}}) as running:
        yield running


def somebody(spine: Spine) -> Visitor:
    """Give somebody who is logged in, in an account of their own."""

    async def make() -> None:
        async with (
            Passwords.open(Metrics()) as passwords,
            Database.open(spine.embedded.postgres.settings) as database,
            database.system() as tx,
        ):
            user, account = new("usr"), new("acc")
            await tx.raw.execute(
                "INSERT INTO accounts_user (id, email, name, password, verified_at) "
                "VALUES ($1, $2, 'x', $3, now())",
                user, EMAIL, await passwords.hash(Secret(PASSWORD)),
            )  # fmt: skip
            await tx.raw.execute(
                "INSERT INTO accounts_account (id, name) VALUES ($1, 'x')", account
            )
            await tx.raw.execute(
                "INSERT INTO accounts_member (account, \"user\", role) VALUES ($1, $2, 'owner')",
                account, user,
            )  # fmt: skip

    run_now(make())
    visitor = Visitor(spine.http, "127.0.0.1", email=EMAIL)
    assert visitor.log_in().status == 201
    return visitor


def test_of_somebody_who_is_logged_in(spine: Spine, described: Path) -> None:
    """All that there is about people, but what would log them out."""
    visitor = somebody(spine)
    tags = [word for tag in ("users", "sessions", "api-tokens", "links") for word in
            ("--include-tag", tag)]  # fmt: skip
    run(
        spine, described, "--header", f"Authorization: Bearer {visitor.token}",
        "--max-examples", "12", "--phases", "examples,fuzzing", *tags,
        "--exclude-operation-id-regex", "^(end_session|log_out|delete_|revoke_)",
        parameters={"kind": "reset"},
    )  # fmt: skip
    assert visitor.ask("GET", "/sessions/current").status == 200
    assert '"request failed"' not in spine.log
    assert '"unhandled error"' not in spine.log
