"""One run of `isaax up`: the parts, the hub on them, and, if asked for, the demo on the hub."""

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import tomlkit
from rich.console import Console

from hub import telemetry
from hub.bus import NatsBus, connect
from hub.config import CORE
from hub.contracts import Bus, Contract, Nothing
from hub.control import listening
from hub.embedded.account import make_folder
from hub.embedded.demo.show import Stage, show
from hub.embedded.disk import file_store, fitted
from hub.embedded.mosquitto import SOURCE
from hub.embedded.nats import STORE
from hub.embedded.parts import Embedded, nats_folder
from hub.embedded.ports import Ports, check_free
from hub.embedded.running import running_hub, unless_ended, until_signal
from hub.errors import StartError
from hub.files import write_private
from hub.mail.local import local_outbox
from hub.process import RUNNING, Prepared, prepare
from hub.secret import Secret
from hub.settings import Settings, reachable
from hub.structs import reveal
from hub.supervisor import Supervisor

TOKEN: Final = "api-token"  # noqa: S105 - the name of a file
LOG: Final = "hub.log"
CONFIG: Final = "hub.toml"
INTERRUPTED: Final = 130


class Bootstrapped(msgspec.Struct, frozen=True):
    """The first account; `token` is its API token when this very call made it."""

    account: str
    token: str | None = None


BOOTSTRAP: Final = Contract("accounts.bootstrap", Nothing, Bootstrapped)


class _Entry(msgspec.Struct):
    level: str


@dataclass(frozen=True, slots=True)
class Options:
    """What `isaax up` was asked for; see `up`."""

    data: Path
    host: str
    names: tuple[str, ...]
    ports: Ports
    demo: bool
    seconds: float | None


