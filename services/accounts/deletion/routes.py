"""The end of an account, and what is taken along, over HTTP."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from hub import (
    Call,
    Conflict,
    Download,
    Forbidden,
    Invalid,
    NoQuery,
    NotFound,
    Reply,
    Route,
    Secret,
)
from services.accounts.deletion import contracts as c
from services.accounts.deletion.archive import MEDIA, archive_of
from services.accounts.departure.contracts import Departure
from services.accounts.identity.errors import DeadLink
from services.accounts.organisations.routes import ACCOUNT, account_of
from services.accounts.tokens import digest_of

State = Literal["none", "waiting", "erasing"]
"""Of the end of an account, or of a person."""


class DeletionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password of the owner who asks."""

    password: Secret


class DeletionView(msgspec.Struct, frozen=True):
    """What goes with an account.

    Args:
        state: `none`, nobody asked for it; `waiting`, it can be undone until `due_at`;
            `erasing`, it cannot any more.
        counts: how many there are of what, at this moment; at least, where something is unknown.
        unknown: services that do not answer now, so that not all that they keep is counted. It is
            erased all the same, once they answer.
    """

    state: State
    counts: dict[str, int]
    unknown: list[str]
    requested_at: datetime | None
    due_at: datetime | None


class ExportView(msgspec.Struct, frozen=True):
    """What may be taken along; `archive` is where."""

    id: str
    created_at: datetime
    expires_at: datetime
    archive: str


class UndoBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the link: the last part of its path."""

    token: Secret


class UndoneView(msgspec.Struct, frozen=True):
    """The account that goes on."""

    account: str
    name: str


def state_of(found: c.Deletion | Departure) -> State:
    """Say how far it is."""
    if found.requested_at is None:
        return "none"
    return "erasing" if found.begun else "waiting"


def _reply(found: c.Deletion) -> Reply:
    view = DeletionView(
        state_of(found), found.counts, found.unknown, found.requested_at, found.due_at
    )
    return Reply(view, version=found.version or None, live=True)


async def get_deletion(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}/deletion`."""
    return _reply(await call.bus.request(c.GET_DELETION, c.OneDeletion(account_of(call))))


async def request_deletion(call: Call[DeletionBody, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/deletion`."""
    request = c.RequestDeletion(account_of(call), call.caller.user, call.body.password)
    return _reply(await call.bus.request(c.REQUEST_DELETION, request))


async def undo_deletion(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /accounts/{account}/deletion`."""
    request = c.UndoDeletion(account_of(call), call.caller.user, call.versions)
    await call.bus.request(c.UNDO_DELETION, request)
    return Reply()


async def undo_deletion_by_link(call: Call[UndoBody, NoQuery]) -> Reply:
    """Answer `POST /account-deletions/undo`."""
    request = c.UndoLink(digest_of(call.body.token.reveal()).hex())
    undone = await call.bus.request(c.UNDO_BY_LINK, request)
    return Reply(UndoneView(undone.account, undone.name))


def _export(account: str, made: c.Export, location: str | None = None) -> Reply:
    at = f"/api/v1/accounts/{account}/exports/{made.id}/archive"
    view = ExportView(made.id, made.created_at, made.expires_at, at)
    return Reply(view, location=location)


async def create_export(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /accounts/{account}/exports`."""
    account = account_of(call)
    made = await call.bus.request(
        c.CREATE_EXPORT, c.CreateExport(account, call.caller.user or call.caller.actor)
    )
    return _export(account, made, f"/api/v1/accounts/{account}/exports/{made.id}")


async def get_export(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /accounts/{account}/exports/{export}`."""
    account = account_of(call)
    request = c.OneExport(account, call.path["export"])
    return _export(account, await call.bus.request(c.GET_EXPORT, request))


async def get_archive(call: Call[None, NoQuery]) -> Download:
    """Answer `GET /accounts/{account}/exports/{export}/archive`."""
    account = account_of(call)
    request = c.OneExport(account, call.path["export"])
    await call.bus.request(c.GET_EXPORT, request)
    now = datetime.now(UTC)
    about = {"account": account, "exported_at": now}
    pages = call.bus.stream(c.READ_EXPORT, request)
    return Download(MEDIA, f"isaax-{account}-{now:%Y-%m-%d}.zip", archive_of(about, pages))


DELETION = f"{ACCOUNT}/deletion"
EXPORTS = f"{ACCOUNT}/exports"
EXPORT = f"{EXPORTS}/{{export}}"


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="GET", path=DELETION, summary="See what goes with an account",
            tag="deletion", handler=get_deletion, permission="account:delete",
            response=DeletionView, errors=(NotFound,),
        ),
        Route(
            method="POST", path=DELETION, summary="Delete an account", tag="deletion",
            handler=request_deletion, permission="account:delete", interactive=True,
            body=DeletionBody, response=DeletionView, status=202,
            errors=(NotFound, Conflict, Forbidden, Invalid),
            examples=({"password": "correct horse battery staple"},),
            description="At once its devices are cut off, its tokens are void, and nothing in it "
            "changes. For 14 days an owner may undo that, here or by the link in the mail; then "
            "everything is erased.",
        ),
        Route(
            method="DELETE", path=DELETION, summary="Undo the deletion of an account",
            tag="deletion", handler=undo_deletion, permission="account:delete",
            interactive=True, status=204, errors=(NotFound, Conflict, Forbidden),
            description="Its devices and tokens are let in again.",
        ),
        Route(
            method="POST", path="/api/v1/account-deletions/undo", tag="deletion",
            summary="Undo the deletion of an account by the link in the mail",
            handler=undo_deletion_by_link,
            permission=None, anonymous=True, body=UndoBody, response=UndoneView,
            errors=(DeadLink, Conflict),
            examples=({"token": "H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"},),
        ),
        Route(
            method="POST", path=EXPORTS, summary="Ask for all that an account has",
            tag="deletion", handler=create_export, permission="account:export",
            response=ExportView, status=201, errors=(NotFound,),
            description="It can be fetched for a week: a ZIP archive of JSON lines with projects, "
            "devices, integrations without their secrets, members and more.",
        ),
        Route(
            method="GET", path=EXPORT, summary="Read where an export is", tag="deletion",
            handler=get_export, permission="account:export", response=ExportView,
            errors=(NotFound,),
        ),
        Route(
            method="GET", path=f"{EXPORT}/archive", summary="Fetch an export", tag="deletion",
            handler=get_archive, permission="account:export", download=MEDIA,
            errors=(NotFound,), description="As things are at that moment.",
        ),
    ]  # fmt: skip
