"""What the hub wants this device to have, of one kind: kept, so that it is there before the hub."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from agent.files import write_atomic
from hub.protocol import ProtocolError, State

log = logging.getLogger(__name__)


class Versioned(Protocol):
    """Something that comes in versions, each whole."""

    @property
    def version(self) -> int:
        """Its number; 0 is before the first."""
        ...


W = TypeVar("W", bound=Versioned)


class WantedOf(Generic[W]):
    """What the hub wants this device to have, what is in use, and what is to be told of that.

    The link's thread receives and reports, the event loop uses; a lock is between them.

    Args:
        kind: one of `hub.protocol.KINDS`; `path`: the file that it is kept in.
        decode: reads what came, and sees that it can be used.
        none: what there is before the first.
        received: called, from the link's thread, when there is something new to use.
        what: what to call it to people.
        opened: called likewise when a session begins.
    """

    def __init__(
        self,
        kind: str,
        path: Path,
        decode: Callable[[bytes], W],
        none: W,
        received: Callable[[], None],
        what: str,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self.kind = kind
        self._path = path
        self._decode = decode
        self._received = received
        self._what = what
        self._opened = opened
        self._lock = threading.Lock()
        self._current = self._load(none)
        self._used = self._current.version
        self._newest = -1  # that came in this session
        self._error = ""
        self._said = ""
        self._due = False
        self.offered: int | None = None
        """The version that the hub named when it opened the last session; None before the first."""

    @property
    def current(self) -> W:
        """Give what is on the disk."""
        with self._lock:
            return self._current

    @property
    def used(self) -> int:
        """Give the version that is in use."""
        return self._used

    # ── the link's thread ──

    def begin(self, offered: int = 0) -> None:
        """Take note of a new session: whatever comes in it first counts.

        Args:
            offered: the version that there is for this device, as the hub says; 0 for none.
        """
        with self._lock:
            self._newest = -1
            self._due = True
            self.offered = offered
        self._opened()

    def receive(self, payload: bytes) -> None:
        """Take what the hub sent: onto the disk, and then into use."""
        try:
            wanted = self._decode(payload)
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
            self._failed(f"{self._what} cannot be kept: {error.strerror or error}")
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
            error = self._error or self._said
            errors = {self.kind: error[:500]} if error else {}
            return State({self.kind: self._used}, errors)

    # ── the event loop ──

    def use(self, version: int) -> None:
        """Take note that a version is in use; the hub is to be told."""
        with self._lock:
            self._used = version
            self._due = True

    def say(self, error: str) -> None:
        """Have the hub told what is wrong with what is in use; "" when nothing is any more."""
        with self._lock:
            self._due = self._due or self._said != error
            self._said = error

    def _failed(self, reason: str) -> None:
        log.warning("the newest %s are not used: %s", self._what, reason)
        with self._lock:
            self._error, self._due = reason, True

    def _load(self, none: W) -> W:
        try:
            return self._decode(self._path.read_bytes())
        except FileNotFoundError:
            return none
        except (OSError, ProtocolError) as error:
            log.warning("the %s of this device are lost, the hub has them: %s", self._what, error)
            return none
