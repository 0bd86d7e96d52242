"""Project tokens over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from hub import (
    SHOWN_ONCE,
    Call,
    Conflict,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    merge_patch,
    position_of,
)
from hub.structs import decode
from services.projects import contracts as c
from services.projects.routes import PROJECT, Name

TOKENS = f"{PROJECT}/tokens"
TOKEN = f"{TOKENS}/{{token}}"

Group = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$(?!\n)",
        description="The group that a device is in when it registers.",
    ),
]


class ProjectTokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a project token: its name, and what registering with it means."""

    name: Name = "devices"
    expires_at: (
        Annotated[
            datetime,
            msgspec.Meta(
                tz=True,
                description="No device registers after it. Those that have registered go on "
                "connecting with the token.",
            ),
        ]
        | None
    ) = None
    max_devices: (
        Annotated[
            int,
            msgspec.Meta(
                ge=0, le=1_000_000, description="Devices that may be registered with it at a time."
            ),
        ]
        | None
    ) = None
    group: Group = "default"
    approval: Annotated[
        bool, msgspec.Meta(description="Devices are let in once somebody has approved them.")
    ] = False

    @property
    def enrolment(self) -> c.Enrolment:
        """What registering with the token means."""
        return c.Enrolment(self.expires_at, self.max_devices, self.group, self.approval)


class ProjectTokenView(msgspec.Struct, frozen=True):
    """A project token as the API shows it; `token` itself only in the answer that made it."""

    id: str
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None
    max_devices: int | None
    group: str
    approval: bool
    token: Annotated[str | None, SHOWN_ONCE] = None


def _view(token: c.Token, secret: str | None = None) -> ProjectTokenView:
    return ProjectTokenView(
        token.id, token.name, token.prefix, token.created_at, token.expires_at,
        token.max_devices, token.group, token.approval, secret,
    )  # fmt: skip


def _reply(token: c.Token) -> Reply:
    return Reply(_view(token), version=str(token.version))


async def list_project_tokens(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/tokens`."""
    request = c.ListTokens(
        call.caller.account,
        call.path["project"],
        call.query.limit,
        position_of(call.query.cursor),
    )
    page = await call.bus.request(c.LIST_TOKENS, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_project_token(call: Call[ProjectTokenBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/tokens`."""
    project = call.path["project"]
    request = c.CreateToken(call.caller.account, project, call.body.name, call.body.enrolment)
    made = await call.bus.request(c.CREATE_TOKEN, request)
    location = f"/api/v1/projects/{project}/tokens/{made.token.id}"
    return Reply(_view(made.token, made.secret), location=location, version=str(made.token.version))


async def get_project_token(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/tokens/{token}`."""
    return _reply(await call.bus.request(c.GET_TOKEN, _one(call)))


async def patch_project_token(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /projects/{project}/tokens/{token}`."""
    current = await call.bus.request(c.GET_TOKEN, _one(call))
    now = {"name": current.name, **msgspec.to_builtins(current.enrolment)}
    body = decode(ProjectTokenBody, merge_patch(now, call.body))
    request = c.ChangeToken(
        call.caller.account, call.path["project"], call.path["token"], body.name, body.enrolment,
        call.replaces(str(current.version)),
    )  # fmt: skip
    return _reply(await call.bus.request(c.CHANGE_TOKEN, request))


async def delete_project_token(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /projects/{project}/tokens/{token}`."""
    request = c.DeleteToken(
        call.caller.account, call.path["project"], call.path["token"], call.versions
    )
    await call.bus.request(c.DELETE_TOKEN, request)
    return Reply()


def _one(call: Call[Any, Any]) -> c.OneToken:
    return c.OneToken(call.caller.account, call.path["project"], call.path["token"])


def routes() -> list[Route[Any, Any]]:
    """Give the routes of project tokens."""
    return [
        Route(
            method="GET", path=TOKENS, summary="List a project's tokens", tag="tokens",
            handler=list_project_tokens, permission="tokens:read", query=PageQuery,
            response=list[ProjectTokenView], errors=(NotFound,),
        ),
        Route(
            method="POST", path=TOKENS, summary="Make a project token", tag="tokens",
            handler=create_project_token, permission="tokens:write", body=ProjectTokenBody,
            response=ProjectTokenView, status=201, errors=(NotFound, Conflict),
            examples=(
                ProjectTokenBody(
                    "technicians", datetime(2030, 1, 1, tzinfo=UTC), 200, "new", approval=True
                ),
            ),
            once=True,
            description="The token itself is in this answer and never again. Two tokens of a "
            "project are valid at a time, so that one can be rotated without a gap.",
        ),
        Route(
            method="GET", path=TOKEN, summary="Read a project token", tag="tokens",
            handler=get_project_token, permission="tokens:read", response=ProjectTokenView,
            errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=TOKEN, tag="tokens", handler=patch_project_token,
            summary="Change what registering with a project token means",
            permission="tokens:write", body=ProjectTokenBody, response=ProjectTokenView,
            errors=(NotFound,), examples=({"max_devices": 500, "approval": False},),
            description="It holds for devices that register from now on. Those that have "
            "registered go on connecting with the token until it is deleted.",
        ),
        Route(
            method="DELETE", path=TOKEN, summary="Revoke a project token", tag="tokens",
            handler=delete_project_token, permission="tokens:write", status=204, errors=(NotFound,),
            description="Devices that connected with it are cut off at once.",
        ),
    ]  # fmt: skip
