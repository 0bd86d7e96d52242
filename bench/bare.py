"""A bare aiohttp handler that sends the same SQL as the gateway's services: what it is measured by.

It looks the token up, opens a transaction as the account with row-level security on, and sends the
statements of a list, a get and a patch. `python bench/bare.py hub.toml PORT`.
"""

import asyncio
import contextlib
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import asyncpg
import msgspec
import uvloop
from aiohttp import web

from hub.settings import PostgresSettings
from hub.structs import decode
from hub.tenancy import SYSTEM, TENANT
from services.accounts.tokens import digest_of

LIVE = """
SELECT t.id, t.account, t.scopes, coalesce(t."user", '') AS "user",
       coalesce(m.role, 'owner') AS role,
       coalesce((SELECT jsonb_object_agg(n.project, n.role) FROM accounts_narrowed AS n
                  WHERE n.account = t.account AND n."user" = t."user"), '{}') AS narrowed
  FROM accounts_api_token AS t
  LEFT JOIN accounts_member AS m ON m.account = t.account AND m."user" = t."user"
  LEFT JOIN accounts_user AS u ON u.id = t."user"
 WHERE t.digest = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
   AND (t."user" IS NULL OR m.role IS NOT NULL AND u.suspended_at IS NULL)
"""
BEHALF = "SELECT set_config('role', $1, true), set_config('isaax.account', $2, true), \
set_config('isaax.hidden', $3, true)"
FIELDS = """id, number, account, project, label, "group", agent, system, status, session <> '' AS
online, version, registered_at, last_seen_at"""
PROJECT = "SELECT id FROM projects_project WHERE id = $1 AND account = $2"
LIST = f"""SELECT {FIELDS} FROM devices_device WHERE account = $1 AND project = $2 AND number > $3
ORDER BY number LIMIT $4"""
GET = f"SELECT {FIELDS} FROM devices_device WHERE id = $1 AND account = $2"
LOCK = f"{GET} FOR UPDATE"
CHANGE = f"""UPDATE devices_device SET label = $3, "group" = $4, version = version + 1
WHERE id = $1 AND account = $2 RETURNING {FIELDS}"""
EVENT = """INSERT INTO outbox (event_id, key, subject, headers, payload)
VALUES (gen_random_uuid(), $1, 'event.bench.v1', '{}', $2)"""


@dataclass(frozen=True, slots=True)
class Bare:
    """The handlers."""

    pool: asyncpg.Pool

    @contextlib.asynccontextmanager
    async def account(self, request: web.Request) -> AsyncIterator[tuple[Any, str]]:
        """Look the token up; give a connection, and whose it is."""
        token = request.headers["Authorization"].removeprefix("Bearer ")
        async with self.pool.acquire() as connection:
            async with connection.transaction():
                found = await connection.fetchrow(LIVE, digest_of(token))
            if found is None:
                raise web.HTTPUnauthorized
            yield connection, found["account"]

    async def list_devices(self, request: web.Request) -> web.Response:
        """Answer `GET /projects/{project}/devices`."""
        async with self.account(request) as (connection, owner):
            project = request.match_info["project"]
            async with behalf(connection, owner):
                if not await connection.fetch(PROJECT, project, owner):
                    raise web.HTTPNotFound
            async with behalf(connection, owner):
                rows = await connection.fetch(LIST, owner, project, 0, 51)
        return answer([shown(row) for row in rows])

    async def get_device(self, request: web.Request) -> web.Response:
        """Answer `GET /devices/{device}`."""
        async with self.account(request) as (connection, owner), behalf(connection, owner):
            row = await connection.fetchrow(GET, request.match_info["device"], owner)
        return answer(shown(row))

    async def patch_device(self, request: web.Request) -> web.Response:
        """Answer `PATCH /devices/{device}`."""
        body = msgspec.json.decode(await request.read())
        device = request.match_info["device"]
        async with self.account(request) as (connection, owner):
            async with behalf(connection, owner):  # as the audit log reads what was before
                await connection.fetchrow(GET, device, owner)
            async with connection.transaction():  # and has it on disk that something is to be done
                await connection.execute(EVENT, device, b"{}")
            async with behalf(connection, owner):
                old = await connection.fetchrow(GET, device, owner)
            async with behalf(connection, owner):
                await connection.fetchrow(LOCK, device, owner)
                row = await connection.fetchrow(
                    CHANGE, device, owner, body.get("label", old["label"]), old["group"]
                )
                await connection.execute(EVENT, device, b"{}")
        return answer(shown(row))


@contextlib.asynccontextmanager
async def behalf(connection: Any, owner: str) -> AsyncIterator[None]:
    """Be in a transaction of an account."""
    async with connection.transaction():
        await connection.execute(BEHALF, TENANT, owner, "")
        yield


def shown(row: Any) -> dict[str, Any]:
    """Give a device as the API shows it."""
    names = (
        "id", "project", "label", "group", "status", "online", "agent", "system",
        "registered_at", "last_seen_at",
    )  # fmt: skip
    return {name: row[name] for name in names}


def answer(body: Any) -> web.Response:
    """Answer with JSON."""
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


async def prepare(connection: asyncpg.Connection) -> None:
    """Have the rights of the hub's own work, as its connections have."""
    await connection.execute(f"SET ROLE {SYSTEM}")


async def bare(settings: PostgresSettings, port: int) -> None:
    """Serve what the gateway serves, with nothing around it."""
    pool = await asyncpg.create_pool(
        host=settings.host, port=settings.port, database=settings.database, user=settings.user,
        password=settings.password.reveal() or None, min_size=10, max_size=10, init=prepare,
    )  # fmt: skip
    handlers = Bare(pool)
    app = web.Application()
    app.router.add_get("/api/v1/projects/{project}/devices", handlers.list_devices)
    app.router.add_get("/api/v1/devices/{device}", handlers.get_device)
    app.router.add_patch("/api/v1/devices/{device}", handlers.patch_device)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve."""
    config = tomllib.loads(Path(sys.argv[1]).read_text())
    uvloop.run(bare(decode(PostgresSettings, config["postgres"]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
