"""All three parts together: started side by side, watched, and stopped in order."""

import asyncio
import contextlib
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import msgspec
import structlog

from hub.embedded.account import closed_folder, make_folder, unprivileged
from hub.embedded.mosquitto import HOST, Listeners, Mosquitto
from hub.embedded.nats import Nats
from hub.embedded.part import Part
from hub.embedded.ports import Ports, check_free
from hub.embedded.postgres import Postgres, major_version
from hub.embedded.runtime import Runtime
from hub.embedded.secrets import SecretFiles
from hub.embedded.tls import Authority
from hub.errors import StartError
from hub.settings import Settings, VaultSettings

log: Final = structlog.get_logger()

LOCK: Final = ".lock"
LONGEST_PAUSE: Final = 10.0
LOG_CHECK: Final = 60.0


class Embedded:
    """The parts of one installation.

    Args:
        data: everything is in it; names are those that devices know this hub by.
        host: address that devices reach us at.
        build: where `broker_auth` is compiled; by default in `data`.
        file_store: bytes of disk that JetStream may reserve; 0 leaves it to nats-server.
    """

    def __init__(
        self,
        data: Path,
        *,
        ports: Ports | None = None,
        host: str = HOST,
        names: tuple[str, ...] = (),
        build: Path | None = None,
        file_store: int = 0,
    ) -> None:
        self.data: Final = _data_folder(data)
        self.ports: Final = ports or Ports()
        self.secrets: Final = SecretFiles(self.data / "secrets")
        self._host = host
        runtime = Runtime(self.data / "runtime")
        self.postgres: Final = Postgres(
            self.data / f"postgres-{major_version()}",
            port=self.ports.postgres,
            admin=self.secrets.password("postgres-admin"),
            password=self.secrets.password("postgres"),
            runtime=runtime,
        )
        self.nats: Final = Nats(
            nats_folder(self.data),
            port=self.ports.nats,
            password=self.secrets.password("nats"),
            runtime=runtime,
            file_store=file_store,
        )
        self.mosquitto: Final = Mosquitto(
            self.data / "mosquitto",
            listeners=Listeners(
                self.ports.mqtt, host, self.ports.mqtts, certificate_names(host, names)
            ),
            password=self.secrets.password("mqtt"),
            authority=Authority(self.data / "tls"),
            build=build or self.data / "build",
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        """In the order in which they are stopped."""
        return (self.mosquitto, self.nats, self.postgres)

    def settings(self, base: Settings) -> Settings:
        """Give `base` with everything that says where the parts are."""
        return msgspec.structs.replace(
            base,
            mqtt=self.mosquitto.settings,
            nats=self.nats.settings,
            postgres=self.postgres.settings,
            vault=VaultSettings(self.secrets.key("vault.key")),
        )

    @classmethod
    @contextlib.asynccontextmanager
    async def start(
        cls,
        data: Path,
        *,
        ports: Ports | None = None,
        host: str = HOST,
        names: tuple[str, ...] = (),
        build: Path | None = None,
        file_store: int = 0,
    ) -> AsyncIterator["Embedded"]:
        """Run all parts while the context is open; one that ends by itself is started again.

        Raises:
            StartError: the data is in use, a port is taken, or a part does not start.
        """
        embedded = cls(
            data, ports=ports, host=host, names=names, build=build, file_store=file_store
        )
        with _sole_user(embedded.data):
            try:
                await embedded._start()
                watchers = [asyncio.create_task(_watch(part)) for part in embedded.parts]
                try:
                    yield embedded
                finally:
                    for watcher in watchers:
                        watcher.cancel()
                    await asyncio.gather(*watchers, return_exceptions=True)
            finally:
                for part in embedded.parts:
                    await part.stop()

    async def _start(self) -> None:
        for part in self.parts:
            await part.child.await_predecessor()
        self._check_ports()
        outcomes = await asyncio.gather(
            *(part.start() for part in self.parts), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def _check_ports(self) -> None:
        check_free(HOST, self.ports.postgres, "Postgres", "--postgres-port")
        check_free(HOST, self.ports.nats, "NATS", "--nats-port")
        check_free(HOST, self.ports.mqtt, "MQTT for the hub", "--mqtt-port")
        check_free(self._host, self.ports.mqtts, "MQTT for devices", "--mqtts-port")


def _data_folder(path: Path) -> Path:
    folder = make_folder(path, None, 0o711).resolve()
    account = unprivileged()
    if account is not None and (closed := closed_folder(folder)) is not None:
        raise StartError(
            f"the parts run as the user {account.name}, who cannot pass {closed} to {folder}:"
            f" choose other data with --data DIR, or allow it by chmod o+x {closed}"
        )
    return folder


def nats_folder(data: Path) -> Path:
    """Give the folder of NATS within an installation's data."""
    return data / "nats"


def certificate_names(host: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the names to put into the certificate: those given, ours, and the local ones."""
    own = () if host in ("0.0.0.0", "::") else (host,)
    every = (*names, *own, socket.gethostname(), "localhost", HOST)
    return tuple(dict.fromkeys(every))


async def _watch(part: Part) -> None:
    """Start a part again whenever it ends, with growing pauses while that fails."""
    pause = 0.1
    while True:
        try:
            async with asyncio.timeout(LOG_CHECK):
                code = await part.child.wait()
        except TimeoutError:
            part.child.trim_log()
            pause = 0.1  # it has lived for a while
            continue
        log.error("a part ended and is started again", part=part.name, code=code)
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
        try:
            await part.start()
        except (StartError, OSError) as error:  # no disk left, for example
            log.error("a part does not start", part=part.name, error=str(error))  # noqa: TRY400


def is_abandoned(data: Path) -> bool:
    """Say whether a hub once ran on this data, and none does now."""
    path = data / LOCK
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def _sole_user(data: Path) -> Iterator[None]:
    path = data / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = path.read_text().strip()
            raise StartError(
                f"process {owner} runs a hub on {data}: end it first, or choose other data"
                " with --data DIR"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
