"""What is recorded: a deed, which is split into what stays for ever and what may be erased."""

import getpass
import os
from typing import Any, Final, Literal

import msgspec

from hub.audit.shown import Shown, shown
from hub.ids import new
from hub.routes import Client
from hub.telemetry import current_trace

HUB: Final = "hub"
"""The log of what belongs to no account: the operator of the hub alone reads it."""

Outcome = Literal["done", "refused", "failed", "unknown"]
Part = Literal["origin", "content"]
PARTS: Final[tuple[Part, ...]] = ("origin", "content")
"""What of an entry may be erased: where it came from; what was before and after."""

_LONGEST: Final = 256  # characters of what others chose, such as a part of a path


class Actor(msgspec.Struct, frozen=True):
    """Who did it.

    Args:
        kind: `person` (logged in), `token`, `device`, `terminal` (a command on the hub's machine),
            `hub` (by itself) or `anonymous`.
        id: of the session, token or device.
        user: id of the person, where it is one, or a person's token.
        role: of that person in the account.
    """

    kind: Literal["person", "token", "device", "terminal", "hub", "anonymous"] = "hub"
    id: str = "hub"
    user: str = ""
    role: str = ""

    @classmethod
    def at_terminal(cls) -> "Actor":
        """Say who runs this command on the hub's machine."""
        try:
            return cls("terminal", getpass.getuser())
        except (KeyError, OSError):  # a user without a name
            return cls("terminal", f"uid {os.getuid()}")


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, or tried.

    Args:
        action: what, as a name that stays: `device.registered`; of a request its method and the
            template of its path.
        summary: the same in words; it names nobody and nothing.
        account: in whose log it is.
        project: that it concerns, if any.
        object: what it was done to: ids, by what they name. They are kept for ever: an e-mail
            address or a name has its place in `before` and `after`.
        status, code: of the answer to a request, and of its problem.
        client: where it came from.
        before, after: what it was done to, as the API shows it: a Struct or JSON values. Secrets
            are masked; see `shown`.
        notes: what else there is to know, such as why there is no `before`.
        request: id of the request.
        replayed: the answer was an earlier one's; nothing was done.
        count: so many of the kind, of which the others have no entry.
        follows: id of the entry that did not know the outcome.
    """

    action: str
    summary: str
    account: str = HUB
    project: str = ""
    object: dict[str, str] = {}
    actor: Actor = Actor()
    outcome: Outcome = "done"
    status: int = 0
    code: str = ""
    client: Client | None = None
    before: Any = None
    after: Any = None
    notes: tuple[str, ...] = ()
    request: str = ""
    replayed: bool = False
    count: int = 1
    follows: str = ""


class Erased(msgspec.Struct, frozen=True):
    """Which values were taken out: ranges of sequence numbers, by what they were.

    Args:
        all: every value of the account's log, and of what follows.
    """

    origin: list[tuple[int, int]] = []
    content: list[tuple[int, int]] = []
    all: bool = False


class Facts(msgspec.Struct, frozen=True):
    """The part of a deed that stays for ever: as in `Deed`."""

    action: str
    summary: str
    project: str = ""
    object: dict[str, str] = {}
    actor: Actor = Actor()
    outcome: Outcome = "unknown"
    status: int = 0
    code: str = ""
    request: str = ""
    trace: str = ""
    replayed: bool = False
    count: int = 1
    follows: str = ""
    erased: Erased | None = None


class Origin(msgspec.Struct, frozen=True):
    """Where it came from."""

    address: str
    agent: str


class Written(msgspec.Struct, frozen=True):
    """A deed as it is written down.

    Args:
        entry: its id.
        deed: `Facts` as JSON; origin, content: `Origin` and `Shown` as JSON.
    """

    entry: str
    account: str
    user: str
    deed: str
    origin: str | None
    content: str | None


def write(deed: Deed, *, entry: str = "", erased: Erased | None = None) -> Written:
    """Split a deed into what is kept for ever and what may be erased.

    Args:
        entry: id of its entry, when it has one already.
    """
    trace = current_trace()
    facts = Facts(
        deed.action,
        deed.summary,
        plain(deed.project),
        {plain(name): plain(one) for name, one in deed.object.items()},
        msgspec.structs.replace(deed.actor, id=plain(deed.actor.id), user=plain(deed.actor.user)),
        deed.outcome,
        deed.status,
        deed.code,
        deed.request,
        trace.trace_id if trace else "",
        deed.replayed,
        deed.count,
        deed.follows,
        erased,
    )
    content = shown(deed.before, deed.after, deed.notes)
    return Written(
        entry or new("aud"),
        plain(deed.account),
        facts.actor.user,
        to_json(facts),
        None if deed.client is None else to_json(_origin(deed.client)),
        None if content == Shown() else to_json(content),
    )


def to_json(value: object) -> str:
    """Write JSON."""
    return msgspec.json.encode(value).decode()


def plain(text: str) -> str:
    """Give a text that Postgres can hold, and that is not endless."""
    text = text[:_LONGEST].replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode()


def _origin(client: Client) -> Origin:
    return Origin(plain(client.address), plain(client.agent))
