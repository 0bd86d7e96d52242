"""What is asked about the end of a person, and what is said of it."""

from datetime import datetime

import msgspec

from hub import Contract, Nothing


class OneDeparture(msgspec.Struct, frozen=True):
    """The end of one person, asked for or not."""

    user: str


class Owned(msgspec.Struct, frozen=True):
    """An account that a person is the last owner of.

    Args:
        others: members besides them.
        closing: it is being deleted already.
    """

    id: str
    name: str
    others: int
    closing: bool

    @property
    def blocks(self) -> bool:
        """Whether others would be left in it without an owner."""
        return self.others > 0 and not self.closing


class Departure(msgspec.Struct, frozen=True):
    """What goes with a person, and whether that was asked for.

    Args:
        owned: accounts that they are the last owner of.
        requested_at: None: it was not asked for.
        due_at: when they are erased, if they do not undo it before.
        begun: that time has come.
        version: of the request; "" without one.
    """

    owned: list[Owned]
    requested_at: datetime | None = None
    due_at: datetime | None = None
    begun: bool = False
    version: str = ""


class RequestDeparture(msgspec.Struct, frozen=True):
    """Have oneself deleted; `session` is the one that asks."""

    user: str
    session: str


class UndoDeparture(msgspec.Struct, frozen=True):
    """Stay; `versions`, when given, are those that the caller has seen."""

    user: str
    versions: tuple[str, ...] | None = None


class StayLink(msgspec.Struct, frozen=True):
    """The link in the mail that tells of it, by the digest (hex) of its token."""

    digest: str


class Staying(msgspec.Struct, frozen=True):
    """Whom a link is about."""

    user: str
    email: str


GET_DEPARTURE = Contract("accounts.departure.get", OneDeparture, Departure)
REQUEST_DEPARTURE = Contract("accounts.departure.request", RequestDeparture, Departure)
UNDO_DEPARTURE = Contract("accounts.departure.undo", UndoDeparture, Nothing)
LOOK_AT_STAY = Contract("accounts.departure.look", StayLink, Staying)
STAY_BY_LINK = Contract("accounts.departure.undo-by-link", StayLink, Staying)
