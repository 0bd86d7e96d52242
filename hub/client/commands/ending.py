"""`isaax account delete` and what goes with it: what would be gone, and undoing it."""

from typing import TYPE_CHECKING

from hub.client.commands import output, prompts
from hub.client.commands.connection import within
from hub.client.commands.options import AccountName, AsJson, HubName, PasswordStdin, Yes

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import DeletionView


def deletion(account: AccountName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show what goes with an account, and whether somebody asked for its deletion."""
    with within(hub, account) as (session, meant):
        _show(session.hub.get_deletion(meant), as_json=as_json)


def delete(
    yes: Yes = False,
    password_stdin: PasswordStdin = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Delete an account: nothing in it works from now on, and in two weeks all is erased."""
    with within(hub, account) as (session, meant):
        name = output.clean(session.hub.get_account(meant).value.name)
        counts = _counts(session.hub.get_deletion(meant).value)
        found = ", ".join(f"{what}: {count:,}" for what, count in counts.items() if count)
        output.note(f"With {name} goes all that it has; {found}.")
        output.note("Its devices are cut off at once, and its tokens are void.")
        output.note("Take along what you want to keep first: isaax account export FILE")
        output.confirmed(f"Delete {name}?", yes=yes)
        password = prompts.secret("Password", "--password-stdin", from_stdin=password_stdin)
        _show(session.hub.request_deletion(meant, {"password": password}), as_json=as_json)
    output.note(
        "To undo it, log in again and: isaax account undo-deletion. Or give the link that we mailed"
        " to isaax link."
    )


def undo(
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Let an account go on that is to be deleted."""
    with within(hub, account) as (session, meant):
        session.hub.undo_deletion(meant)
        output.note("It goes on as it was: its devices and tokens are let in again.")


def _show(answer: "Answer[DeletionView]", *, as_json: bool) -> None:
    if as_json:
        output.write_json(answer.body)
        return
    one = answer.value
    output.show_fields({
        "deletion": "not asked for" if one.state == "none" else one.state,
        "asked for": one.requested_at,
        "erased from": one.due_at,
        **_counts(one),
    })  # fmt: skip


def _counts(one: "DeletionView") -> dict[str, int]:
    return {what.replace("_", " "): count for what, count in one.counts.items()}
