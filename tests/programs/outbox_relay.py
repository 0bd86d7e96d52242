"""Run an outbox relay until somebody kills it: `python -m tests.programs.outbox_relay JSON`."""

import asyncio
import sys

import msgspec

from hub import structs
from hub.bus import connect
from hub.database import Database
from hub.outbox import Outbox, OutboxRelay
from hub.settings import NatsSettings, PostgresSettings


class Where(msgspec.Struct, frozen=True):
    """The servers."""

    postgres: PostgresSettings
    nats: NatsSettings


async def main(where: Where) -> None:
    """Relay for ever."""
    async with (
        Database.open(where.postgres) as database,
        connect(where.nats) as client,
        OutboxRelay(database, client, Outbox(client), election=0.02).run(),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(structs.decode(Where, sys.argv[1].encode())))
