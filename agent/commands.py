"""What the hub asks of this device: each command once, in order, and its reply until it arrived."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.files import write_atomic
from agent.script import Outcome, ScriptRunner
from hub.protocol import Known, ProtocolError, Reply, RunScript, decode_command

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 20.0
"""After which a last word that the hub has not confirmed is said again."""
MOST_WAITING: Final = 16
MOST_KEPT: Final = 64
"""Replies that the hub has not confirmed; beyond it the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    name: str
    script: RunScript
    until: float


class Commands:
    """Takes commands, runs them one after the other, and keeps the replies.

    The link's thread receives and reports, the event loop runs; a lock is between them.

    Args:
        folder: the state directory.
        received: called, from the link's thread, when there is something to run.
        clock: monotonic seconds; the device's own clock may be wrong.
    """

    def __init__(
        self,
        folder: Path,
        received: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / "commands.json"
        self._received = received
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        # By id, oldest first; of what waits or runs, what is true should the agent end now.
        self._replies = _load(self._path)
        self._open: set[str] = set()
        self._unsaid: dict[str, Reply] = dict(self._replies)
        self._said_at: dict[str, float] = {}

    @property
    def deadline(self) -> float | None:
        """Give when `take` has something to say again."""
        with self._lock:
            said = list(self._said_at.values())
        return min(said) + AGAIN_SECONDS if said else None

    # ── the link's thread ──

    def begin(self) -> None:
        """Take note of a new session: what was said in the last one may not have arrived."""
        with self._lock:
            self._said_at.clear()
            self._unsaid = {
                name: reply for name, reply in self._replies.items() if name not in self._open
            }

    def receive(self, name: str, payload: bytes) -> None:
        """Take a command; one that is known is not run again, but answered."""
        try:
            command = decode_command(payload)
        except ProtocolError as error:
            self._say(name, Reply("refused", error=str(error)[:500]))
            return
        if isinstance(command, Known):
            self._forget(name)
        elif not self._is_known(name):
            if reason := self._take_in(name, command):
                self._say(name, Reply("refused", error=reason))
            else:
                self._received()

    def _is_known(self, name: str) -> bool:
        with self._lock:
            if name in self._replies and name not in self._open:
                self._unsaid[name] = self._replies[name]
            return name in self._replies

    def _take_in(self, name: str, script: RunScript) -> str:
        """Have a script run; give why that cannot be, or ""."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return f"{MOST_WAITING} commands wait already"
            # On the disk before it begins: whatever happens, it does not begin twice.
            if not self._keep(name, Reply("interrupted", error="the agent ended meanwhile")):
                return "the disk of the device cannot be written"
            self._waiting.append(_Waiting(name, script, self._clock() + script.within))
            self._open.add(name)
        return ""

    def take(self) -> dict[str, Reply]:
        """Give the replies that are to be said now, by command."""
        at = self._clock()
        with self._lock:
            said, self._unsaid = self._unsaid, {}
            for name, last in self._said_at.items():
                if at >= last + AGAIN_SECONDS and name in self._replies:
                    said.setdefault(name, self._replies[name])
            self._said_at |= {name: at for name, reply in said.items() if reply.is_last}
        return said

    # ── the event loop ──

    def next(self) -> tuple[str, RunScript] | None:
        """Give what is to be run now; what has waited for too long is refused."""
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                one = self._waiting.popleft()
            if self._clock() < one.until:
                self._say(one.name, Reply("started"), last=False)
                return one.name, one.script
            self._say(one.name, Reply("refused", error="it did not begin in time"))

    def ended(self, name: str, outcome: Outcome) -> None:
        """Keep what came of a script."""
        if outcome.code is None:
            reply = Reply("refused", error=outcome.error[:500])
        else:
            reply = Reply(
                "ended", outcome.code, outcome.output, round(outcome.seconds, 3), outcome.timed_out
            )
        self._say(name, reply)

    # ── within ──

    def _say(self, name: str, reply: Reply, *, last: bool = True) -> None:
        with self._lock:
            if last:
                self._open.discard(name)
                self._keep(name, reply)
            self._unsaid[name] = reply

    def _keep(self, name: str, reply: Reply) -> bool:
        """Keep the reply of a command over a restart; False when the disk failed."""
        self._replies[name] = reply
        while len(self._replies) > MOST_KEPT:
            # Never one that waits or runs: sent again, it would be run again.
            oldest = next(one for one in self._replies if one not in self._open and one != name)
            del self._replies[oldest]
            self._said_at.pop(oldest, None)
        if self._save():
            return True
        if reply.status == "interrupted":
            del self._replies[name]
        return False

    def _forget(self, name: str) -> None:
        with self._lock:
            if name not in self._open and self._replies.pop(name, None) is not None:
                self._unsaid.pop(name, None)
                self._save()
            self._said_at.pop(name, None)

    def _save(self) -> bool:
        try:
            write_atomic(self._path, msgspec.json.encode(self._replies))
        except OSError as error:
            log.warning("replies to commands cannot be kept: %s", error)
            return False
        return True


async def run_commands(
    commands: Commands,
    runner: ScriptRunner,
    environment: Callable[[], Mapping[str, str]],
    woken: asyncio.Event,
    said: Callable[[], None],
) -> None:
    """Run what comes, one after the other, until cancelled.

    Args:
        environment: gives the variables that the next one finds.
        said: called when there is something to tell the hub.
    """
    runner.tidy()
    while True:
        await woken.wait()
        woken.clear()
        while (one := commands.next()) is not None:
            said()
            name, script = one
            outcome = await runner.run(
                name, script.body, timeout=script.timeout, environment=environment()
            )
            commands.ended(name, outcome)
            log.info("script %s ended: %s", name, _word(outcome))
            said()
        said()


def _word(outcome: Outcome) -> str:
    if outcome.code is None:
        return f"it could not be started: {outcome.error}"
    return "it took too long" if outcome.timed_out else f"code {outcome.code}"


def _load(path: Path) -> dict[str, Reply]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Reply])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        log.warning("replies to commands are lost: %s", error)
        return {}
