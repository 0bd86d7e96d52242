"""Groups over HTTP."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from hub import (
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
from services.devices import group_contracts as c
from services.devices.routes import Group

GROUPS = "/api/v1/projects/{project}/groups"
GROUP = f"{GROUPS}/{{group}}"

Description = Annotated[str, msgspec.Meta(max_length=500)]


class GroupChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client changes of a group."""

    description: Description = ""


class GroupBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a new group."""

    name: Group
    description: Description = ""


class GroupView(msgspec.Struct, frozen=True):
    """A group as the API shows it; `devices` are in it, `online` of them have a session now."""

    name: str
    description: str
    devices: int
    online: int
    created_at: datetime


def _view(group: c.Group) -> GroupView:
    return msgspec.convert(group, GroupView, from_attributes=True)


def _reply(group: c.Group, location: str | None = None) -> Reply:
    return Reply(_view(group), location=location, version=str(group.version), live=True)


async def list_groups(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/groups`."""
    request = c.ListGroups(
        call.caller.account, call.path["project"], call.query.limit, position_of(call.query.cursor)
    )
    page = await call.bus.request(c.LIST, request)
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_group(call: Call[GroupBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/groups`."""
    project, body = call.path["project"], call.body
    request = c.MakeGroup(call.caller.account, project, body.name, body.description)
    made = await call.bus.request(c.MAKE, request)
    return _reply(made, f"/api/v1/projects/{project}/groups/{made.name}")


async def get_group(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/groups/{group}`."""
    return _reply(await call.bus.request(c.GET, _one(call)))


async def patch_group(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /projects/{project}/groups/{group}`."""
    one = _one(call)
    current = await call.bus.request(c.GET, one)
    body = decode(GroupChange, merge_patch({"description": current.description}, call.body))
    versions = call.replaces(str(current.version))
    request = c.ChangeGroup(one.account, one.project, one.name, body.description, versions)
    return _reply(await call.bus.request(c.CHANGE, request))


async def delete_group(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /projects/{project}/groups/{group}`."""
    one = _one(call)
    request = c.DeleteGroup(one.account, one.project, one.name, call.versions)
    await call.bus.request(c.DELETE, request)
    return Reply()


def _one(call: Call[Any, Any]) -> c.OneGroup:
    return c.OneGroup(call.caller.account, call.path["project"], call.path["group"])


def routes() -> list[Route[Any, Any]]:
    """Give the routes of groups."""
    return [
        Route(
            method="GET", path=GROUPS, summary="List a project's groups", tag="groups",
            handler=list_groups, permission="devices:read", query=PageQuery,
            response=list[GroupView], errors=(NotFound,),
            description="Every project has the group `default`; another is there from the first "
            "time that a device, or a project token, names it.",
        ),
        Route(
            method="POST", path=GROUPS, summary="Make a group", tag="groups",
            handler=create_group, permission="devices:write", body=GroupBody,
            response=GroupView, status=201, errors=(NotFound, Conflict),
            examples=(GroupBody("osaka", "The second site"),),
        ),
        Route(
            method="GET", path=GROUP, summary="Read a group", tag="groups", handler=get_group,
            permission="devices:read", response=GroupView, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=GROUP, summary="Describe a group", tag="groups",
            handler=patch_group, permission="devices:write", body=GroupChange,
            response=GroupView, errors=(NotFound,), examples=({"description": "Closed now"},),
        ),
        Route(
            method="DELETE", path=GROUP, summary="Delete a group in which no device is",
            tag="groups", handler=delete_group, permission="devices:write", status=204,
            errors=(NotFound, Conflict),
        ),
    ]  # fmt: skip
