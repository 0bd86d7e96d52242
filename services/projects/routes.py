"""Projects over HTTP."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from hub import (
    Call,
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

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class ProjectBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sets of a project."""

    name: Name


class ProjectView(msgspec.Struct, frozen=True):
    """A project as the API shows it."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime


class UsageView(msgspec.Struct, frozen=True):
    """What a project sent on a day.

    Args:
        day: in UTC, until now; it lags by a minute or two.
        bytes: as stored: compressed.
    """

    day: str
    lines: int
    samples: int
    bytes: int


class LimitsView(msgspec.Struct, frozen=True):
    """What a project may send; each holds for log lines and, apart from them, for samples.

    Args:
        lines_per_second, bytes_per_second, lines_per_day: null is what holds for every project
            of this hub, 0 is no limit.
    """

    lines_per_second: float | None
    bytes_per_second: float | None
    lines_per_day: int | None
    today: UsageView


def _view(project: c.Project) -> ProjectView:
    return ProjectView(project.id, project.name, project.created_at, project.updated_at)


def _reply(project: c.Project, location: str | None = None) -> Reply:
    return Reply(_view(project), location=location, version=str(project.version))


async def list_projects(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects`."""
    page = await call.bus.request(
        c.LIST,
        c.ListProjects(call.caller.account, call.query.limit, position_of(call.query.cursor)),
    )
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item) for item in page.items], next=following)


async def create_project(call: Call[ProjectBody, NoQuery]) -> Reply:
    """Answer `POST /projects`."""
    made = await call.bus.request(c.CREATE, c.CreateProject(call.caller.account, call.body.name))
    return _reply(made, f"/api/v1/projects/{made.id}")


async def get_project(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}`."""
    request = c.GetProject(call.caller.account, call.path["project"])
    return _reply(await call.bus.request(c.GET, request))


async def patch_project(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /projects/{project}`."""
    project = call.path["project"]
    current = await call.bus.request(c.GET, c.GetProject(call.caller.account, project))
    patched = merge_patch({"name": current.name}, call.body)
    body = decode(ProjectBody, patched)
    request = c.RenameProject(
        call.caller.account, project, body.name, call.replaces(str(current.version))
    )
    return _reply(await call.bus.request(c.RENAME, request))


async def delete_project(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /projects/{project}`."""
    request = c.DeleteProject(call.caller.account, call.path["project"], call.versions)
    await call.bus.request(c.DELETE, request)
    return Reply()


async def get_limits(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/limits`."""
    request = c.GetProject(call.caller.account, call.path["project"])
    found = await call.bus.request(c.GET_LIMITS, request)
    today = UsageView(found.day, found.lines, found.samples, found.bytes)
    return Reply(
        LimitsView(found.lines_per_second, found.bytes_per_second, found.lines_per_day, today)
    )


PROJECTS = "/api/v1/projects"
PROJECT = f"{PROJECTS}/{{project}}"
LIMITS = f"{PROJECT}/limits"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of projects."""
    return [
        Route(
            method="GET", path=PROJECTS, summary="List projects", tag="projects",
            handler=list_projects, permission="projects:read", query=PageQuery,
            response=list[ProjectView],
        ),
        Route(
            method="POST", path=PROJECTS, summary="Make a project", tag="projects",
            handler=create_project, permission="projects:write", body=ProjectBody,
            response=ProjectView, status=201, examples=(ProjectBody("greenhouse"),),
        ),
        Route(
            method="GET", path=PROJECT, summary="Read a project", tag="projects",
            handler=get_project, permission="projects:read", response=ProjectView,
            errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=PROJECT, summary="Change a project", tag="projects",
            handler=patch_project, permission="projects:write", body=ProjectBody,
            response=ProjectView, errors=(NotFound,), examples=({"name": "greenhouse 2"},),
        ),
        Route(
            method="DELETE", path=PROJECT, tag="projects", handler=delete_project,
            summary="Delete a project", permission="projects:write", status=204, errors=(NotFound,),
            description="Deletes its tokens, devices and integrations as well; its devices are "
            "cut off at once.",
        ),
        Route(
            method="GET", path=LIMITS, summary="Read what a project may send, and what it sent",
            tag="projects", handler=get_limits, permission="projects:read", response=LimitsView,
            errors=(NotFound,),
            description="The operator of the hub sets the limits (`isaax limits set`). Who sends "
            "more is asked to wait, and loses nothing.",
        ),
    ]  # fmt: skip
