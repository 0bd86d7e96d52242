"""A member whose role is narrowed in one project, as admins do it: at once, there, and no longer.

Every route by a narrowed role: `test_roles.py`.
"""

import pytest

from hub.permissions import Role
from tests.fixtures.people import Person
from tests.fixtures.spine import Api, Spine
from tests.fixtures.tenants import Tenant, joined


@pytest.fixture
def developer(spine: Spine, owner: Tenant) -> Person:
    """A developer of the account."""
    return joined(spine, owner.account, Role.DEVELOPER)


def api_of(who: Person, owner: Tenant) -> Api:
    """Give the API as somebody uses it."""
    return Api(owner.api.base, who.tokens[owner.account])


def narrow(who: Person, owner: Tenant, role: str) -> None:
    """Narrow somebody's role in the project."""
    path = f"/projects/{owner.ids['project']}/members/{who.id}"
    answer = owner.api.ask("PUT", path, {"role": role})
    assert (answer.status, answer.body["role"], answer.body["account_role"]) == (
        200, role, "developer",
    )  # fmt: skip


def test_it_counts_from_the_next_request_on_and_ends(owner: Tenant, developer: Person) -> None:
    """By the id of a device, whose project is not in the path."""
    api, device = api_of(developer, owner), f"/devices/{owner.ids['device']}"
    narrow(developer, owner, "billing")
    assert api.ask("GET", device).status == 404
    narrow(developer, owner, "viewer")
    assert api.ask("GET", device).status == 200
    refused = api.ask("PATCH", device, {"label": "mine"})
    assert (refused.status, "devices:write" in refused.body["detail"]) == (403, True)
    member = f"/projects/{owner.ids['project']}/members/{developer.id}"
    assert owner.api.ask("DELETE", member).status == 204
    assert owner.api.ask("DELETE", member).status == 404
    assert api.ask("PATCH", device, {"label": "mine"}).status == 200


def test_elsewhere_they_are_what_they_were(owner: Tenant, developer: Person) -> None:
    """In a project in which nothing is narrowed; and what is made up is not there anywhere."""
    api = api_of(developer, owner)
    for role in ("viewer", "billing"):
        narrow(developer, owner, role)
        project = owner.api.make("/projects", {"name": "another"})["id"]
        assert api.ask("PATCH", f"/projects/{project}", {"name": "changed"}).status == 200
        for made_up in ("devices/dev_none", "integrations/int_none", "projects/prj_none"):
            assert api.ask("PATCH", f"/{made_up}", {"name": "x"}).status == 404


def test_lists_leave_out_what_is_hidden(owner: Tenant, developer: Person) -> None:
    api, project = api_of(developer, owner), owner.ids["project"]
    for role, there in (("viewer", True), ("billing", False)):
        narrow(developer, owner, role)
        listed = {one["id"] for one in api.get("/projects?limit=200")}
        assert (project in listed) is there


def test_one_cannot_widen_what_was_narrowed_for_one(spine: Spine, owner: Tenant) -> None:
    """An admin who is less in a project manages nobody there, themselves included."""
    admin = joined(spine, owner.account, Role.ADMIN)
    path = f"/projects/{owner.ids['project']}/members/{admin.id}"
    api = api_of(admin, owner)
    for role, status in (("viewer", 403), ("billing", 404)):
        assert owner.api.ask("PUT", path, {"role": role}).status == 200
        assert api.ask("DELETE", path).status == status
        assert api.ask("PUT", path, {"role": "developer"}).status == status
