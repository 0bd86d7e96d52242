"""What devices get: of all that is set for them the nearest, filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hub import Connection, Opener, Vault
from hub.protocol import Envar, Session
from services.envars.levels import SQL, Row
from services.envars.templates import expand


@dataclass(frozen=True)
class Target:
    """A device, and what its variables depend on."""

    device: str
    account: str
    project: str
    label: str
    group: str
    session: str = ""
    version: int = 0

    @cached_property
    def values(self) -> dict[str, str]:
        """What is filled in."""
        return {
            "DEVICE_ID": self.device, "DEVICE_LABEL": self.label,
            "GROUP": self.group, "PROJECT_ID": self.project,
        }  # fmt: skip

    def on(self, session: str) -> Session:
        """Give its session of this id, or the one that it is known to have."""
        return Session(self.project, self.device, session or self.session)


@dataclass(frozen=True, slots=True)
class Filled:
    """A variable that counts for a device, and its value there."""

    row: Row
    value: str

    @property
    def envar(self) -> Envar:
        """It as it goes to the device."""
        secret = self.row.sealed is not None
        return Envar(self.row.name, self.value, self.row.restart, secret)


@dataclass(frozen=True, slots=True)
class Outfit:
    """All variables of one device, by name."""

    target: Target
    variables: list[Filled]

    @property
    def envars(self) -> list[Envar]:
        """They as they go to the device."""
        return [one.envar for one in self.variables]


class _Owned(Row, frozen=True, kw_only=True):
    account: str
    project: str


async def effective(tx: Connection, vault: Vault, targets: Sequence[Target]) -> list[Outfit]:
    """Give what these devices get, in their order.

    Args:
        tx: sees them all. Whoever sends it under a version has read that before.

    Raises:
        SealBroken: a secret does not open.
    """
    rows = await tx.all(
        SQL["variables_for"], _Owned,
        projects=sorted({one.project for one in targets}),
        groups=sorted({one.group for one in targets}),
        devices=sorted({one.device for one in targets}),
    )  # fmt: skip
    plain: dict[str, dict[tuple[str, str], list[tuple[Row, str]]]] = {}
    openers: dict[str, Opener] = {}
    for row in rows:
        if row.project not in openers:
            openers[row.project] = await vault.opener(tx, account=row.account, project=row.project)
        value = row.open(openers[row.project], row.project)
        of_project = plain.setdefault(row.project, {})
        of_project.setdefault((row.level, row.target), []).append((row, value))
    shared: dict[tuple[str, str], list[Filled]] = {}
    return [
        Outfit(target, _variables(target, plain.get(target.project, {}), shared))
        for target in targets
    ]


def _variables(
    target: Target,
    found: Mapping[tuple[str, str], list[tuple[Row, str]]],
    shared: dict[tuple[str, str], list[Filled]],
) -> list[Filled]:
    """Give what counts for a device; the very same list to all of a group where it is the same.

    Args:
        shared: by project and group.
    """
    own = found.get(("device", target.device), [])
    place = (target.project, target.group)
    if not own and place in shared:
        return shared[place]
    counting = [*found.get(("project", ""), ()), *found.get(("group", target.group), ()), *own]
    values = {row.name: (row, value) for row, value in counting}  # the nearer comes later
    variables = [Filled(row, _fill(value, target)) for _, (row, value) in sorted(values.items())]
    if not own and not any("$" in value for _, value in counting):
        shared[place] = variables
    return variables


def _fill(value: str, target: Target) -> str:
    return expand(value, target.values) if "$" in value else value
