"""What the service `auth` answers and says on the bus."""

from typing import Literal

import msgspec

from hub import Contract, Nothing, Topic


class RevokeDevice(msgspec.Struct, frozen=True):
    """Cut a device off at once and never let it in again."""

    account: str
    device: str


REVOKE = Contract("auth.devices.revoke", RevokeDevice, Nothing)


class DeviceEvent(msgspec.Struct, frozen=True):
    """What happened to a device's identity or session; one topic, so that the order is kept.

    Args:
        kind: `registered`, `opened`, `closed`, `revoked`, `quarantined` (two machines used one
            identity) or `dropped` (it registered and never said hello, or its project was deleted).
        session: of `opened` and `closed`.
        label, agent, system: what the device said of itself, on `registered` and `opened`.
    """

    kind: Literal["registered", "opened", "closed", "revoked", "quarantined", "dropped"]
    account: str
    project: str
    device: str
    session: str = ""
    label: str = ""
    agent: str = ""
    system: str = ""


DEVICE = Topic("auth.device.changed", DeviceEvent)
