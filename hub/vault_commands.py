"""`isaax vault …`: the key that protects secrets at rest, and how it is replaced."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from hub.database import Database
from hub.process import prepare
from hub.vault import Vault, generate_key_file

app = typer.Typer(no_args_is_help=True, help="The key that protects secrets at rest.")


@app.command(name="new-key")
def new_key(
    path: Annotated[Path, typer.Argument(help="File to write, readable by you alone.")],
) -> None:
    """Write a new random key to a file; one that is there is never replaced."""
    generate_key_file(path)
    typer.echo(f"{path}: a new key")


@app.command()
def rewrap(
    config: Annotated[
        Path | None,
        typer.Option(envvar="ISAAX_CONFIG", help="hub.toml of the hub.", show_default=False),
    ] = None,
) -> None:
    """Wrap every project's key with the present `key_file`; then `old_key_files` may go.

    The hub may run meanwhile. Every process of it has to know the present key already.
    """
    count = asyncio.run(_rewrap(config))
    typer.echo(f"{count} keys were wrapped anew")


async def _rewrap(config: Path | None) -> int:
    settings = prepare(config, os.environ, quiet=True).settings
    vault = Vault.open_keys(settings.vault)
    async with Database.open(settings.postgres) as database, database.system() as tx:
        return await vault.rewrap(tx)
