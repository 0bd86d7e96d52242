"""What the service `alerts` needs of others: only the fields that it reads."""

from datetime import datetime

import msgspec

from hub import Contract, Page, Topic


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


class ListDevices(msgspec.Struct, frozen=True):
    """A page of a project's devices after `after`."""

    account: str
    project: str
    limit: int
    after: int = 0
    group: str = ""
    status: str = ""


class OneDevice(msgspec.Struct, frozen=True):
    """One device of an account."""

    account: str
    device: str


class Device(msgspec.Struct, frozen=True):
    """A device."""

    id: str
    number: int
    project: str
    label: str
    group: str
    status: str
    online: bool
    registered_at: datetime
    last_seen_at: datetime | None


class Devices(Page[Device], frozen=True):
    """One page of them."""


class RecentOf(msgspec.Struct, frozen=True):
    """A page of what the series of a metric were from `since` to `until`, after `after`."""

    account: str
    project: str
    name: str
    since: datetime
    until: datetime
    limit: int
    after: int = 0


class RecentSeries(msgspec.Struct, frozen=True):
    """The samples of one series: the least, the greatest and the newest of them."""

    number: int
    device: str
    labels: dict[str, str]
    least: float
    most: float
    newest: float
    newest_at: datetime


class Recent(Page[RecentSeries], frozen=True):
    """One page of those that have samples in that time."""


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
GET_DEVICE = Contract("devices.get", OneDevice, Device)
LIST_DEVICES = Contract("devices.list", ListDevices, Devices)
RECENT = Contract("telemetry.recent", RecentOf, Recent)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
