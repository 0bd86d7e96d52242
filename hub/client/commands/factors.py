"""`isaax factors …` and `isaax passkeys …`: what is asked for besides the password."""

from typing import TYPE_CHECKING, Annotated

import typer

from hub.client.commands import output, prompts
from hub.client.commands.connection import Session, opened
from hub.client.commands.naming import find
from hub.client.commands.options import AsJson, HubName, PasswordStdin, Yes
from hub.client.commands.proving import proven
from hub.secret import Secret

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.structs import CodesView, FactorsView, NewTotpView, PasskeyView

app = typer.Typer(
    no_args_is_help=True, help="Second factors: what a login asks for besides the password."
)
passkeys = typer.Typer(no_args_is_help=True, help="Passkeys; they are added in a browser.")

FIELDS: "output.Columns[FactorsView]" = {
    "authenticator app": lambda one: one.totp_since or "none",
    "recovery codes left": lambda one: one.recovery_codes,
    "passkeys": lambda one: one.passkeys,
}
NEW_APP: "output.Columns[NewTotpView]" = {
    "secret": lambda one: one.secret,
    "link": lambda one: one.uri,
}
PASSKEYS: "output.Columns[PasskeyView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "by": lambda one: one.transports,
    "made": lambda one: one.created_at,
    "last used": lambda one: one.last_used_at,
}
Passkey = Annotated[str, typer.Argument(help="Name or id of the passkey.")]


@app.command()
def show(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show which second factors you have."""
    with opened(hub) as session:
        output.show_one(session.hub.get_factors(), FIELDS, as_json=as_json)


@app.command()
def add_app(
    password_stdin: PasswordStdin = False, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Begin with an authenticator app: shows the secret for it, this once."""
    with opened(hub) as session:
        begun = proven(session, session.hub.start_totp, from_stdin=password_stdin)
        output.show_one(begun, NEW_APP, as_json=as_json)
    output.note("Give it to your app, then: isaax factors confirm-app")


@app.command()
def confirm_app(
    code: Annotated[
        str | None,
        typer.Argument(help="That the app shows now; asked for by default.", show_default=False),
    ] = None,
    password_stdin: PasswordStdin = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Confirm the app: from now on a login asks for its code. Prints recovery codes, this once."""
    given = {"code": Secret((code or prompts.text("Code", "CODE")).strip())}
    with opened(hub) as session:
        done = proven(session, lambda: session.hub.confirm_totp(given), from_stdin=password_stdin)
    _show_codes(done, as_json=as_json)


@app.command()
def remove_app(
    yes: Yes = False,
    password_stdin: PasswordStdin = False,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Remove your authenticator app: a login asks for its code no more."""
    output.confirmed("Remove your authenticator app?", yes=yes)
    with opened(hub) as session:
        proven(session, session.hub.remove_totp, from_stdin=password_stdin)
        output.note("It is removed.")


@app.command()
def new_codes(
    password_stdin: PasswordStdin = False, hub: HubName = None, as_json: AsJson = False
) -> None:
    """Make new recovery codes, and print them, this once; those that there were are void."""
    with opened(hub) as session:
        done = proven(session, session.hub.renew_codes, from_stdin=password_stdin)
    _show_codes(done, as_json=as_json)


@passkeys.command("list")
def list_passkeys(hub: HubName = None, as_json: AsJson = False) -> None:
    """List your passkeys."""
    with opened(hub) as session:
        listed = session.hub.list_passkeys(limit=200)
        output.show_list(listed, PASSKEYS, as_json=as_json, empty="None: add one in a browser.")


@passkeys.command()
def rename(
    passkey: Passkey,
    name: Annotated[str, typer.Argument(help="The new one.")],
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Call a passkey otherwise."""
    with opened(hub) as session:
        changed = session.hub.patch_passkey(_meant(session, passkey), {"name": name})
        output.show_one(changed, PASSKEYS, as_json=as_json)


@passkeys.command()
def remove(
    passkey: Passkey,
    yes: Yes = False,
    password_stdin: PasswordStdin = False,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Remove a passkey: it opens nothing any more."""
    with opened(hub) as session:
        meant = _meant(session, passkey)
        output.confirmed(f"Remove {output.clean(passkey)}?", yes=yes)
        gone = session.hub.remove_passkey
        proven(session, lambda: gone(meant), from_stdin=password_stdin)
        output.note(f"{output.clean(passkey)} is removed.")


def _show_codes(done: "Answer[CodesView]", *, as_json: bool) -> None:
    if as_json:
        output.write_json(done.body)
        return
    for code in done.value.recovery_codes:
        typer.echo(code)
    if done.value.recovery_codes:
        output.note("Recovery codes, each good once: keep them where you find them.")


def _meant(session: Session, passkey: str) -> str:
    listed = session.hub.list_passkeys(limit=200)
    return find("passkey", passkey, listed, lambda one: one.name)
