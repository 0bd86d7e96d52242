"""What the service `devices` answers of groups, and says of them."""

from datetime import datetime

import msgspec

from hub import Contract, Nothing, Page, Topic

DEFAULT = "default"
"""The group that a device is in unless somebody says otherwise; every project has it."""


class Group(msgspec.Struct, frozen=True):
    """A group; `devices` are in it, `online` of them have a session now."""

    name: str
    number: int
    description: str
    version: int
    created_at: datetime
    devices: int
    online: int


class OneGroup(msgspec.Struct, frozen=True):
    """One group of a project."""

    account: str
    project: str
    name: str


class ListGroups(msgspec.Struct, frozen=True):
    """A page of a project's groups after `after`."""

    account: str
    project: str
    limit: int
    after: int = 0


class Groups(Page[Group], frozen=True):
    """One page of them."""


class MakeGroup(msgspec.Struct, frozen=True):
    """Make a group."""

    account: str
    project: str
    name: str
    description: str


class ChangeGroup(msgspec.Struct, frozen=True):
    """Describe a group; `versions` are those that the caller has seen."""

    account: str
    project: str
    name: str
    description: str
    versions: tuple[str, ...] | None = None


class DeleteGroup(msgspec.Struct, frozen=True):
    """Delete a group in which no device is."""

    account: str
    project: str
    name: str
    versions: tuple[str, ...] | None = None


class GroupDeleted(msgspec.Struct, frozen=True):
    """A group is no more: what is kept for it may go."""

    account: str
    project: str
    group: str


GET = Contract("devices.groups.get", OneGroup, Group)
LIST = Contract("devices.groups.list", ListGroups, Groups)
MAKE = Contract("devices.groups.make", MakeGroup, Group)
CHANGE = Contract("devices.groups.change", ChangeGroup, Group)
DELETE = Contract("devices.groups.delete", DeleteGroup, Nothing)
DELETED = Topic("devices.group.deleted", GroupDeleted)
