"""Every change over HTTP is in the audit log by construction: no handler here knows of it."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import pytest

from hub import SHOWN_ONCE, csrf_token, hookimpl, ids
from hub.audit.chain import Entry
from hub.audit.records import AuditEntry
from hub.contracts import Bus
from hub.database import Database, Query
from hub.embedded.postgres import Postgres
from hub.errors import Forbidden, Unavailable
from hub.gateway.service import Tuning
from hub.permissions import SIGNED_IN, VIEWERS, Permission, Role
from hub.routes import Authenticator, Call, Caller, NoQuery, Reply, Route
from hub.settings import PostgresSettings
from tests.fixtures.audit import Log
from tests.fixtures.gateway import PATIENCE, RunSite, Site

SESSION = "ses_secret"
CALLERS = {
    "owner": Caller("acc_deeds", "apt_1", user="usr_1", role=Role.ADMIN),
    "viewer": Caller("acc_deeds", "apt_2", role=Role.VIEWER),
    "narrow": Caller("acc_deeds", "apt_3", narrowed={"prj_seen": Role.VIEWER}),
    "lonely": Caller("", "ses_2", user="usr_2", interactive=True),
    SESSION: Caller("acc_deeds", "ses_1", user="usr_1", interactive=True),
}
SECRET = "a-secret-that-is-shown-once"


class ThingBody(msgspec.Struct, frozen=True):
    """What a client sets."""

    name: str = "a"


class Thing(msgspec.Struct, frozen=True):
    """A thing as the API shows it."""

    id: str
    project: str
    name: str
    code: Annotated[str | None, SHOWN_ONCE] = None


@dataclass
class Things:
    """A plugin with a thing in each project, whose handlers know nothing of the log."""

    account: str = field(default_factory=lambda: f"acc_{secrets.token_hex(6)}")
    names: dict[str, str] = field(default_factory=dict)
    reading: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Exception | None = None

    def view(self, call: Call[Any, NoQuery], code: str | None = None) -> Reply:
        project = call.path.get("project", "prj_none")
        thing = Thing("thing_1", project, self.names.get(project, "a"), code)
        return Reply(thing, location=f"/things/{project}" if code else None)

    async def read(self, call: Call[Any, NoQuery]) -> Reply:
        if self.trouble is not None:
            raise self.trouble
        return self.view(call)

    async def make(self, call: Call[ThingBody, NoQuery]) -> Reply:
        return self.view(call, SECRET)

    async def found(self, call: Call[Any, NoQuery]) -> Reply:
        return Reply(Thing(self.account, "", "an account"))

    async def make_some(self, call: Call[Any, NoQuery]) -> Reply:
        return Reply([self.view(call).body])

    async def change(self, call: Call[Any, NoQuery]) -> Reply:
        if call.body["name"] == "broken":
            raise RuntimeError("by mistake")
        self.names[call.path["project"]] = call.body["name"]
        return self.view(call)

    async def forbid(self, call: Call[Any, NoQuery]) -> Reply:
        raise Forbidden("not today")

    async def drop(self, call: Call[Any, NoQuery]) -> Reply:
        return Reply()

    async def stall(self, call: Call[Any, NoQuery]) -> Reply:
        self.reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    @hookimpl
    def isaax_authenticators(self) -> list[Authenticator]:
        async def check(credential: str, _: Bus) -> Caller | None:
            found = CALLERS.get(credential)
            if found is None or not found.account:
                return found
            return msgspec.structs.replace(found, account=self.account)

        return [Authenticator("deeds", "Bearer", check, cookie="session")]

    @hookimpl
    def isaax_permissions(self) -> list[Permission]:
        return [Permission("projects:read", "See them.", VIEWERS)]

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        thing = "/things/{project}"
        write = "notes:write"
        return [
            self._route("GET", thing, self.read, "notes:read"),
            self._route("PATCH", thing, self.change, write, body=ThingBody),
            self._route("DELETE", thing, self.drop, write, response=None, status=204),
            self._route("POST", f"{thing}/make", self.make, write, body=ThingBody, status=201),
            self._route("POST", f"{thing}/forbid", self.forbid, write),
            self._route("GET", f"{thing}/forbid", self.forbid, "notes:read"),
            self._route("POST", f"{thing}/stall", self.stall, write),
            self._route("GET", "/shown", self.read, "notes:read", audited=True),
            self._route("POST", "/noise", self.make, write, body=ThingBody, unaudited="noise"),
            self._route("POST", "/links/{link}", self.make, None, body=ThingBody),
            self._route("POST", "/mine/{link}", self.make, SIGNED_IN.name, body=ThingBody),
            self._route("POST", "/tries/{link}", self.forbid, None, body=ThingBody),
            self._route("POST", "/accounts", self.found, None, body=ThingBody),
            self._route("POST", "/listed", self.make_some, write, response=list[Thing]),
        ]

    def _route(
        self, method: str, path: str, handler: Any, permission: str | None, **more: Any
    ) -> Route[Any, Any]:
        return Route(
            method=method, path=path, summary=f"{method} it", tag="things", handler=handler,
            permission=permission, **({"response": Thing} | more),
        )  # fmt: skip


@dataclass
class Scene:
    """A site, what it serves, and the log of its account."""

    site: Site
    things: Things
    log: Log
    hub: Log
    seen: int = 0

    async def ask(self, method: str, path: str, token: str = "owner", **headers: str) -> int:
        status, _ = await self.answer(method, path, token, {"name": "b"}, **headers)
        return status

    async def answer(
        self, method: str, path: str, token: str, body: Any, **headers: str
    ) -> tuple[int, Any]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        data = None
        if method in {"POST", "PATCH"} and not path.endswith(("/stall", "/forbid", "/listed")):
            named["Content-Type"], data = kind, msgspec.json.encode(body)
        url = f"{self.site.url}{path}"
        async with self.site.http.request(method, url, headers=named, data=data) as answer:
            return answer.status, await answer.read()

    async def one(self) -> AuditEntry:
        """Give the only entry there is since the last time."""
        entries = await self.log.until(self.seen + 1)
        self.seen += 1
        return entries[-1]


@pytest.fixture
async def scene(run_site: RunSite, gateway_database: PostgresSettings) -> AsyncIterator[Scene]:
    things = Things()
    async with run_site(things=things) as site, Database.open(gateway_database) as database:
        yield Scene(site, things, Log(database, things.account), Log(database, "hub"))


# ── what is recorded ──


async def test_a_change_says_who_what_from_where_before_and_after(scene: Scene) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert await scene.ask("PATCH", "/things/prj_1", traceparent=trace, User_Agent="me/1") == 200
    one = await scene.one()
    assert (one.action, one.summary) == ("PATCH /things/{project}", "PATCH it")
    assert (one.project, one.object) == ("prj_1", {"project": "prj_1", "id": "thing_1"})
    actor = one.actor
    assert (actor.kind, actor.id, actor.user, actor.role) == ("token", "apt_1", "usr_1", "admin")
    assert (one.address, one.agent, one.trace) == ("127.0.0.1", "me/1", "a" * 32)
    assert (one.outcome, one.status, one.code, one.replayed) == ("done", 200, None, False)
    shown = {"id": "thing_1", "project": "prj_1", "code": None}
    assert (one.before, one.after) == (shown | {"name": "a"}, shown | {"name": "b"})
    assert (one.changed, one.notes) == (["/name"], [])
    assert len(one.request or "") == 36


async def test_a_deletion_has_what_was_before(scene: Scene) -> None:
    assert await scene.ask("DELETE", "/things/prj_2") == 204
    one = await scene.one()
    assert (one.status, one.after) == (204, None)
    assert one.before["project"] == "prj_2"


async def test_what_is_made_is_masked_where_it_is_shown_once(scene: Scene) -> None:
    """It has no before: what is at its path, or above it, is another thing, or a list."""
    status, body = await scene.answer("POST", "/things/prj_1/make", "owner", {"name": "x"})
    assert (status, SECRET in body.decode()) == (201, True)
    one = await scene.one()
    assert (one.status, one.after["code"]) == (201, "********")
    async with scene.log.database.system() as tx:
        everything = Query.parse("all", "SELECT string_agg(value, '') FROM audit_value")
        assert SECRET not in await tx.one(everything, str)


async def test_an_action_has_the_thing_that_its_path_is_below(scene: Scene) -> None:
    """It answers the same as the GET above it."""
    assert await scene.ask("POST", "/things/prj_1/make") == 201
    one = await scene.one()
    assert one.before == {"id": "thing_1", "project": "prj_1", "name": "a", "code": None}
    assert one.changed == ["/code"]


async def test_a_list_is_not_what_a_change_left_behind(scene: Scene) -> None:
    assert await scene.ask("POST", "/listed") == 200
    one = await scene.one()
    assert (one.status, one.before, one.after) == (200, None, None)


@pytest.mark.parametrize(
    ("path", "token", "kind"), [("/links/", "", "anonymous"), ("/mine/", "lonely", "person")]
)
async def test_what_lets_somebody_in_by_its_path_is_not_recorded(
    scene: Scene, path: str, token: str, kind: str
) -> None:
    """A link's token: an id has the form of one, and stays. Without an account it is the hub's."""
    count = len(await scene.hub.entries())
    for link in ("R4nd0mL1nkT0k3n", "inv_k3v5m7q2x4z6b3d2f5h7"):
        assert await scene.ask("POST", f"{path}{link}", token) == 200
    first, second = (await scene.hub.until(count + 2))[-2:]
    assert (first.object["link"], second.object["link"]) == (
        "********", "inv_k3v5m7q2x4z6b3d2f5h7",
    )  # fmt: skip
    assert {first.actor.kind, second.actor.kind} == {kind}


@pytest.mark.parametrize("token", ["", "lonely"])
async def test_who_makes_an_account_is_in_its_log(scene: Scene, token: str) -> None:
    """Whoever asked was of none before."""
    made = ids.new("acc")
    scene.things.account = made
    assert await scene.ask("POST", "/accounts", token) == 200
    (one,) = await Log(scene.log.database, made).until(1)
    assert (one.outcome, one.object) == ("done", {"id": made})


async def test_a_get_is_recorded_where_its_route_says_so(scene: Scene) -> None:
    assert await scene.ask("GET", "/things/prj_1") == 200
    assert await scene.ask("GET", "/shown") == 200
    one = await scene.one()
    assert (one.action, one.status, one.before, one.after) == ("GET /shown", 200, None, None)


async def test_a_change_is_not_recorded_where_its_route_says_why(scene: Scene) -> None:
    assert await scene.ask("POST", "/noise") == 200
    assert await scene.ask("DELETE", "/things/prj_3") == 204
    assert (await scene.one()).action == "DELETE /things/{project}"


async def test_a_request_that_is_not_well_formed_is_not_a_deed(scene: Scene) -> None:
    """Nothing was asked to be done."""
    status, _ = await scene.answer("PATCH", "/things/prj_1", "owner", [1])
    assert status == 422
    assert await scene.ask("DELETE", "/things/prj_4") == 204
    assert (await scene.one()).object["project"] == "prj_4"


# ── how it ended ──


async def test_what_failed_says_how(scene: Scene) -> None:
    assert await scene.ask("POST", "/things/prj_1/forbid") == 403
    one = await scene.one()
    assert (one.outcome, one.status, one.code) == ("refused", 403, "forbidden")


async def test_a_fault_of_the_hub_may_have_done_it(scene: Scene) -> None:
    status, _ = await scene.answer("PATCH", "/things/prj_1", "owner", {"name": "broken"})
    assert status == 500
    one = await scene.one()
    assert (one.outcome, one.status, one.code) == ("unknown", 500, "internal")
    assert one.before is not None


async def test_a_handler_that_is_cut_off_may_have_done_it(
    run_site: RunSite, gateway_database: PostgresSettings
) -> None:
    """The hub ends while a request is at work."""
    things = Things()
    async with Database.open(gateway_database) as database:
        log = Log(database, things.account)
        async with run_site(tuning=Tuning(drain=0.2), things=things) as site:
            scene = Scene(site, things, log, log)
            asking = asyncio.create_task(scene.ask("POST", "/things/prj_1/stall"))
            async with asyncio.timeout(PATIENCE):
                await things.reading.wait()
        async with run_site():
            (one,) = await log.until(1)
        await asyncio.gather(asking, return_exceptions=True)
    assert (one.outcome, one.code) == ("unknown", "cut-off")


@pytest.mark.parametrize(
    ("trouble", "note"),
    [
        (Unavailable("away"), "what was before could not be read: Unavailable"),
        (RuntimeError("by mistake"), "what was before could not be read"),
    ],
)
async def test_what_was_before_may_be_missing_with_a_reason(
    scene: Scene, trouble: Exception, note: str
) -> None:
    scene.things.trouble = trouble
    assert await scene.ask("PATCH", "/things/prj_1") == 200
    one = await scene.one()
    assert (one.before, one.notes, one.changed) == (None, [note], [])
    assert one.after["name"] == "b"


async def test_an_answer_that_is_given_again_is_recorded_as_that(scene: Scene) -> None:
    keyed = {"Idempotency_Key": "k-1"}
    assert await scene.ask("POST", "/things/prj_1/make", **keyed) == 201
    assert not (await scene.one()).replayed
    assert await scene.ask("POST", "/things/prj_1/make", **keyed) == 201
    again = await scene.one()
    assert (again.replayed, again.status, again.outcome) == (True, 201, "done")
    assert (again.before, again.after) == (None, None)


async def test_what_nobody_in_particular_tries_in_vain_is_counted(scene: Scene) -> None:
    """As wrong passwords are: whoever tries many fills no log, and what succeeds is an entry."""
    count = len(await scene.hub.entries())
    for _ in range(5):
        assert await scene.ask("POST", "/tries/a", "") == 403
    assert await scene.ask("POST", "/links/a", "") == 200
    scene.site.recorder.refusals.settle()
    entries = (await scene.hub.until(count + 3))[-3:]
    told = sorted((one.action, one.count, one.outcome) for one in entries)
    assert told == [
        ("POST /links/{link}", 1, "done"),
        ("POST /tries/{link}", 1, "refused"),
        ("POST /tries/{link}", 4, "refused"),
    ]
    assert (await scene.hub.verify()).fault == ""


# ── who was not let in ──


async def test_who_lacks_the_permission_is_recorded_once_and_counted(scene: Scene) -> None:
    for _ in range(3):
        assert await scene.ask("DELETE", "/things/prj_1", "viewer") == 403
    one = await scene.one()
    assert (one.outcome, one.status, one.code, one.count) == ("refused", 403, "forbidden", 1)
    assert (one.actor.id, one.actor.role, one.object) == ("apt_2", "viewer", {"project": "prj_1"})
    scene.site.recorder.refusals.settle()
    assert (await scene.one()).count == 2


async def test_a_narrowed_role_and_a_handler_that_forbids_are_recorded_for_reads_too(
    scene: Scene,
) -> None:
    assert await scene.ask("DELETE", "/things/prj_seen", "narrow") == 403
    assert (await scene.one()).project == "prj_seen"
    assert await scene.ask("GET", "/things/prj_1/forbid") == 403
    assert (await scene.one()).action == "GET /things/{project}/forbid"


async def test_a_forged_change_is_in_the_account_whose_cookie_it_came_with(scene: Scene) -> None:
    assert await scene.ask("DELETE", "/things/prj_1", "", Cookie=f"session={SESSION}") == 403
    one = await scene.one()
    assert (one.code, one.actor.kind, one.actor.id) == ("forged", "person", "ses_1")
    good = {"Sec_Fetch_Site": "same-origin", "X_CSRF_Token": csrf_token(SESSION)}
    cookie = f"session={SESSION}"
    assert await scene.ask("DELETE", "/things/prj_1", "", Cookie=cookie, **good) == 204
    assert (await scene.one()).outcome == "done"


async def test_a_credential_that_is_none_is_in_the_hubs_log(scene: Scene) -> None:
    """And one that was not shown is nobody's."""
    count = len(await scene.hub.entries())
    assert await scene.ask("GET", "/things/prj_1", "") == 401
    assert await scene.ask("GET", "/things/prj_9", "stolen") == 401
    one = (await scene.hub.until(count + 1))[-1]
    assert (one.outcome, one.status, one.actor.kind) == ("refused", 401, "anonymous")
    assert (one.address, one.object) == ("127.0.0.1", {"project": "prj_9"})
    assert "stolen" not in msgspec.json.encode(one).decode()


