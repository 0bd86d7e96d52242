"""What the service `mail` keeps of an account: mails that wait, and the fact of those that went."""

from hub import Counts, Erased, OfAccount, export_nothing
from services.mail.rules import Mails


class AccountOfMail:
    """An account's mails; their readers have them."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails

    export = staticmethod(export_nothing)

    async def count(self, request: OfAccount) -> Counts:
        """Count the mails."""
        return Counts({"mails": await self._mails.count(request.account)})

    async def erase(self, request: OfAccount) -> Erased:
        """Delete the mails, sent or not."""
        gone = await self._mails.forget(request.account)
        return Erased({"mails": gone} if gone else {})
