"""`isaax account …`: the account that one uses, and the others that one is in."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from hub.client.commands import ending, handing_over, output
from hub.client.commands.connection import Session, keep, logins, opened, within
from hub.client.commands.options import AccountName, AsJson, HubName, OneAccount
from hub.client.credentials import NoLogin
from hub.files import write_private

if TYPE_CHECKING:
    from hub.client.structs import AccountView, ExportView

app = typer.Typer(
    no_args_is_help=True,
    help="Your account: its name, owner and end; others that you are in.",
)

FACTORS: "output.Columns[AccountView]" = {
    "second factor required": lambda one: one.require_second_factor,
}
FIELDS: "output.Columns[AccountView]" = {
    "id": lambda one: one.id,
    "name": lambda one: one.name,
    "you are": lambda one: one.role,
    "made": lambda one: one.created_at,
}
EXPORT: "output.Columns[ExportView]" = {
    "id": lambda one: one.id,
    "can be had until": lambda one: one.expires_at,
}


@app.command("list")
def list_accounts(hub: HubName = None, as_json: AsJson = False) -> None:
    """List the accounts that you are in."""
    with opened(hub, account="") as session:
        used = session.login.account
        columns = {**FIELDS, "in use": lambda one: one.id == used}
        output.show_list(
            session.hub.list_accounts(limit=200), columns, as_json=as_json,
            empty="None: isaax account create NAME",
        )  # fmt: skip


@app.command()
def show(account: AccountName = None, hub: HubName = None, as_json: AsJson = False) -> None:
    """Show an account."""
    with within(hub, account) as (session, meant):
        output.show_one(session.hub.get_account(meant), {**FIELDS, **FACTORS}, as_json=as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the account.")],
    use: Annotated[bool, typer.Option("--use", help="Use it from now on.")] = False,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Make another account, whose owner you are."""
    with opened(hub, account="") as session:
        made = session.hub.create_account({"name": name})
        if use:
            _use(session, made.value.id)
        output.show_one(made, FIELDS, as_json=as_json)


@app.command()
def rename(
    name: Annotated[str, typer.Argument(help="The new one.")],
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Call an account otherwise."""
    with within(hub, account) as (session, meant):
        output.show_one(session.hub.patch_account(meant, {"name": name}), FIELDS, as_json=as_json)


@app.command()
def require_factor(
    off: Annotated[bool, typer.Option("--off", help="Require none any more.")] = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Let nobody do anything in an account who has no second factor (isaax factors)."""
    with within(hub, account) as (session, meant):
        changed = session.hub.patch_account(meant, {"require_second_factor": not off})
        output.show_one(changed, {**FIELDS, **FACTORS}, as_json=as_json)


@app.command()
def use(account: OneAccount, hub: HubName = None, as_json: AsJson = False) -> None:
    """Mean this account from now on; of its projects none is in use yet."""
    with within(hub, account) as (session, meant):
        found = session.hub.get_account(meant)
        _use(session, meant)
        output.show_one(found, FIELDS, as_json=as_json)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="To write: a ZIP archive.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    account: AccountName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Take along all that an account has: projects, devices, members, integrations and more.

    As JSON lines, and without the secrets of integrations.
    """
    if file.exists() and not force:
        raise typer.BadParameter(f"{file} is there already: give --force", param_hint="FILE")
    with within(hub, account) as (session, meant):
        made = session.hub.create_export(meant)
        with session.hub.get_archive(meant, made.value.id) as pieces:
            _write(file, pieces)
        output.show_one(made, EXPORT, as_json=as_json)
    output.note(f"{file} has it all, for nobody but you to read.")


app.command("hand-over")(handing_over.hand_over)
app.command("offer")(handing_over.offer)
app.command("accept-offer")(handing_over.accept)
app.command("withdraw-offer")(handing_over.withdraw)
app.command("deletion")(ending.deletion)
app.command("delete")(ending.delete)
app.command("undo-deletion")(ending.undo)


def _write(file: Path, pieces: Iterator[bytes]) -> None:
    try:
        write_private(file, pieces)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from None


def _use(session: Session, account: str) -> None:
    """Write down the account of this login; projects are of another one.

    Raises:
        NoLogin: what is used comes from the environment alone.
    """
    if not session.name:
        raise NoLogin("ISAAX_URL or ISAAX_TOKEN is set: set ISAAX_ACCOUNT as well, or isaax login")
    known = logins()
    kept = msgspec.structs.replace(session.login, account=account, project="")
    keep(msgspec.structs.replace(known, hubs={**known.hubs, session.name: kept}))