class Upkeep:
    """Keeps a hub up until a signal.

    Args:
        console: for what people read; the log goes to standard error, or, for the demo, into
            its folder.
    """

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Start everything, wait for the end, take it all down, and give the exit code.

        Raises:
            StartError, ConfigError: it cannot start.
            ServiceDied: a service of the hub died later on.
            CancelledError: told to end while it was starting.
        """
        options = self._options
        make_folder(options.data, None, 0o711)
        with until_signal(self._stop) as started:
            prepared = self._prepared()
            check_free(options.host, options.ports.http, "HTTP", "--http-port")
            base = self._adapted(prepared.settings)
            with _logging(base, options):
                self._say("Starting Postgres, NATS and mosquitto")
                async with self._parts(base) as parts:
                    started.set()
                    self._say("Starting the hub")
                    settings = parts.settings(base)
                    supervisor = Supervisor(
                        self._config,
                        prepared,
                        adapt=lambda settings: parts.settings(self._adapted(settings)),
                    )
                    async with (
                        listening(self._config, supervisor.handle),
                        self._told(settings),
                        running_hub(supervisor, self._stop) as hub,
                    ):
                        code = await unless_ended(self._serve(parts, settings), hub)
                        self._say("Ending")
        return code

    async def _serve(self, parts: Embedded, settings: Settings) -> int:
        """Be there for others, or show the demo, until told to stop."""
        if self._stop.is_set():
            return INTERRUPTED
        async with _bus(settings) as bus:
            token = await _first_token(parts, bus)
            self._announce(parts, settings, token)
            if self._options.demo:
                return await self._demo(parts, token)
            await self._stop.wait()
            return 0

    @contextlib.asynccontextmanager
    async def _told(self, settings: Settings) -> AsyncIterator[None]:
        """Tell commands of this machine where everything is, as a hub.toml, while it runs."""
        file = self._options.data / RUNNING
        sections = {one.name: reveal(getattr(settings, one.name)) for one in CORE}
        said = {
            name: {key: value for key, value in values.items() if value not in (None, [])}
            for name, values in sections.items()
        }
        write_private(file, tomlkit.dumps(said))
        try:
            yield
        finally:
            file.unlink(missing_ok=True)

    def _prepared(self) -> Prepared:
        """Read `hub.toml` in the data folder, if there is one, and the environment."""
        file = self._config
        return prepare(file if file.exists() else None, os.environ, quiet=True)

    @property
    def _config(self) -> Path:
        return self._options.data / CONFIG

    def _adapted(self, settings: Settings) -> Settings:
        """Put in what the options say."""
        options = self._options
        http = msgspec.structs.replace(settings.http, host=options.host, port=options.ports.http)
        if options.names and not http.public_url:
            public = http.origin_at(options.names[0])
            http = msgspec.structs.replace(http, public_url=public)
        relay = fitted(settings.relay, nats_folder(options.data) / STORE)
        if relay.files is None:
            relay = msgspec.structs.replace(relay, files=options.data / "files")
        if options.demo:  # its receiver is on this machine
            relay = msgspec.structs.replace(relay, private_hosts=True)
        return msgspec.structs.replace(settings, http=http, relay=relay)

    def _parts(self, settings: Settings) -> contextlib.AbstractAsyncContextManager[Embedded]:
        options = self._options
        return Embedded.start(
            options.data,
            ports=options.ports,
            host=options.host,
            names=options.names,
            build=_build_folder(),
            file_store=file_store(settings.relay),
        )

    async def _demo(self, parts: Embedded, token: Secret | None) -> int:
        if token is None:
            raise StartError("the demo's hub has an account already")
        stage = Stage(
            folder=make_folder(parts.data / "demo", None),
            url=self._url,
            token=token,
            server=f"mqtts://{self._host}:{self._options.ports.mqtts}",
            ca=parts.mosquitto.ca,
        )
        result = await show(stage, self._console, seconds=self._options.seconds, stop=self._stop)
        self._say(str(result))
        if not result.complete:
            for line in _trouble(self._options.data / LOG):
                self._say(line)
        return 0 if result.complete else 1

    @property
    def _host(self) -> str:
        """The address that we reach ourselves at, as it stands in a URL."""
        host = reachable(self._options.host)
        return f"[{host}]" if ":" in host else host

    @property
    def _url(self) -> str:
        return f"http://{self._host}:{self._options.ports.http}"

    def _announce(self, parts: Embedded, settings: Settings, token: Secret | None) -> None:
        kept = parts.secrets.path(TOKEN)
        rows = {
            "REST API": f"{self._url}/api/v1",
            "Reference": f"{self._url}/docs",
            "Devices": f"mqtts://{self._host}:{self._options.ports.mqtts}",
            "their CA": str(parts.mosquitto.ca),
            "Mails": _mails(settings),
            "Data": str(parts.data),
        }
        if token is not None:
            rows["API token"] = f"{token.reveal()}   (kept in {kept})"
        elif kept.exists():
            rows["API token"] = f"as kept in {kept}"
        if kept.exists():
            rows["Log in"] = f"isaax login {self._url} --token-stdin < {kept}"
        for label, value in rows.items():
            self._say(f"  {label:<10} {value}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _logging(settings: Settings, options: Options) -> Iterator[None]:
    """Send the log to standard error, for people where people read; the demo's goes to a file."""
    level = settings.hub.log_level
    if options.demo:
        with (options.data / LOG).open("w") as file:
            telemetry.configure(level=level, format="json", stream=file)
            yield
            telemetry.configure(level=level)  # nobody writes to a closed file
        return
    readable = sys.stderr.isatty()
    telemetry.configure(level=level, format="console" if readable else settings.hub.log_format)
    yield


def _mails(settings: Settings) -> str:
    """Say where the hub's own mails go."""
    if settings.mail.host:
        return f"leave through {settings.mail.host}:{settings.mail.port}"
    page = local_outbox(settings.http) if settings.mail.outbox else ""
    return f"stay here: {page or 'isaax mail list'}   (until hub.toml has [mail] host)"


def _trouble(log: Path, lines: int = 10) -> list[str]:
    """Give the last warnings and errors of a log in JSON, before its folder is removed."""
    with log.open() as file:
        entries = ((line.rstrip(), msgspec.json.decode(line, type=_Entry)) for line in file)
        found = (line for line, entry in entries if entry.level not in ("debug", "info"))
        return list(deque(found, lines))


def _build_folder() -> Path | None:
    """Give a lasting folder to compile the plugin in, for it to be done once; None if we cannot."""
    folder = SOURCE.parent / "build" / "broker_auth"
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return folder if os.access(existing, os.W_OK) else None


@contextlib.asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[Bus]:
    """Give a bus of our own: the hub's belongs to its services."""
    async with connect(settings.nats, name="isaax-up") as client:
        yield NatsBus(client)


async def _first_token(parts: Embedded, bus: Bus) -> Secret | None:
    """Make the first account if there is none, and keep its API token; None when there was one."""
    made = await bus.request(BOOTSTRAP, Nothing())
    if made.token is None:
        return None
    token = Secret(made.token)
    parts.secrets.keep(TOKEN, token)
    return token
