"""`isaax sessions …`: where one is logged in."""

from typing import TYPE_CHECKING, Annotated

import typer

from hub.client.commands import output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName

if TYPE_CHECKING:
    from hub.client.structs import SessionView

app = typer.Typer(no_args_is_help=True, help="Sessions: where you are logged in.")

FIELDS: "output.Columns[SessionView]" = {
    "id": lambda one: one.id,
    "from": lambda one: one.address,
    "by": lambda one: one.agent,
    "since": lambda one: one.created_at,
    "last seen": lambda one: one.seen_at,
    "ends": lambda one: one.ends_at,
    "this one": lambda one: one.current,
}
One = Annotated[str, typer.Argument(help="Id of the session.")]


@app.command("list")
def list_sessions(hub: HubName = None, as_json: AsJson = False) -> None:
    """List where you are logged in."""
    with opened(hub) as session:
        listed = session.hub.list_sessions(limit=200)
        output.show_list(listed, FIELDS, as_json=as_json, empty="None.")


@app.command()
def show(
    identifier: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Of the session; by default this one.", show_default=False
        ),
    ] = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show a session."""
    with opened(hub) as session:
        found = (
            session.hub.get_session(identifier) if identifier else session.hub.get_current_session()
        )
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def end(identifier: One, hub: HubName = None, as_json: AsJson = False) -> None:
    """End a session: whoever has it is logged out. Of this one: isaax logout."""
    with opened(hub) as session:
        session.hub.end_session(identifier)
        output.note("It has ended.")
