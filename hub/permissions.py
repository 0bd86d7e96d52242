"""Who may do what: roles, and the named permissions that each of them has.

Plugins declare permissions (`isaax_permissions`), routes name one each, and the gateway asks for
it. `docs/permissions.md` is the table of all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a member of an account is."""

    OWNER = "owner"
    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    BILLING = "billing"


EVERYONE: Final = frozenset(Role)
OWNERS: Final = frozenset({Role.OWNER})
ADMINS: Final = frozenset({Role.OWNER, Role.ADMIN})
DEVELOPERS: Final = ADMINS | {Role.DEVELOPER}
VIEWERS: Final = DEVELOPERS | {Role.VIEWER}
PAYERS: Final = OWNERS | {Role.BILLING}


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that a caller may be allowed to do.

    Args:
        name: `<what>:<verb>`, such as `projects:read`; what an API token's scopes name, too.
        summary: what it allows, for the table and the reference.
        roles: that have it.
        while_closing: it also holds for changes while the account is being deleted.
    """

    name: str
    summary: str
    roles: frozenset[Role]
    while_closing: bool = False


SIGNED_IN: Final = Permission(
    "self", "What concerns the caller alone.", EVERYONE, while_closing=True
)
"""Of routes that anyone may use who shows a valid credential of whatever scopes."""


class Permissions:
    """All permissions that there are.

    Raises:
        ValueError: two are declared under one name.
    """

    def __init__(self, declared: Iterable[Permission]) -> None:
        self._by_name: dict[str, Permission] = {SIGNED_IN.name: SIGNED_IN}
        for permission in declared:
            if permission.name in self._by_name:
                raise ValueError(f"the permission {permission.name} is declared twice")
            self._by_name[permission.name] = permission

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def of(self, role: Role) -> frozenset[str]:
        """Give the names of the permissions that a role has."""
        return frozenset(p.name for p in self._by_name.values() if role in p.roles)

    def allows(self, role: Role, name: str) -> bool:
        """Say whether a role has a permission."""
        return name in self._by_name and role in self._by_name[name].roles

    def hold_while_closing(self, name: str) -> bool:
        """Say whether a permission also holds for changes while the account is being deleted."""
        return name in self._by_name and self._by_name[name].while_closing

    def without(self, name: str, roles: Mapping[str, Role]) -> frozenset[str]:
        """Give those keys (projects) whose role lacks a permission."""
        return frozenset(key for key, role in roles.items() if not self.allows(role, name))

    def table(self) -> list[Permission]:
        """Give them all, by name."""
        return [self._by_name[name] for name in sorted(self._by_name)]
