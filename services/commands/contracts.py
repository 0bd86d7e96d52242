"""What the service `commands` answers on the bus."""

from datetime import datetime

import msgspec

from hub import Contract, Page
from hub.protocol import Action


class SendCommand(msgspec.Struct, frozen=True):
    """Have something done once: on a device, or on those of a group, or on all of the project.

    Args:
        project: "" is the device's.
        timeout: seconds that it may take on each; wait: in which it has to begin there.
    """

    account: str
    project: str
    action: Action
    timeout: float
    wait: float
    device: str = ""
    group: str = ""


class Command(msgspec.Struct, frozen=True):
    """A command; `number` orders lists.

    Args:
        counts: how many devices are in which state.
    """

    id: str
    number: int
    project: str
    action: Action
    timeout: float
    device: str
    group: str
    created_at: datetime
    deadline: datetime
    counts: dict[str, int]


class OneCommand(msgspec.Struct, frozen=True):
    """One command of a project."""

    account: str
    project: str
    command: str


class ListCommands(msgspec.Struct, frozen=True):
    """A page of a project's commands before `before`, the newest first; 0 begins."""

    account: str
    project: str
    limit: int
    before: int = 0


class Commands(Page[Command], frozen=True):
    """One page of them."""


class ListResults(msgspec.Struct, frozen=True):
    """A page of what became of a command; `status` narrows it."""

    account: str
    project: str
    command: str
    limit: int
    after: int = 0
    status: str = ""


class Result(msgspec.Struct, frozen=True):
    """What became of a command on one device; `number` orders lists."""

    number: int
    device: str
    status: str
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class Results(Page[Result], frozen=True):
    """One page of them."""


class ListOfDevice(msgspec.Struct, frozen=True):
    """A page of a device's commands before `before`, the newest first; 0 begins."""

    account: str
    device: str
    limit: int
    before: int = 0
    status: str = ""


class DeviceCommand(msgspec.Struct, frozen=True):
    """A command of a device, and what became of it there; `number` orders lists."""

    number: int
    command: str
    action: Action
    timeout: float
    created_at: datetime
    deadline: datetime
    status: str
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class DeviceCommands(Page[DeviceCommand], frozen=True):
    """One page of them."""


SEND = Contract("commands.send", SendCommand, Command, timeout=15.0)
GET = Contract("commands.get", OneCommand, Command)
LIST = Contract("commands.list", ListCommands, Commands)
RESULTS = Contract("commands.results", ListResults, Results)
OF_DEVICE = Contract("commands.of_device", ListOfDevice, DeviceCommands)
CANCEL = Contract("commands.cancel", OneCommand, Command)
