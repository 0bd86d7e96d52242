"""One account against all that another one has: every route that there is, and every device topic.

The routes come from the plugins' own declarations, so a new one is tested by being there; one with
a path parameter that nobody has thought of here fails.
"""

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from hub.contracts import Nothing
from hub.database import Database
from hub.ids import new
from hub.messaging.nats_transport import connect
from hub.plugins import PluginHost
from hub.relay.dead_letters import DEVICE, REASON, STREAM
from hub.relay.streams import dead_subject
from hub.routes import Route
from services.accounts.service import Accounts
from tests.deadline import until
from tests.fixtures.parts import run_now
from tests.fixtures.rawdevice import RawDevice, batch
from tests.fixtures.spine import Answer, Api, Project, Spine

_PARAMETER = re.compile(r"\{(\w+)\}")
MOVING = frozenset({"status", "states", "lag_lines", "lag_seconds", "today", "last_used_at"})
"""What changes by itself."""
PUBLIC = frozenset({"type"})
"""Path parameters that name what is the same for every account."""
BODIES: Mapping[str, Any] = {
    "POST /api/v1/projects/{project}/tokens": {"name": "intruder"},
    "POST /api/v1/projects/{project}/integrations": {
        "type": "syslog", "name": "intruder", "config": {"host": "127.0.0.1", "port": 9},
    },
    "PATCH /api/v1/projects/{project}": {"name": "intruder"},
    "PATCH /api/v1/devices/{device}": {"label": "intruder"},
    "POST /api/v1/projects/{project}/device-changes": {
        "changes": [{"device": "dev_nobody", "group": "intruder"}],
    },
    "PUT /api/v1/integrations/{integration}": {
        "name": "intruder", "config": {"host": "127.0.0.1", "port": 9}, "enabled": False,
    },
    "PATCH /api/v1/integrations/{integration}": {"name": "intruder"},
    "POST /api/v1/projects/{project}/integrations/test": {
        "type": "syslog", "config": {"host": "127.0.0.1", "port": 9},
    },
    "POST /api/v1/integrations/{integration}/test": {"message": "intruder"},
    "POST /api/v1/integrations/{integration}/dry-run": {"limit": 1},
    "POST /api/v1/integrations/{integration}/replay": {"dead_letters": "all"},
    "PATCH /api/v1/integrations/{integration}/dead-letters/{letter}": {"messages": ["intruder"]},
}  # fmt: skip
"""A good body for each route that takes one: what refuses it is whose the thing is."""

ALL = PluginHost.load(quiet=True).routes
ROUTES = [r for r in ALL if not r.local]
LOCAL = [r for r in ALL if r.local]
"""Routes of this very machine: they belong to nobody, and nobody elsewhere gets there."""

OPEN = {
    "POST /api/v1/users", "POST /api/v1/sessions", "POST /api/v1/password-resets",
    "POST /api/v1/password-resets/redeem", "POST /api/v1/email-verifications",
    "POST /api/v1/email-changes/redeem", "POST /api/v1/unlocks",
    "GET /links/{kind}/{link}", "POST /links/{kind}/{link}",
}  # fmt: skip
"""Routes of whoever is not logged in: test_accounts_*.py is about them."""
CLOSED = [r for r in ROUTES if not r.anonymous]
PERSONAL = [r for r in ROUTES if r.interactive]
"""Routes of people who are logged in, about themselves."""

OWNED = [r for r in CLOSED if set(_PARAMETER.findall(r.path)) - PUBLIC and not r.interactive]
"""Routes to what belongs to an account."""


def name_of(route: Route[Any, Any]) -> str:
    """Name a route as its tests are named."""
    return f"{route.method} {route.path}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An account with one of everything: ids by path parameter."""

    api: Api
    ids: Mapping[str, str]
    project: Project
    device: RawDevice

    def ask(self, route: Route[Any, Any], whose: Mapping[str, str]) -> Answer:
        """Use a route on things of these ids."""
        path = route.path.format_map(whose).removeprefix("/api/v1")
        return self.api.ask(route.method, path, BODIES.get(name_of(route)))

    def everything(self) -> list[Any]:
        """Give all that can be read of it, and nothing that moves by itself."""
        readable = [r for r in OWNED if r.method == "GET"]
        answers = [self.ask(route, self.ids) for route in readable]
        assert {answer.status for answer in answers} == {200}
        return [_at_rest(answer.body) for answer in answers]


def _at_rest(body: Any) -> Any:
    """Leave out how an integration fares: it changes with time."""
    if isinstance(body, list):
        return [_at_rest(item) for item in body]
    if isinstance(body, dict):
        return {key: _at_rest(value) for key, value in body.items() if key not in MOVING}
    return body


def _account(spine: Spine) -> str:
    """Make another account, and give its API token."""
    tokens: list[str] = []

    async def make() -> None:
        settings = spine.embedded.postgres.settings
        async with Database.open(settings) as database:
            rules, account = Accounts(database), new("acc")
            assert not (await rules.bootstrap(Nothing())).token
            async with database.transaction(account=account) as tx:
                await tx.raw.execute("INSERT INTO accounts_account VALUES ($1, 'other')", account)
                tokens.append(await rules.add_token(tx, account, "other"))

    run_now(make())
    return tokens[0]


