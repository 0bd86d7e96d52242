"""What the service `devices` answers on the bus (and `DESCRIBE_DEVICES`, which the relay asks)."""

from datetime import datetime

import msgspec

from hub import Contract, Nothing, Outcome, Page

MOST_TAGS = 32
"""Of one device."""


class Program(msgspec.Struct, frozen=True):
    """How one program of a device's app fares, as the device says (docs/protocol.md)."""

    name: str
    state: str
    since: datetime
    restarts: int
    exit: int | None
    error: str
    unlimited: bool


class Device(msgspec.Struct, frozen=True):
    """A device, as services see it; `number` orders lists, `version` makes its ETag."""

    id: str
    number: int
    account: str
    project: str
    label: str
    group: str
    tags: list[str]
    addresses: list[str]
    agent: str
    system: str
    status: str
    online: bool
    version: int
    registered_at: datetime
    last_seen_at: datetime | None
    app_state: str
    app_revision: str
    app_programs: list[Program]
    app_reported_at: datetime | None


class OneDevice(msgspec.Struct, frozen=True):
    """One device of an account."""

    account: str
    device: str


class ListDevices(msgspec.Struct, frozen=True):
    """A page of a project's devices after `after`; the rest narrows it.

    Args:
        tags: that it has all of.
        text: that is somewhere in what is shown of it, in any case.
        app: how its app is to fare; revision: of its app.
    """

    account: str
    project: str
    limit: int
    after: int = 0
    online: bool | None = None
    label: str = ""
    group: str = ""
    status: str = ""
    tags: list[str] = []
    text: str = ""
    app: str = ""
    revision: str = ""


class Devices(Page[Device], frozen=True):
    """One page of them."""


class ChangeDevice(msgspec.Struct, frozen=True):
    """Name a device, group and tag it; `versions` are those that the caller has seen."""

    account: str
    device: str
    label: str
    group: str
    tags: list[str]
    versions: tuple[str, ...] | None = None


class OneChange(msgspec.Struct, frozen=True):
    """What one device of many becomes; None leaves it as it is."""

    device: str
    label: str | None = None
    group: str | None = None
    add_tags: list[str] = []
    remove_tags: list[str] = []
    versions: tuple[str, ...] | None = None


class ChangeDevices(msgspec.Struct, frozen=True):
    """Name, group and tag many devices of a project at once."""

    account: str
    project: str
    changes: list[OneChange]


class ChangedDevices(msgspec.Struct, frozen=True):
    """What became of each, in their order."""

    outcomes: list[Outcome]


class DeleteDevice(msgspec.Struct, frozen=True):
    """Revoke a device and forget it."""

    account: str
    device: str
    versions: tuple[str, ...] | None = None


GET = Contract("devices.get", OneDevice, Device)
LIST = Contract("devices.list", ListDevices, Devices)
CHANGE = Contract("devices.change", ChangeDevice, Device)
CHANGE_MANY = Contract("devices.change.many", ChangeDevices, ChangedDevices, timeout=20.0)
DELETE = Contract("devices.delete", DeleteDevice, Nothing)
