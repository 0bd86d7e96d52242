"""What the service `scripts` needs of others: only the fields that it reads."""

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
    """A device: that it is there is enough."""

    id: str


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session."""

    kind: str
    account: str
    project: str
    device: str
    session: str = ""


class ProjectAsked(msgspec.Struct, frozen=True):
    """A new project is to have its defaults; or nothing of one that is gone is to be left."""

    kind: Literal["defaults", "removal"]
    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
GET_DEVICE = Contract("devices.get", GetDevice, Device)
DEVICE = Topic("auth.device.changed", DeviceEvent)
PROJECT_ASKED = Topic("triggers.project.asked", ProjectAsked)
