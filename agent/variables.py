"""The variables of this device: kept on its disk, so that they are there before the hub is."""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.files import write_atomic
from hub.protocol import METRICS, Envars, ProtocolError, State, decode_envars

log = logging.getLogger(__name__)

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


class Variables:
    """What the hub wants this device to have, what is in use, and what is to be told of that.

    The link's thread receives and reports, the event loop uses; a lock is between them.

    Args:
        folder: the state directory.
        received: called, from the link's thread, when there is something new to use.
    """

    def __init__(self, folder: Path, received: Callable[[], None]) -> None:
        self._path = folder / "envars.json"
        self._received = received
        self._lock = threading.Lock()
        self._current = _load(self._path)
        self._used = self._current.version
        self._newest = -1  # that came in this session
        self._error = ""
        self._due = False

    @property
    def current(self) -> Envars:
        """Give what is on the disk."""
        with self._lock:
            return self._current

    @property
    def used(self) -> int:
        """Give the version that is in use."""
        return self._used

    # ── the link's thread ──

    def begin(self) -> None:
        """Take note of a new session: whatever comes in it first counts."""
        with self._lock:
            self._newest = -1
            self._due = True

    def receive(self, payload: bytes) -> None:
        """Take what the hub sent: onto the disk, and then into use."""
        try:
            wanted = decode_envars(payload)
            _check(wanted)
        except ProtocolError as error:
            self._failed(str(error))
            return
        with self._lock:
            if wanted.version <= self._newest:  # it comes again, or late
                self._due = self._due or self._used == self._current.version
                return
            known = wanted == self._current
        try:
            if not known:
                write_atomic(self._path, msgspec.json.encode(wanted))
        except OSError as error:
            self._failed(f"variables cannot be kept: {error.strerror or error}")
            return
        with self._lock:
            self._current, self._newest, self._error = wanted, wanted.version, ""
            self._due = self._due or self._used == wanted.version
        self._received()

    def report(self) -> State | None:
        """Give what the hub is to be told now, once; None when there is nothing."""
        with self._lock:
            if not self._due:
                return None
            self._due = False
            errors = {KIND: self._error[:500]} if self._error else {}
            return State({KIND: self._used}, errors)

    # ── the event loop ──

    def use(self, version: int) -> None:
        """Take note that a version is in use; the hub is to be told."""
        with self._lock:
            self._used = version
            self._due = True

    def _failed(self, reason: str) -> None:
        log.warning("the newest variables are not used: %s", reason)
        with self._lock:
            self._error, self._due = reason, True


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


def _check(envars: Envars) -> None:
    """See that no process is kept from starting by them.

    Raises:
        ProtocolError: a name or a value cannot be one.
    """
    for one in envars.envars:
        if not _NAME.fullmatch(one.name) or "\0" in one.value:
            raise ProtocolError("bad-body", f"{one.name!r} cannot be a variable")


def _load(path: Path) -> Envars:
    try:
        kept = decode_envars(path.read_bytes())
        _check(kept)
    except FileNotFoundError:
        return _NONE
    except (OSError, ProtocolError) as error:
        log.warning("the variables of this device are lost, the hub has them: %s", error)
        return _NONE
    return kept
