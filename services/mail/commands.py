"""`isaax mail …`: what the operator of a hub sees and does about its mails."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from hub import Database, NotFound, Outbox, Postbox, Vault, local_outbox, printable
from hub.process import at_terminal
from hub.settings import Settings
from services.mail.contracts import MailHead, MailShown, State
from services.mail.rules import Mails

app = typer.Typer(no_args_is_help=True, help="The mails that this hub sends.")

Config = Annotated[
    Path | None, typer.Option(help="Of the hub; by default ./hub.toml, or that of `isaax up`.")
]
PATIENCE: Final = 30.0
"""Seconds that `isaax mail test` waits for what comes of it."""

_LOOK: Final = 0.3
_ALL: Final[tuple[State, ...]] = ("waiting", "sent", "kept", "failed")


@app.callback()
def group() -> None:
    """The mails that this hub sends: how they fare, and what they say."""


@app.command(name="list")
def listed(
    state: Annotated[str, typer.Option(help="Of these alone: waiting, sent, kept or failed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 50,
    config: Config = None,
) -> None:
    """List mails, the newest first, with the time (UTC) that they were asked for.

    Kept are those that stay here, because no mail server is configured.
    """
    wanted = [one for one in _ALL if state in ("", one)]
    if not wanted:
        raise typer.BadParameter(f"one of {', '.join(_ALL)}", param_hint="--state")
    heads = asyncio.run(_list(config, wanted, limit))
    if not heads:
        typer.echo("no mails")
        return
    for head in heads:
        when = f"{head.created_at:%Y-%m-%d %H:%M:%S}"
        row = f"{head.id}  {_state(head):<10}  {when}  {head.to}  {head.subject}"
        typer.echo(printable(row).rstrip())
        if head.error:
            typer.echo(printable(f"    attempt {head.attempts}: {head.error}"))


@app.command()
def show(
    mail: Annotated[str, typer.Argument(help="Its id, mai_…")],
    html: Annotated[bool, typer.Option("--html", help="Its HTML alone.")] = False,
    config: Config = None,
) -> None:
    """Show how a mail fares, and what it says. It may hold a link that lets its reader in."""
    found = asyncio.run(_show(config, mail))
    if html:
        typer.echo(found.html)
        return
    head = found.head
    rows = {
        "state": _state(head),
        "about": head.kind,
        "to": head.to,
        "subject": head.subject,
        "asked for": f"{head.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "tries": str(head.attempts),
        "last error": head.error,
    }
    if head.state == "waiting":
        rows["next try"] = f"{head.due_at:%Y-%m-%d %H:%M:%S} UTC"
        rows["given up"] = f"{head.give_up_at:%Y-%m-%d %H:%M:%S} UTC"
    for name, value in rows.items():
        if value:
            typer.echo(f"{name + ':':<12}{printable(value)}")
    typer.echo("")
    typer.echo(printable(found.text) or "(its content is deleted)")


@app.command()
def retry(
    mail: Annotated[str, typer.Argument(help="Its id, mai_…", show_default=False)] = "",
    every: Annotated[
        bool, typer.Option("--all", help="Every one that waits or was given up.")
    ] = False,
    config: Config = None,
) -> None:
    """Have a mail tried again at once; one that was given up, too."""
    if bool(mail) == every:
        raise typer.BadParameter("give the id of a mail, or --all")
    count = asyncio.run(_retry(config, mail))
    if mail and not count:
        raise NotFound("no such mail, or it was sent, or it is being sent now")
    typer.echo(f"{count} to be tried again")


@app.command(name="test")
def send_test(
    address: Annotated[str, typer.Argument(help="Whom to write to.")],
    locale: Annotated[str, typer.Option(help="Language of the mail: en or ja.")] = "en",
    config: Config = None,
) -> None:
    """Send a test mail through the running hub, and say what came of it."""
    said, good = asyncio.run(_test(config, address, locale))
    typer.echo(said)
    raise typer.Exit(0 if good else 1)


def _state(head: MailHead) -> str:
    return "being sent" if head.state == "waiting" and head.at_work else head.state


async def _list(config: Path | None, states: list[State], limit: int) -> list[MailHead]:
    async with _hub(config) as hub:
        return (await hub.mails.list(states, limit)).items


async def _show(config: Path | None, mail: str) -> MailShown:
    async with _hub(config) as hub:
        return await hub.mails.show(mail)


async def _retry(config: Path | None, mail: str) -> int:
    async with _hub(config) as hub:
        return await hub.mails.retry(mail)


async def _test(config: Path | None, address: str, locale: str) -> tuple[str, bool]:
    async with _hub(config) as hub:
        identifier = await hub.mails.test(address, locale=locale, hub=hub.settings.hub.name)
        until = time.monotonic() + PATIENCE
        head: MailHead | None = None
        while time.monotonic() < until:
            head = await hub.mails.head(identifier)
            if head and (head.state != "waiting" or head.error):
                break
            await asyncio.sleep(_LOOK)
        return _outcome(identifier, head, hub.settings)


def _outcome(identifier: str, head: MailHead | None, settings: Settings) -> tuple[str, bool]:
    """Say in words what came of a mail, and whether that is well."""
    if head is None:
        return "no hub has taken it up: is one running, with the service mail?", False
    match head.state:
        case "sent":
            return f"{identifier} was sent: {settings.mail.host}:{settings.mail.port} took it", True
        case "kept":
            page = local_outbox(settings.http) if settings.mail.outbox else ""
            where = f"at {page}/{identifier}" if page else f"for isaax mail show {identifier}"
            return f"no mail server is configured; it waits {where}", True
        case "failed":
            return f"{identifier} was given up: {head.error}", False
        case _:
            return f"{identifier} waits: {head.error or 'it is being sent'}", False


@dataclass(frozen=True, slots=True)
class _Hub:
    """What the commands need of a hub: its database and its vault's key."""

    settings: Settings
    mails: Mails


@asynccontextmanager
async def _hub(config: Path | None) -> AsyncIterator[_Hub]:
    settings = at_terminal(config, os.environ)
    postbox = Postbox(Outbox(None), Vault.open_keys(settings.vault))
    async with Database.open(settings.postgres) as database:
        yield _Hub(settings, Mails(database, postbox))
