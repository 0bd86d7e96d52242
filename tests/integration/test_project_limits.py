"""What a project may send and did send, as the service `projects` keeps it."""

import datetime as dt
import hashlib
import uuid
from collections.abc import AsyncIterator

import pytest
from typer.testing import CliRunner

from hub.audit.log import Recorder
from hub.contracts import EventInfo
from hub.database import Database
from hub.errors import NotFound
from hub.migrations import migrate
from hub.outbox import Outbox
from hub.relay.contracts import AccountsOf, LimitsOf, ProjectLimits, TokenDigest, UsageNoted
from hub.services import Migrations
from hub.settings import PostgresSettings
from hub.telemetry import Metrics
from services.projects import contracts as c
from services.projects.commands import app
from services.projects.limits import Limits
from services.projects.rules import Projects
from services.projects.tokens import Tokens
from tests.fixtures.audit import Log

ACCOUNT = "acc_one"
IDS = [str(uuid.uuid4()) for _ in range(10)]
TODAY = dt.datetime.now(dt.UTC).date().isoformat()
"""The tests of one run may see two days; none of them minds."""


@pytest.fixture
async def database(database_settings: PostgresSettings) -> AsyncIterator[Database]:
    await migrate(database_settings, [Migrations("projects", "services.projects")])
    async with Database.open(database_settings) as database:
        yield database


@pytest.fixture
async def project(database: Database) -> str:
    made = await Projects(database, Outbox(None)).create(  # type: ignore[arg-type]
        c.CreateProject(ACCOUNT, "greenhouse")
    )
    return made.id


def noted(project: str, lines: int, *, day: str = TODAY) -> UsageNoted:
    return UsageNoted(project, day, lines, samples=2 * lines, bytes=3 * lines)


async def test_a_project_has_no_limits_of_its_own_at_first(
    database: Database, project: str
) -> None:
    found = await Limits(database).of(LimitsOf(project))
    assert (found.lines_per_second, found.bytes_per_second, found.lines_per_day) == (None,) * 3
    assert (found.lines, found.samples) == (0, 0)
    assert await Limits(database).of(LimitsOf("prj_none")) == ProjectLimits()


async def test_limits_are_set_and_shown_with_what_was_sent_today(
    database: Database, project: str
) -> None:
    limits = Limits(database)
    await limits.put(project, ProjectLimits(5.5, None, 1_000))
    await limits.noted(noted(project, 10), EventInfo(IDS[1], project, 1))
    await limits.noted(noted(project, 10), EventInfo(IDS[1], project, 2))  # delivered again
    await limits.noted(noted(project, 5), EventInfo(IDS[2], project, 1))
    await limits.noted(noted(project, 7, day="2026-01-01"), EventInfo(IDS[3], project, 1))
    asked = await limits.of(LimitsOf(project))
    assert (asked.lines_per_second, asked.bytes_per_second, asked.lines_per_day) == (
        5.5, None, 1_000,
    )  # fmt: skip
    if asked.day == TODAY:
        assert (asked.lines, asked.samples) == (15, 30)
        shown = await limits.show(c.GetProject(ACCOUNT, project))
        assert (shown.lines, shown.samples, shown.bytes) == (15, 30, 45)


async def test_the_relay_is_told_whose_account_projects_are_of(
    database: Database, project: str
) -> None:
    other = await Projects(database, Outbox(None)).create(  # type: ignore[arg-type]
        c.CreateProject("acc_two", "cellar")
    )
    found = await Limits(database).accounts(AccountsOf([project, other.id, "prj_none"]))
    assert found.accounts == {project: ACCOUNT, other.id: "acc_two"}
    assert (await Limits(database).accounts(AccountsOf([]))).accounts == {}


async def test_what_the_operator_sets_is_in_the_accounts_audit_log(
    database: Database, project: str
) -> None:
    await Limits(database).put(project, ProjectLimits(5.5, None, 1_000))
    await Limits(database).put(project, ProjectLimits(5.5, 7.0, None))
    async with Recorder.open(database, Metrics()):
        entries = await Log(database, ACCOUNT).until(2)
    assert [(one.action, one.project, one.actor.kind) for one in entries] == [
        ("limits.set", project, "terminal")
    ] * 2
    assert [one.changed for one in entries] == [
        ["/lines_per_second", "/lines_per_day"], ["/bytes_per_second", "/lines_per_day"],
    ]  # fmt: skip


async def test_limits_are_shown_to_their_own_account_alone(
    database: Database, project: str
) -> None:
    with pytest.raises(NotFound):
        await Limits(database).show(c.GetProject("acc_other", project))


async def test_usage_of_a_project_that_is_gone_is_dropped(database: Database) -> None:
    limits = Limits(database)
    await limits.noted(noted("prj_gone", 1), EventInfo(IDS[9], "prj_gone", 1))
    async with database.system() as tx:
        assert await tx.raw.fetchval("SELECT count(*) FROM projects_usage") == 0


async def test_a_token_is_found_by_its_digest(database: Database, project: str) -> None:
    made = await Tokens(database, Outbox(None)).create(  # type: ignore[arg-type]
        c.CreateToken(ACCOUNT, project, "one")
    )
    limits = Limits(database)
    digest = hashlib.sha256(made.secret.encode()).hexdigest()
    assert (await limits.owner(TokenDigest(digest))).project == project
    assert (await limits.owner(TokenDigest("0" * 64))).project == ""
    assert (await limits.owner(TokenDigest("no digest"))).project == ""


def test_the_operator_sets_limits_at_the_terminal(
    database_settings: PostgresSettings, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("host", "port", "database", "user"):
        monkeypatch.setenv(f"ISAAX_POSTGRES_{name.upper()}", str(getattr(database_settings, name)))
    monkeypatch.setenv("ISAAX_POSTGRES_PASSWORD", database_settings.password.reveal())

    def isaax(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, result.output

    assert isaax("set", project, "--lines-per-second", "500", "--lines-per-day", "0")[0] == 0
    assert isaax("set", project, "--bytes-per-second", "4000000")[0] == 0
    _, shown = isaax("show", project)
    assert shown.splitlines()[:3] == [
        "lines_per_second: 500",
        "bytes_per_second: 4000000",
        "lines_per_day: 0",
    ]
    assert isaax("clear", project)[0] == 0
    assert "lines_per_second: as the config says" in isaax("show", project)[1]
    assert isaax("set", project)[0] == 2
    assert isaax("set", project, "--lines-per-day", "-1")[0] == 2
    assert isaax("show", "prj_none")[0] == 1
