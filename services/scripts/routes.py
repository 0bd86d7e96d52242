"""Scripts over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from hub import (
    Call,
    FieldError,
    Invalid,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    cursor_of,
    position_of,
)
from services.scripts import contracts as c

Status = Literal[
    "waiting", "running", "done", "later", "failed", "timeout", "refused", "interrupted",
    "expired", "lost",
]  # fmt: skip


class ScriptRunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script to be run once, on a device, or on those of a group, or on all of the project.

    Args:
        body: a program of its own where it begins with `#!`, else for `/bin/sh`.
        timeout: seconds that it may take on each device.
        wait: seconds in which it has to begin on each; who comes later does not run it.
        device: id of the only one.
        group: of those that run it.
    """

    body: Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]
    timeout: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    wait: Annotated[float, msgspec.Meta(ge=1, le=604_800)] = 3600.0
    device: str | None = None
    group: str | None = None


class ScriptRunView(msgspec.Struct, frozen=True):
    """A script that is run, or was.

    Args:
        deadline: until when it has to begin on each device.
        counts: how many devices are in which state.
    """

    id: str
    project: str
    body: str
    timeout: float
    device: str | None
    group: str | None
    created_at: datetime
    deadline: datetime
    counts: dict[str, int]


class ScriptResultView(msgspec.Struct, frozen=True):
    """What became of it on one device.

    Args:
        status: `waiting` to begin, `running`; `done` (exit code 0), `later` (21: it asks to be
            tried again), `failed` (any other); `timeout`; `refused` by the agent; `interrupted`,
            when the agent ended meanwhile; `expired`, when it did not begin in time; `lost`, when
            it began and its end was not heard of.
        output: what it wrote, its beginning and its end.
        error: why it was refused or interrupted.
    """

    device: str
    status: Status
    code: int | None
    output: str
    error: str
    seconds: float | None
    started_at: datetime | None
    ended_at: datetime | None


class ScriptResultQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """A page of results; `status` narrows it."""

    status: Annotated[Status, msgspec.Meta(description="Only those in this state.")] | None = None


def _view(run: c.Run) -> ScriptRunView:
    return ScriptRunView(
        run.id, run.project, run.body, run.timeout, run.device or None, run.group or None,
        run.created_at, run.deadline, run.counts,
    )  # fmt: skip


def _one(call: Call[Any, Any]) -> c.OneRun:
    return c.OneRun(call.caller.account, call.path["project"], call.path["run"])


async def create_script_run(call: Call[ScriptRunBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/script-runs`."""
    body, project = call.body, call.path["project"]
    if body.device is not None and body.group is not None:
        wrong = FieldError("/group", "name a device or a group, not both")
        raise Invalid(wrong.detail, errors=[wrong])
    request = c.StartRun(
        call.caller.account, project, body.body, body.timeout, body.wait,
        body.device or "", body.group or "",
    )  # fmt: skip
    made = await call.bus.request(c.START, request)
    return Reply(_view(made), location=f"/api/v1/projects/{project}/script-runs/{made.id}")


async def list_script_runs(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/script-runs`."""
    request = c.ListRuns(
        call.caller.account, call.path["project"], call.query.limit,
        position_of(call.query.cursor),
    )  # fmt: skip
    page = await call.bus.request(c.LIST, request)
    following = cursor_of(page.items[-1].number) if page.more else None
    return Reply([_view(one) for one in page.items], next=following)


async def get_script_run(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/script-runs/{run}`."""
    return Reply(_view(await call.bus.request(c.GET, _one(call))))


async def list_script_results(call: Call[None, ScriptResultQuery]) -> Reply:
    """Answer `GET /projects/{project}/script-runs/{run}/results`."""
    one, query = _one(call), call.query
    request = c.ListResults(
        one.account, one.project, one.run, query.limit, position_of(query.cursor),
        query.status or "",
    )  # fmt: skip
    page = await call.bus.request(c.RESULTS, request)
    items = [msgspec.convert(item, ScriptResultView, from_attributes=True) for item in page.items]
    return Reply(items, next=cursor_after(page.items, more=page.more))


RUNS: Final = "/api/v1/projects/{project}/script-runs"
RUN: Final = f"{RUNS}/{{run}}"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of scripts."""
    return [
        Route(
            method="GET", path=RUNS, summary="List scripts that were run", tag="scripts",
            handler=list_script_runs, permission="scripts:read", query=PageQuery,
            response=list[ScriptRunView], errors=(NotFound,), description="The newest first.",
        ),
        Route(
            method="POST", path=RUNS, summary="Run a script on devices", tag="scripts",
            handler=create_script_run, permission="scripts:write", body=ScriptRunBody,
            response=ScriptRunView, status=201, errors=(NotFound,),
            examples=(ScriptRunBody("uname -a; df -h /", timeout=30.0),),
            description="Once on each device that is meant now. Who is away runs it when it "
            "comes back, if that is in time.",
        ),
        Route(
            method="GET", path=RUN, summary="Read a script that was run", tag="scripts",
            handler=get_script_run, permission="scripts:read", response=ScriptRunView,
            errors=(NotFound,),
        ),
        Route(
            method="GET", path=f"{RUN}/results", tag="scripts",
            summary="List what became of a script on each device", handler=list_script_results,
            permission="scripts:read", query=ScriptResultQuery, response=list[ScriptResultView],
            errors=(NotFound,),
        ),
    ]  # fmt: skip
