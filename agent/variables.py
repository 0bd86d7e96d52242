"""The variables of this device: kept on its disk, so that they are there before the hub is."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.wanted import WantedOf
from hub.protocol import METRICS, Envars, ProtocolError, decode_envars

KIND: Final = "envars"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NONE: Final = Envars(0, [])


class Switches(msgspec.Struct, frozen=True):
    """What the agent's own variables say.

    Args:
        logs: streams that are relayed; metrics: types that are sent.
    """

    logs: frozenset[str]
    metrics: frozenset[str]

    @classmethod
    def of(cls, environment: Mapping[str, str], streams: tuple[str, ...]) -> "Switches":
        """Read them; a log that nothing is said of is relayed, metrics are not sent."""

        def is_on(name: str, otherwise: str) -> bool:
            return environment.get(f"ISAAX_{name}", otherwise) == "true"

        logs = (one for one in streams if is_on(f"LOG_{one.upper()}", "true"))
        types = METRICS if is_on("METRICS", "false") else ()
        metrics = (one for one in types if is_on(f"METRICS_{one.upper()}", "true"))
        return cls(frozenset(logs), frozenset(metrics))


class Variables(WantedOf[Envars]):
    """The variables of this device.

    Args:
        folder: the state directory.
        received: called, from the link's thread, when there is something new to use.
    """

    def __init__(self, folder: Path, received: Callable[[], None]) -> None:
        super().__init__(KIND, folder / "envars.json", _read, _NONE, received, "variables")


def environment_of(envars: Envars) -> dict[str, str]:
    """Give variables as a process has them."""
    return {one.name: one.value for one in envars.envars}


def needs_restart(old: Envars, new: Envars) -> bool:
    """Say whether something changed for which the app is to be started anew."""
    before, after = ({one.name: one for one in each.envars} for each in (old, new))
    for name in before.keys() | after.keys():
        was, will_be = before.get(name), after.get(name)
        changed = (was and was.value) != (will_be and will_be.value)
        if changed and (will_be or before[name]).restart:
            return True
    return False


def _read(payload: bytes) -> Envars:
    """Read variables, and see that no process is kept from starting by them.

    Raises:
        ProtocolError: they are none, or a name or a value cannot be one.
    """
    envars = decode_envars(payload)
    for one in envars.envars:
        if not _NAME.fullmatch(one.name) or "\0" in one.value:
            raise ProtocolError("bad-body", f"{one.name!r} cannot be a variable")
    return envars
