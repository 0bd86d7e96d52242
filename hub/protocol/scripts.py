"""A project's own scripts, run by its devices in their moments: JSON on `c/…/scripts`."""

from typing import Final

import msgspec

from hub.protocol.commands import Timeout
from hub.protocol.limits import MAX_PAYLOAD_BYTES
from hub.protocol.state import Version, read_json

MOMENTS: Final = ("pre-install", "pre-update", "post-update")
"""Before the app is first started, before each update of it, and after each."""


class MomentScript(msgspec.Struct, frozen=True):
    """The script of one moment.

    Args:
        moment: one of `MOMENTS`, or one that a later hub knows.
        version: of this very script; its result tells it.
        body: a program of its own where it begins with `#!`, else for `/bin/sh`.
        timeout: seconds that it may take.
    """

    moment: str
    version: Version
    body: str
    timeout: Timeout

    def __repr__(self) -> str:
        return f"MomentScript({self.moment!r}, version={self.version})"


class Scripts(msgspec.Struct, frozen=True):
    """All scripts of a device: they replace those that it has."""

    version: Version
    scripts: list[MomentScript]


_scripts: Final = msgspec.json.Decoder(Scripts)


def decode_scripts(payload: bytes) -> Scripts:
    """Read what came on `c/…/scripts`.

    Raises:
        ProtocolError: `too-large`, `bad-body`.
    """
    return read_json(payload, _scripts, MAX_PAYLOAD_BYTES)
