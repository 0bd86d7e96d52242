"""What a device is to have, on `c/…/<kind>`, and what it says that it has, on `d/…/state`."""

from typing import Annotated, Final, TypeVar

import msgspec

from hub.protocol.body import UNDECODABLE
from hub.protocol.limits import MAX_PAYLOAD_BYTES, ProtocolError

T = TypeVar("T")

KINDS: Final = ("envars", "scripts", "desired")
"""What a device can be behind with; each has a topic and versions of its own."""

MAX_STATE_BYTES: Final = 4096

Version = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
"""Counts up; 0 is before the first. JSON of any language holds it exactly."""

Reason = Annotated[str, msgspec.Meta(max_length=500)]

Revision = Annotated[str, msgspec.Meta(max_length=100)]
"""Of an app, as its developers call it."""


class Envar(msgspec.Struct, frozen=True, omit_defaults=True):
    """One variable of a device, ready to be used.

    Args:
        restart: the app is to be started anew when it changes.
        secret: its value is not to be shown.
    """

    name: str
    value: str
    restart: bool = False
    secret: bool = False

    def __repr__(self) -> str:
        return f"Envar({self.name!r})"


class Envars(msgspec.Struct, frozen=True):
    """All variables of a device: they replace those that it has."""

    version: Version
    envars: list[Envar]


class ProgramReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one program of a device fares.

    Args:
        state: as docs/protocol.md lists them; a device may know others.
        seconds: since when, before this was said: a device's clock may be wrong.
        restarts: starts that followed an end which nobody asked for.
        exit: how it ended last: exit status, or a negative signal; None when it never did.
        error: what was wrong then, in words.
        unlimited: the limits that it is to have are not enforced.
    """

    state: Annotated[str, msgspec.Meta(pattern="^[a-z]{1,16}$")]
    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e10)] = 0.0
    restarts: Version = 0
    exit: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)] | None = None
    error: Annotated[str, msgspec.Meta(max_length=100)] = ""
    unlimited: bool = False


ProgramName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_-]{0,31}$")]


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device has taken up, by kind, and why it could not take up what is newer.

    Args:
        versions: that it uses now; a kind that is left out is not told of.
        errors: by kind, in words; none for what went well.
        programs: how the app fares, by program; None when it is not told of.
        revision: of the app, likewise; "" when it has none.
    """

    versions: dict[str, Version] = {}
    errors: dict[str, Reason] = {}
    programs: Annotated[dict[ProgramName, ProgramReport], msgspec.Meta(max_length=16)] | None = None
    revision: Revision = ""


_envars: Final = msgspec.json.Decoder(Envars)
_state: Final = msgspec.json.Decoder(State)


def decode_envars(payload: bytes) -> Envars:
    """Read what came on `c/…/envars`.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    return read_json(payload, _envars, MAX_PAYLOAD_BYTES)


def decode_state(payload: bytes) -> State:
    """Read what came on `d/…/state`.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    return read_json(payload, _state, MAX_STATE_BYTES)


def encode_state(state: State) -> bytes:
    """Write what goes on `d/…/state`: where it would be too long, without words on programs."""
    payload = msgspec.json.encode(state)
    if len(payload) <= MAX_STATE_BYTES or state.programs is None:
        return payload
    programs = {
        name: msgspec.structs.replace(one, error="") for name, one in state.programs.items()
    }
    return msgspec.json.encode(msgspec.structs.replace(state, programs=programs))


def read_json(payload: bytes, decoder: msgspec.json.Decoder[T], most: int) -> T:
    """Read a message that is JSON, and not endless.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    if len(payload) > most:
        raise ProtocolError("too-large", f"at most {most} bytes, these are {len(payload)}")
    try:
        return decoder.decode(payload)
    except UNDECODABLE as error:
        raise ProtocolError("bad-body", str(error)) from None