def _wait(condition: Callable[[], bool], what: str) -> None:
    async def wait() -> None:
        await until(condition, what=what)

    run_now(wait())


def _tenant(spine: Spine, token: str) -> Tenant:
    """Furnish an account: a device that has sent a line, an integration, a token."""
    api = Api(spine.api.base, token)
    project = api.make("/projects", {"name": "tenant"})["id"]
    secret = api.make(f"/projects/{project}/tokens", {"name": "devices"})
    config = {"host": "127.0.0.1", "port": 9, "transport": "udp"}
    integration = api.make(
        f"/projects/{project}/integrations", {"type": "syslog", "name": "mine", "config": config}
    )
    known = Project(project, secret["token"])
    device = _let_in(spine, known).register().open().hello()
    assert device.send(batch("a line of mine"))["op"] == "ack"
    path = f"/devices/{device.client}"

    def listed() -> bool:
        answer = api.ask("GET", path)
        return answer.status == 200 and bool(answer.body["online"])

    _wait(listed, "the device in the list")
    ids = {
        "project": project, "token": secret["id"], "integration": integration["id"],
        "device": device.client, "type": "syslog",
        "letter": _letter(spine, project, integration["id"], device.client),
        "api_token": api.make("/api-tokens", {"name": "mine", "scopes": ["*"]})["id"],
    }  # fmt: skip
    return Tenant(api, ids, known, device)


def _letter(spine: Spine, project: str, integration: str, device: str) -> str:
    """Put a dead letter there, as a delivery does, and give its id."""
    written: list[str] = []

    async def write() -> None:
        async with connect(spine.embedded.nats.settings) as nats:
            ack = await nats.jetstream().publish(
                dead_subject(project, integration),
                batch("a dead line of mine"),
                headers={DEVICE: device, STREAM: "app", REASON: "refused"},
            )
            written.append(str(ack.seq))

    run_now(write())
    return written[0]


def _let_in(spine: Spine, project: Project) -> RawDevice:
    """Connect a newcomer once the broker has heard of its token."""
    found: list[RawDevice] = []

    def admitted() -> bool:
        device = RawDevice(spine.embedded.ports.mqtt, project.id, project.token)
        if device.connect() == 0:
            found.append(device)
            return True
        device.close()
        return False

    _wait(admitted, "the token at the broker")
    assert found[0].subscribe(f"auth/{found[0].client}/down") == 1
    return found[0]


@pytest.fixture(scope="module")
def owner(spine: Spine) -> Iterator[Tenant]:
    """The account whose things are wanted."""
    tenant = _tenant(spine, spine.token)
    yield tenant
    for device in tenant.device.family:
        device.close()


@pytest.fixture(scope="module")
def other(spine: Spine) -> Iterator[Tenant]:
    """Another account on the same hub."""
    tenant = _tenant(spine, _account(spine))
    yield tenant
    for device in tenant.device.family:
        device.close()


def test_every_route_is_covered_here() -> None:
    """A path parameter or a body that this file does not know is not tested: say so."""
    known = {
        "project", "token", "integration", "device", "type", "letter", "api_token", "session",
        "kind", "link",
    }  # fmt: skip
    assert {p for route in ROUTES for p in _PARAMETER.findall(route.path)} <= known
    with_body = {name_of(route) for route in OWNED if route.body is not None}
    assert with_body == set(BODIES)
    assert {name_of(route) for route in ROUTES if route.permission is None} == OPEN
    assert {name_of(route) for route in ROUTES if route.anonymous} == OPEN


@pytest.mark.parametrize("route", OWNED, ids=name_of)
def test_what_is_anothers_is_not_there(
    route: Route[Any, Any], owner: Tenant, other: Tenant
) -> None:
    """Each route answers 404, exactly as for an id that nobody has, and changes nothing."""
    before = owner.everything()
    answer = other.ask(route, owner.ids)
    nobody = other.ask(route, {name: f"{id_[:4]}{'z' * 20}" for name, id_ in owner.ids.items()})
    assert (answer.status, nobody.status) == (404, 404)
    assert _said(answer) == _said(nobody), "it tells whether the id exists"
    assert owner.everything() == before


def _said(answer: Answer) -> dict[str, Any]:
    """Give a problem without what names the request."""
    return {key: value for key, value in answer.body.items() if key != "instance"}


@pytest.mark.parametrize(
    "route", [r for r in OWNED if len(_PARAMETER.findall(r.path)) > 1], ids=name_of
)
def test_anothers_thing_in_ones_own_project_is_not_there(
    route: Route[Any, Any], owner: Tenant, other: Tenant
) -> None:
    """The project in the path is one's own, what is asked for in it is not; and the reverse."""
    before = owner.everything()
    first = _PARAMETER.findall(route.path)[0]
    mixed = [{**owner.ids, first: other.ids[first]}, {**other.ids, first: owner.ids[first]}]
    assert [other.ask(route, ids).status for ids in mixed] == [404, 404]
    assert owner.everything() == before


