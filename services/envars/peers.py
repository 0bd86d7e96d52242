"""What the service `envars` needs of others: only the fields that it reads."""

from typing import Literal

import msgspec

from hub import Contract, Topic


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


class GetDevice(msgspec.Struct, frozen=True):
    """One device of an account."""

    account: str
    device: str


class Device(msgspec.Struct, frozen=True):
    """A device: what its variables depend on."""

    id: str
    project: str
    label: str
    group: str


class GetGroup(msgspec.Struct, frozen=True):
    """One group of a project."""

    account: str
    project: str
    name: str


class Group(msgspec.Struct, frozen=True):
    """A group: that it is there is enough."""

    name: str


class GroupDeleted(msgspec.Struct, frozen=True):
    """A group is no more: what is kept for it may go."""

    account: str
    project: str
    group: str


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session."""

    kind: str
    account: str
    project: str
    device: str
    session: str = ""
    group: str = ""


class ProjectAsked(msgspec.Struct, frozen=True):
    """A new project is to have its defaults; or nothing of one that is gone is to be left."""

    kind: Literal["defaults", "removal"]
    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
GET_DEVICE = Contract("devices.get", GetDevice, Device)
GET_GROUP = Contract("devices.groups.get", GetGroup, Group)
GROUP_DELETED = Topic("devices.group.deleted", GroupDeleted)
DEVICE = Topic("auth.device.changed", DeviceEvent)
PROJECT_ASKED = Topic("triggers.project.asked", ProjectAsked)
