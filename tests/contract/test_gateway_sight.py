"""What a narrowed role may see but not do is told apart from what is not there at all."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from hub import hookimpl
from hub.contracts import Bus
from hub.errors import NotFound, Unavailable
from hub.permissions import DEVELOPERS, OWNERS, VIEWERS, Permission, Role
from hub.routes import Authenticator, Call, Caller, NoQuery, Reply, Route
from hub.scope import hidden_projects
from tests.fixtures.gateway import RunSite, Site

NARROWED = {"prj_viewed": Role.VIEWER, "prj_billed": Role.BILLING}
CALLERS = {
    "wide": Caller("acc_one", "apt_1", role=Role.ADMIN),
    "narrowed": Caller("acc_one", "apt_2", role=Role.ADMIN, narrowed=NARROWED),
    "viewer": Caller("acc_one", "apt_3", role=Role.VIEWER, narrowed={"prj_open": Role.VIEWER}),
    "scoped": Caller(
        "acc_one", "apt_4", role=Role.ADMIN, narrowed=NARROWED, scopes=("boats:sail",)
    ),
}
BOATS = {"one": "prj_viewed", "two": "prj_billed", "three": "prj_open"}


class Boat(msgspec.Struct, frozen=True):
    """A thing of a project, the path to which does not name that."""

    id: str
    project: str


@dataclass
class Harbour:
    """A plugin with boats; what is hidden it does not find, as Postgres does not."""

    sailed: list[str] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    trouble: bool = False

    def find(self, call: Call[Any, NoQuery]) -> Boat:
        boat = call.path["boat"]
        project = BOATS.get(boat)
        if project is None or project in hidden_projects():
            raise NotFound("no such boat")
        return Boat(boat, project)

    async def look(self, call: Call[None, NoQuery]) -> Reply:
        if self.trouble:
            raise Unavailable("no light")
        self.looked.append(call.path["boat"])
        return Reply(self.find(call))

    async def sail(self, call: Call[Any, NoQuery]) -> Reply:
        boat = self.find(call)
        self.sailed.append(boat.id)
        return Reply()

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            return CALLERS.get(credential)

        return [Authenticator("harbour", "Bearer", check)]

    @hookimpl
    def isaax_permissions(self) -> list[Permission]:
        return [
            Permission("boats:read", "See boats.", VIEWERS),
            Permission("boats:sail", "Sail them.", DEVELOPERS),
            Permission("boats:sink", "Sink them.", OWNERS),
        ]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        def route(method: str, path: str, handler: Any, permission: str) -> Route[Any, Any]:
            reads = method == "GET"
            return Route(
                method=method, path=path, summary="It", tag="boats", handler=handler,
                permission=permission, response=Boat if reads else None,
                status=200 if reads else 204, errors=(NotFound,),
            )  # fmt: skip

        return [
            route("GET", "/boats/{boat}", self.look, "boats:read"),
            route("POST", "/boats/{boat}/sail", self.sail, "boats:sail"),
            route("POST", "/boats/{boat}/sink", self.sail, "boats:sink"),
            route("POST", "/rafts/{boat}/sail", self.sail, "boats:sail"),
        ]


@dataclass
class Shore:
    """A site with boats, and what came of what was asked."""

    site: Site
    harbour: Harbour

    async def ask(self, who: str, path: str, method: str = "POST") -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {who}"}
        url = f"{self.site.url}{path}"
        async with self.site.http.request(method, url, headers=headers) as answer:
            text = await answer.text()
            return answer.status, msgspec.json.decode(text) if text else {}


@pytest.fixture
async def shore(run_site: RunSite) -> AsyncIterator[Shore]:
    harbour = Harbour()
    async with run_site(harbour=harbour) as site:
        yield Shore(site, harbour)


async def test_where_the_role_is_wide_enough_it_is_done(shore: Shore) -> None:
    for who, boat in (("wide", "one"), ("wide", "two"), ("narrowed", "three")):
        assert (await shore.ask(who, f"/boats/{boat}/sail"))[0] == 204
    assert shore.harbour.sailed == ["one", "two", "three"]


async def test_what_may_be_seen_and_not_changed_says_what_is_missing(shore: Shore) -> None:
    assert (await shore.ask("narrowed", "/boats/one", "GET"))[0] == 200
    status, problem = await shore.ask("narrowed", "/boats/one/sail")
    assert (status, problem["type"]) == (403, "/problems/forbidden")
    assert "your role in the project of this lacks the permission boats:sail" in problem["detail"]
    assert shore.harbour.sailed == []


async def test_what_may_not_be_seen_is_not_there(shore: Shore) -> None:
    """Exactly as what nobody has."""
    _, nothing = await shore.ask("narrowed", "/boats/none/sail")
    status, problem = await shore.ask("narrowed", "/boats/two/sail")
    assert status == 404
    for one in (nothing, problem):
        del one["instance"]
    assert problem == nothing
    assert (await shore.ask("narrowed", "/boats/two", "GET"))[0] == 404


async def test_what_is_not_there_is_looked_for_only_where_something_is_hidden(
    shore: Shore,
) -> None:
    assert (await shore.ask("wide", "/boats/none/sail"))[0] == 404
    assert shore.harbour.looked == []


async def test_who_may_not_read_learns_nothing(shore: Shore) -> None:
    """A token that may only sail does not learn that a boat is there."""
    status, problem = await shore.ask("scoped", "/boats/one/sail")
    assert (status, problem["type"]) == (404, "/problems/not-found")
    assert shore.harbour.looked == []


async def test_without_a_way_to_read_it_there_is_nothing_to_tell(shore: Shore) -> None:
    assert (await shore.ask("narrowed", "/rafts/one/sail"))[0] == 404


async def test_a_role_that_lacks_it_everywhere_is_told_so_first(shore: Shore) -> None:
    status, problem = await shore.ask("viewer", "/boats/one/sail")
    assert (status, "your role here, viewer" in problem["detail"]) == (403, True)


async def test_when_nobody_can_tell_the_answer_is_an_honest_one(shore: Shore) -> None:
    shore.harbour.trouble = True
    status, _ = await shore.ask("narrowed", "/boats/one/sail")
    assert status == 503
    assert shore.harbour.sailed == []
