"""What the service `commands` needs of others: only the fields that it reads."""

from typing import Literal

import msgspec

from hub import Contract, Page, Topic


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
    """A device."""

    id: str
    project: str
    status: str
    number: int


class ListDevices(msgspec.Struct, frozen=True):
    """A page of a project's devices after `after`."""

    account: str
    project: str
    limit: int
    after: int
    group: str


class Devices(Page[Device], frozen=True):
    """One page of them."""


class SessionsOf(msgspec.Struct, frozen=True):
    """Ask for the live sessions of some devices."""

    account: str
    devices: list[str]


class LiveSession(msgspec.Struct, frozen=True):
    """The live session of a device."""

    device: str
    id: str


class LiveSessions(msgspec.Struct, frozen=True):
    """Those that there are; who has none is left out."""

    items: list[LiveSession]


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session."""

    kind: str
    account: str
    device: str


class ProjectAsked(msgspec.Struct, frozen=True):
    """Nothing of a project that is gone is to be left (or a new one is to have its defaults)."""

    kind: Literal["defaults", "removal"]
    account: str
    project: str


GET_PROJECT = Contract("projects.get", GetProject, Project)
GET_DEVICE = Contract("devices.get", GetDevice, Device)
LIST_DEVICES = Contract("devices.list", ListDevices, Devices)
SESSIONS = Contract("auth.sessions.live", SessionsOf, LiveSessions)
DEVICE = Topic("auth.device.changed", DeviceEvent)
PROJECT_ASKED = Topic("triggers.project.asked", ProjectAsked)
