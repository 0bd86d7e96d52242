"""The audit log over HTTP."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from hub import (
    PASSING,
    Call,
    FieldError,
    Invalid,
    NoQuery,
    NotFound,
    Reply,
    Route,
    cursor_of,
    position_of,
)
from hub.audit.export import Export
from hub.audit.reading import Wanted
from hub.audit.records import AuditEntry
from services.audit import contracts as c
from services.audit import peers

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Outcome = Literal["", "done", "refused", "failed", "unknown"]


class ProjectAuditQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Entries of one project; `cursor` (from `Link: rel="next"`) goes back in time.

    Args:
        actor: id of the person, session, token or device that did it.
        action: as an entry has it.
        object: id of what it was done to.
        since, until: from this time on, and before that one.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    cursor: str = ""
    actor: str = ""
    action: str = ""
    object: str = ""
    outcome: Outcome = ""
    since: Moment | None = None
    until: Moment | None = None


class AuditQuery(ProjectAuditQuery, frozen=True, forbid_unknown_fields=True):
    """Entries of the account; `project` narrows them to one, also to one that is deleted."""

    project: str = ""


class AuditExportBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to send the audit log.

    Args:
        project: one of the account's; null: nowhere.
    """

    project: str | None


class AuditExport(msgspec.Struct, frozen=True):
    """Where the audit log is sent.

    Args:
        project: into whose stream `sys`, as program `audit`; null: nowhere.
        sent: number of the last entry that has arrived there.
        waiting: entries that have yet to.
    """

    project: str | None
    sent: Annotated[int | None, PASSING]
    waiting: Annotated[int, PASSING]


async def read_audit(call: Call[None, AuditQuery]) -> Reply:
    """Answer `GET /audit`."""
    return await _page(call, call.query, call.query.project)


async def read_project_audit(call: Call[None, ProjectAuditQuery]) -> Reply:
    """Answer `GET /projects/{project}/audit`."""
    project = call.path["project"]
    wanted = peers.GetProject(call.caller.account, project)
    await call.bus.request(peers.GET_PROJECT, wanted)
    return await _page(call, call.query, project)


async def _page(call: Call[Any, Any], query: ProjectAuditQuery, project: str) -> Reply:
    wanted = Wanted(
        account=call.caller.account,
        limit=query.limit,
        before=position_of(query.cursor),
        project=project,
        actor=query.actor,
        action=query.action,
        object=query.object,
        outcome=query.outcome,
        since=_microseconds(query.since, "since"),
        until=_microseconds(query.until, "until"),
    )
    page = await call.bus.request(c.READ, wanted)
    following = cursor_of(page.items[-1].seq) if page.more else None
    return Reply(page.items, next=following)


def _microseconds(moment: datetime | None, name: str) -> int:
    """Give microseconds since the Unix epoch; 0 for none."""
    if moment is None:
        return 0
    try:
        return max((moment - _EPOCH) // (datetime.resolution), 1)
    except OverflowError:
        wrong = FieldError(f"/{name}", "is beyond what a clock shows")
        raise Invalid(wrong.detail, errors=[wrong]) from None


async def get_audit_export(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /audit/export`."""
    return _reply(await call.bus.request(c.GET_EXPORT, c.OfAccount(call.caller.account)))


async def put_audit_export(call: Call[AuditExportBody, NoQuery]) -> Reply:
    """Answer `PUT /audit/export`."""
    request = c.Send(call.caller.account, call.body.project or "")
    return _reply(await call.bus.request(c.PUT_EXPORT, request))


def _reply(export: Export) -> Reply:
    if not export.project:
        return Reply(AuditExport(None, None, 0))
    return Reply(AuditExport(export.project, export.sent, max(export.head - export.sent, 0)))


AUDIT: Final = "/api/v1/audit"
EXPORT: Final = f"{AUDIT}/export"


def routes() -> list[Route[Any, Any]]:
    """Give the routes of the audit log."""
    return [
        Route(
            method="GET", path=AUDIT, summary="Read the account's audit log", tag="audit",
            handler=read_audit, permission="audit:read", query=AuditQuery,
            response=list[AuditEntry],
            description="Newest first. Every change is in it that was asked for, with who asked, "
            "from where, and what was before and after; and so is what was refused.",
        ),
        Route(
            method="GET", path="/api/v1/projects/{project}/audit",
            summary="Read a project's audit log", tag="audit", handler=read_project_audit,
            permission="audit:read", query=ProjectAuditQuery, response=list[AuditEntry],
            errors=(NotFound,),
        ),
        Route(
            method="GET", path=EXPORT, summary="See where the audit log is sent", tag="audit",
            handler=get_audit_export, permission="audit:read", response=AuditExport,
        ),
        Route(
            method="PUT", path=EXPORT, summary="Say where to send the audit log", tag="audit",
            handler=put_audit_export, permission="audit:write", body=AuditExportBody,
            response=AuditExport, errors=(NotFound,), versioned=False,
            examples=(AuditExportBody(None),),
            description="With a project, each entry from now on is a line of the program `audit`, "
            "as JSON, in the project's stream `sys`; its integrations take it from there. It "
            "arrives once, in order, and counts towards the project's limits. With null, nothing "
            "is sent any more.",
        ),
    ]  # fmt: skip
