"""The demo's device: a real agent as a child, its configuration, its app, and its syslog."""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from hub.embedded.account import make_folder, write_private
from hub.embedded.demo import app
from hub.embedded.process import Child, Command
from hub.secret import Secret

AGENT: Final = (sys.executable, "-P", "-m", "agent.cli")

RATE: Final = 10.0
"""Lines a second, of the app and of syslog each."""

STOP_BUDGET: Final = 15.0
SYSLOG_PRIORITY: Final = 14  # user.info: facility 1 * 8 + severity 6 (RFC 5424, 6.2.1)


@dataclass(frozen=True, slots=True)
class Registration:
    """What somebody who sets up a device has to know.

    Args:
        server: such as mqtts://127.0.0.1:8883; ca: PEM file of its authority.
    """

    project: str
    token: Secret
    server: str
    ca: Path


class _StreamStatus(msgspec.Struct):
    acknowledged: int


class _Status(msgspec.Struct):
    streams: dict[str, _StreamStatus]


class Device:
    """One device in a folder of its own."""

    def __init__(self, folder: Path, registration: Registration) -> None:
        self._folder = make_folder(folder, None)
        self._socket = folder / "syslog"
        self._config = folder / "isaax.conf"
        self._status = folder / "state" / "status.json"
        self._registration = registration
        self._syslog_count = 0
        self._stopping = asyncio.Event()
        self.child: Final = Child(
            Command(
                name="agent",
                argv=(
                    sys.executable,
                    "-P",
                    "-m",
                    "agent.cli",
                    "run",
                    "--config",
                    str(self._config),
                ),
                folder=folder,
            )
        )

    @property
    def project(self) -> str:
        """The project that it is in."""
        return self._registration.project

    @property
    def sent(self) -> dict[str, int]:
        """How many lines each stream was given up to now."""
        counter = self._folder / "count"
        text = counter.read_text() if counter.exists() else ""
        return {"app": int(text or 0), "sys": self._syslog_count}

    @property
    def acknowledged(self) -> int:
        """How many of them the hub has acknowledged, as the agent's status file says.

        Of each stream no more than it was given: the agent adds lines of its own to it, such as
        what a script writes, and has a line a moment before the app has counted it.
        """
        try:
            status = msgspec.json.decode(self._status.read_bytes(), type=_Status)
        except FileNotFoundError:
            return 0
        return sum(
            min(count, status.streams[name].acknowledged)
            for name, count in self.sent.items()
            if name in status.streams
        )

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run the agent, and write to its syslog socket, while the context is open."""
        write_private(self._config, self._configuration())
        await self.child.spawn()
        feeding = asyncio.create_task(self._feed())
        try:
            yield
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await self.child.stop(STOP_BUDGET)

    async def fall_silent(self, budget: float) -> bool:
        """Write no more lines; give False when the app did not stop within `budget` seconds."""
        self._stopping.set()
        (self._folder / "stop").touch()
        return await became_true((self._folder / "done").exists, budget)

    def _configuration(self) -> str:
        registration = self._registration
        command = [sys.executable, "-I", app.__file__, str(self._folder), str(RATE)]
        values = {
            "project": registration.project,
            "projectToken": registration.token.reveal(),
            "server": registration.server,
            "caFile": str(registration.ca),
            "stateDir": str(self._folder / "state"),
        }
        # A JSON string or list of strings is a TOML one as well.
        top = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        tables = [
            "[app]", 'name = "demo"', f"command = {json.dumps(command)}",
            "[syslog]", f"socket = {json.dumps(str(self._socket))}",
            "[metrics]", "interval = 1",
        ]  # fmt: skip
        return "\n".join([*top, *tables]) + "\n"

    async def _feed(self) -> None:
        """Write numbered lines as a program does by syslog(3)."""
        while not self._stopping.is_set():
            with _datagrams() as sender:
                try:
                    sender.connect(str(self._socket))
                    await self._write_lines(sender)
                except OSError:  # the agent does not listen yet, or not at present
                    await asyncio.sleep(0.1)

    async def _write_lines(self, sender: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            number = self._syslog_count + 1
            stamp = time.strftime("%b %e %H:%M:%S")
            line = f"<{SYSLOG_PRIORITY}>{stamp} demo-os[1]: demo sys line {number}: all is well"
            await loop.sock_sendall(sender, line.encode())
            self._syslog_count = number
            await asyncio.sleep(1 / RATE)


@contextlib.contextmanager
def _datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        yield sender


async def became_true(condition: Callable[[], bool], budget: float) -> bool:
    """Wait for what another process does; give False when `budget` seconds were not enough."""
    deadline = time.monotonic() + budget
    while not (holds := condition()) and time.monotonic() < deadline:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.05)
    return holds
