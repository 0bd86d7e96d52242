"""What a device is asked to do: JSON on `c/…/command/<id>`, and its replies on `d/…/reply/<id>`."""

from typing import Annotated, Final, Literal

import msgspec

from hub.protocol.limits import MAX_PAYLOAD_BYTES
from hub.protocol.state import read_json

MAX_REPLY_BYTES: Final = 128 * 1024

Timeout = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
Wait = Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)]


class RunScript(msgspec.Struct, frozen=True, tag_field="op", tag="script"):
    """Run a script once.

    Args:
        body: a program of its own where it begins with `#!`, else for `/bin/sh`.
        timeout: seconds that it may take.
        within: seconds in which it may begin, from when this was received.
    """

    body: str
    timeout: Timeout
    within: Wait

    def __repr__(self) -> str:
        return f"RunScript(timeout={self.timeout}, within={self.within})"


class Known(msgspec.Struct, frozen=True, tag_field="op", tag="known"):
    """The hub has the last reply of this command: forget it."""


Command = RunScript | Known


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a command.

    Args:
        status: `started`; `ended`, also by a signal or for want of time; `refused`, when it did
            not begin; `interrupted`, when the agent ended meanwhile.
        code: exit code; negative for a signal.
        output: what it wrote: its beginning and its end.
        seconds: that it took.
        timed_out: it took too long, and was ended.
        error: why it was refused, in words.
    """

    status: Literal["started", "ended", "refused", "interrupted"]
    code: int | None = None
    output: Annotated[str, msgspec.Meta(max_length=64 * 1024)] = ""
    seconds: float = 0.0
    timed_out: bool = False
    error: Annotated[str, msgspec.Meta(max_length=500)] = ""

    @property
    def is_last(self) -> bool:
        """Nothing follows it."""
        return self.status != "started"


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
