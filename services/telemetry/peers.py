"""What the service `telemetry` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Topic


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


class OneDevice(msgspec.Struct, frozen=True):
    """One device of an account."""

    account: str
    device: str


class Device(msgspec.Struct, frozen=True):
    """A device, and its project."""

    id: str
    project: str


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device: `revoked` is said when one is deleted, `dropped` as well."""

    kind: str
    account: str
    device: str


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
GET_DEVICE = Contract("devices.get", OneDevice, Device)
DEVICE = Topic("auth.device.changed", DeviceEvent)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
