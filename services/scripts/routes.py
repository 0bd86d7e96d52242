"""Scripts over HTTP."""

from typing import Any, Final, get_args

import msgspec

from hub import (
    Call,
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
from services.scripts.views import (
    RestoreBody,
    ScriptBody,
    ScriptResultView,
    ScriptStatusQuery,
    ScriptStatusView,
    ScriptsView,
    ScriptView,
)

AnyCall = Call[Any, Any]
_MOMENTS: Final = get_args(c.Moment)


def _moment(call: AnyCall) -> c.Moment:
    """Give the moment that the path names.

    Raises:
        NotFound: there is none of that name.
    """
    for moment in _MOMENTS:
        if moment == call.path["moment"]:
            known: c.Moment = moment
            return known
    raise NotFound(f"there are {', '.join(_MOMENTS)}")


def _view(script: c.Script) -> ScriptView:
    return ScriptView(
        script.moment, script.version, script.body, script.timeout, script.changed_by or None,
        script.changed_at,
    )  # fmt: skip


def _one(script: c.Script) -> Reply:
    return Reply(_view(script), version=str(script.version))


def _who(call: AnyCall) -> str:
    return call.caller.user or call.caller.actor


async def get_scripts(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/scripts`."""
    request = c.OneProject(call.caller.account, call.path["project"])
    found = await call.bus.request(c.GET_ALL, request)
    shown = ScriptsView(found.version, {one.moment: _view(one) for one in found.scripts})
    return Reply(shown, version=str(found.version))


async def get_script(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /projects/{project}/scripts/{moment}`."""
    request = c.OneScript(call.caller.account, call.path["project"], _moment(call))
    return _one(await call.bus.request(c.GET, request))


async def put_script(call: Call[ScriptBody, NoQuery]) -> Reply:
    """Answer `PUT /projects/{project}/scripts/{moment}`."""
    request = c.PutScript(
        call.caller.account, call.path["project"], _moment(call), call.body.body,
        call.body.timeout, _who(call), call.versions,
    )  # fmt: skip
    return _one(await call.bus.request(c.PUT, request))


async def restore_script(call: Call[RestoreBody, NoQuery]) -> Reply:
    """Answer `POST /projects/{project}/scripts/{moment}/restore`."""
    request = c.RestoreScript(
        call.caller.account, call.path["project"], _moment(call), call.body.version or 0,
        _who(call),
    )  # fmt: skip
    return _one(await call.bus.request(c.RESTORE, request))


async def list_script_versions(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /projects/{project}/scripts/{moment}/versions`."""
    query = call.query
    request = c.ListVersions(
        call.caller.account, call.path["project"], _moment(call), query.limit,
        position_of(query.cursor),
    )  # fmt: skip
    page = await call.bus.request(c.VERSIONS, request)
    following = cursor_of(page.items[-1].version) if page.more else None
    return Reply([_view(one) for one in page.items], next=following)


async def list_script_statuses(call: Call[None, ScriptStatusQuery]) -> Reply:
    """Answer `GET /projects/{project}/script-statuses`."""
    query = call.query
    request = c.ListStatuses(
        call.caller.account, call.path["project"], query.limit, position_of(query.cursor),
        query.pending,
    )  # fmt: skip
    page = await call.bus.request(c.STATUSES, request)
    items = [msgspec.convert(one, ScriptStatusView, from_attributes=True) for one in page.items]
    return Reply(items, next=cursor_after(page.items, more=page.more))


async def list_script_results(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /devices/{device}/script-results`."""
    query = call.query
    request = c.ListResults(
        call.caller.account, call.path["device"], query.limit, position_of(query.cursor)
    )
    page = await call.bus.request(c.RAN, request)
    items = [msgspec.convert(one, ScriptResultView, from_attributes=True) for one in page.items]
    return Reply(items, next=cursor_after(page.items, more=page.more))


# ── declarations ──────────────────────────────────────────────────────────────────────────────

PROJECT: Final = "/api/v1/projects/{project}"
SCRIPTS: Final = f"{PROJECT}/scripts"
SCRIPT: Final = f"{SCRIPTS}/{{moment}}"
_BODY: Final = ScriptBody("apt-get install --yes libgpiod2\n", timeout=600.0)


def routes() -> list[Route[Any, Any]]:
    """Give the routes of scripts."""
    shared: dict[str, Any] = {"tag": "scripts", "errors": (NotFound,)}
    reads = {**shared, "permission": "scripts:read"}
    writes = {**shared, "permission": "scripts:write"}
    return [
        Route(
            method="GET", path=SCRIPTS, summary="Read a project's scripts", handler=get_scripts,
            response=ScriptsView, **reads,
            description="Devices run them by themselves: before the app is first started there, "
            "and before and after each update of it.",
        ),
        Route(
            method="GET", path=SCRIPT, summary="Read one of a project's scripts",
            handler=get_script, response=ScriptView, **reads,
        ),
        Route(
            method="PUT", path=SCRIPT, summary="Change one of a project's scripts",
            handler=put_script, body=ScriptBody, response=ScriptView, examples=(_BODY,), **writes,
            description="Makes a new version, unless it is as the newest. Devices get it at once, "
            "or when they come back.",
        ),
        Route(
            method="POST", path=f"{SCRIPT}/restore", summary="Restore one of a project's scripts",
            handler=restore_script, body=RestoreBody, response=ScriptView,
            examples=(RestoreBody(1),), **writes,
            description="As a new version: a former one, or the one that every project begins "
            "with.",
        ),
        Route(
            method="GET", path=f"{SCRIPT}/versions",
            summary="List the versions of one of a project's scripts",
            handler=list_script_versions, query=PageQuery, response=list[ScriptView], **reads,
            description="The newest first; the last 100 are kept.",
        ),
        Route(
            method="GET", path=f"{PROJECT}/script-statuses",
            summary="List how far devices are with their scripts", handler=list_script_statuses,
            query=ScriptStatusQuery, response=list[ScriptStatusView], **reads,
            description="A device is sent them as soon as one changes, or when it comes back, "
            "and says which version it has.",
        ),
        Route(
            method="GET", path="/api/v1/devices/{device}/script-results",
            summary="List what became of its project's scripts on a device",
            handler=list_script_results, query=PageQuery, response=list[ScriptResultView],
            **reads,
            description="The newest first; the last 100 of 30 days are kept.",
        ),
    ]  # fmt: skip
