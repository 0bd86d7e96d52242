"""An entry as it is stored and as it is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from hub.audit.chain import Entry, Value, read
from hub.audit.deeds import PARTS, Actor, Origin, Outcome
from hub.audit.shown import Shown

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Record(msgspec.Struct, frozen=True):
    """A row of the log: the entry's text, its links, and those values that are still there."""

    seq: int
    text: str
    previous: bytes
    hash: bytes
    origin_salt: bytes | None
    origin: str | None
    content_salt: bytes | None
    content: str | None

    def entry(self) -> Entry:
        """Read the entry.

        Raises:
            msgspec.DecodeError: it is none.
        """
        return read(self.text)

    def values(self) -> list[Value]:
        """Give the values that are there."""
        found: list[Value] = []
        if self.origin is not None and self.origin_salt is not None:
            found.append(Value("origin", self.origin_salt, self.origin))
        if self.content is not None and self.content_salt is not None:
            found.append(Value("content", self.content_salt, self.content))
        return found


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was done, or tried, in an account.

    Args:
        seq: its number in the account's log: the order in which outcomes became known.
        at: when it was begun.
        action: `PATCH /api/v1/projects/{project}`, `device.registered`, …
        object: what it was done to, by what the ids name.
        address, agent: where it came from; null when it came from nowhere, or was erased.
        outcome: `done`; `refused`: not allowed; `failed`: nothing was done; `unknown`: the hub
            ended, or gave up waiting, before it knew.
        status, code: of the answer, and of its problem.
        replayed: the first answer was given again (`Idempotency-Key`); nothing was done.
        count: so many of the kind, of which the others have no entry.
        follows: id of the entry that did not know the outcome yet.
        before, after: what it was done to, as the API shows it.
        changed: what differs, as JSON pointers.
        erased: where it came from, or what was before and after, was erased since.
        hash, previous: its own and the one before, in the chain.
    """

    seq: int
    id: str
    at: datetime
    action: str
    summary: str
    project: str | None
    object: dict[str, str]
    actor: Actor
    address: str | None
    agent: str | None
    outcome: Outcome
    status: int | None
    code: str | None
    request: str | None
    trace: str | None
    replayed: bool
    count: int
    follows: str | None
    before: Any
    after: Any
    changed: list[str]
    notes: list[str]
    erased: bool
    hash: str
    previous: str


def shown(record: Record) -> AuditEntry:
    """Show a row."""
    entry = record.entry()
    origin = None if record.origin is None else msgspec.json.decode(record.origin, type=Origin)
    content = Shown() if record.content is None else msgspec.json.decode(record.content, type=Shown)
    there = {value.part for value in record.values()}
    return AuditEntry(
        seq=entry.seq,
        id=entry.id,
        at=_EPOCH + timedelta(microseconds=entry.at),
        action=entry.action,
        summary=entry.summary,
        project=entry.project or None,
        object=entry.object,
        actor=entry.actor,
        address=origin.address if origin else None,
        agent=origin.agent if origin else None,
        outcome=entry.outcome,
        status=entry.status or None,
        code=entry.code or None,
        request=entry.request or None,
        trace=entry.trace or None,
        replayed=entry.replayed,
        count=entry.count,
        follows=entry.follows or None,
        before=content.before,
        after=content.after,
        changed=content.changed,
        notes=content.notes,
        erased=any(entry.commitment(part) and part not in there for part in PARTS),
        hash=record.hash.hex(),
        previous=record.previous.hex(),
    )
