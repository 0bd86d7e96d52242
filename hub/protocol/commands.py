"""What a device is asked to do: JSON on `c/…/command/<id>`, and its replies on `d/…/reply/<id>`."""

from typing import Annotated, Final, Literal

import msgspec

from hub.protocol.limits import MAX_PAYLOAD_BYTES
from hub.protocol.state import Version, read_json

LATER: Final = 21
"""Exit code of a script that asks to be tried again later."""

_BY_CODE: Final = {0: "done", LATER: "later"}

MAX_REPLY_BYTES: Final = 128 * 1024

Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Wait = Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)]

ScriptBody = Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
ProgramName = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*$(?!\n)")]
CommandName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$(?!\n)")]
ArgumentName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$(?!\n)")]
ArgumentValue = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"^[^\x00]*$(?!\n)")]
Arguments = Annotated[dict[ArgumentName, ArgumentValue], msgspec.Meta(max_length=16)]


class RunScript(msgspec.Struct, frozen=True, tag_field="type", tag="script"):
    """Run a script once.

    Args:
        body: a program of its own where it begins with `#!`, else for `/bin/sh`.
    """

    body: ScriptBody

    def __repr__(self) -> str:
        return "RunScript()"


class StartPrograms(msgspec.Struct, frozen=True, tag_field="type", tag="start"):
    """Start a program that the agent looks after; "" is all of them."""

    program: ProgramName = ""


class StopPrograms(msgspec.Struct, frozen=True, tag_field="type", tag="stop"):
    """Stop a program, or all, until it is started again."""

    program: ProgramName = ""


class RestartPrograms(msgspec.Struct, frozen=True, tag_field="type", tag="restart"):
    """Stop and start a program, or all."""

    program: ProgramName = ""


class ReloadPrograms(msgspec.Struct, frozen=True, tag_field="type", tag="reload"):
    """Have a program, or all, read its configuration anew."""

    program: ProgramName = ""


class Reboot(msgspec.Struct, frozen=True, tag_field="type", tag="reboot"):
    """Boot the device anew."""


class RunCustom(msgspec.Struct, frozen=True, tag_field="type", tag="custom"):
    """Run a command that the device's owner allows under this name, with some arguments."""

    name: CommandName
    arguments: Arguments = {}

    def __repr__(self) -> str:
        return f"RunCustom({self.name!r})"


ProgramAction = StartPrograms | StopPrograms | RestartPrograms | ReloadPrograms
Action = RunScript | ProgramAction | Reboot | RunCustom


def action_type(action: Action) -> str:
    """Give what kind of action it is, as `type` says on the wire."""
    return str(action.__struct_config__.tag)


class Do(msgspec.Struct, frozen=True, tag_field="op", tag="do"):
    """Do something, once.

    Args:
        timeout: seconds that it may take.
        within: seconds in which it may begin, from when this was received.
    """

    action: Action
    timeout: Timeout
    within: Wait


class Cancel(msgspec.Struct, frozen=True, tag_field="op", tag="cancel"):
    """Do not begin it any more; what has begun goes on."""


class Known(msgspec.Struct, frozen=True, tag_field="op", tag="known"):
    """The hub has the last reply of this command: forget it."""


Command = Do | Cancel | Known


class Ran(msgspec.Struct, frozen=True):
    """Which of the project's own scripts it was that a device ran by itself.

    Args:
        moment: in which it was run, `pre-install` for example; version: of the script.
        at: when it began, in Unix seconds, by the device's clock; before the year 9999.
    """

    moment: Annotated[str, msgspec.Meta(max_length=64)]
    version: Version
    at: Annotated[float, msgspec.Meta(ge=0, lt=253_370_764_800)]


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a command.

    Args:
        status: `started`; `ended`, also by a signal or for want of time; `refused`, when it did
            not begin; `interrupted`, when the agent ended meanwhile.
        code: exit code; negative for a signal; 0 or 1 of what is no process.
        output: what it wrote: its beginning and its end.
        seconds: that it took.
        timed_out: it took too long, and was ended.
        error: why it was refused, or failed, in words.
        ran: nobody asked for it: it was its moment.
    """

    status: Literal["started", "ended", "refused", "interrupted"]
    code: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)] | None = None
    output: Annotated[str, msgspec.Meta(max_length=64 * 1024)] = ""
    seconds: float = 0.0
    timed_out: bool = False
    error: Annotated[str, msgspec.Meta(max_length=500)] = ""
    ran: Ran | None = None

    @property
    def is_last(self) -> bool:
        """Nothing follows it."""
        return self.status != "started"

    @property
    def outcome(self) -> str:
        """What a last word means: `done`, `later`, `failed` or `timeout` of what has ended."""
        if self.status != "ended":
            return self.status
        if self.timed_out:
            return "timeout"
        return "failed" if self.code is None else _BY_CODE.get(self.code, "failed")


_command: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(Command)
_reply: Final = msgspec.json.Decoder(Reply)


def decode_command(payload: bytes) -> Command:
    """Read what came on `c/…/command/<id>`.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    return read_json(payload, _command, MAX_PAYLOAD_BYTES)


def decode_reply(payload: bytes) -> Reply:
    """Read what came on `d/…/reply/<id>`.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    return read_json(payload, _reply, MAX_REPLY_BYTES)
