"""`isaax signup`, `link`, `forgot-password` and `me`: coming in, and what one is here."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import typer

from hub.client import credentials
from hub.client.commands import output, prompts
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, PasswordStdin
from hub.client.credentials import Login, checked
from hub.client.urls import base_url
from hub.secret import Secret

if TYPE_CHECKING:
    from hub.client.structs import AcceptedView, UserView

me = typer.Typer(no_args_is_help=True, help="You, at this hub: your name, address and password.")

FIELDS: "output.Columns[UserView]" = {
    "id": lambda one: one.id,
    "email": lambda one: one.email,
    "name": lambda one: one.name,
    "language": lambda one: one.locale,
    "since": lambda one: one.created_at,
}
ACCEPTED: "output.Columns[AcceptedView]" = {"next": lambda one: one.detail}
LINKS: Final = ("verify", "unlock", "email", "reset")

Url = Annotated[
    str | None, typer.Argument(help="Of the hub: https://hub.example.com", show_default=False)
]
CaFile = Annotated[
    Path | None, typer.Option(help="PEM file of its certificate's authority.", show_default=False)
]
PlainHttp = Annotated[bool, typer.Option("--plain-http", help="Let secrets travel in clear.")]
Locale = Annotated[
    Literal["en", "ja"] | None, typer.Option(help="Language of mails.", show_default=False)
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
    hub = _stranger(url or prompts.url(), ca_file, plain_http=plain_http)
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
    with _stranger(url or prompts.url(), ca_file, plain_http=plain_http) as api:
        body = {"email": email or prompts.text("Your e-mail address", "--email")}
        output.show_one(api.ask_reset(body), ACCEPTED, as_json=as_json)


def link(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="LINK", help="As it stands in the mail; asked for by default.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Of the hub, where it is reached otherwise.", show_default=False),
    ] = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,  # an answer without a body; it is taken everywhere
) -> None:  # fmt: skip
    """Do what a link in a mail is for: verify, unlock, take a new address, set a new password."""
    given = (address or prompts.text("Link", "LINK")).strip()
    kind, token = _read(given)
    body = {"token": token}
    with _stranger(url or given, ca_file, plain_http=plain_http) as api:
        match kind:
            case "verify":
                api.verify_email(body)
                output.note("The address is verified: isaax login")
            case "unlock":
                api.unlock(body)
                output.note("Logging in is open again: isaax login")
            case "email":
                api.confirm_email_change(body)
                output.note("The new address is yours.")
            case _:
                new = prompts.secret(
                    "New password", "--password-stdin", from_stdin=password_stdin, twice=True
                )
                api.reset_password(body | {"password": new})
                output.note("The new password holds; every session has ended: isaax login")


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


def _stranger(url: str, ca_file: Path | None, *, plain_http: bool) -> Any:
    """Use a hub without being anybody there yet; what is secret does not travel in clear."""
    from hub.client.opening import connect
    from hub.client.patience import Patience

    allowed = plain_http or bool(os.environ.get(credentials.PLAIN_HTTP))
    where = checked(Login(base_url(url), Secret(""), plain_http=allowed))
    return connect(where.url, ca_file=ca_file, patience=Patience(seconds=0))


def _read(given: str) -> tuple[str, Secret]:
    """Take a link apart: `https://hub.example.com/links/<kind>/<token>?lang=en`."""
    match urlsplit(given).path.split("/"):
        case ["", "links", kind, token] if kind in LINKS and token:
            return kind, Secret(token)
    raise typer.BadParameter(
        "a link is of the form https://hub.example.com/links/verify/…", param_hint="LINK"
    )
