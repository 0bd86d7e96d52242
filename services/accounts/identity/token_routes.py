"""API tokens over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from hub import (
    ADMINS,
    SHOWN_ONCE,
    Call,
    Conflict,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    position_of,
)
from services.accounts.identity import contracts as c
from services.accounts.tokens import digest_of, new_token, shown_of

READ: Final = "api-tokens:read"
WRITE: Final = "api-tokens:write"

Scope = Annotated[str, msgspec.Meta(min_length=1, max_length=61)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ApiTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of an API token.

    Args:
        scopes: names of permissions that it may be used for, at most those of its maker; `*`: all
            that its maker may do at the time.
        expires_at: when it ends; null: it does not.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=100)]
    expires_at: Moment | None = None


class ApiTokenView(msgspec.Struct, frozen=True):
    """An API token as the API shows it.

    Args:
        user: whom it acts for; null: for the account itself.
        prefix: how it begins.
        last_used_at: exact to a minute.
        token: itself, only in the answer that made it.
    """

    id: str
    user: str | None
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    token: Annotated[str | None, SHOWN_ONCE] = None


def _view(token: c.ApiToken, secret: str | None = None) -> ApiTokenView:
    return ApiTokenView(
        token.id,
        token.user or None,
        token.name,
        token.prefix,
        token.scopes,
        token.created_at,
        token.expires_at,
        token.last_used_at,
        secret,
    )


def _maker(call: Call[Any, Any]) -> c.Maker:
    caller = call.caller
    everybodys = caller.role in ADMINS
    return c.Maker(
        caller.account, caller.user, caller.role, caller.scopes, caller.actor, everybodys
    )


async def list_api_tokens(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /api-tokens`."""
    page = await call.bus.request(
        c.LIST_API_TOKENS,
        c.ListApiTokens(_maker(call), call.query.limit, position_of(call.query.cursor)),
    )
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_api_token(call: Call[ApiTokenBody, NoQuery]) -> Reply:
    """Answer `POST /api-tokens`."""
    body, secret = call.body, new_token()
    made = await call.bus.request(
        c.CREATE_API_TOKEN,
        c.CreateApiToken(
            maker=_maker(call),
            name=body.name,
            scopes=body.scopes,
            expires_at=body.expires_at,
            prefix=shown_of(secret),
            digest=digest_of(secret).hex(),
        ),
    )
    return Reply(_view(made, secret), location=f"{API_TOKENS}/{made.id}")


async def get_api_token(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /api-tokens/{api_token}`."""
    return Reply(_view(await call.bus.request(c.GET_API_TOKEN, _which(call))), live=True)


async def revoke_api_token(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /api-tokens/{api_token}`."""
    await call.bus.request(c.REVOKE_API_TOKEN, _which(call))
    return Reply()


def _which(call: Call[None, NoQuery]) -> c.OneApiToken:
    return c.OneApiToken(_maker(call), call.path["api_token"])


API_TOKENS: Final = "/api/v1/api-tokens"
API_TOKEN: Final = f"{API_TOKENS}/{{api_token}}"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of API tokens."""
    example = ApiTokenBody("deployment", ("projects:read", "logs:read"))
    return [
        Route(
            method="GET", path=API_TOKENS, summary="List API tokens", tag="api-tokens",
            handler=list_api_tokens, permission=READ, query=PageQuery,
            response=list[ApiTokenView],
            description="One's own in this account; to an owner or admin, everybody's.",
        ),
        Route(
            method="POST", path=API_TOKENS, summary="Make an API token", tag="api-tokens",
            handler=create_api_token, permission=WRITE, body=ApiTokenBody, response=ApiTokenView,
            status=201, errors=(Conflict,), examples=(example,), once=True,
            description="It acts for whoever makes it, in this account. The token itself is in "
            "this answer and never again.",
        ),
        Route(
            method="GET", path=API_TOKEN, summary="Read an API token", tag="api-tokens",
            handler=get_api_token, permission=READ, response=ApiTokenView, errors=(NotFound,),
        ),
        Route(
            method="DELETE", path=API_TOKEN, summary="Revoke an API token", tag="api-tokens",
            handler=revoke_api_token, permission=WRITE, status=204, errors=(NotFound,),
            versioned=False,
        ),
    ]  # fmt: skip
