"""Mails on their way: written with the change they tell of, sealed, sent by the service `mail`.

A mail may hold a link that lets its reader in. So it lies sealed wherever it waits: in the outbox,
in JetStream, which keeps events for two weeks, and in the service's table.
"""

import time
from typing import Final

import msgspec

from hub.contracts import Topic
from hub.database import Connection
from hub.errors import Invalid
from hub.ids import new
from hub.mail.text import is_address
from hub.outbox import Outbox
from hub.structs import decode
from hub.vault import Vault

GIVE_UP: Final = 3 * 86_400.0
"""Seconds for which a mail is tried."""


class Mail(msgspec.Struct, frozen=True):
    """One mail to one person; `MailTemplates` writes it.

    Args:
        to: its address.
        subject: one line.
        text, html: the same, twice.
        locale: language of both, such as `ja`.
        kind: what it is about, `<service>.<name>`: shown to the operator, a label of metrics.
        valid_for: seconds after which it is not worth sending, because its links have expired.
    """

    to: str
    subject: str
    text: str
    html: str
    locale: str
    kind: str
    valid_for: float = GIVE_UP

    def __repr__(self) -> str:
        return f"Mail(kind={self.kind!r}, locale={self.locale!r})"


class MailRequested(msgspec.Struct, frozen=True):
    """A mail is to be sent.

    Args:
        id: names it, `mai_…`.
        account: whose data key seals it; "" for the hub's own.
        until: when it is given up, microseconds since the Unix epoch.
        sealed: the mail; see `Postbox.open`.
    """

    id: str
    account: str
    kind: str
    until: int
    sealed: bytes

    def __repr__(self) -> str:
        return f"MailRequested(id={self.id!r}, kind={self.kind!r})"


MAIL_REQUESTED: Final = Topic("mail.requested", MailRequested)


class Postbox:
    """Takes mails in business transactions; the service `mail` sends them."""

    def __init__(self, outbox: Outbox, vault: Vault) -> None:
        self._outbox = outbox
        self._vault = vault

    async def send(self, tx: Connection, mail: Mail, *, key: str, account: str = "") -> str:
        """Have a mail sent if, and only if, the transaction commits.

        The data key of the transaction's account seals it, or the hub's own in a transaction of
        the hub: what streams and backups still hold of it cannot be opened once that key is gone.

        Args:
            key: mails of one key are accepted in their order; usually the id of the person.
            account: whose data key seals it, in a transaction of the hub.

        Returns:
            The mail's id.

        Raises:
            Invalid: its address is none.
            TooLarge: it does not fit into an event.
        """
        if not is_address(mail.to):
            raise Invalid("a mail goes to one address, such as name@example.com")
        account = tx.account or account
        identifier = new("mai")
        plain = msgspec.json.encode(mail)
        requested = MailRequested(
            id=identifier,
            account=account,
            kind=mail.kind,
            until=round((time.time() + min(mail.valid_for, GIVE_UP)) * 1e6),
            sealed=await self._vault.seal(
                tx, plain, account=account, project="", name=_name(identifier)
            ),
        )
        await self._outbox.add(tx, MAIL_REQUESTED, requested, key=key)
        return identifier

    async def open(self, tx: Connection, sealed: bytes, *, id: str, account: str) -> Mail:  # noqa: A002
        """Read a mail, as `MailRequested` has it.

        Raises:
            SealBroken: it was changed, or its data key is gone.
        """
        plain = await self._vault.open(tx, sealed, account=account, project="", name=_name(id))
        return decode(Mail, plain)


def _name(identifier: str) -> str:
    return f"mail/{identifier}"
