"""The life of a spool: how its local sequence numbers show on the wire.

A life is a boot number and a base: local number `n` is `(boot, n - base)` on the wire. It is
settled with the hub when a session opens, before anything is sent, and kept on disk from then on,
so that a batch has the same bytes whenever it is sent. A new life begins when the spool is new,
or when hub and spool disagree about the past: after a hub was restored from a backup, or a device
from an image of its disk. Nothing is lost by that, and nothing is sent under a number that the
hub knows already.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.files import write_atomic
from hub.protocol import UNDECODABLE, Mark


class Life(msgspec.Struct, frozen=True):
    """Numbers on the wire: `boot`, and the local number after which they begin with 1."""

    boot: int
    base: int

    def mark(self, local: int) -> Mark:
        """Give a local sequence number as the hub knows it."""
        return Mark(self.boot, local - self.base)


class Settled(msgspec.Struct, frozen=True):
    """What a comparison with the hub gave: the life from now on, and what the hub has (local)."""

    life: Life
    acked: int


def settle(
    life: Life | None,
    mark: Mark,
    *,
    newest_boot: int,
    acked: int,
    floor: int,
    known: int,
    now: int = 0,
) -> Settled:
    """Compare a spool with the hub's mark of its stream.

    Args:
        life: the present one; None for a spool that has none yet.
        mark: how far the hub has the stream.
        newest_boot: the highest boot in any of the device's marks.
        acked: local number up to which the spool knows that the hub has it.
        floor: the highest local number up to `acked` that ends a batch: a life can begin there.
        known: the highest local number that the hub can know of: what was on the disk when the
            spool was opened, or was sent since. All of it is on the disk.
        now: Unix seconds. The first boot of a spool is no less: lines of a spool that was lost may
            still be on their way, under a boot that no mark shows yet.
    """
    following = max(newest_boot, mark.boot, life.boot if life else 0) + 1
    if life is None:
        return Settled(Life(max(following, now), floor), acked)
    if mark.boot > life.boot:
        return Settled(Life(following, floor), acked)  # another life went on without this spool
    reached = mark.seq + life.base if mark.boot == life.boot else life.base
    if reached > known:  # the hub knows lines that this spool forgot; what is newer is not there
        return Settled(Life(following, known), known)
    if reached < acked:
        return Settled(Life(following, floor), acked)  # the hub forgot what it acknowledged
    return Settled(life, reached)


def load(folder: Path) -> Life | None:
    """Read the life of the spool in a folder; None when there is none, or none that is readable."""
    try:
        return msgspec.json.decode((folder / "life.json").read_bytes(), type=Life)
    except (FileNotFoundError, *UNDECODABLE):
        return None


def save(folder: Path, life: Life) -> None:
    """Keep the life; it is on the disk when this returns.

    Raises:
        OSError: the disk failed.
    """
    write_atomic(folder / "life.json", msgspec.json.encode(life))


def newest_boot(marks: Iterable[Mark]) -> int:
    """Give the highest boot among marks; 0 when there are none."""
    return max((mark.boot for mark in marks), default=0)
