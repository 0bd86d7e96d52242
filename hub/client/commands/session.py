"""`isaax login`, `logout`, `whoami` and `hubs`."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
import typer

from hub.client import credentials
from hub.client.commands import prompts
from hub.client.commands.connection import keep, logins, opened
from hub.client.commands.options import AsJson, HubName, PasswordStdin
from hub.client.commands.output import note, show_fields, show_table, write_json
from hub.client.credentials import Login, Logins, NoLogin, checked
from hub.client.errors import ClientError, NotAllowed, NotThere
from hub.client.urls import base_url
from hub.secret import Secret

if TYPE_CHECKING:
    from hub.client.api import Api
    from hub.client.structs import SecondFactorView

_APP_CODE = re.compile(r"\d{6}")
SHOWN: Final = len("isx_") + 6
"""Characters of a token, as the hub itself shows it."""

hubs = typer.Typer(no_args_is_help=True, help="The hubs that you are logged in to.")


def login(
    url: Annotated[
        str | None,
        typer.Argument(help="Of the hub: https://hub.example.com", show_default=False),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="To call it by; by default its host name.", show_default=False),
    ] = None,
    email: Annotated[
        str | None,
        typer.Option(help="Your address, to log in by a password.", show_default=False),
    ] = None,
    password_stdin: PasswordStdin = False,
    code: Annotated[
        str | None,
        typer.Option(
            help="Of your authenticator app, or a recovery code; asked for where it is needed.",
            show_default=False,
        ),
    ] = None,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read an API token from standard input.")
    ] = False,
    account: Annotated[
        str, typer.Option(help="Id of the account that is meant, if you have several.")
    ] = "",
    ca_file: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authority that signed its certificate, when the system does"
            " not know it.",
            show_default=False,
        ),
    ] = None,
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="Let token and password travel in clear.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Log in to a hub, by a password or an API token, and use it from now on.

    What the hub gives is kept in ~/.config/isaax/credentials.toml, which nobody else may read.
    ISAAX_URL and ISAAX_TOKEN, where they are set, come before that.
    """
    wanted = checked(
        Login(
            base_url(url or prompts.url()),
            Secret(""),
            ca_file=str(ca_file.absolute()) if ca_file else "",
            plain_http=plain_http or bool(os.environ.get(credentials.PLAIN_HTTP)),
            account=account,
        )
    )
    if not (token_stdin or email) and sys.stdin.isatty():
        question = "Your e-mail address (empty: use an API token)"
        email = prompts.text(question, "--email", default="").strip()
    if email:
        made = _by_password(wanted, email, code, from_stdin=password_stdin)
    else:
        made = _by_token(wanted, from_stdin=token_stdin)
    name = name or urlsplit(made.url).hostname or made.url
    known = logins()
    before = known.hubs.get(name)
    if before is not None and _is_the_same(before, made):
        made = msgspec.structs.replace(made, account=before.account, project=before.project)
    keep(known.with_login(name, made))
    _show(name, made, as_json=as_json)


