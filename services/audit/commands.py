"""`isaax audit …`: what the operator of a hub does with the audit logs of all its accounts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from hub import HUB, Database, Invalid
from hub.audit.chain import Head
from hub.audit.reading import Wanted, page
from hub.audit.records import AuditEntry
from hub.audit.verify import Verdict, accounts, heads, verify
from hub.process import at_terminal

app = typer.Typer(no_args_is_help=True, help="The audit log: check it, and read the hub's own.")

Config = Annotated[
    Path | None, typer.Option(help="Of the hub; by default ./hub.toml, or that of `isaax up`.")
]
Account = Annotated[
    str, typer.Option(help=f"One account's log alone; `{HUB}` is that of the hub itself.")
]
_BROKEN: Final = 1


@app.callback()
def group() -> None:
    """The audit log: check it, and read the hub's own."""


@app.command(name="verify")
def check(
    account: Account = "",
    head: Annotated[
        str, typer.Option(help="SEQ:HASH that was taken earlier: is the chain still that one?")
    ] = "",
    against: Annotated[
        Path | None,
        typer.Option("--heads", help="A file that `isaax audit heads` wrote, kept elsewhere."),
    ] = None,
    config: Config = None,
) -> None:
    """Walk every chain; say its head, or the first entry that does not fit and what is wrong."""
    if head and not account:
        raise typer.BadParameter("say of which --account that --head is")
    known = {} if against is None else _read(against)
    if head:
        known[account] = Head.parse(head)
    verdicts = asyncio.run(_verify(config, account, known))
    for one in verdicts:
        erased = f", {one.erased} values erased" if one.erased else ""
        state = f"BROKEN after {one.head}: {one.fault}" if one.fault else f"OK {one.head}{erased}"
        typer.echo(f"{one.account}: {state}")
    if any(one.fault for one in verdicts):
        raise typer.Exit(_BROKEN)


@app.command(name="heads")
def show_heads(config: Config = None) -> None:
    """Write where each chain ends, to be kept elsewhere: a chain cut short is noticed by it."""
    for account, head in asyncio.run(_heads(config)).items():
        typer.echo(f"{account} {head}")


@app.command()
def show(
    account: Account = HUB,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="So many, newest last.")] = 50,
    config: Config = None,
) -> None:
    """Show entries as JSON, one on each line."""
    for entry in asyncio.run(_show(config, account, limit)):
        typer.echo(msgspec.json.encode(entry).decode())


def _read(path: Path) -> dict[str, Head]:
    """Read what `isaax audit heads` wrote.

    Raises:
        Invalid: it is something else.
    """
    known = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        account, _, head = line.partition(" ")
        try:
            known[account] = Head.parse(head)
        except Invalid as error:
            raise Invalid(f"{path}:{number}: {error.detail}") from None
    return known


async def _verify(config: Path | None, account: str, known: dict[str, Head]) -> list[Verdict]:
    async with _database(config) as database:
        found = {account} if account else {*await accounts(database), *known}
        return [await verify(database, one, known.get(one)) for one in sorted(found)]


async def _heads(config: Path | None) -> dict[str, Head]:
    async with _database(config) as database:
        return await heads(database)


async def _show(config: Path | None, account: str, limit: int) -> list[AuditEntry]:
    found: list[AuditEntry] = []
    async with _database(config) as database:
        more = True
        while more and len(found) < limit:
            before = found[-1].seq if found else 0
            wanted = Wanted(account=account, limit=limit - len(found), before=before)
            read = await page(database, wanted)
            found, more = found + read.items, read.more
    return found[::-1]


@asynccontextmanager
async def _database(config: Path | None) -> AsyncIterator[Database]:
    settings = at_terminal(config, os.environ)
    async with Database.open(settings.postgres) as database:
        yield database
