"""`isaax signup`, `forgot-password` and `me`: coming in, and what one is here."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.client.commands import leaving, output, prompts
from hub.client.commands.connection import opened, stranger
from hub.client.commands.options import (
    AsJson,
    CaFile,
    HubName,
    Locale,
    PasswordStdin,
    PlainHttp,
)

if TYPE_CHECKING:
    from hub.client.structs import AcceptedView, UserView

me = typer.Typer(
    no_args_is_help=True, help="You, at this hub: your name, address, password and end."
)

FIELDS: "output.Columns[UserView]" = {
    "id": lambda one: one.id,
    "email": lambda one: one.email,
    "name": lambda one: one.name,
    "language": lambda one: one.locale,
    "since": lambda one: one.created_at,
}
ACCEPTED: "output.Columns[AcceptedView]" = {"next": lambda one: one.detail}

Url = Annotated[
    str | None, typer.Argument(help="Of the hub: https://hub.example.com", show_default=False)
]


def signup(
    url: Url = None,
    email: Annotated[str | None, typer.Option(help="Your address.", show_default=False)] = None,
    name: Annotated[str | None, typer.Option(help="Yours.", show_default=False)] = None,
    locale: Locale = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
) -> None:
    """Sign up at a hub: it mails a link, which makes an account of your own (isaax link)."""
    hub = stranger(url or prompts.url(), ca_file, plain_http=plain_http)
    body = {
        "email": email or prompts.text("Your e-mail address", "--email"),
        "name": name or prompts.text("Your name", "--name"),
        "password": prompts.secret(
            "Password", "--password-stdin", from_stdin=password_stdin, twice=True
        ),
        "locale": locale or "en",
    }
    with hub as api:
        output.show_one(api.sign_up(body), ACCEPTED, as_json=as_json)


def forgot_password(
    url: Url = None,
    email: Annotated[str | None, typer.Option(help="Your address.", show_default=False)] = None,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
) -> None:
    """Have a link mailed to you that sets a new password (isaax link)."""
    with stranger(url or prompts.url(), ca_file, plain_http=plain_http) as api:
        body = {"email": email or prompts.text("Your e-mail address", "--email")}
        output.show_one(api.ask_reset(body), ACCEPTED, as_json=as_json)


@me.command()
def show(hub: HubName = None, as_json: AsJson = False) -> None:
    """Show who you are."""
    with opened(hub) as session:
        output.show_one(session.hub.get_me(), FIELDS, as_json=as_json)


@me.command()
def edit(
    name: Annotated[str | None, typer.Option(help="Your name.", show_default=False)] = None,
    locale: Locale = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Change your name, or the language of mails."""
    given: dict[str, Any] = {"name": name, "locale": locale}
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("give --name or --locale")
    with opened(hub) as session:
        output.show_one(session.hub.patch_me(changes), FIELDS, as_json=as_json)


@me.command()
def email(
    address: Annotated[str, typer.Argument(help="The new one.")],
    password_stdin: PasswordStdin = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Change your address: a link is mailed there (isaax link)."""
    with opened(hub) as session:
        password = prompts.secret("Password", "--password-stdin", from_stdin=password_stdin)
        asked = session.hub.change_email({"email": address, "password": password})
        output.show_one(asked, ACCEPTED, as_json=as_json)


@me.command()
def password(
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read it, and on the next line the new one, from standard input.",
        ),
    ] = False,
    hub: HubName = None,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:
    """Change your password; every other session ends."""
    with opened(hub) as session:
        option = "--password-stdin"
        current = prompts.secret("Password", option, from_stdin=password_stdin)
        new = prompts.secret("New password", option, from_stdin=password_stdin, twice=True)
        session.hub.put_password({"current_password": current, "new_password": new})
        output.note("The new password holds; every other session has ended.")


me.command("deletion")(leaving.deletion)
me.command("delete")(leaving.delete)
me.command("undo-deletion")(leaving.undo)
