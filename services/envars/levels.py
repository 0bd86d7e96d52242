"""What is set at one level: read, compared, written, inside a transaction of the caller's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from hub import Connection, Invalid, Opener, PreconditionFailed, Queries, Vault
from services.envars import contracts as c
from services.envars.templates import names_in
from services.envars.variables import AGENTS, check

SQL: Final = Queries.load("services.envars")
FIRST: Final = 1
"""Version of a level that nothing was ever set at."""


class Row(msgspec.Struct, frozen=True):
    """A row of envars_variable."""

    name: str
    value: str | None
    sealed: bytes | None
    restart: bool
    uses: list[str]
    version: int
    changed_at: datetime
    level: c.LevelName
    target: str

    def shown(self, value: str | None = None) -> c.Variable:
        """Give it as others see it.

        Args:
            value: in place of the one that it holds, as it is filled in.
        """
        text = None if self.sealed is not None else self.value if value is None else value
        return c.Variable(
            self.name, text, self.sealed is not None, self.restart, self.version,
            self.changed_at, self.level,
        )  # fmt: skip

    def open(self, opener: Opener, project: str) -> str:
        """Give its value, also of a secret.

        Raises:
            SealBroken: it does not open.
        """
        if self.sealed is None:
            return self.value or ""
        name = secret_name(project, self.level, self.target, self.name, self.version)
        return opener.open(self.sealed, name=name).decode()


def secret_name(project: str, level: str, target: str, name: str, version: int) -> str:
    """Say what a secret is sealed for: an older one, or another's, does not open in its place."""
    return f"envar/{project}/{level}/{target}/{name}/{version}"


@dataclass(frozen=True, slots=True)
class Place:
    """A level of one project: the project itself, a group in it, a device in it."""

    account: str
    project: str
    level: c.LevelName
    target: str

    @property
    def keys(self) -> dict[str, str]:
        """The parameters of queries that name it."""
        return {
            "account": self.account, "project": self.project,
            "level": self.level, "target": self.target,
        }  # fmt: skip


class Levels:
    """Reads and writes levels."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def read(self, tx: Connection, place: Place) -> c.Level:
        """Give what is set at a level."""
        version = await tx.maybe(SQL["level_version"], int, **place.keys)
        rows = await tx.all(SQL["variables"], Row, **place.keys)
        return c.Level(version or FIRST, [row.shown() for row in rows])

    async def lock(
        self, tx: Connection, place: Place, versions: tuple[str, ...] | None = None
    ) -> dict[str, Row]:
        """Lock a level, and its project's, so that changes of one project come one by one.

        Raises:
            PreconditionFailed: it has another version than these.
        """
        whole = Place(place.account, place.project, "project", "")
        for one in dict.fromkeys((whole, place)):
            await tx.run(SQL["open_level"], **one.keys)
            version = await tx.one(SQL["lock_level"], int, **one.keys)
        if versions is not None and str(version) not in versions:
            raise PreconditionFailed("the variables have changed: read them again")
        return {row.name: row for row in await tx.all(SQL["variables"], Row, **place.keys)}

    async def write(
        self, tx: Connection, place: Place, old: Mapping[str, Row], new: Mapping[str, c.Value]
    ) -> list[str]:
        """Make a level that is locked hold these, and give the devices for which that counts.

        Raises:
            Invalid: they cannot be its variables.
        """
        opener = await self._vault.opener(tx, account=place.account, project=place.project)
        kept = {name: row.open(opener, place.project) for name, row in old.items()}
        wanted = {name: _filled(name, value, old, kept) for name, value in new.items()}
        check(wanted)
        gone = sorted(old.keys() - wanted.keys())
        changed = [name for name in wanted if _differs(wanted[name], old.get(name), kept)]
        if not gone and not changed:
            return []
        version = await tx.one(SQL["raise_level"], int, **place.keys)
        await tx.run(SQL["drop_variables"], names=gone, **place.keys)
        for name in changed:
            await self._put(tx, place, name, wanted[name], version)
        return await tx.all(SQL["bump"], str, names=[*gone, *changed], **place.keys)

    async def _put(
        self, tx: Connection, place: Place, name: str, value: c.Value, version: int
    ) -> None:
        text = value.value or ""
        sealed: bytes | None = None
        if value.secret:
            sealed = await self._vault.seal(
                tx, text.encode(), account=place.account, project=place.project,
                name=secret_name(place.project, place.level, place.target, name, version),
            )  # fmt: skip
        await tx.run(
            SQL["put_variable"],
            name=name, value=None if value.secret else text, sealed=sealed,
            restart=value.restart, uses=names_in(text), version=version,
            **place.keys,
        )  # fmt: skip


def replacing(old: Mapping[str, Row], new: Mapping[str, c.Value]) -> dict[str, c.Value]:
    """Give what a level holds once it is replaced: the agent's own go back to their defaults.

    Args:
        old: what it holds; at other levels than the project's the agent's own may be left out.
    """
    left_out = {
        name: c.Value(AGENTS[name])
        for name, row in old.items()
        if row.level == "project" and name in AGENTS and name not in new
    }
    return {**left_out, **new}


def as_wanted(rows: Mapping[str, Row]) -> dict[str, c.Value]:
    """Give what a level holds as if it were asked for: secrets are kept."""
    return {
        name: c.Value(row.value, row.sealed is not None, row.restart) for name, row in rows.items()
    }


def _filled(name: str, value: c.Value, old: Mapping[str, Row], kept: Mapping[str, str]) -> c.Value:
    """Give a secret the value that it keeps.

    Raises:
        Invalid: there is none to keep; or what was a secret would be shown.
    """
    if value.value is not None:
        return value
    if value.secret and name in old and old[name].sealed is not None:
        return msgspec.structs.replace(value, value=kept[name])
    raise Invalid(
        f"{name} needs a value: only a secret keeps the one that it has, by staying a secret"
    )


def _differs(value: c.Value, row: Row | None, kept: Mapping[str, str]) -> bool:
    if row is None:
        return True
    was: tuple[Any, ...] = (kept[row.name], row.sealed is not None, row.restart)
    return was != (value.value, value.secret, value.restart)
