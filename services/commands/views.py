"""Commands as the API takes and shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from hub import FieldError, Invalid, PageQuery
from hub.protocol import Action
from hub.structs import decode
from services.commands import contracts as c

Status = Literal[
    "waiting", "running", "done", "later", "failed", "timeout", "refused", "interrupted",
    "expired", "lost", "cancelled",
]  # fmt: skip
ActionType = Literal["script", "start", "stop", "restart", "reload", "reboot", "custom"]
Seconds = Annotated[float, msgspec.Meta(ge=1, le=3600)]
Wait = Annotated[float, msgspec.Meta(ge=1, le=604_800)]
_STATUS = """
        status: `waiting` to begin, `running`; `done` (exit code 0), `later` (21: it asks to be
            tried again), `failed` (any other); `timeout`; `refused` by the agent; `interrupted`,
            when the agent ended meanwhile; `expired`, when it did not begin in time; `lost`, when
            it began and its end was not heard of; `cancelled` before it began.
        output: what it wrote, its beginning and its end.
        error: why it was refused, interrupted or cancelled, or what failed."""


class CommandAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is to be done.

    Args:
        type: `script`; `start`, `stop`, `restart` or `reload` what the agent looks after; `reboot`
            the device; `custom`, what the device's owner allows in its isaax.conf.
        body: of a script: a program of its own where it begins with `#!`, else for `/bin/sh`.
        program: that is started, stopped, restarted or reloaded; left out, all are.
        name: of a custom command.
        arguments: of a custom command, which finds each as `ISAAX_ARG_<NAME>` in its environment.
    """

    type: ActionType
    body: Annotated[str, msgspec.Meta(max_length=65_536)] = ""
    program: Annotated[str, msgspec.Meta(max_length=64)] = ""
    name: Annotated[str, msgspec.Meta(max_length=63)] = ""
    arguments: Annotated[dict[str, str], msgspec.Meta(max_length=16)] = {}

    def __repr__(self) -> str:
        return f"CommandAction({self.type!r})"


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is to be done once: on a device, on those of a group, or on all.

    Args:
        timeout: seconds that it may take on each device, 60 by default; of a reboot, those in which
            the device has to be back, 600 by default.
        wait: seconds in which it has to begin on each; who comes later does not do it.
        device: id of the only one.
        group: of those that do it.
        all: of the project do it.
    """

    action: CommandAction
    timeout: Seconds | None = None
    wait: Wait = 3600.0
    device: str | None = None
    group: str | None = None
    all: bool = False


class DeviceCommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is to be done once on a device.

    Args:
        timeout: seconds that it may take, 60 by default; of a reboot, those in which the device
            has to be back, 600 by default.
        wait: seconds in which it has to begin.
    """

    action: CommandAction
    timeout: Seconds | None = None
    wait: Wait = 3600.0


class CommandView(msgspec.Struct, frozen=True):
    """A command.

    Args:
        deadline: until when it has to begin on each device.
        device, group: that was named; with neither, all of the project were.
        counts: how many devices are in which state.
    """

    id: str
    project: str
    action: CommandAction
    timeout: float
    device: str | None
    group: str | None
    created_at: datetime
    deadline: datetime
    counts: dict[str, int]


class CommandResultView(msgspec.Struct, frozen=True):
    __doc__ = f"""What became of a command on one device.

    Args:{_STATUS}
    """

    device: str
    status: Status
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class DeviceCommandView(msgspec.Struct, frozen=True):
    __doc__ = f"""A command of a device, and what became of it there.

    Args:
        command: its id.
        deadline: until when it has to begin.{_STATUS}
    """

    command: str
    action: CommandAction
    timeout: float
    created_at: datetime
    deadline: datetime
    status: Status
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class ResultQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """A page of results; `status` narrows it."""

    status: Annotated[Status, msgspec.Meta(description="Only those in this state.")] | None = None


class _Holder(msgspec.Struct):
    action: Action


def action_of(given: CommandAction) -> Action:
    """Read an action.

    Raises:
        Invalid: something is missing, is wrong, or does not belong to this type.
    """
    members: dict[str, Any] = msgspec.to_builtins(given)
    action = decode(_Holder, {"action": members}).action
    for name in members.keys() - {"type", *action.__struct_fields__}:
        wrong = FieldError(f"/action/{name}", f"an action of the type {given.type} has none")
        raise Invalid(wrong.detail, errors=[wrong])
    return action


def timeout_of(given: float | None, action: CommandAction) -> float:
    """Give the seconds that something may take."""
    if given is not None:
        return given
    return 600.0 if action.type == "reboot" else 60.0


def shown_action(action: Action) -> CommandAction:
    """Show an action."""
    return msgspec.convert(msgspec.to_builtins(action), CommandAction)


def shown(command: c.Command) -> CommandView:
    """Show a command."""
    return CommandView(
        command.id, command.project, shown_action(command.action), command.timeout,
        command.device or None, command.group or None, command.created_at, command.deadline,
        command.counts,
    )  # fmt: skip


def shown_of_device(one: c.DeviceCommand) -> DeviceCommandView:
    """Show a command of a device."""
    members = msgspec.structs.asdict(one) | {"action": msgspec.to_builtins(one.action)}
    return msgspec.convert(members, DeviceCommandView)
