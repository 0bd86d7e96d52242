"""`isaax audit-log …`: who did what in an account."""

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hub.client.commands import completing, moments, output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, OneProject

if TYPE_CHECKING:
    from hub.client.structs import AuditEntry, AuditExport

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what in your account.")

COLUMNS: "output.Columns[AuditEntry]" = {
    "id": lambda one: one.seq,
    "at": lambda one: one.at,
    "who": lambda one: f"{one.actor.kind} {one.actor.user or one.actor.id}",
    "from": lambda one: one.address,
    "did": lambda one: one.summary or one.action,
    "to": lambda one: list(one.object.values()),
    "outcome": lambda one: one.outcome,
}
EXPORT: "output.Columns[AuditExport]" = {
    "sent into": lambda one: one.project or "nowhere",
    "last entry there": lambda one: one.sent,
    "waiting": lambda one: one.waiting,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@app.command("list")
def list_entries(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, max=200, help="The newest so many.")
    ] = 50,
    since: Annotated[
        str | None,
        typer.Option(help="Since then: 10m, 2h, 7d, or 2026-11-23T15:04:05Z.", show_default=False),
    ] = None,
    actor: Annotated[str, typer.Option(help="By this one alone, by id.")] = "",
    outcome: Annotated[
        Literal["done", "refused", "failed", "unknown"] | None,
        typer.Option(help="With this outcome alone.", show_default=False),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            help="Name or id of a project; by default the whole account.",
            show_default=False,
            autocompletion=completing.projects,
        ),
    ] = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """List what was done and tried, newest first."""
    only: dict[str, Any] = {"limit": lines, "actor": actor or None, "outcome": outcome}
    if since:
        passed = moments.past(since, time.time(), "--since")
        only["since"] = _EPOCH + timedelta(microseconds=passed)
    with opened(hub) as session:
        found = (
            session.hub.read_project_audit(session.project(project), **only)
            if project
            else session.hub.read_audit(**only)
        ).first()
    if as_json:
        output.write_json(found.body)
    elif found.value:
        output.show_table(found.value, COLUMNS)
    else:
        output.note("None.")


@app.command()
def status(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show where the audit log is sent."""
    with opened(hub) as session:
        output.show_one(session.hub.get_audit_export(), EXPORT, as_json=as_json)


@app.command()
def send(project: OneProject, hub: HubName = None, as_json: AsJson = False) -> None:
    """Send each entry from now on into a project, whose integrations take it from there."""
    with opened(hub) as session:
        body = {"project": session.project(project)}
        output.show_one(session.hub.put_audit_export(body), EXPORT, as_json=as_json)


@app.command()
def stop(
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Send the audit log nowhere."""
    with opened(hub) as session:
        session.hub.put_audit_export({"project": None})
        output.note("It is sent nowhere any more.")
