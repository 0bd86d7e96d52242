"""Members and what they are: each rule and each refusal, also when two ask at once."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from hub.contracts import Endpoint, EventInfo
from hub.database import Database, QueryError
from hub.embedded.postgres import Postgres
from hub.errors import (
    Conflict,
    Forbidden,
    IsaaxError,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from hub.mail.postbox import Postbox
from hub.memory_bus import MemoryBus
from hub.outbox import Outbox
from hub.permissions import Role
from hub.scope import hiding
from hub.settings import PostgresSettings
from hub.vault import Vault
from services.accounts import peers
from services.accounts.contracts import Authenticate, Authenticated
from services.accounts.identity.letters import Letters
from services.accounts.organisations import contracts as c
from services.accounts.organisations.directory import MOST_OWNED, Directory
from services.accounts.organisations.members import Members
from services.accounts.organisations.narrowing import Narrowing
from services.accounts.service import Accounts
from services.accounts.tokens import digest_of
from tests.fixtures import people
from tests.fixtures.parts import all_tables
from tests.fixtures.people import Person

OWNER, ADMIN, DEVELOPER, VIEWER, BILLING = Role


@dataclass
class Org:
    """One account with a member of each role, and its rules."""

    database: Database
    bus: MemoryBus
    account: str
    team: dict[Role, Person]
    projects: set[str] = field(default_factory=lambda: {"prj_1", "prj_2"})

    @property
    def members(self) -> Members:
        return Members(self.database)

    @property
    def narrowing(self) -> Narrowing:
        return Narrowing(self.database, self.bus)

    @property
    def directory(self) -> Directory:
        postbox = Postbox(Outbox(None), Vault(secrets.token_bytes(32)))
        return Directory(self.database, Letters(postbox, "https://hub.example.com"))

    async def project(self, request: peers.GetProject) -> peers.Project:
        """Stand in for the service `projects`."""
        if request.account != self.account or request.project not in self.projects:
            raise NotFound("no such project")
        return peers.Project(request.project)

    async def change(self, by: Role | Person, who: Role | Person, role: Role) -> c.Member:
        by, who = self.find(by), self.find(who)
        return await self.members.change(c.ChangeMember(self.account, by.id, who.id, role))

    async def remove(self, by: Role | Person, who: Role | Person) -> None:
        by, who = self.find(by), self.find(who)
        await self.members.remove(c.RemoveMember(self.account, by.id, who.id))

    async def narrow(self, by: Role, who: Role, role: Role, project: str = "prj_1") -> Role | None:
        request = c.Narrow(self.account, self.team[by].id, project, self.team[who].id, role)
        return (await self.narrowing.narrow(request)).narrowed

    async def roles(self) -> dict[str, Role]:
        """Give what everybody is now, by person."""
        page = await self.members.page(c.ListMembers(self.account, 100))
        return {one.user: one.role for one in page.items}

    async def authenticate(self, who: Person) -> Authenticated:
        digest = digest_of(who.tokens[self.account]).hex()
        return await Accounts(self.database).authenticate(Authenticate(digest))

    def find(self, who: Role | Person) -> Person:
        return self.team[who] if isinstance(who, Role) else who


@pytest.fixture(scope="module")
def settings(postgres_server: Postgres) -> Iterator[PostgresSettings]:
    """A database for all of these tests: each has an account of its own."""
    with all_tables(postgres_server, "orgs") as made:
        yield made


@pytest.fixture
async def org(settings: PostgresSettings) -> AsyncIterator[Org]:
    async with Database.open(settings) as database:
        account = await people.account(database)
        team = {role: await people.person(database, **{account: role}) for role in Role}
        made = Org(database, MemoryBus(), account, team)
        async with made.bus.serve("peers", "1.0.0", [Endpoint(peers.GET_PROJECT, made.project)]):
            yield made


async def test_who_may_give_which_role_to_whom(org: Org) -> None:
    """All 125 cases: owners anything, admins what concerns no owner, the others nothing."""
    await people.join(org.database, await people.person(org.database), org.account, OWNER)
    for by, was, to in itertools.product(Role, Role, Role):
        who = await people.person(org.database, **{org.account: was})
        allowed = by is OWNER or (by is ADMIN and OWNER not in {was, to})
        try:
            assert (await org.change(by, who, to)).role is to
        except Forbidden:
            assert not allowed, (by, was, to)
        else:
            assert allowed, (by, was, to)
            assert (await org.authenticate(who)).role is to


async def test_who_may_remove_whom(org: Org) -> None:
    """As for roles; and everybody may leave."""
    for by, was in itertools.product(Role, Role):
        who = await people.person(org.database, **{org.account: was})
        try:
            await org.remove(by, who)
        except Forbidden:
            assert by is not OWNER
            assert by is not ADMIN or was is OWNER
            await org.remove(who, who)
        with pytest.raises(NotFound):
            await org.members.get(c.OneMember(org.account, who.id))


async def test_the_last_owner_stays(org: Org) -> None:
    """They neither leave, nor are demoted or removed, until there is another."""
    owner = org.team[OWNER]
    for refused in (
        org.change(OWNER, OWNER, ADMIN),
        org.remove(OWNER, OWNER),
        org.members.change(c.ChangeMember(org.account, "", owner.id, VIEWER)),
        org.members.remove(c.RemoveMember(org.account, "", owner.id)),
    ):
        with pytest.raises(Conflict, match="would have no owner"):
            await refused
    await org.change(OWNER, OWNER, OWNER)
    await org.change(OWNER, ADMIN, OWNER)
    await org.remove(OWNER, OWNER)
    assert OWNER in (await org.roles()).values()


@pytest.mark.parametrize("do", ["demote", "remove", "leave"])
async def test_two_owners_at_once_leave_one(org: Org, do: str) -> None:
    """Whoever comes second is told, and one owner stays; twenty times over."""
    for _ in range(20):
        account = await people.account(org.database)
        pair = [await people.person(org.database, **{account: OWNER}) for _ in range(2)]
        moves = []
        for by, who in (pair, pair[::-1]):
            if do == "demote":
                request = c.ChangeMember(account, by.id, who.id, VIEWER)
                moves.append(org.members.change(request))
            else:
                whom = by.id if do == "leave" else who.id
                moves.append(org.members.remove(c.RemoveMember(account, by.id, whom)))
        results = await asyncio.gather(*moves, return_exceptions=True)
        refused = [one for one in results if isinstance(one, IsaaxError)]
        page = await org.members.page(c.ListMembers(account, 10))
        assert len(refused) == 1
        assert isinstance(refused[0], Forbidden | Conflict)
        assert [one.role for one in page.items].count(OWNER) == 1


async def test_a_removed_members_tokens_are_void_even_if_they_come_back(org: Org) -> None:
    who = org.team[DEVELOPER]
    assert (await org.authenticate(who)).role is DEVELOPER
    await org.remove(ADMIN, who)
    with pytest.raises(Unauthenticated):
        await org.authenticate(who)
    token = who.tokens[org.account]
    await people.join(org.database, who, org.account, VIEWER)
    assert (await org.authenticate(who)).role is VIEWER
    who.tokens[org.account] = token
    with pytest.raises(Unauthenticated):
        await org.authenticate(who)


async def test_a_change_of_what_was_not_seen(org: Org) -> None:
    who = org.team[VIEWER]
    seen = (await org.members.get(c.OneMember(org.account, who.id))).version
    await org.change(OWNER, who, BILLING)
    by = org.team[OWNER].id
    stale = c.ChangeMember(org.account, by, who.id, ADMIN, (str(seen),))
    with pytest.raises(PreconditionFailed):
        await org.members.change(stale)
    with pytest.raises(PreconditionFailed):
        await org.members.remove(c.RemoveMember(org.account, by, who.id, (str(seen),)))
    assert (await org.roles())[who.id] is BILLING


async def test_who_was_demoted_meanwhile_changes_nothing(org: Org) -> None:
    """The gateway has let the request pass; the rules look again."""
    await org.change(OWNER, ADMIN, VIEWER)
    for refused in (org.change(ADMIN, DEVELOPER, VIEWER), org.remove(ADMIN, DEVELOPER)):
        with pytest.raises(Forbidden):
            await refused
    await org.remove(OWNER, ADMIN)
    with pytest.raises(Forbidden, match="no member"):
        await org.change(ADMIN, DEVELOPER, VIEWER)


# ── narrowing ──


async def test_what_narrows_and_what_would_widen(org: Org) -> None:
    order = [ADMIN, DEVELOPER, VIEWER, BILLING]
    for was, to in itertools.product(order, Role):
        if to in order and order.index(to) > order.index(was):
            assert await org.narrow(OWNER, was, to) is to
        else:
            with pytest.raises(Conflict, match="is not narrower"):
                await org.narrow(OWNER, was, to)
    with pytest.raises(Conflict, match="an owner has all rights"):
        await org.narrow(OWNER, OWNER, VIEWER)


async def test_a_narrowed_role_counts_at_once_and_ends(org: Org) -> None:
    who = org.team[DEVELOPER]
    await org.narrow(ADMIN, DEVELOPER, VIEWER)
    await org.narrow(ADMIN, DEVELOPER, BILLING, "prj_2")
    assert (await org.authenticate(who)).narrowed == {"prj_1": VIEWER, "prj_2": BILLING}
    widen = c.Widen(org.account, org.team[ADMIN].id, "prj_1", who.id)
    await org.narrowing.widen(widen)
    assert (await org.authenticate(who)).narrowed == {"prj_2": BILLING}
    with pytest.raises(NotFound):
        await org.narrowing.widen(widen)


async def test_who_may_narrow(org: Org) -> None:
    for by in (DEVELOPER, VIEWER, BILLING):
        with pytest.raises(Forbidden):
            await org.narrow(by, VIEWER, BILLING)
    assert await org.narrow(ADMIN, ADMIN, VIEWER) is VIEWER


async def test_an_owner_is_narrowed_nowhere(org: Org) -> None:
    await org.narrow(OWNER, DEVELOPER, BILLING)
    await org.change(OWNER, DEVELOPER, VIEWER)
    assert (await org.authenticate(org.team[DEVELOPER])).narrowed == {"prj_1": BILLING}
    await org.change(OWNER, DEVELOPER, OWNER)
    assert (await org.authenticate(org.team[DEVELOPER])).narrowed == {}


async def test_a_project_that_is_not_there(org: Org) -> None:
    who = org.team[VIEWER].id
    for refused in (
        org.narrow(OWNER, VIEWER, BILLING, "prj_none"),
        org.narrowing.page(c.ListProjectMembers(org.account, "prj_none", 10)),
        org.narrowing.get(c.OneProjectMember(org.account, "prj_none", who)),
        org.narrowing.widen(c.Widen(org.account, "", "prj_none", who)),
    ):
        with pytest.raises(NotFound, match="no such project"):
            await refused


async def test_what_was_narrowed_goes_with_the_project(org: Org) -> None:
    """Also when the project goes between the look at it and the row."""
    who = org.team[DEVELOPER]
    await org.narrow(OWNER, DEVELOPER, VIEWER)
    await org.narrow(OWNER, DEVELOPER, VIEWER, "prj_2")
    gone = peers.ProjectChanged(org.account, "prj_1")
    await org.narrowing.project_deleted(gone, EventInfo("e", "prj_1", 1))
    assert (await org.authenticate(who)).narrowed == {"prj_2": VIEWER}

    class Vanishing(set[str]):
        def __contains__(self, item: object) -> bool:
            there = super().__contains__(item)
            self.discard(str(item))
            return there

    org.projects = Vanishing({"prj_2"})
    with pytest.raises(NotFound):
        await org.narrow(OWNER, DEVELOPER, BILLING, "prj_2")
    assert (await org.authenticate(who)).narrowed == {}


async def test_a_project_that_is_hidden_from_who_asks_cannot_be_narrowed(org: Org) -> None:
    """Should a request get past the look at the project, the database does not take the row."""
    with hiding({"prj_1"}), pytest.raises(QueryError, match="InsufficientPrivilege"):
        await org.narrow(OWNER, DEVELOPER, VIEWER)
    assert (await org.authenticate(org.team[DEVELOPER])).narrowed == {}


# ── accounts ──


async def test_the_accounts_of_a_person(org: Org) -> None:
    directory, who = org.directory, org.team[VIEWER]
    other = await directory.found(c.FoundAccount(who.id, "mine"))
    page = await directory.page(c.ListAccounts(who.id, 10))
    assert [(one.id, one.role) for one in page.items] == [
        (org.account, VIEWER), (other.id, OWNER),
    ]  # fmt: skip
    first = await directory.page(c.ListAccounts(who.id, 1))
    rest = await directory.page(c.ListAccounts(who.id, 1, first.items[-1].number))
    assert [*first.items, *rest.items] == page.items
    with pytest.raises(NotFound):
        await directory.get(c.GetAccount(other.id, org.team[OWNER].id))


async def test_a_person_owns_so_many_accounts_and_no_more(org: Org) -> None:
    directory, who = org.directory, await people.person(org.database)
    wanted = [directory.found(c.FoundAccount(who.id, "one more")) for _ in range(MOST_OWNED + 5)]
    made = await asyncio.gather(*wanted, return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in made) == 5
    assert len((await directory.page(c.ListAccounts(who.id, 100))).items) == MOST_OWNED


async def test_who_may_rename(org: Org) -> None:
    directory = org.directory
    for role, who in org.team.items():
        request = c.ChangeAccount(org.account, who.id, f"by {role}")
        if role in {OWNER, ADMIN}:
            assert (await directory.change(request)).name == f"by {role}"
        else:
            with pytest.raises(Forbidden):
                await directory.change(request)
