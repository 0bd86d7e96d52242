"""The mails to people about their own account."""

from typing import Any, Final

from hub import Connection, MailTemplates, Postbox
from services.accounts.identity.contracts import Locale

_WORTH: Final = 3 * 86_400.0


class Letters:
    """Writes mails in the reader's language; they leave with the transaction.

    Args:
        origin: where links lead, without a slash at the end.
    """

    def __init__(self, postbox: Postbox, origin: str) -> None:
        self._postbox = postbox
        self._origin = origin
        self._templates = MailTemplates.load("services.accounts")

    def link(self, kind: str, token: str, locale: Locale) -> str:
        """Give the address of the page that acts for a link."""
        return f"{self._origin}/links/{kind}/{token}?lang={locale}"

    async def send(
        self,
        tx: Connection,
        name: str,
        user: str,
        to: str,
        locale: Locale,
        /,
        *,
        valid_for: float = _WORTH,
        account: str = "",
        **values: Any,
    ) -> None:
        """Have a mail sent if the transaction commits.

        Args:
            user: whom it is about; their mails keep their order.
            valid_for: seconds for which it is worth sending.
            account: that it is about, whose data key seals it; "": it is about the person.
            values: that its template declares, besides the address and the hub's.
        """
        mail = self._templates.write(
            name,
            to=to,
            locale=locale,
            values={"email": to, "hub": self._origin.partition("://")[2], **values},
            valid_for=valid_for,
        )
        await self._postbox.send(tx, mail, key=user, account=account)
