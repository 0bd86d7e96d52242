"""The rules of mails: taken in once, shown to whoever may see them, tried again on demand."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from hub import (
    Connection,
    Database,
    EventInfo,
    IsaaxError,
    Mail,
    MailRequested,
    MailTemplates,
    NotFound,
    Postbox,
    Queries,
    first_time,
)
from services.mail import contracts as c

CONSUMER: Final = "mail-requests"
_AGAIN: Final = 3 * 86_400.0  # seconds for which a mail is tried that somebody wants tried again


class _Row(msgspec.Struct, frozen=True):
    id: str
    number: int
    account: str
    kind: str
    sealed: bytes
    state: c.State
    attempts: int
    due_at: datetime
    at_work: bool
    error: str
    created_at: datetime
    give_up_at: datetime


class Mails:
    """Reads and changes the table of mails; all of it is the operator's, and no account's.

    Args:
        taken: called when there is a mail to send.
    """

    def __init__(
        self, database: Database, postbox: Postbox, *, taken: Callable[[], None] = lambda: None
    ) -> None:
        self._database = database
        self._postbox = postbox
        self._taken = taken
        self._sql = Queries.load("services.mail")

    async def take(self, event: MailRequested, info: EventInfo) -> None:
        """Take a mail in, as it is sealed, once."""
        async with self._database.system() as tx:
            if not await first_time(tx, CONSUMER, info.id):
                return
            await tx.run(self._sql["add"], **msgspec.structs.asdict(event))
            tx.after_commit(self._taken)

    async def list(self, states: Sequence[c.State], limit: int) -> c.MailHeads:
        """Give the newest mails of these states."""
        async with self._database.system() as tx:
            rows = await tx.all(self._sql["list"], _Row, states=[*states], limit=limit)
            return c.MailHeads([_head(row, await self._opened(tx, row)) for row in rows])

    async def show(self, identifier: str) -> c.MailShown:
        """Give a whole mail.

        Raises:
            NotFound: there is none.
            SealBroken: it does not open.
        """
        async with self._database.system() as tx:
            row = await tx.maybe(self._sql["get"], _Row, id=identifier)
            if row is None:
                raise NotFound("no such mail; those that were sent are forgotten after a day")
            if not row.sealed:
                return c.MailShown(_head(row, None), "", "")
            mail = await self._postbox.open(tx, row.sealed, id=row.id, account=row.account)
        return c.MailShown(_head(row, mail), mail.text, mail.html)

    async def head(self, identifier: str) -> c.MailHead | None:
        """Say how a mail fares; None while it has not been taken in."""
        async with self._database.system() as tx:
            row = await tx.maybe(self._sql["get"], _Row, id=identifier)
        return None if row is None else _head(row, None)

    async def retry(self, identifier: str = "") -> int:
        """Have a mail tried again at once, or every one that waits or was given up.

        Returns:
            How many that were.
        """
        async with self._database.system() as tx:
            count = await tx.run(self._sql["retry"], id=identifier, seconds=_AGAIN)
            tx.after_commit(self._taken)
        return count

    async def test(self, to: str, *, locale: str, hub: str) -> str:
        """Have a test mail sent, and give its id.

        Raises:
            Invalid: the address is none.
        """
        mail = MailTemplates.load("services.mail").write(
            "test", to=to, locale=locale, values={"hub": hub}
        )
        async with self._database.system() as tx:
            return await self._postbox.send(tx, mail, key="mail-test")

    async def count(self, account: str) -> int:
        """Count the mails of an account, sent or not."""
        async with self._database.system() as tx:
            return await tx.one(self._sql["count"], int, account=account)

    async def forget(self, account: str) -> int:
        """Delete all mails of an account that is about to be gone, and give how many there were."""
        async with self._database.system() as tx:
            return await tx.run(self._sql["forget"], account=account)

    async def _opened(self, tx: Connection, row: _Row) -> Mail | None:
        """Open a mail, if that can be done: one that cannot must not hide the others."""
        if not row.sealed:
            return None
        try:
            return await self._postbox.open(tx, row.sealed, id=row.id, account=row.account)
        except IsaaxError:
            return None


def _head(row: _Row, mail: Mail | None) -> c.MailHead:
    return c.MailHead(
        id=row.id,
        account=row.account,
        kind=row.kind,
        to=mail.to if mail else "",
        subject=mail.subject if mail else "",
        locale=mail.locale if mail else "",
        state=row.state,
        at_work=row.at_work,
        attempts=row.attempts,
        error=row.error,
        created_at=row.created_at,
        due_at=row.due_at,
        give_up_at=row.give_up_at,
    )
