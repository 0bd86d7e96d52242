"""Dead letters: what could not be delivered or taken."""

import msgspec

from hub.contracts import Contract, Nothing


class DeadLine(msgspec.Struct, frozen=True):
    """One line of a dead letter; `time` is RFC 3339."""

    id: str
    time: str
    priority: int
    program: str
    message: str


class DeadLetter(msgspec.Struct, frozen=True):
    """What could not be delivered (or taken), and why.

    Args:
        id: its place among the dead letters; they are in order.
        source: id of the integration, or `intake`.
        device, stream: where it comes from; "" when that could not be read.
        at: when it became one; `received` when the hub took it (RFC 3339).
        count: lines or samples in it.
        lines: of it; empty when they cannot be decoded, or in a list. Of a very large one only
            the first, which is when there are fewer than `count`.
        raw: base64 of the payload, when it cannot be decoded.
    """

    id: str
    source: str
    reason: str
    device: str
    host: str
    stream: str
    at: str
    received: str
    count: int
    lines: list[DeadLine] = []
    raw: str = ""


class ListDead(msgspec.Struct, frozen=True):
    """A page of dead letters after `after`, oldest first."""

    project: str
    source: str
    limit: int = 100
    after: int = 0


class DeadLetters(msgspec.Struct, frozen=True):
    """A page; `more` says that there is another; `total` counts all of this source.

    Args:
        lost: letters that age, or want of room, took before somebody did.
    """

    items: list[DeadLetter]
    more: bool
    total: int
    lost: int = 0


class OneDead(msgspec.Struct, frozen=True):
    """One dead letter, with its lines."""

    project: str
    source: str
    id: str


class FixDead(msgspec.Struct, frozen=True):
    """Replace the texts of a dead letter's lines, one for each."""

    project: str
    source: str
    id: str
    messages: list[str]


class SomeDead(msgspec.Struct, frozen=True):
    """These dead letters of a source; None for all that there are now.

    Args:
        gone: its project is no more: what was lost of it is forgotten, too.
    """

    project: str
    source: str
    ids: list[str] | None = None
    gone: bool = False


class Counted(msgspec.Struct, frozen=True):
    """How many dead letters, and how many lines and samples in them.

    Args:
        more: some are left, for they are many or there is no room for them now: ask again.
    """

    letters: int
    lines: int
    more: bool = False


class MakeRoom(msgspec.Struct, frozen=True):
    """Say which letters of a project are about to be written.

    Args:
        letters: by message id, the bytes that each counts for.
    """

    project: str
    letters: dict[str, int]


LIST_DEAD = Contract("relay.dead.list", ListDead, DeadLetters)
GET_DEAD = Contract("relay.dead.get", OneDead, DeadLetter)
FIX_DEAD = Contract("relay.dead.fix", FixDead, DeadLetter)
DROP_DEAD = Contract("relay.dead.drop", SomeDead, Counted, timeout=25.0)
REPLAY_DEAD = Contract("relay.dead.replay", SomeDead, Counted, timeout=25.0)
MAKE_ROOM = Contract("relay.dead.make-room", MakeRoom, Nothing)
