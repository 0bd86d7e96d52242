"""Pages of an account's log, newest first."""

import msgspec

from hub.audit.records import AuditEntry, Record, shown
from hub.database import Database, Queries

_SQL = Queries.load("hub.audit")
_MOST = 1024 * 1024  # bytes of a page: what is shown of things may be long


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; what is "" or 0 narrows nothing.

    Args:
        before: only those with a lower number.
        actor: id of a token, session, device or person.
        object: id of something it was done to.
        since, until: microseconds since the Unix epoch.
    """

    account: str
    limit: int
    before: int = 0
    project: str = ""
    actor: str = ""
    action: str = ""
    object: str = ""
    outcome: str = ""
    since: int = 0
    until: int = 0


class Page(msgspec.Struct, frozen=True):
    """Entries, newest first; `more`: there are older ones."""

    items: list[AuditEntry]
    more: bool


async def page(database: Database, wanted: Wanted) -> Page:
    """Give a page; one whose entries are long may hold fewer than were asked for."""
    parameters = msgspec.structs.asdict(wanted) | {"limit": wanted.limit + 1}
    async with database.transaction(account=wanted.account) as tx:
        rows = await tx.all(_SQL["page"], Record, **parameters)
    items: list[AuditEntry] = []
    size = 0
    for row in rows[: wanted.limit]:
        size += len(row.text) + len(row.content or "")
        if items and size > _MOST:
            break
        items.append(shown(row))
    return Page(items, len(items) < len(rows))
