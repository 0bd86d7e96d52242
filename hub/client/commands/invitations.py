"""`isaax invitations …`: who is to join an account, by a link that is mailed to them."""

from typing import TYPE_CHECKING, Annotated

import typer

from hub.client.commands import completing, output
from hub.client.commands.connection import Session, within
from hub.client.commands.naming import Known, find
from hub.client.commands.options import AccountName, AsJson, HubName, Locale, Role, Yes

if TYPE_CHECKING:
    from hub.client.structs import InvitationView

app = typer.Typer(
    no_args_is_help=True,
    help="Invitations to your account, by mail; they are accepted by isaax link.",
)

FIELDS: "output.Columns[InvitationView]" = {
    "id": lambda one: one.id,
    "email": lambda one: one.email,
    "role": lambda one: one.role,
    "state": lambda one: one.state,
    "mailed": lambda one: one.sent_at,
    "good until": lambda one: one.expires_at,
}
One = Annotated[
    str,
    typer.Argument(
        metavar="INVITATION",
        help="Address or id of the invitation.",
        autocompletion=completing.invitations,
    ),
]


@app.command("list")
def list_invitations(
    account: AccountName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """List the invitations that wait."""
    with within(hub, account) as (session, meant):
        listed = session.hub.list_invitations(meant, limit=200)
        output.show_list(
            listed, FIELDS, as_json=as_json, empty="None: isaax invitations create ADDRESS"
        )


@app.command()
def show(
    invitation: One, account: AccountName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Show an invitation; the link is in the mail alone."""
    with within(hub, account) as (session, meant):
        found = session.hub.get_invitation(meant, _meant(session, meant, invitation))
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def create(
    email: Annotated[str, typer.Argument(metavar="ADDRESS", help="Of whom you invite.")],
    role: Annotated[
        Role, typer.Option(help="That they are to have (docs/permissions.md).")
    ] = "developer",
    locale: Locale = None,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Invite somebody: they are mailed a link, which is good for a week."""
    body = {"email": email, "role": role, "locale": locale or "en"}
    with within(hub, account) as (session, meant):
        output.show_one(session.hub.create_invitation(meant, body), FIELDS, as_json=as_json)


@app.command()
def resend(
    invitation: One, account: AccountName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Mail another link; the one before is good no more."""
    with within(hub, account) as (session, meant):
        sent = session.hub.resend_invitation(meant, _meant(session, meant, invitation))
        output.show_one(sent, FIELDS, as_json=as_json)


@app.command()
def withdraw(
    invitation: One,
    yes: Yes = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Withdraw an invitation: its link is good no more."""
    with within(hub, account) as (session, meant):
        found = session.hub.get_invitation(meant, _meant(session, meant, invitation))
        name = output.clean(found.value.email)
        output.confirmed(f"Withdraw the invitation of {name}?", yes=yes)
        session.hub.delete_invitation(meant, found.value.id, if_match=found.etag)
        output.note(f"The invitation of {name} is withdrawn.")


def _meant(session: Session, account: str, given: str) -> str:
    listed = session.hub.list_invitations(account, limit=200)
    known = (Known(one.id, one.email) for one in listed)
    return find("invitation", given.lower(), known, lambda one: one.name)
