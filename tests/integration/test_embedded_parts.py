"""The embedded parts, each on its own: they start, die, and come back on the same data."""

import asyncpg
import nats
from nats.aio.client import Client

from hub.embedded.mosquitto import Mosquitto
from hub.embedded.nats import Nats
from hub.embedded.postgres import Postgres
from hub.settings import NatsSettings, PostgresSettings


async def connect(settings: PostgresSettings) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=settings.host,
        port=settings.port,
        user=settings.user,
        password=settings.password.reveal(),
        database=settings.database,
    )


async def connect_nats(settings: NatsSettings) -> Client:
    return await nats.connect(settings.url, user=settings.user, password=settings.password.reveal())


async def test_postgres_keeps_committed_rows_over_a_crash(
    postgres_server: Postgres, database_settings: PostgresSettings
) -> None:
    connection = await connect(database_settings)
    await connection.execute("CREATE TABLE t (n int); INSERT INTO t VALUES (42)")
    connection.terminate()
    postgres_server.kill()
    assert not postgres_server.child.running
    await postgres_server.restart()
    connection = await connect(database_settings)
    assert await connection.fetchval("SELECT n FROM t") == 42
    await connection.close()


async def test_the_hubs_role_is_no_superuser_and_text_is_utf8(
    database_settings: PostgresSettings,
) -> None:
    connection = await connect(database_settings)
    assert await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = user") is False
    locale = "SELECT datlocale FROM pg_database WHERE datname = current_database()"
    assert await connection.fetchval(locale) == "C.UTF-8"
    assert await connection.fetchval("SELECT lower('ÄÖ')") == "äö"
    await connection.close()


async def test_jetstream_keeps_what_it_acknowledged_over_a_crash(
    nats_server: Nats, nats_settings: NatsSettings
) -> None:
    client = await connect_nats(nats_settings)
    await client.jetstream().add_stream(name="CRASH", subjects=["crash.>"])
    await client.jetstream().publish("crash.a", b"kept")
    await client.close()
    nats_server.kill()
    await nats_server.restart()
    client = await connect_nats(nats_settings)
    message = await client.jetstream().get_msg("CRASH", 1)
    await client.jetstream().delete_stream("CRASH")
    await client.close()
    assert message.data == b"kept"


async def test_mosquitto_comes_back_after_a_crash(mosquitto_broker: Mosquitto) -> None:
    first = mosquitto_broker.child.pid
    mosquitto_broker.kill()
    assert not await mosquitto_broker.ready()
    await mosquitto_broker.restart()
    assert mosquitto_broker.child.pid != first
    assert await mosquitto_broker.ready()
