"""The end of a person over HTTP."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from hub import SIGNED_IN, Call, Conflict, Cookie, NoQuery, NotFound, Reply, Route, Secret
from services.accounts.deletion.routes import State, state_of
from services.accounts.departure import contracts as c
from services.accounts.departure.errors import LastOwner
from services.accounts.identity.authenticators import COOKIE
from services.accounts.identity.errors import DeadLink
from services.accounts.identity.user_routes import ME
from services.accounts.second_factors.errors import ProofRequired
from services.accounts.tokens import digest_of


class OwnedView(msgspec.Struct, frozen=True):
    """An account that you are the last owner of.

    Args:
        others: members besides you.
        outcome: `deleted`, it goes with you; `closing`, it is being deleted already; `blocks`,
            others are in it: make one of them owner, or delete it first.
    """

    id: str
    name: str
    others: int
    outcome: Literal["deleted", "closing", "blocks"]


class DepartureView(msgspec.Struct, frozen=True):
    """What goes with a person.

    Args:
        state: `none`, nobody asked for it; `waiting`, it can be undone until `due_at`;
            `erasing`, it cannot any more.
        accounts: those that you are the last owner of.
    """

    state: State
    accounts: list[OwnedView]
    requested_at: datetime | None
    due_at: datetime | None


class StayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the link: the last part of its path."""

    token: Secret


def _owned(one: c.Owned) -> OwnedView:
    outcome: Literal["deleted", "closing", "blocks"] = "closing" if one.closing else "deleted"
    return OwnedView(one.id, one.name, one.others, "blocks" if one.blocks else outcome)


def _reply(found: c.Departure, cookies: tuple[Cookie, ...] = ()) -> Reply:
    accounts = [_owned(one) for one in found.owned]
    view = DepartureView(state_of(found), accounts, found.requested_at, found.due_at)
    return Reply(view, version=found.version or None, live=True, cookies=cookies)


async def get_departure(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /users/me/deletion`."""
    return _reply(await call.bus.request(c.GET_DEPARTURE, c.OneDeparture(call.caller.user)))


async def delete_me(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /users/me`."""
    request = c.RequestDeparture(call.caller.user, call.caller.actor)
    made = await call.bus.request(c.REQUEST_DEPARTURE, request)
    return _reply(made, (Cookie(COOKIE, ""),))


async def keep_me(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /users/me/deletion`."""
    await call.bus.request(c.UNDO_DEPARTURE, c.UndoDeparture(call.caller.user, call.versions))
    return Reply()


async def keep_me_by_link(call: Call[StayBody, NoQuery]) -> Reply:
    """Answer `POST /user-deletions/undo`."""
    await call.bus.request(c.STAY_BY_LINK, c.StayLink(digest_of(call.body.token.reveal()).hex()))
    return Reply()


DELETION: Final = f"{ME}/deletion"
_OWN: Final = SIGNED_IN.name


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="DELETE", path=ME, summary="Delete oneself", tag="users", handler=delete_me,
            permission=_OWN, interactive=True, response=DepartureView, status=202,
            versioned=False, errors=(ProofRequired, LastOwner, Conflict, NotFound),
            description="Asks you to have shown lately that it is you. At once every session ends, "
            "and your tokens are void. Accounts that only you are in go along. For 14 days you may "
            "undo that, here or by the link in the mail; then you are erased, and of what you did "
            "the audit logs keep an id that is nobody's.",
        ),
        Route(
            method="GET", path=DELETION, summary="See what goes with oneself", tag="users",
            handler=get_departure, permission=_OWN, interactive=True, response=DepartureView,
        ),
        Route(
            method="DELETE", path=DELETION, summary="Undo the deletion of oneself", tag="users",
            handler=keep_me, permission=_OWN, interactive=True, status=204,
            errors=(NotFound, Conflict),
            description="Your tokens, and the accounts that were to go along, are there again.",
        ),
        Route(
            method="POST", path="/api/v1/user-deletions/undo", tag="users",
            summary="Undo the deletion of oneself by the link in the mail", handler=keep_me_by_link,
            permission=None, anonymous=True, body=StayBody, status=204,
            errors=(DeadLink, Conflict),
            examples=({"token": "H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"},),
        ),
    ]  # fmt: skip
