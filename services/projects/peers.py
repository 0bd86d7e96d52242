"""What the service `projects` needs of others: only the fields that it reads."""

import msgspec

from hub import Topic


class ClosingChanged(msgspec.Struct, frozen=True):
    """An account is to be deleted (`closing`), or that was undone."""

    account: str
    closing: bool


CLOSING_CHANGED = Topic("accounts.closing.changed", ClosingChanged)