# ── when it cannot be recorded ──


async def test_without_postgres_nothing_is_done(scene: Scene, postgres_server: Postgres) -> None:
    """A change is refused rather than done unrecorded; what is open to reading goes on."""
    postgres_server.kill()
    try:
        assert await scene.ask("PATCH", "/things/prj_lost") == 503
        assert scene.things.names == {}
        assert await scene.ask("GET", "/things/prj_lost") == 200
        assert await scene.ask("POST", "/noise") == 200
    finally:
        await postgres_server.restart()
    assert await scene.ask("PATCH", "/things/prj_found") == 200
    assert (await scene.one()).project == "prj_found"


async def test_an_end_that_postgres_does_not_take_follows_when_it_is_back(
    scene: Scene, postgres_server: Postgres
) -> None:
    """The change was done, and its answer is given; the log hears of it late."""
    recorder = scene.site.recorder
    begun = await recorder.journal.begin(scene.log.deed())
    postgres_server.kill()
    recorder.journal.end(begun, scene.log.deed(status=200))
    await postgres_server.restart()
    one = await scene.one()
    assert (one.id, one.outcome, one.status) == (begun.entry, "done", 200)


def test_an_entry_has_no_place_for_a_body_or_a_credential() -> None:
    """What a request says is not in what is recorded, whatever its route is."""
    assert {"body", "query", "credential", "headers"}.isdisjoint(Entry.__struct_fields__)
