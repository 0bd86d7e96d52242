"""What the service `devices` answers of the data that devices send and are sent."""

from datetime import date
from typing import Any

import msgspec

from hub import Contract, Page


class DataCount(msgspec.Struct, frozen=True):
    """MQTT messages, and the bytes of their topics and payloads: up from devices, and down."""

    up_messages: int = 0
    up_bytes: int = 0
    down_messages: int = 0
    down_bytes: int = 0


class DataDay(DataCount, frozen=True, kw_only=True):
    """What a day (UTC) comes to."""

    day: date


class DeviceDataCount(DataCount, frozen=True, kw_only=True):
    """What a device comes to; `label` may be ""."""

    device: str
    label: str


class DataOf(msgspec.Struct, frozen=True):
    """Some days of an account, or of a project or a device of it; both ends are within."""

    account: str
    since: date
    until: date
    project: str = ""
    device: str = ""


class DataUsage(msgspec.Struct, frozen=True):
    """What they come to; a day of which nothing is known is left out.

    Args:
        this_month: the present one so far (UTC).
    """

    total: DataCount
    this_month: DataCount
    days: list[DataDay]


class TopOf(msgspec.Struct, frozen=True):
    """A page of a project's devices, those first that most was sent by or to in some days.

    Args:
        after: how many come before.
    """

    account: str
    project: str
    since: date
    until: date
    limit: int
    after: int = 0


class Top(Page[DeviceDataCount], frozen=True):
    """One page of them."""


def total_of(counts: list[Any]) -> DataCount:
    """Add up counts."""
    return DataCount(
        sum(one.up_messages for one in counts),
        sum(one.up_bytes for one in counts),
        sum(one.down_messages for one in counts),
        sum(one.down_bytes for one in counts),
    )


DEVICE = Contract("devices.data.of-device", DataOf, DataUsage)
PROJECT = Contract("devices.data.of-project", DataOf, DataUsage)
ACCOUNT = Contract("devices.data.of-account", DataOf, DataUsage)
TOP = Contract("devices.data.top", TopOf, Top)