@pytest.mark.parametrize("route", CLOSED, ids=name_of)
@pytest.mark.parametrize(
    "credential", ["", "Bearer isx_nobody", "Bearer iss_nobody", "Basic aXN4Og=="]
)
def test_without_a_good_token_nothing_is_there(
    route: Route[Any, Any], credential: str, owner: Tenant
) -> None:
    """Without one, with a wrong one and with another scheme: 401, before anything else is read."""
    path = _PARAMETER.sub("x", route.path).removeprefix("/api/v1")
    body = BODIES.get(name_of(route), {"name": "x"} if route.body else None)
    answer = owner.api.ask(route.method, path, body, {"Authorization": credential})
    assert answer.status == 401


@pytest.mark.parametrize("route", PERSONAL, ids=name_of)
def test_what_concerns_a_person_no_token_does(route: Route[Any, Any], owner: Tenant) -> None:
    """Whatever its scopes, and before anything else is read."""
    path = _PARAMETER.sub("x", route.path).removeprefix("/api/v1")
    answer = owner.api.ask(route.method, path, {"name": "x"} if route.body else None)
    assert (answer.status, answer.body["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize("route", LOCAL, ids=name_of)
@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Host": "hub.example.com"}], ids=str
)
def test_what_is_this_machines_is_nobody_elses(
    route: Route[Any, Any], headers: dict[str, str], owner: Tenant
) -> None:
    """Whoever asks, and with whatever token."""
    url = owner.api.base + _PARAMETER.sub("x", route.path)
    shown = {"Authorization": f"Bearer {owner.api.token}", **headers}
    request = urllib.request.Request(url, method=route.method, headers=shown)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.code == 403
        assert json.load(answer)["type"] == "/problems/local-only"


def test_lists_hold_only_ones_own(owner: Tenant, other: Tenant) -> None:
    """A list without an id in its path is of the caller's account."""
    mine = {project["id"] for project in other.api.get("/projects?limit=200")}
    assert owner.ids["project"] not in mine
    assert other.ids["project"] in mine


def test_an_idempotency_key_is_its_accounts_own(owner: Tenant, other: Tenant) -> None:
    """The same key and body of another account make another thing, and replay nothing."""
    key, body = {"Idempotency-Key": f"key-{time.time_ns()}"}, {"name": "keyed"}
    first, second = (t.api.ask("POST", "/projects", body, key) for t in (owner, other))
    assert (first.status, second.status) == (201, 201)
    assert first.body["id"] != second.body["id"]


CHANGES = [route for route in OWNED if route.method in {"PUT", "PATCH", "DELETE"}]


@pytest.mark.parametrize("tags", ['"0"', 'W/"1"', '"*"'])
@pytest.mark.parametrize("route", CHANGES, ids=name_of)
def test_a_change_of_another_version_changes_nothing(
    route: Route[Any, Any], tags: str, owner: Tenant
) -> None:
    """An old tag, a weak one (never a match: RFC 9110, 13.1.1), and a star in quotes: 412."""
    before = owner.everything()
    path = route.path.format_map(owner.ids).removeprefix("/api/v1")
    headers = {"If-Match": tags}
    answer = owner.api.ask(route.method, path, BODIES.get(name_of(route)), headers)
    assert answer.status == 412
    assert owner.everything() == before


# ── devices ──


def test_a_token_registers_nothing_in_anothers_project(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """The proof is of the project's own token; one's own says nothing of another's."""
    client = _let_in(spine, other.project)
    claim = client.registration(client.nonce())
    assert client.say(claim | {"project": owner.project.id})["code"] == "proof"
    forger = RawDevice(client.port, owner.project.id, other.project.token, client=client.client)
    assert client.say(forger.registration(client.nonce()))["code"] == "proof"
    client.close()


def test_a_device_opens_nothing_of_another_tenant(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """Neither with its token in the other's name, nor with its session on the other's topics."""
    port = spine.embedded.ports.mqtt
    victim, mine = owner.device, other.device
    crossed = RawDevice(port, owner.project.id, other.project.token, client=victim.client)
    assert crossed.connect() != 0, "a token of another project"
    crossed.close()
    squatter = RawDevice(port, other.project.id, other.project.token, client=victim.client)
    assert squatter.connect() != 0, "the client id of a live session"
    squatter.close()
    for topic in (victim.topics.ack, f"{victim.topics.down}/#", f"auth/{victim.client}/down"):
        assert mine.subscribe(topic) >= 128
    before = owner.everything()
    mine.publish(victim.topics.log("app"), batch("forged", first=2))
    gone = b'{"op":"gone","connection":"%b"}' % victim.connection.encode()
    mine.publish(f"auth/{victim.client}/up", gone)
    assert mine.send(batch("mine", first=2))["seq"] == 2
    assert owner.everything() == before
    assert victim.send(batch("still here", first=2))["seq"] == 2


def test_a_key_opens_a_session_in_its_own_project_alone(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """A device of one tenant is unknown in the project of another."""
    device = _let_in(spine, other.project).register().open()
    greeting = device.again(project=owner.project.id).greeting(device.nonce())
    assert device.say(greeting)["code"] == "unknown-device"
    device.close()
