"""`isaax limits …`: what the operator of a hub lets its projects send."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from hub import Database
from hub.process import at_terminal
from hub.relay.contracts import ProjectLimits
from services.projects.limits import Limits

app = typer.Typer(no_args_is_help=True, help="What projects may send.")

Config = Annotated[
    Path | None, typer.Option(help="Of the hub; by default ./hub.toml, or that of `isaax up`.")
]
Project = Annotated[str, typer.Argument(help="Id of the project, prj_…")]
FIELDS: Final = ("lines_per_second", "bytes_per_second", "lines_per_day")


@app.callback()
def group() -> None:
    """What projects may send: 0 is no limit, and `clear` puts back what the config says."""


@app.command()
def show(project: Project, config: Config = None) -> None:
    """Show the limits of a project, and what it sent today."""
    limits = asyncio.run(_read(config, project))
    for name in FIELDS:
        value = getattr(limits, name)
        typer.echo(f"{name}: {'as the config says' if value is None else f'{value:.10g}'}")
    typer.echo(f"today ({limits.day}): {limits.lines} lines, {limits.samples} samples")


@app.command(name="set")
def put(
    project: Project,
    lines_per_second: Annotated[float | None, typer.Option(min=0, show_default=False)] = None,
    bytes_per_second: Annotated[float | None, typer.Option(min=0, show_default=False)] = None,
    lines_per_day: Annotated[int | None, typer.Option(min=0, show_default=False)] = None,
    config: Config = None,
) -> None:
    """Set limits of a project; those that are not given stay. The relay heeds it in a minute."""
    given = {
        "lines_per_second": lines_per_second,
        "bytes_per_second": bytes_per_second,
        "lines_per_day": lines_per_day,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        raise typer.BadParameter("give at least one limit")
    asyncio.run(_put(config, project, given))


@app.command()
def clear(project: Project, config: Config = None) -> None:
    """Put back what the config says for every project."""
    asyncio.run(_put(config, project, dict.fromkeys(FIELDS)))


async def _read(config: Path | None, project: str) -> ProjectLimits:
    async with _limits(config) as limits:
        return await limits.read(project)


async def _put(config: Path | None, project: str, values: dict[str, float | int | None]) -> None:
    async with _limits(config) as limits:
        known = await limits.read(project)
        await limits.put(project, msgspec.structs.replace(known, **values))


@asynccontextmanager
async def _limits(config: Path | None) -> AsyncIterator[Limits]:
    settings = at_terminal(config, os.environ)
    async with Database.open(settings.postgres) as database:
        yield Limits(database)
