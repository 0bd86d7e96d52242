"""Every permission is a named one, in one table, which the docs have; and what roles make of it."""

import itertools
import re
from pathlib import Path

import pytest

from hub.permissions import ADMINS, EVERYONE, SIGNED_IN, VIEWERS, Permission, Permissions, Role
from hub.plugins import PluginHost

DOCS = Path(__file__).parents[2] / "docs" / "permissions.md"
HOST = PluginHost.load(quiet=True)
ALL = Permissions(HOST.permissions.values())


def line(permission: Permission) -> str:
    marks = " | ".join("✓" if role in permission.roles else "" for role in Role)
    text = f"| `{permission.name}` | {permission.summary} | {marks} |"
    return re.sub(r"\|  (?=\|)", "| ", text)


def test_the_page_has_all_of_them() -> None:
    """Line by line, as they are declared."""
    rows = [row for row in DOCS.read_text().splitlines() if re.match(r"\| `[a-z]", row)]
    wanted = [line(permission) for permission in ALL.table()]
    assert rows == wanted, "\n".join(wanted)


def test_every_route_asks_for_one_that_is_declared() -> None:
    asked = {route.permission for route in HOST.routes} - {None}
    assert {name for name in asked if name not in ALL} == set()


def test_every_declared_permission_is_asked_for() -> None:
    asked = {route.permission for route in HOST.routes}
    declared = {permission.name for permission in ALL.table()} - {SIGNED_IN.name}
    assert declared <= asked


def test_a_role_that_may_less_than_another_may_nothing_else() -> None:
    """From viewer to owner each role has all that the one before has."""
    order = [Role.VIEWER, Role.DEVELOPER, Role.ADMIN, Role.OWNER]
    for lesser, greater in itertools.pairwise(order):
        assert ALL.of(lesser) <= ALL.of(greater)
    assert ALL.of(Role.OWNER) == {permission.name for permission in ALL.table()}


def test_which_projects_a_permission_is_missing_in() -> None:
    permissions = Permissions(
        [Permission("a:read", "Read.", VIEWERS), Permission("a:write", "Write.", ADMINS)]
    )
    narrowed = {"prj_a": Role.VIEWER, "prj_b": Role.BILLING}
    assert permissions.without("a:read", narrowed) == {"prj_b"}
    assert permissions.without("a:write", narrowed) == {"prj_a", "prj_b"}
    assert permissions.without(SIGNED_IN.name, narrowed) == set()
    assert permissions.without("unknown:read", narrowed) == {"prj_a", "prj_b"}


def test_two_of_one_name() -> None:
    one = Permission("a:read", "Read.", EVERYONE)
    with pytest.raises(ValueError, match="a:read is declared twice"):
        Permissions([one, one])
