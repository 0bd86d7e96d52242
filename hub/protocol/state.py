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


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a device has taken up, by kind, and why it could not take up what is newer.

    Args:
        versions: that it uses now; a kind that is left out is not told of.
        errors: by kind, in words; none for what went well.
    """

    versions: dict[str, Version] = {}
    errors: dict[str, Reason] = {}


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
