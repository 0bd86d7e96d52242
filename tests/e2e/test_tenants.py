"""One account against all that another one has: every route, and every device topic.

They come from the plugins' own declarations, so a new one is tested by being there; one with a path
parameter that nobody has thought of fails.
"""

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from hub.protocol.limits import METRICS, STREAMS
from tests.fixtures.rawdevice import RawDevice, batch
from tests.fixtures.spine import Answer, Api, Spine
from tests.fixtures.tenants import (
    CLOSED,
    LOCAL,
    OWNED,
    PERSONAL,
    PUBLIC,
    ROUTES,
    AnyRoute,
    Tenant,
    dead_letter,
    let_in,
    mentions,
    name_of,
    nobodys,
    parameters_of,
    token_of,
    wait,
)

OPEN = {
    "POST /api/v1/users", "POST /api/v1/sessions", "POST /api/v1/sessions/second-factor",
    "POST /api/v1/sessions/passkey-options", "POST /api/v1/sessions/passkey",
    "POST /api/v1/password-resets",
    "POST /api/v1/password-resets/redeem", "POST /api/v1/email-verifications",
    "POST /api/v1/email-changes/redeem", "POST /api/v1/unlocks",
    "GET /links/{kind}/{link}", "POST /links/{kind}/{link}",
    "POST /api/v1/invitations/preview", "POST /api/v1/transfers/redeem",
    "POST /api/v1/account-deletions/undo",
    "POST /api/v1/user-deletions/undo",
    *(f"{method} /links/{kind}/{{link}}" for kind in ("invitation", "transfer", "keep", "stay")
      for method in ("GET", "POST")),
}  # fmt: skip
"""Routes that anyone may use; each is to have tests of its own (test_accounts_*.py)."""


def test_every_route_is_covered_here(owner: Tenant) -> None:
    """A path parameter that a tenant has nothing for is not tested, and an open route neither."""
    asked = [route for route in CLOSED if not route.interactive]
    assert {p for route in asked for p in parameters_of(route)} <= owner.ids.keys()
    assert {name_of(route) for route in ROUTES if route.permission is None} == OPEN | {
        "POST /api/v1/invitations/redeem",  # whoever is logged in joins as who they are
    }
    assert {name_of(route) for route in ROUTES if route.anonymous} == OPEN


@pytest.mark.parametrize("route", OWNED, ids=name_of)
def test_what_is_anothers_is_not_there(route: AnyRoute, owner: Tenant, other: Tenant) -> None:
    """Each route answers 404, exactly as for an id that nobody has, and changes nothing."""
    before = owner.everything()
    answer = other.ask(route, owner.ids)
    nobody = other.ask(route, nobodys(owner))
    assert (answer.status, nobody.status) == (404, 404)
    assert _said(answer) == _said(nobody), "it tells whether the id exists"
    assert owner.everything() == before


def _said(answer: Answer) -> dict[str, Any]:
    """Give a problem without what names the request."""
    return {key: value for key, value in answer.body.items() if key != "instance"}


@pytest.mark.parametrize(
    "route", [r for r in OWNED if len({*parameters_of(r)} - PUBLIC) > 1], ids=name_of
)
def test_anothers_thing_in_ones_own_project_is_not_there(
    route: AnyRoute, owner: Tenant, other: Tenant
) -> None:
    """The project in the path is one's own, what is asked for in it is not; and the reverse."""
    before = owner.everything()
    first = parameters_of(route)[0]
    mixed = [{**owner.ids, first: other.ids[first]}, {**other.ids, first: owner.ids[first]}]
    assert [other.ask(route, ids).status for ids in mixed] == [404, 404]
    assert owner.everything() == before


@pytest.mark.parametrize("route", CLOSED, ids=name_of)
@pytest.mark.parametrize(
    "credential", ["", "Bearer isx_nobody", "Bearer iss_nobody", "Basic aXN4Og=="]
)
def test_without_a_good_token_nothing_is_there(
    route: AnyRoute, credential: str, owner: Tenant
) -> None:
    """Without one, with a wrong one and with another scheme: 401, before anything else is read."""
    assert owner.ask(route, headers={"Authorization": credential}).status == 401


@pytest.mark.parametrize("route", PERSONAL, ids=name_of)
def test_what_concerns_a_person_no_token_does(route: AnyRoute, owner: Tenant) -> None:
    """Whatever its scopes, and before anything else is read."""
    answer = owner.ask(route)
    assert (answer.status, answer.body["type"]) == (403, "/problems/forbidden")


@pytest.mark.parametrize("route", LOCAL, ids=name_of)
@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Host": "hub.example.com"}], ids=str
)
def test_what_is_this_machines_is_nobody_elses(
    route: AnyRoute, headers: dict[str, str], owner: Tenant
) -> None:
    """Whoever asks, and with whatever token."""
    url = owner.api.base + re.sub(r"\{\w+\}", "x", route.path)
    shown = {"Authorization": f"Bearer {owner.api.token}", **headers}
    request = urllib.request.Request(url, method=route.method, headers=shown)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        assert answer.code == 403
        assert json.load(answer)["type"] == "/problems/local-only"


READS = [
    route
    for route in CLOSED
    if route.method == "GET" and not route.interactive and route.path != "/api/v1/audit"
]
"""Not the audit log: it repeats what one has asked for, another's ids too (test_audit)."""
FILTERS = [
    (route, name)
    for route in READS
    for name in route.query.__struct_fields__
    if name in {"project", "token", "integration", "device", "letter", "user", "account"}
]
"""Queries that may name what is another's."""


