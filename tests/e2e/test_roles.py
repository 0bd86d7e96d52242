"""Every route as each role, by a narrowed role, by a token with less, and by one that is void."""

import pytest

from hub.permissions import SIGNED_IN, Permissions, Role
from hub.plugins import PluginHost
from tests.fixtures.spine import Api, Spine
from tests.fixtures.tenants import (
    CLOSED,
    IN_PROJECTS,
    OWNED,
    AnyRoute,
    Tenant,
    body_of,
    member,
    name_of,
    path_of,
)

PERMISSIONS = Permissions(PluginHost.load(quiet=True).permissions.values())
OWN = "/api/v1/api-tokens"
"""Where each person finds their own, and can give no more than they have (test_accounts_tokens)."""
ASKED = [
    route
    for route in CLOSED
    if route.permission not in {None, SIGNED_IN.name} and not route.path.startswith(OWN)
]
"""Routes that ask for a permission of their own."""
ROLES = [role for role in Role if role is not Role.OWNER]

each = pytest.mark.parametrize("route", ASKED, ids=name_of)


def allowed(route: AnyRoute, role: Role) -> bool:
    """Say what the table of permissions says."""
    return PERMISSIONS.allows(role, route.permission or "")


def is_read(route: AnyRoute) -> bool:
    """Say whether a route changes nothing."""
    return route.method == "GET" or (route.permission or "").endswith(":read")


@pytest.fixture(scope="module")
def people(spine: Spine, owner: Tenant) -> dict[str, Api]:
    """The API as each kind of member has it, by a name for them."""
    project = owner.ids["project"]
    reads = tuple(p.name for p in PERMISSIONS.table() if p.name.endswith(":read"))
    made = {role.value: member(spine, owner.account, role) for role in Role}
    made["narrowed to viewer"] = member(
        spine, owner.account, Role.ADMIN, narrowed={project: Role.VIEWER}
    )
    made["narrowed to billing"] = member(
        spine, owner.account, Role.ADMIN, narrowed={project: Role.BILLING}
    )
    made["token for nothing"] = member(spine, owner.account, Role.OWNER, scopes=("self",))
    made["token for reading"] = member(spine, owner.account, Role.OWNER, scopes=reads)
    return made


def ask(who: Api, route: AnyRoute, tenant: Tenant, *, nobodys: bool = False) -> int:
    """Use a route on a tenant's things, or on some that nobody has; give the status."""
    ids = dict(tenant.ids)
    if nobodys:
        ids = {name: f"{id_[:4]}{'z' * 20}" for name, id_ in ids.items()}
    return who.ask(route.method, path_of(route, ids), body_of(route)).status


@each
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says_and_nothing_else(
    role: Role, route: AnyRoute, owner: Tenant, people: dict[str, Api]
) -> None:
    """What changes something is tried on what is not there: to be told so is to be let in."""
    who = people[role]
    if not allowed(route, role):
        before = owner.everything()
        assert ask(who, route, owner) == 403
        assert owner.everything() == before
    elif is_read(route):
        assert ask(who, route, owner) == 200
    else:
        assert ask(who, route, owner, nobodys=True) == (404 if route in OWNED else route.status)


@pytest.mark.parametrize("route", IN_PROJECTS, ids=name_of)
def test_who_is_narrowed_to_a_viewer_only_looks(
    route: AnyRoute, owner: Tenant, people: dict[str, Api]
) -> None:
    """An admin elsewhere; whatever the path, they are told what is missing in that project."""
    before = owner.everything()
    status = ask(people["narrowed to viewer"], route, owner)
    if allowed(route, Role.VIEWER) and is_read(route):
        assert status == 200
    else:
        assert status == 403
    assert owner.everything() == before


@pytest.mark.parametrize("route", IN_PROJECTS, ids=name_of)
def test_a_project_in_which_one_may_nothing_is_not_there(
    route: AnyRoute, owner: Tenant, people: dict[str, Api]
) -> None:
    before = owner.everything()
    assert ask(people["narrowed to billing"], route, owner) == 404
    assert owner.everything() == before


def test_nor_is_it_in_the_list_of_projects(owner: Tenant, people: dict[str, Api]) -> None:
    listed = people["narrowed to billing"].get("/projects?limit=200")
    assert owner.ids["project"] not in {project["id"] for project in listed}


@each
def test_a_token_is_good_for_its_scopes_alone(
    route: AnyRoute, owner: Tenant, people: dict[str, Api]
) -> None:
    """Whatever its owner may do."""
    before = owner.everything()
    assert ask(people["token for nothing"], route, owner) == 403
    reads = (route.permission or "").endswith(":read")
    assert ask(people["token for reading"], route, owner) == (200 if reads else 403)
    assert owner.everything() == before


VOID = {
    "revoked": "UPDATE accounts_api_token SET revoked_at = now() WHERE id = '{token}'",
    "expired": "UPDATE accounts_api_token SET expires_at = now() WHERE id = '{token}'",
    "of somebody suspended": ("UPDATE accounts_user SET suspended_at = now() WHERE id = '{user}'"),
    "of somebody who left": "DELETE FROM accounts_member WHERE \"user\" = '{user}'",
}


@pytest.mark.parametrize("spoilt", VOID)
def test_a_token_that_is_void_opens_nothing(spoilt: str, spine: Spine, owner: Tenant) -> None:
    """Every route answers as to a token that never was."""
    who = member(spine, owner.account, Role.OWNER, spoilt=VOID[spoilt])
    before = owner.everything()
    statuses = {name_of(route): ask(who, route, owner) for route in CLOSED}
    assert {name for name, status in statuses.items() if status != 401} == set()
    assert owner.everything() == before
