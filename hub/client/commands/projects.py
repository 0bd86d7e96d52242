"""`isaax projects …`."""

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from hub.client.commands import output
from hub.client.commands.connection import Session, keep, logins, opened
from hub.client.commands.options import AsJson, HubName, MaybeProject, OneProject, Yes
from hub.client.credentials import NoLogin

if TYPE_CHECKING:
    from hub.client.structs import LimitsView, ProjectHealth, ProjectView

app = typer.Typer(no_args_is_help=True, help="Projects: what devices and integrations are in.")

FIELDS: "output.Columns[ProjectView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "made": lambda one: one.created_at,
}
LIMITS: "output.Columns[LimitsView]" = {
    "lines a second": lambda one: _limit(one.lines_per_second),
    "bytes a second": lambda one: _limit(one.bytes_per_second),
    "lines a day": lambda one: _limit(one.lines_per_day),
    "today": lambda one: one.today.day,
    "lines today": lambda one: one.today.lines,
    "samples today": lambda one: one.today.samples,
    "bytes today": lambda one: one.today.bytes,
}
HEALTH: "output.Columns[ProjectHealth]" = {
    "lines behind": lambda one: one.lag_lines,
    "seconds behind": lambda one: one.lag_seconds,
    "lines lost": lambda one: one.gap_lines,
    "dead letters": lambda one: one.dead_letters,
    "letters lost": lambda one: one.lost_letters,
    "unreadable": lambda one: one.refused,
    "unreadable lost": lambda one: one.refused_lost,
}
Name = Annotated[str, typer.Argument(help="Of the project.")]


@app.command("list")
def list_projects(hub: HubName = None, as_json: AsJson = False) -> None:
    """List the projects."""
    with opened(hub) as session:
        used = session.login.project
        columns = {**FIELDS, "in use": lambda one: one.id == used}
        output.show_list(
            session.hub.list_projects(limit=200), columns, as_json=as_json,
            empty="None: isaax projects create NAME",
        )  # fmt: skip


@app.command()
def show(project: MaybeProject = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show a project."""
    with opened(hub) as session:
        found = session.hub.get_project(session.project(project))
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def create(
    name: Name,
    use: Annotated[bool, typer.Option("--use", help="Use it from now on.")] = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Make a project."""
    with opened(hub) as session:
        made = session.hub.create_project({"name": name})
        if use:
            _use(session, made.value.id)
        output.show_one(made, FIELDS, as_json=as_json)


@app.command()
def rename(
    project: OneProject,
    name: Annotated[str, typer.Argument(help="The new one.")],
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Call a project otherwise."""
    with opened(hub) as session:
        changed = session.hub.patch_project(session.project(project), {"name": name})
        output.show_one(changed, FIELDS, as_json=as_json)


@app.command()
def delete(
    project: OneProject, yes: Yes = False, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Delete a project, its tokens, devices and integrations; its devices are cut off at once."""
    with opened(hub) as session:
        found = session.hub.get_project(session.project(project))
        output.confirmed(f"Delete {output.clean(found.value.name)} and all that is in it?", yes=yes)
        session.hub.delete_project(found.value.id, if_match=found.etag)
        output.note(f"{output.clean(found.value.name)} is deleted.")


@app.command()
def use(project: OneProject, hub: HubName = None, as_json: AsJson = False) -> None:
    """Mean this project where no other is named, from now on."""
    with opened(hub) as session:
        found = session.hub.get_project(session.project(project))
        _use(session, found.value.id)
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def limits(project: MaybeProject = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show what a project may send, and what it sent today."""
    with opened(hub) as session:
        found = session.hub.get_limits(session.project(project))
        output.show_one(found, LIMITS, as_json=as_json)


@app.command()
def status(project: MaybeProject = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show how a project's integrations fare."""
    with opened(hub) as session:
        found = session.hub.get_project_relay(session.project(project))
    if as_json:
        output.write_json(found.body)
        return
    rows = [(one, one.status) for one in found.value.integrations]
    if rows:
        output.show_table(rows, {
            "id": lambda row: row[0].id,
            "type": lambda row: row[0].type,
            "name": lambda row: row[0].name,
            "state": lambda row: row[1].state if row[1] else None,
            "behind": lambda row: row[1].lag_lines if row[1] else None,
            "dead letters": lambda row: row[1].dead_letters if row[1] else None,
            "error": lambda row: row[1].error if row[1] else None,
        })  # fmt: skip
    output.show_one(found, HEALTH, as_json=False)


def _limit(value: float | None) -> Any:
    if value is None:
        return "as for all projects"
    return value or "no limit"


def _use(session: Session, project: str) -> None:
    """Write down the default project of this login.

    Raises:
        NoLogin: what is used comes from the environment alone.
    """
    if not session.name:
        raise NoLogin("ISAAX_URL or ISAAX_TOKEN is set: set ISAAX_PROJECT as well, or isaax login")
    known = logins()
    kept = msgspec.structs.replace(session.login, project=project)
    keep(msgspec.structs.replace(known, hubs={**known.hubs, session.name: kept}))