def logout(
    name: Annotated[
        str | None,
        typer.Argument(help="Of the hub; by default the one in use.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Log out of a hub: a session ends; an API token is forgotten here, and stays valid."""
    known = logins()
    chosen = name or known.current
    if not chosen:
        raise NoLogin("there is nothing to log out of")
    gone = known.named(chosen)
    if gone.email:
        try:
            with opened(chosen) as session:
                session.hub.log_out()
        except ClientError as error:
            note(f"The session is forgotten here, but did not end at the hub: {error}")
    keep(known.without(chosen))
    _show(chosen, gone, as_json=as_json)


def whoami(hub: HubName = None, as_json: AsJson = False) -> None:
    """Say which hub is used, as whom, and whether it answers."""
    with opened(hub) as session:
        email = _who(session.hub)
        shown = msgspec.structs.replace(session.login, email=email)
        _show(session.name, shown, as_json=as_json)


@hubs.command("list")
def list_hubs(as_json: AsJson = False) -> None:
    """List the hubs that were logged in to."""
    known = logins()
    if as_json:
        write_json(msgspec.json.encode([_public(name, one) for name, one in known.hubs.items()]))
    elif known.hubs:
        show_table(
            known.hubs.items(),
            {
                "name": lambda one: one[0],
                "url": lambda one: one[1].url,
                "as": lambda one: one[1].email,
                "project": lambda one: one[1].project,
                "in use": lambda one: one[0] == known.current,
            },
        )
    else:
        note("None: isaax login URL")


@hubs.command("use")
def use_hub(
    name: Annotated[str, typer.Argument(help="Of a hub that was logged in to.")],
    as_json: AsJson = False,
) -> None:
    """Use another hub from now on."""
    known = logins()
    chosen = known.named(name)
    keep(Logins(name, known.hubs))
    _show(name, chosen, as_json=as_json)


def _is_the_same(before: Login, made: Login) -> bool:
    """Say whether somebody comes back: what they had in use is theirs still."""
    return (before.url, before.email) == (made.url, made.email) and made.account in {
        "", before.account,
    }  # fmt: skip


def _by_password(wanted: Login, email: str, code: str | None, *, from_stdin: bool) -> Login:
    from hub.client.opening import connect
    from hub.client.patience import Patience
    from hub.client.structs import NewSessionView

    password = prompts.secret("Password", "--password-stdin", from_stdin=from_stdin)
    # Who guesses has to wait, and is told so: nothing is tried again here.
    with connect(wanted.url, ca_file=wanted.ca, patience=Patience(seconds=0)) as hub:
        begun = hub.log_in({"email": email, "password": password}).value
        if not isinstance(begun, NewSessionView):
            begun = hub.finish_log_in(_second_factor(begun, code)).value
    return msgspec.structs.replace(wanted, token=Secret(begun.token or ""), email=email)


def _second_factor(asked: "SecondFactorView", code: str | None) -> dict[str, Any]:
    """Answer the challenge by what can be typed."""
    if not {"totp", "recovery_code"} & set(asked.kinds):
        raise NoLogin(
            "you log in by a passkey, which takes a browser: make an API token there, and "
            "isaax login URL --token-stdin"
        )
    text = code or prompts.text("Code of your app, or a recovery code", "--code")
    kind = "totp" if _APP_CODE.fullmatch(text.replace(" ", "")) else "recovery_code"
    return {"challenge": asked.challenge, kind: Secret(text.strip())}


def _by_token(wanted: Login, *, from_stdin: bool) -> Login:
    from hub.client.opening import connect

    given = prompts.secret("API token", "--token-stdin", from_stdin=from_stdin)
    text = given.reveal().strip()
    if not text.isascii() or not text.isprintable() or not text:
        raise typer.BadParameter("that is no API token (isx_…)")
    made = msgspec.structs.replace(wanted, token=Secret(text))
    with connect(made.url, made.token, ca_file=made.ca, account=made.account) as hub:
        _who(hub)
    return made


def _who(hub: "Api") -> str:
    """Give the address of whom the token acts for; "" when it acts for an account itself.

    Raises:
        ClientError: the hub does not take the token, or cannot be asked.
    """
    try:
        return hub.get_me().value.email
    except (NotAllowed, NotThere):
        return ""


def _show(name: str, login: Login, *, as_json: bool) -> None:
    if as_json:
        write_json(msgspec.json.encode(_public(name, login)))
    else:
        show_fields(_public(name, login))


def _public(name: str, login: Login) -> dict[str, str]:
    """Give what may be shown; of a token, what the hub itself shows of it."""
    token = login.token.reveal()
    shown = {
        "hub": name,
        "url": login.url,
        "email": login.email,
        "token": f"{token[:SHOWN]}…" if len(token) > 40 else "…",
        "account": login.account,
        "project": login.project,
    }
    return {key: value for key, value in shown.items() if value}
