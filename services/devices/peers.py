"""What the service `devices` needs of others: only the fields that it reads."""

import msgspec

from hub import Contract, Nothing, Outcome, Topic


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session."""

    kind: str
    account: str
    project: str
    device: str
    session: str = ""
    label: str = ""
    agent: str = ""
    system: str = ""
    addresses: tuple[str, ...] = ()
    group: str = "default"
    waits: bool = False


class ApproveDevices(msgspec.Struct, frozen=True):
    """Let devices of a project in that wait for it."""

    account: str
    project: str
    devices: list[str]


class ApprovedDevices(msgspec.Struct, frozen=True):
    """What became of each, in their order."""

    outcomes: list[Outcome]


class RevokeDevice(msgspec.Struct, frozen=True):
    """Cut a device off at once and never let it in again."""

    account: str
    device: str


class ProjectChanged(msgspec.Struct, frozen=True):
    """A project was made or deleted."""

    account: str
    project: str


class GetProject(msgspec.Struct, frozen=True):
    """One project of an account."""

    account: str
    project: str


class Project(msgspec.Struct, frozen=True):
    """A project: that it is there is enough."""

    id: str


DEVICE = Topic("auth.device.changed", DeviceEvent)
PROJECT_DELETED = Topic("projects.deleted", ProjectChanged)
APPROVE = Contract("auth.devices.approve", ApproveDevices, ApprovedDevices)
REVOKE = Contract("auth.devices.revoke", RevokeDevice, Nothing)
GET_PROJECT = Contract("projects.get", GetProject, Project)
