"""`isaax me delete` and what goes with it: which accounts go along, and undoing it."""

from typing import TYPE_CHECKING

from hub.client.commands import output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, PasswordStdin, Yes
from hub.client.commands.proving import proven

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import DepartureView, OwnedView

ACCOUNTS: "output.Columns[OwnedView]" = {
    "id": lambda one: one.id,
    "account": lambda one: one.name,
    "others in it": lambda one: one.others,
    "outcome": lambda one: one.outcome,
}


def deletion(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show which accounts go with you, and whether you asked for your deletion."""
    with opened(hub) as session:
        _show(session.hub.get_departure(), as_json=as_json)


def delete(
    yes: Yes = False,
    password_stdin: PasswordStdin = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Delete yourself: every session ends, and in two weeks all that tells of you is erased."""
    with opened(hub) as session:
        owned = session.hub.get_departure().value.accounts
        names = [output.clean(one.name) for one in owned if one.outcome == "deleted"]
        if names:
            output.note(f"Accounts that only you are in go along: {', '.join(names)}.")
        output.confirmed("Delete yourself?", yes=yes)
        done = proven(session, session.hub.delete_me, from_stdin=password_stdin)
    _show(done, as_json=as_json)
    output.note(
        "To undo it, log in again and: isaax me undo-deletion. Or give the link that we mailed to"
        " isaax link."
    )


def undo(
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Stay, after all."""
    with opened(hub) as session:
        session.hub.keep_me()
        output.note("You stay, with your tokens and accounts.")


def _show(answer: "Answer[DepartureView]", *, as_json: bool) -> None:
    if as_json:
        output.write_json(answer.body)
        return
    one = answer.value
    output.show_fields({
        "deletion": "not asked for" if one.state == "none" else one.state,
        "asked for": one.requested_at,
        "erased from": one.due_at,
    })  # fmt: skip
    if one.accounts:
        output.show_table(one.accounts, ACCOUNTS)
