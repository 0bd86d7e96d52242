"""`isaax accounts …`: what the owner of a hub does at its own terminal."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from hub import Database, Nothing, Outbox, Postbox, Vault
from hub.process import at_terminal
from services.accounts.identity.letters import Letters
from services.accounts.second_factors.loss import drop_factors
from services.accounts.service import Accounts

app = typer.Typer(no_args_is_help=True, help="The accounts of this hub.")

Config = Annotated[
    Path | None,
    typer.Option(
        help="Of the hub; by default ./hub.toml, or the hub of `isaax up`.", show_default=False
    ),
]


@app.callback()
def group() -> None:
    """The accounts of this hub."""


@app.command()
def token(
    config: Annotated[
        Path | None, typer.Option(help="Of the hub; by default ./hub.toml, or that of `isaax up`.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the token is for.")] = "made at the terminal",
) -> None:
    """Make an API token of the first account, and that account if there is none."""
    typer.echo(asyncio.run(_make_token(config, name)))


async def _make_token(config: Path | None, name: str) -> str:
    settings = at_terminal(config, os.environ)
    async with Database.open(settings.postgres) as database:
        rules = Accounts(database)
        made = await rules.bootstrap(Nothing())
        if made.token:
            return made.token
        async with database.transaction(account=made.account) as tx:
            return await rules.add_token(tx, made.account, name)


@app.command(name="drop-factors")
def drop(
    email: Annotated[str, typer.Argument(help="Address of whoever has lost them.")],
    config: Annotated[
        Path | None, typer.Option(help="Of the hub; by default ./hub.toml, or that of `isaax up`.")
    ] = None,
) -> None:
    """Remove all second factors of somebody, who is told by mail; make sure first who asks."""
    asyncio.run(_drop_factors(config, email))
    typer.echo(f"the password alone logs {email} in again; a mail tells them")


async def _drop_factors(config: Path | None, email: str) -> None:
    settings = at_terminal(config, os.environ)
    postbox = Postbox(Outbox(None), Vault.open_keys(settings.vault))
    async with Database.open(settings.postgres) as database, database.system() as tx:
        await drop_factors(tx, Letters(postbox, settings.http.origin), email)
