"""What the hub asks of this device: each command once, in order, and its reply until it arrived."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.files import write_atomic
from hub.protocol import (
    UNDECODABLE,
    Cancel,
    Do,
    Known,
    ProtocolError,
    Reboot,
    Reply,
    decode_command,
)

log = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 20.0
"""After which a last word that the hub has not confirmed is said again; then ever more seldom."""
SLOWEST_SECONDS: Final = 640.0
MOST_WAITING: Final = 16
MOST_DONE: Final = 256
MOST_KEPT: Final = 64
"""Replies that the hub has not confirmed; beyond it the oldest are forgotten, first those that no
command asked for: what is forgotten of a command, no next start of the agent knows."""

_ENDED: Final = Reply("interrupted", error="the agent ended meanwhile")
_BOOTED: Final = Reply("ended", 0)
_NOT_BOOTED: Final = Reply(
    "ended", 1, error="the agent started again, but the device was not booted anew"
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    name: str
    command: Do
    until: float


class _Said(msgspec.Struct, frozen=True):
    """When a last word was said, and how long it is waited then until it is said again."""

    at: float
    wait: float = AGAIN_SECONDS

    @property
    def again_at(self) -> float:
        """When that is over."""
        return self.at + self.wait


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is true of a command should the agent end now.

    Args:
        boot: of a reboot that was begun: the boot in which that was.
    """

    reply: Reply
    boot: str = ""


