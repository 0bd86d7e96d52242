"""What is asked about the end of an account, and what is said of it."""

from datetime import datetime

import msgspec

from hub import Contract, Exported, Nothing, Secret, Topic


class OneDeletion(msgspec.Struct, frozen=True):
    """The end of one account, asked for or not."""

    account: str


class Deletion(msgspec.Struct, frozen=True):
    """What goes with an account, and whether that was asked for.

    Args:
        counts: how many there are of what, at least.
        unknown: services that do not answer now: what they keep is not all in `counts`.
        requested_at: None: it was not.
        due_at: when it is erased, if nobody undoes it before.
        begun: the erasure has begun, and ends by itself.
        version: of the request; "" without one.
    """

    counts: dict[str, int]
    unknown: list[str]
    requested_at: datetime | None = None
    due_at: datetime | None = None
    begun: bool = False
    version: str = ""


class RequestDeletion(msgspec.Struct, frozen=True):
    """Have an account deleted.

    Args:
        by: the owner who asks; password: theirs, once more.
    """

    account: str
    by: str
    password: Secret


class UndoDeletion(msgspec.Struct, frozen=True):
    """Let an account go on; `versions`, when given, are those that the caller has seen."""

    account: str
    by: str
    versions: tuple[str, ...] | None = None


class UndoLink(msgspec.Struct, frozen=True):
    """The link in the mail that tells of a deletion, by the digest (hex) of its token."""

    digest: str


class Undone(msgspec.Struct, frozen=True):
    """The account that a link is about."""

    account: str
    name: str


class CreateExport(msgspec.Struct, frozen=True):
    """Ask for all that an account has, to be taken along; `by` is the credential's id."""

    account: str
    by: str


class OneExport(msgspec.Struct, frozen=True):
    """One export of an account."""

    account: str
    export: str


class Export(msgspec.Struct, frozen=True):
    """Something that may be fetched until it expires."""

    id: str
    created_at: datetime
    expires_at: datetime


class ClosingChanged(msgspec.Struct, frozen=True):
    """An account is to be deleted (`closing`), or that was undone."""

    account: str
    closing: bool


GET_DELETION = Contract("accounts.deletion.get", OneDeletion, Deletion, timeout=15.0)
REQUEST_DELETION = Contract("accounts.deletion.request", RequestDeletion, Deletion, timeout=15.0)
UNDO_DELETION = Contract("accounts.deletion.undo", UndoDeletion, Nothing)
LOOK_AT_UNDO = Contract("accounts.deletion.look", UndoLink, Undone)
UNDO_BY_LINK = Contract("accounts.deletion.undo-by-link", UndoLink, Undone)
CREATE_EXPORT = Contract("accounts.exports.create", CreateExport, Export)
GET_EXPORT = Contract("accounts.exports.get", OneExport, Export)
READ_EXPORT = Contract("accounts.exports.read", OneExport, Exported)
CLOSING_CHANGED = Topic("accounts.closing.changed", ClosingChanged)
