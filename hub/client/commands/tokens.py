"""`isaax tokens …`: what lets devices and other sources into a project."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.client.commands import output
from hub.client.commands.connection import Session, opened
from hub.client.commands.naming import find
from hub.client.commands.options import AsJson, HubName, ProjectName, Yes

if TYPE_CHECKING:
    from hub.client.structs import ProjectTokenView

app = typer.Typer(
    no_args_is_help=True, help="Project tokens: what lets devices and other sources in."
)

FIELDS: "output.Columns[ProjectTokenView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "begins with": lambda one: one.prefix,
    "group": lambda one: one.group,
    "approval": lambda one: one.approval,
    "at most": lambda one: one.max_devices,
    "until": lambda one: one.expires_at,
    "made": lambda one: one.created_at,
}
Token = Annotated[str, typer.Argument(help="Name or id of the token.")]


@app.command("list")
def list_tokens(project: ProjectName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """List a project's tokens."""
    with opened(hub) as session:
        output.show_list(
            session.hub.list_project_tokens(session.project(project), limit=200), FIELDS,
            as_json=as_json, empty="None: isaax tokens create",
        )  # fmt: skip


@app.command()
def show(
    token: Token, project: ProjectName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show a token, but for its secret part."""
    with opened(hub) as session:
        within, one = _meant(session, token, project)
        output.show_one(session.hub.get_project_token(within, one), FIELDS, as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")] = "devices",
    group: Annotated[str, typer.Option(help="That devices are in when they register.")] = "default",
    most: Annotated[
        int | None, typer.Option("--max", help="Devices that may be registered with it.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(help="No device registers after it (UTC); those that have go on."),
    ] = None,
    approval: Annotated[
        bool, typer.Option("--approval", help="Devices wait until somebody approves them.")
    ] = False,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: this once. A project has two at most, so that one can follow."""
    with opened(hub) as session:
        made = session.hub.create_project_token(
            session.project(project),
            {
                "name": name,
                "group": group,
                "max_devices": most,
                "expires_at": until and until.replace(tzinfo=UTC).isoformat(),
                "approval": approval,
            },
        )
    one = made.value
    output.show_secret(made, str(one.token), one.id, one.name, as_json=as_json)


@app.command()
def revoke(
    token: Token,
    project: ProjectName = None,
    yes: Yes = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a token; devices that connected with it are cut off at once."""
    with opened(hub) as session:
        within, one = _meant(session, token, project)
        output.confirmed(f"Revoke {output.clean(token)}?", yes=yes)
        session.hub.delete_project_token(within, one)
        output.note(f"{output.clean(token)} is revoked.")


def _meant(session: Session, token: str, project: str | None) -> tuple[str, str]:
    within = session.project(project)
    listed = session.hub.list_project_tokens(within, limit=200)
    return within, find("token", token, listed, lambda one: one.name)