@pytest.mark.parametrize("route", [r for r in READS if r not in OWNED], ids=name_of)
def test_what_names_nobody_tells_of_oneself_alone(
    route: AnyRoute, owner: Tenant, other: Tenant
) -> None:
    """A list without an id in its path is of the caller's account."""
    answer = other.ask(route, headers={"Accept": "application/json"})
    # A token that stands for an account is nobody's.
    assert answer.status == (404 if route.path == "/api/v1/users/me" else 200)
    assert mentions(answer.body, owner) == []


def test_a_list_of_projects_holds_ones_own(owner: Tenant, other: Tenant) -> None:
    """Else the test before would pass with nothing in it."""
    mine = {project["id"] for project in other.api.get("/projects?limit=200")}
    assert other.ids["project"] in mine


@pytest.mark.parametrize(
    ("route", "name"), FILTERS, ids=[f"{name_of(route)} {name}" for route, name in FILTERS]
)
def test_a_search_finds_nothing_of_another(
    route: AnyRoute, name: str, owner: Tenant, other: Tenant
) -> None:
    """One's own project, narrowed to another's device."""
    path = route.path.format_map(other.ids).removeprefix("/api/v1")
    mine, theirs = (
        other.api.ask("GET", f"{path}?{name}={ids[name]}") for ids in (other.ids, owner.ids)
    )
    assert mine.status == 200
    assert mentions(theirs.body, owner, but=owner.ids[name]) == []
    assert theirs.status in {200, 404}
    assert not theirs.body or theirs.status == 404


def test_many_at_once_may_name_only_ones_own(owner: Tenant, other: Tenant) -> None:
    """Another's device among one's own is one that is not there, like one that nobody has."""
    before = owner.everything()
    devices = [other.ids["device"], owner.ids["device"], nobodys(owner)["device"]]
    body = {"changes": [{"device": device, "label": "taken"} for device in devices]}
    path = f"/projects/{other.ids['project']}/device-changes"
    outcomes = other.api.ask("POST", path, body).body
    assert [one["status"] for one in outcomes] == [200, 404, 404]
    assert outcomes[1]["problem"] == outcomes[2]["problem"]
    assert owner.everything() == before


def test_the_figures_of_the_relay_are_of_ones_own(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """A newcomer's are zero, whatever others have; nor do they change with what others send."""
    newcomer = Api(spine.api.base, token_of(spine)[1])
    assert any(owner.api.get("/relay").values())
    assert not any(newcomer.get("/relay").values())

    def quiet() -> bool:
        return bool(other.api.get("/relay")["lines_per_second"] == 0)

    wait(quiet, "ten seconds without a line")
    before = other.api.get("/relay")
    assert owner.device.send(batch("another line", first=2))["op"] == "ack"
    dead_letter(spine, owner.ids["project"], owner.ids["integration"], owner.device.client)
    wait(lambda: owner.api.get("/relay")["lines_per_second"] > 0, "the owner's rate")
    wait(lambda: owner.api.get("/relay")["dead_letters"] > 1, "the owner's letter")
    after = other.api.get("/relay")
    assert {k: v for k, v in after.items() if k != "lag_seconds"} == {
        k: v for k, v in before.items() if k != "lag_seconds"
    }


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
    route: AnyRoute, tags: str, owner: Tenant
) -> None:
    """An old tag, a weak one (never a match: RFC 9110, 13.1.1), and a star in quotes: 412."""
    before = owner.everything()
    assert owner.ask(route, headers={"If-Match": tags}).status == 412
    assert owner.everything() == before


# ── devices ──


def test_a_token_registers_nothing_in_anothers_project(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """The proof is of the project's own token; one's own says nothing of another's."""
    client = let_in(spine, other.project)
    claim = client.registration(client.nonce())
    assert client.say(claim | {"project": owner.project.id})["code"] == "proof"
    forger = RawDevice(client.port, owner.project.id, other.project.token, client=client.client)
    assert client.say(forger.registration(client.nonce()))["code"] == "proof"
    client.close()


def topics_of(device: RawDevice) -> tuple[list[str], list[str]]:
    """Give every topic that a device has: those that it writes to, and those that it reads."""
    session = device.topics
    up = [
        *(session.log(stream) for stream in STREAMS),
        *(f"{session.up}/metric/{kind}" for kind in METRICS),
        f"{session.up}/state", f"{session.up}/reply/cmd_1", f"auth/{device.client}/up",
    ]  # fmt: skip
    names = ("ack", "desired", "envars", "scripts", "command/cmd_1")
    return up, [*(f"{session.down}/{name}" for name in names), f"auth/{device.client}/down"]


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
    up, down = topics_of(victim)
    for topic in (
        *up,
        *down,
        f"{victim.topics.up}/#",
        f"{victim.topics.down}/#",
        "#",
        "d/#",
        "+/+",
    ):
        assert mine.subscribe(topic) >= 128, topic
    before = owner.everything()
    for topic in (*up, *down):
        mine.publish(topic, batch("forged", first=2))
    gone = b'{"op":"gone","connection":"%b"}' % victim.connection.encode()
    mine.publish(f"auth/{victim.client}/up", gone)
    assert mine.send(batch("mine", first=2))["seq"] == 2
    assert owner.everything() == before
    assert victim.send(batch("still here", first=2))["seq"] == 2


def test_a_key_opens_a_session_in_its_own_project_alone(
    spine: Spine, owner: Tenant, other: Tenant
) -> None:
    """A device of one tenant is unknown in the project of another."""
    device = let_in(spine, other.project).register().open()
    greeting = device.again(project=owner.project.id).greeting(device.nonce())
    assert device.say(greeting)["code"] == "unknown-device"
    device.close()
