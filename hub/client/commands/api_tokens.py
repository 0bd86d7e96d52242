"""`isaax api-tokens …`: what lets programs use the API for you."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import moments, output
from hub.client.commands.connection import Session, opened
from hub.client.commands.naming import find
from hub.client.commands.options import AsJson, HubName, Yes
from hub.times import rfc3339

if TYPE_CHECKING:
    from hub.client.structs import ApiTokenView

app = typer.Typer(no_args_is_help=True, help="API tokens: what lets programs use the API for you.")

FIELDS: "output.Columns[ApiTokenView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "begins with": lambda one: one.prefix,
    "scopes": lambda one: one.scopes,
    "made": lambda one: one.created_at,
    "expires": lambda one: one.expires_at,
    "last used": lambda one: one.last_used_at,
}
Token = Annotated[str, typer.Argument(help="Name or id of the token.")]


@app.command("list")
def list_tokens(hub: HubName = None, as_json: AsJson = False) -> None:
    """List your API tokens; owners and admins of the account see everybody's."""
    with opened(hub) as session:
        listed = session.hub.list_api_tokens(limit=200)
        output.show_list(listed, FIELDS, as_json=as_json, empty="None: isaax api-tokens create")


@app.command()
def show(token: Token, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show a token, but for its secret part."""
    with opened(hub) as session:
        found = session.hub.get_api_token(_meant(session, token))
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="A permission that it may use, once for each (docs/permissions.md); by default"
            " all of yours.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 30d, or 2027-01-01T00:00:00Z.", show_default=False),
    ] = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: this once."""
    body: dict[str, Any] = {"name": name, "scopes": scopes or ["*"]}
    if expires:
        body["expires_at"] = rfc3339(moments.ahead(expires, time.time(), "--expires"))
    with opened(hub) as session:
        made = session.hub.create_api_token(body)
    output.show_secret(made, str(made.value.token), made.value.id, name, as_json=as_json)


@app.command()
def revoke(token: Token, yes: Yes = False, hub: HubName = None, as_json: AsJson = False) -> None:
    """Revoke a token: from now on it opens nothing."""
    with opened(hub) as session:
        meant = _meant(session, token)
        output.confirmed(f"Revoke {output.clean(token)}?", yes=yes)
        session.hub.revoke_api_token(meant)
        output.note(f"{output.clean(token)} is revoked.")


def _meant(session: Session, token: str) -> str:
    listed = session.hub.list_api_tokens(limit=200)
    return find("token", token, listed, lambda one: one.name)
