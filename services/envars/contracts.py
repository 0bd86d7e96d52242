"""What the service `envars` answers on the bus."""

from datetime import datetime
from typing import Literal

import msgspec

from hub import Contract, Nothing, Page

LevelName = Literal["project", "group", "device"]
"""Where a variable is set: the nearer to the device wins."""


class Value(msgspec.Struct, frozen=True):
    """What a variable is to be.

    Args:
        value: None keeps that of a secret.
    """

    value: str | None = None
    secret: bool = False
    restart: bool = False

    def __repr__(self) -> str:
        return f"Value(secret={self.secret}, restart={self.restart})"


class Variable(msgspec.Struct, frozen=True):
    """A variable of a level, as services see it: a secret shows no value.

    Args:
        version: of the level, when it changed last; makes its ETag.
    """

    name: str
    value: str | None
    secret: bool
    restart: bool
    version: int
    changed_at: datetime
    level: LevelName

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, level={self.level!r})"


class OneLevel(msgspec.Struct, frozen=True):
    """The variables of a project; or of a group in it; or of a device, whatever else is named."""

    account: str
    project: str = ""
    group: str = ""
    device: str = ""


class Level(msgspec.Struct, frozen=True):
    """What is set at a level itself."""

    version: int
    variables: list[Variable]


class ReplaceLevel(msgspec.Struct, frozen=True):
    """Replace what is set at a level; `versions` are those that the caller has seen."""

    account: str
    variables: dict[str, Value]
    project: str = ""
    group: str = ""
    device: str = ""
    versions: tuple[str, ...] | None = None


class PutVariable(msgspec.Struct, frozen=True):
    """Set one variable at a level.

    Args:
        absent: only if there is none there yet.
    """

    account: str
    name: str
    variable: Value
    project: str = ""
    group: str = ""
    device: str = ""
    versions: tuple[str, ...] | None = None
    absent: bool = False


class OneVariable(msgspec.Struct, frozen=True):
    """One variable of a level."""

    account: str
    name: str
    project: str = ""
    group: str = ""
    device: str = ""
    versions: tuple[str, ...] | None = None


class OneDevice(msgspec.Struct, frozen=True):
    """One device of an account."""

    account: str
    device: str


class Effective(msgspec.Struct, frozen=True):
    """What a device has, whoever set it.

    Args:
        variables: values are filled in.
        own: the version of what is set for the device itself; makes the ETag.
        version: of the whole; applied: that the device says that it uses.
        error: why the device could not take up the newest, in its words.
    """

    device: str
    variables: list[Variable]
    own: int
    version: int
    applied: int
    error: str


class ListStatuses(msgspec.Struct, frozen=True):
    """A page of a project's devices after `after`.

    Args:
        pending: only those that have not, or have, taken up the newest.
    """

    account: str
    project: str
    limit: int
    after: int = 0
    pending: bool | None = None


class Status(msgspec.Struct, frozen=True):
    """How far a device is; `number` orders lists."""

    number: int
    device: str
    label: str
    group: str
    online: bool
    version: int
    applied: int
    error: str
    reported_at: datetime | None


class Statuses(Page[Status], frozen=True):
    """One page of them."""


GET = Contract("envars.get", OneLevel, Level)
REPLACE = Contract("envars.replace", ReplaceLevel, Level)
GET_ONE = Contract("envars.variables.get", OneVariable, Variable)
PUT = Contract("envars.variables.put", PutVariable, Variable)
DELETE = Contract("envars.variables.delete", OneVariable, Nothing)
EFFECTIVE = Contract("envars.effective", OneDevice, Effective)
STATUSES = Contract("envars.statuses", ListStatuses, Statuses)
