"""What members are in a project, over HTTP."""

from typing import Any

import msgspec

from hub import (
    Call,
    Conflict,
    Forbidden,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Role,
    Route,
    cursor_after,
    position_of,
)
from services.accounts.organisations import contracts as c
from services.accounts.organisations.routes import MemberBody
from services.accounts.organisations.standing import is_narrower, version_in_project


class ProjectMemberView(msgspec.Struct, frozen=True):
    """A member, seen from a project.

    Args:
        role: in this project.
        account_role: in the account; never narrower than `role`.
        narrowed: the role was made a narrower one for this project.
    """

    user: str
    name: str
    email: str
    role: Role
    account_role: Role
    narrowed: bool


def _view(member: c.ProjectMember) -> ProjectMemberView:
    narrowed = member.narrowed is not None
    role = member.account_role
    if member.narrowed is not None and is_narrower(member.narrowed, role):
        role = member.narrowed
    return ProjectMemberView(
        member.user, member.name, member.email, role, member.account_role, narrowed
    )


def _reply(member: c.ProjectMember) -> Reply:
    version = version_in_project(member.member_version, member.narrowed)
    return Reply(_view(member), version=version)


async def list_project_members(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/members`."""
    request = c.ListProjectMembers(
        call.caller.account,
        call.path["project"],
        call.query.limit,
        position_of(call.query.cursor),
    )
    page = await call.bus.request(c.LIST_PROJECT_MEMBERS, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def get_project_member(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/members/{user}`."""
    request = c.OneProjectMember(call.caller.account, call.path["project"], call.path["user"])
    return _reply(await call.bus.request(c.GET_PROJECT_MEMBER, request))


async def put_project_member(call: Call[MemberBody, NoQuery]) -> Reply:
    """Answer `PUT /projects/{project}/members/{user}`."""
    request = c.Narrow(
        call.caller.account,
        call.caller.user,
        call.path["project"],
        call.path["user"],
        call.body.role,
        call.versions,
    )
    return _reply(await call.bus.request(c.NARROW, request))


async def delete_project_member(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /projects/{project}/members/{user}`."""
    request = c.Widen(
        call.caller.account,
        call.caller.user,
        call.path["project"],
        call.path["user"],
        call.versions,
    )
    await call.bus.request(c.WIDEN, request)
    return Reply()


MEMBERS = "/api/v1/projects/{project}/members"
MEMBER = f"{MEMBERS}/{{user}}"


def routes() -> list[Route[Any, Any]]:
    """Give these routes."""
    return [
        Route(
            method="GET", path=MEMBERS, summary="List what members are in a project",
            tag="members", handler=list_project_members, permission="members:read", query=PageQuery,
            response=list[ProjectMemberView], errors=(NotFound,),
        ),
        Route(
            method="GET", path=MEMBER, summary="Read what a member is in a project",
            tag="members", handler=get_project_member, permission="members:read",
            response=ProjectMemberView, errors=(NotFound,),
        ),
        Route(
            method="PUT", path=MEMBER, summary="Narrow a member's role in a project",
            tag="members", handler=put_project_member, permission="members:write", body=MemberBody,
            response=ProjectMemberView, errors=(NotFound, Conflict, Forbidden),
            examples=(MemberBody(Role.VIEWER),),
            description="To one that may less than the role in the account; an owner's cannot be "
            "narrowed. Of a project in which they are `billing` they see nothing. It counts from "
            "their next request on.",
        ),
        Route(
            method="DELETE", path=MEMBER, summary="Narrow a member's role no longer",
            tag="members", handler=delete_project_member, permission="members:write", status=204,
            errors=(NotFound, Forbidden),
            description="In this project they are again what they are in the account.",
        ),
    ]  # fmt: skip
