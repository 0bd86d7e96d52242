"""What the relay asks about devices, and how far it has come with each."""

import msgspec

from hub.contracts import Contract, Topic
from hub.protocol import Mark


class DescribeDevices(msgspec.Struct, frozen=True):
    """Ask for the host names to show for these devices of a project, and their groups."""

    project: str
    devices: list[str]


class DeviceHosts(msgspec.Struct, frozen=True):
    """Host name by device id: its label, or the id itself; unknown devices are left out.

    Args:
        groups: name of the group by device id; `default` for those that are left out.
    """

    hosts: dict[str, str]
    groups: dict[str, str] = {}


DESCRIBE_DEVICES = Contract("devices.describe", DescribeDevices, DeviceHosts)


class DeviceChanged(msgspec.Struct, frozen=True):
    """A device's label or group changed, or it was made or deleted."""

    device: str
    project: str


DEVICE_CHANGED = Topic("devices.changed", DeviceChanged)


class MarksOf(msgspec.Struct, frozen=True):
    """Ask how far each stream of a device is durable."""

    project: str
    device: str


class Marks(msgspec.Struct, frozen=True):
    """The mark of each stream that has one."""

    marks: dict[str, Mark]


MARKS = Contract("relay.marks", MarksOf, Marks)