class Commands:
    """Takes commands, gives them out one after the other, and keeps the replies.

    The link's thread receives and reports, the event loop works; a lock is between them. A
    command that waits is kept in memory alone: the hub sends it again until it has begun.

    Args:
        folder: the state directory.
        received: called, from the link's thread, when there is something to do.
        boot: id of the present boot of the device; "" when nobody knows.
        clock: monotonic seconds; the device's own clock may be wrong.
    """

    def __init__(
        self,
        folder: Path,
        received: Callable[[], None],
        boot: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = folder / "commands.json"
        self._received = received
        self._boot = boot
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._kept = _load(self._path)  # by id, the oldest first: what has begun
        self._settle_reboots()
        self._open: set[str] = set()  # what waits or runs
        # What the hub knows the end of: one of these that comes late is not new.
        self._done: deque[str] = deque(maxlen=MOST_DONE)
        self._unsaid: dict[str, Reply] = {name: one.reply for name, one in self._kept.items()}
        self._said: dict[str, _Said] = {}

    @property
    def deadline(self) -> float | None:
        """Give when `take` has something to say again."""
        with self._lock:
            return min((one.again_at for one in self._said.values()), default=None)

    # ── the link's thread ──

    def begin(self) -> None:
        """Take note of a new session: what was said in the last one may not have arrived."""
        with self._lock:
            self._said.clear()
            self._unsaid = {name: self._present(name) for name in self._kept}

    def receive(self, name: str, payload: bytes) -> None:
        """Take a command; one that is known is not done again, but answered."""
        try:
            command = decode_command(payload)
        except ProtocolError as error:
            self._say(name, Reply("refused", error=str(error)[:500]))
            return
        match command:
            case Known():
                self._forget(name)
            case Cancel():
                self._cancel(name)
            case Do() if not self._is_known(name):
                self._take_in(name, command)

    def _is_known(self, name: str) -> bool:
        with self._lock:
            if name in self._kept:
                self._unsaid[name] = self._present(name)
            return name in self._kept or name in self._open or name in self._done

    def _take_in(self, name: str, command: Do) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return  # the hub sends it again
            self._waiting.append(_Waiting(name, command, self._clock() + command.within))
            self._open.add(name)
        self._received()

    def _cancel(self, name: str) -> None:
        """Forget one that waits, or that comes after this; what has begun tells of itself."""
        with self._lock:
            if name in self._done:
                return
            has_begun = name in self._kept
            self._waiting = deque(one for one in self._waiting if one.name != name)
        if has_begun:
            self._is_known(name)
        else:
            self._say(name, Reply("refused", error="it was cancelled"))

    def take(self) -> dict[str, Reply]:
        """Give the replies that are to be said now, by command."""
        at = self._clock()
        with self._lock:
            said, self._unsaid = self._unsaid, {}
            for name, last in self._said.items():
                if at >= last.again_at:
                    said.setdefault(name, self._kept[name].reply)
            self._said |= {
                name: self._next_time(name, at) for name, reply in said.items() if reply.is_last
            }
        return said

    # ── the event loop ──

    def next(self) -> tuple[str, Do] | None:
        """Give what is to be done now; what cannot be done any more, or not safely, is refused."""
        while True:
            with self._lock:
                if not self._waiting:
                    return None
                one = self._waiting.popleft()
                reason = self._begin(one)
            if not reason:
                self._say(one.name, Reply("started"), last=False)
                return one.name, one.command
            self._say(one.name, Reply("refused", error=reason))

    def ended(self, name: str, reply: Reply) -> None:
        """Keep what came of a command."""
        self._say(name, reply)

    def tell(self, name: str, reply: Reply) -> None:
        """Have the hub told a last word that no command asked for; each is told once."""
        if name not in self._kept:
            self._say(name, reply)

    # ── within ──

    def _present(self, name: str) -> Reply:
        """Give what is true now of a command that has begun."""
        return Reply("started") if name in self._open else self._kept[name].reply

    def _next_time(self, name: str, at: float) -> _Said:
        """Note that a last word is said now: each time it is waited for twice as long."""
        last = self._said.get(name)
        return _Said(at) if last is None else _Said(at, min(SLOWEST_SECONDS, 2 * last.wait))

    def _settle_reboots(self) -> None:
        """Say of a reboot that an earlier run had begun how it ended."""
        begun = {name: one.boot for name, one in self._kept.items() if one.boot}
        for name, boot in begun.items():
            self._kept[name] = _Kept(_NOT_BOOTED if self._boot in {"", boot} else _BOOTED)
        if begun:
            self._save()

    def _begin(self, one: _Waiting) -> str:
        """Have it on the disk before it begins, so that it never begins twice; or say why not."""
        if self._clock() >= one.until:
            return "it did not begin in time"
        is_reboot = isinstance(one.command.action, Reboot)
        if is_reboot and not self._boot:
            return "the id of the boot (bootIDFile) cannot be read: nobody could tell that it ended"
        if not self._keep(one.name, _Kept(_ENDED, self._boot if is_reboot else "")):
            del self._kept[one.name]
            return "the disk of the device cannot be written"
        return ""

    def _say(self, name: str, reply: Reply, *, last: bool = True) -> None:
        with self._lock:
            if last:
                self._open.discard(name)
                self._keep(name, _Kept(reply))
            self._unsaid[name] = reply

    def _keep(self, name: str, kept: _Kept) -> bool:
        """Keep what is true of a command over a restart; False when the disk failed."""
        self._kept[name] = kept
        while len(self._kept) > MOST_KEPT:
            self._drop(self._oldest(name))
        return self._save()

    def _oldest(self, latest: str) -> str:
        """Give what is forgotten first; never one that runs: sent again, it would be done again."""
        ended = [one for one in self._kept if one not in self._open and one != latest]
        unasked = (one for one in ended if self._kept[one].reply.ran is not None)
        return next(unasked, ended[0])

    def _drop(self, name: str) -> None:
        """Keep a reply no longer, and know that it was done: it may be sent again all the same."""
        del self._kept[name]
        self._done.append(name)
        self._unsaid.pop(name, None)
        self._said.pop(name, None)

    def _forget(self, name: str) -> None:
        with self._lock:
            if name in self._kept and name not in self._open:
                self._drop(name)
                self._save()

    def _save(self) -> bool:
        try:
            write_atomic(self._path, msgspec.json.encode(self._kept))
        except OSError as error:
            log.warning("replies to commands cannot be kept: %s", error)
            return False
        return True


def _load(path: Path) -> dict[str, _Kept]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, _Kept])
    except FileNotFoundError:
        return {}
    except (OSError, *UNDECODABLE) as error:
        log.warning("replies to commands are lost: %s", error)
        return {}
