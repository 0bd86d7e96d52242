"""What the service `auth` answers and says on the bus."""

from typing import Literal

import msgspec

from hub import Contract, Nothing, Outcome, Topic


class RevokeDevice(msgspec.Struct, frozen=True):
    """Cut a device off at once and never let it in again."""

    account: str
    device: str


class ApproveDevices(msgspec.Struct, frozen=True):
    """Let devices of a project in that wait for it."""

    account: str
    project: str
    devices: list[str]


class ApprovedDevices(msgspec.Struct, frozen=True):
    """What became of each, in their order."""

    outcomes: list[Outcome]


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


APPROVE = Contract("auth.devices.approve", ApproveDevices, ApprovedDevices)
SESSIONS = Contract("auth.sessions.live", SessionsOf, LiveSessions)
REVOKE = Contract("auth.devices.revoke", RevokeDevice, Nothing)


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session; one topic, so that the order is kept.

    Args:
        kind: `registered`, `approved`, `opened`, `closed`, `revoked`, `quarantined` (two machines
            used one identity) or `dropped` (it registered and never said hello, nobody approved
            it, or its project was deleted).
        session: of `opened` and `closed`.
        label, agent, system: what the device said of itself, on `registered` and `opened`.
        addresses: that it has, on `opened`.
        group, waits: which group it is to be in, and that it has to be approved, on `registered`.
    """

    kind: Literal["registered", "approved", "opened", "closed", "revoked", "quarantined", "dropped"]
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


DEVICE = Topic("auth.device.changed", DeviceEvent)
