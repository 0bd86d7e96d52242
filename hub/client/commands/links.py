"""`isaax link`: what the links in a hub's mails are for, without a browser."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import typer

from hub.client.commands import output, prompts
from hub.client.commands.connection import stranger, url_in_use
from hub.client.commands.options import AsJson, CaFile, PasswordStdin, PlainHttp
from hub.secret import Secret

if TYPE_CHECKING:
    from hub.client.answers import Answer
    from hub.client.api import Api

    Done = tuple[Answer[Any], str]
    """The answer, and what to say of it."""

Kind = Literal["verify", "unlock", "reset", "email", "invitation", "transfer", "keep", "stay"]


def link(
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="LINK", help="As it stands in the mail; asked for by default.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="Of the link, where its last part alone is given.", show_default=False),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Of the hub, where it is reached otherwise; for a last part alone by default"
            " that of the one in use.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Yours, where an invitation makes you known here.", show_default=False),
    ] = None,
    password_stdin: PasswordStdin = False,
    ca_file: CaFile = None,
    plain_http: PlainHttp = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Do what a link in a mail is for.

    It verifies, unlocks, sets a new password, takes a new address, joins an account that one is
    invited to or becomes owner of one that is handed over, keeps one that is to be deleted, or
    lets oneself stay.
    """
    given = (address or prompts.text("Link", "LINK")).strip()
    meant, token, lang = _read(given, kind)
    where = url or (url_in_use() if kind else given)
    asked = _Asked(name, lang, password_stdin)
    with stranger(where, ca_file, plain_http=plain_http) as api:
        answer, said = _DEEDS[meant](api, {"token": token}, asked)
    if as_json and answer.body:
        output.write_json(answer.body)
    output.note(said)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of whoever follows a link, where it is needed.

    Args:
        given: name that they gave.
        lang: of the mail.
        from_stdin: the password is read from standard input.
    """

    given: str | None
    lang: str
    from_stdin: bool

    @property
    def name(self) -> str:
        """What they are called."""
        return self.given or prompts.text("Your name", "--name")

    @property
    def password(self) -> Secret:
        """A new one."""
        option = "--password-stdin"
        return prompts.secret("New password", option, from_stdin=self.from_stdin, twice=True)


Body = dict[str, Any]


def _verify(api: "Api", body: Body, _: _Asked) -> "Done":
    return api.verify_email(body), "The address is verified: isaax login"


def _unlock(api: "Api", body: Body, _: _Asked) -> "Done":
    return api.unlock(body), "Logging in is open again: isaax login"


def _email(api: "Api", body: Body, _: _Asked) -> "Done":
    return api.confirm_email_change(body), "The new address is yours."


def _reset(api: "Api", body: Body, asked: _Asked) -> "Done":
    done = api.reset_password(body | {"password": asked.password})
    return done, "The new password holds; every session has ended: isaax login"


def _join(api: "Api", body: Body, asked: _Asked) -> "Done":
    invited = api.preview_invitation(body).value
    output.note(
        f"{output.clean(invited.inviter)} invites {output.clean(invited.email)} to join"
        f" {output.clean(invited.name)}, as {output.clean(invited.role)}."
    )
    if not invited.known:
        body = body | {"name": asked.name, "password": asked.password, "locale": asked.lang}
    joined = api.redeem_invitation(body)
    name = output.clean(joined.value.name)
    then = "isaax login" if joined.value.new else f"isaax account use {shlex.quote(name)}"
    return joined, f"You are in {name} now: {then}"


def _own(api: "Api", body: Body, _: _Asked) -> "Done":
    owned = api.redeem_transfer(body)
    return owned, f"You are owner of {output.clean(owned.value.name)} now."


def _keep(api: "Api", body: Body, _: _Asked) -> "Done":
    kept = api.undo_deletion_by_link(body)
    return kept, f"{output.clean(kept.value.name)} goes on as it was."


def _stay(api: "Api", body: Body, _: _Asked) -> "Done":
    return api.keep_me_by_link(body), "You stay, with your tokens and accounts: isaax login"


_DEEDS: Final[dict[str, Callable[["Api", Body, _Asked], "Done"]]] = {
    "verify": _verify, "unlock": _unlock, "reset": _reset, "email": _email, "invitation": _join,
    "transfer": _own, "keep": _keep, "stay": _stay,
}  # fmt: skip


def _read(given: str, kind: str | None) -> tuple[str, Secret, str]:
    """Take a link apart: `https://hub.example.com/links/<kind>/<token>?lang=en`.

    Args:
        kind: of a last part alone.
    """
    found = urlsplit(given)
    lang = "ja" if "lang=ja" in found.query.split("&") else "en"
    match found.path.split("/"):
        case ["", "links", said, token] if said in _DEEDS and token and kind in {None, said}:
            return said, Secret(token), lang
        case [token] if kind and token:
            return kind, Secret(token), lang
    raise typer.BadParameter(
        "a link is of the form https://hub.example.com/links/verify/…; its last part alone takes"
        " --kind",
        param_hint="LINK",
    )
