"""`isaax account hand-over` and what comes after: another member becomes its owner."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hub.client.commands import output, prompts
from hub.client.commands.connection import within
from hub.client.commands.options import AccountName, AsJson, HubName, OneMember, PasswordStdin, Yes

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.commands.connection import Session
    from hub.client.structs import OfferedView, TransferView

OWNED: "output.Columns[OfferedView]" = {
    "account": lambda one: one.account,
    "name": lambda one: one.name,
    "from": lambda one: one.giver,
}


def hand_over(
    member: OneMember,
    role: Annotated[
        Literal["admin", "developer", "viewer", "billing"], typer.Option(help="That you have then.")
    ] = "admin",
    yes: Yes = False,
    password_stdin: PasswordStdin = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Offer your ownership to another member, who is mailed a link and has a week to say yes."""
    with within(hub, account) as (session, meant):
        receiver = session.member(member, meant)
        name = output.clean(session.hub.get_account(meant).value.name)
        output.confirmed(f"Hand {name} over to {output.clean(member)}?", yes=yes)
        password = prompts.secret("Password", "--password-stdin", from_stdin=password_stdin)
        body = {"to": receiver, "password": password, "role": role}
        _show(session, meant, session.hub.offer_account(meant, body), as_json=as_json)
    output.note("Until they accept it, isaax account withdraw-offer takes it back.")


def offer(account: AccountName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show the offer of ownership that waits."""
    with within(hub, account) as (session, meant):
        _show(session, meant, session.hub.get_offer(meant), as_json=as_json)


def accept(
    yes: Yes = False, account: AccountName = None, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Become owner, as you were offered."""
    with within(hub, account) as (session, meant):
        name = output.clean(session.hub.get_account(meant).value.name)
        output.confirmed(f"Become owner of {name}, and answer for it?", yes=yes)
        output.show_one(session.hub.accept_account(meant), OWNED, as_json=as_json)


def withdraw(
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Take the offer back; or decline it."""
    with within(hub, account) as (session, meant):
        session.hub.withdraw_offer(meant)
        output.note("The account stays with whom it is.")


def _show(
    session: "Session", account: str, offer: "Answer[TransferView]", *, as_json: bool
) -> None:
    """Show an offer, with the addresses of whom it is between."""
    if as_json:
        output.write_json(offer.body)
        return
    emails = {one.user: one.email for one in session.hub.list_members(account, limit=200)}
    one = offer.value
    output.show_fields({
        "from": emails.get(one.giver, one.giver),
        "to": emails.get(one.receiver, one.receiver),
        "who gives it is then": one.role,
        "offered": one.created_at,
        "good until": one.expires_at,
    })  # fmt: skip
