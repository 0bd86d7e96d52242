"""What a device is to have, as whoever keeps it tells `auth`, which tells the device."""

import msgspec

from hub.contracts import Contract


class WantedBy(msgspec.Struct, frozen=True):
    """Ask for what one device is to have."""

    project: str
    device: str


class Wanted(msgspec.Struct, frozen=True):
    """The version of it; 0 is none yet."""

    version: int


def wanted_contract(kind: str) -> Contract[WantedBy, Wanted]:
    """Give the contract by which the service of that name tells it.

    Args:
        kind: one of `hub.protocol.KINDS`, which is the name of the service, too.
    """
    return Contract(f"{kind}.wanted", WantedBy, Wanted, timeout=1.0)
