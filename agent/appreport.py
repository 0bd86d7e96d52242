"""What the hub is told of the app: how its programs fare, and which revision it is."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from agent.programs import ProgramState
from hub.protocol import UNDECODABLE, ProgramReport, State

SETTLE_SECONDS: Final = 0.5  # after a change: one that starts is running by then, or has failed
PAUSE_SECONDS: Final = 4.5  # after that, however much changes
MOST_MANIFEST_BYTES: Final = 64 * 1024
_MOST_ERROR: Final = 100
_MOST_REVISION: Final = 100

MANIFEST: Final = "isaax.json"
"""In the directory of the app; its `version` is the app's revision."""


class _Manifest(msgspec.Struct):
    version: str = ""


class AppReport:
    """Tells of changes soon, of many at once, and of all of it when a session begins.

    The event loop notes, the link's thread reports; a lock is between them.

    Args:
        states: gives how the programs fare.
        directory: where the app is; None when it is nowhere in particular.
        due: called when there is something to tell.
    """

    def __init__(
        self,
        states: Callable[[], Mapping[str, ProgramState]],
        directory: Path | None,
        due: Callable[[], None],
    ) -> None:
        self._states = states
        self._directory = directory
        self._call = due
        self._changed = asyncio.Event()
        self._lock = threading.Lock()
        self._noted: tuple[Mapping[str, ProgramState], str] = ({}, "")
        self._due = False

    # ── the event loop ──

    def changed(self) -> None:
        """Say that a program may fare otherwise."""
        self._changed.set()

    async def run(self) -> None:
        """Note what changes, until cancelled."""
        while True:
            self._changed.clear()
            self._note()
            self._call()
            await asyncio.sleep(PAUSE_SECONDS)
            await self._changed.wait()
            await asyncio.sleep(SETTLE_SECONDS)

    def _note(self) -> None:
        noted = (self._states(), revision_in(self._directory))
        with self._lock:
            self._due = self._due or noted != self._noted
            self._noted = noted

    # ── the link's thread ──

    def begin(self) -> None:
        """Take note of a new session: all is to be told in it."""
        with self._lock:
            self._due = True

    def report(self) -> State | None:
        """Give what the hub is to be told now, once; None when there is nothing."""
        with self._lock:
            if not self._due:
                return None
            self._due = False
            states, revision = self._noted
        at = time.monotonic()
        programs = {name: _reported(state, at) for name, state in states.items()}
        return State(programs=programs, revision=revision)


def revision_in(directory: Path | None) -> str:
    """Give the revision that the app's manifest names; "" when it names none."""
    if directory is None:
        return ""
    try:
        with (directory / MANIFEST).open("rb") as file:
            manifest = msgspec.json.decode(file.read(MOST_MANIFEST_BYTES), type=_Manifest)
    except (OSError, *UNDECODABLE):  # it is the user's own, and need not be there
        return ""
    return manifest.version[:_MOST_REVISION]


def _reported(state: ProgramState, at: float) -> ProgramReport:
    return ProgramReport(
        state.state,
        max(0.0, round(at - state.since, 1)),
        state.restarts,
        state.exit,
        state.error[:_MOST_ERROR],
        bool(state.unlimited),
    )
