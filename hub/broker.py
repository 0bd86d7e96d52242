"""What the hub tells the broker's plugin `broker_auth`, and what that says about itself.

The grammar of the lines is in `broker_auth/PROTOCOL.md`. Order is kept: what is published on the
same `Mqtt` after a call here meets a broker that has obeyed it.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import structlog

from hub.errors import Invalid
from hub.mqtt import Mqtt, MqttMessage

_log = structlog.get_logger("broker")

CONTROL_TOPIC: Final = "$CONTROL/isaax/v1"
STATUS_TOPIC: Final = "$isaax/status"
REFUSED_TOPIC: Final = "$isaax/refused"
MAX_MESSAGE_BYTES: Final = 64 * 1024
_CONNECTION: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")


class BrokerStatus(msgspec.Struct, frozen=True):
    """The plugin's own account.

    Args:
        instance: names this run of the broker; another one means that it was restarted.
        started: Unix seconds, by the broker's clock.
        generation: of the last snapshot that it took; 0 before the first.
        tokens, connections, sessions: how many it knows now; connections include the hub's.
        refused_connects, refused_publishes, refused_subscribes, refused_deliveries: since its
            start.
        bad_control_lines: lines of ours that it could not obey.
    """

    instance: str
    started: int
    generation: int = 0
    tokens: int = 0
    connections: int = 0
    sessions: int = 0
    refused_connects: int = 0
    refused_publishes: int = 0
    refused_subscribes: int = 0
    refused_deliveries: int = 0
    bad_control_lines: int = 0


class BrokerRefusal(msgspec.Struct, frozen=True):
    """Something that a client was not allowed to do at the broker.

    Args:
        what: `connect`, `publish`, `subscribe` or `delivery`.
        client: what it calls itself; project: that it came in with, or named.
        detail: the topic, or the reason.
        silent: how many of the kind before it were not told.
    """

    what: str
    client: str
    project: str
    detail: str
    silent: int = 0


class BrokerControl:
    """Tells the broker which tokens are valid, which sessions are open, and whom to cut off.

    Args:
        mqtt: of the user `hub`. One `BrokerControl` is to be the only source of snapshots.
    """

    def __init__(self, mqtt: Mqtt) -> None:
        self._mqtt = mqtt

    def token(self, project: str, digest: bytes) -> None:
        """Let clients in that show this project token.

        Args:
            digest: SHA-256 of the token.
        """
        self._send(f"token {project} {digest.hex()}")

    def untoken(self, project: str, digest: bytes) -> None:
        """Let nobody in with this token any more, and cut off who came in with it."""
        self._send(f"untoken {project} {digest.hex()}")

    def session(
        self, client: str, project: str, session: str, expires_at: int, connection: str = ""
    ) -> None:
        """Open a session's topics to the client's present connection.

        Args:
            session: 32 lower-case hex digits.
            expires_at: Unix seconds.
            connection: what the hello called its connection. With it, the session does not go to
                another connection that has come in place of the one that asked.

        Raises:
            Invalid: the device chose a name for its connection that cannot be one.
        """
        if connection and not _CONNECTION.fullmatch(connection):
            raise Invalid("a connection is named by 16 to 64 of A-Z a-z 0-9 _ -")
        self._send(f"{_session_line(client, project, session, expires_at)} {connection}".rstrip())

    def unsession(self, client: str) -> None:
        """End the client's session and cut it off."""
        self._send(f"unsession {client}")

    def kick(self, client: str) -> None:
        """Cut a client off; it may come again."""
        self._send(f"kick {client}")

    def snapshot(
        self,
        tokens: Iterable[tuple[str, bytes]],
        sessions: Iterable[tuple[str, str, str, int]],
    ) -> None:
        """Replace all that the broker knows; it does so at once when it has got the whole.

        A connected client whose token is missing here is cut off, and so is one whose session is;
        those that are listed go on undisturbed. No session is opened by it.

        Args:
            tokens: (project, SHA-256 of the token).
            sessions: (client, project, session, Unix seconds of its end).
        """
        generation = time.time_ns()
        for payload in _payloads(_snapshot_lines(generation, tokens, sessions)):
            self._mqtt.publish(CONTROL_TOPIC, payload)

    def _send(self, line: str) -> None:
        self._mqtt.publish(CONTROL_TOPIC, line.encode("ascii"))


def _session_line(client: str, project: str, session: str, expires_at: int) -> str:
    return f"session {client} {project} {session} {expires_at}"


def _snapshot_lines(
    generation: int,
    tokens: Iterable[tuple[str, bytes]],
    sessions: Iterable[tuple[str, str, str, int]],
) -> Iterator[str]:
    yield f"begin {generation}"
    for project, digest in tokens:
        yield f"token {project} {digest.hex()}"
    for each in sessions:
        yield _session_line(*each)
    yield f"commit {generation}"


def _payloads(lines: Iterable[str]) -> Iterator[bytes]:
    """Pack lines into messages that the plugin takes."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        encoded = line.encode("ascii")
        if size + len(encoded) + 1 > MAX_MESSAGE_BYTES:
            yield b"\n".join(chunk)
            chunk, size = [], 0
        chunk.append(encoded)
        size += len(encoded) + 1
    yield b"\n".join(chunk)


@asynccontextmanager
async def watch_status(
    mqtt: Mqtt, handler: Callable[[BrokerStatus], Awaitable[None]]
) -> AsyncIterator[None]:
    """Have the broker's status handled while the context is open: now, and when it changes.

    Args:
        handler: called for one status after the other; of those that come meanwhile only the
            newest counts. When it fails, it is called again with the next status.
    """
    newest: list[BrokerStatus] = []
    arrived = asyncio.Event()

    def take(message: MqttMessage) -> None:
        try:
            newest[:] = [_decoder.decode(message.payload)]
        except msgspec.DecodeError as error:
            _log.error("the broker's status cannot be read", error=str(error))
        else:
            arrived.set()
        message.ack()

    async def work() -> None:
        while True:
            await arrived.wait()
            arrived.clear()
            try:
                await handler(newest[0])
            except Exception:  # noqa: BLE001 - the next status is another chance
                _log.exception("the broker's status was not handled")

    await mqtt.subscribe(STATUS_TOPIC, take)
    task = asyncio.create_task(work(), name="broker-status")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def watch_refusals(mqtt: Mqtt, handler: Callable[[BrokerRefusal], None]) -> None:
    """Have what the broker refuses handled, as long as the connection lives."""

    def take(message: MqttMessage) -> None:
        try:
            handler(_refusals.decode(message.payload))
        except msgspec.DecodeError as error:
            _log.error("what the broker refused cannot be read", error=str(error))
        message.ack()

    await mqtt.subscribe(REFUSED_TOPIC, take)


_decoder: Final = msgspec.json.Decoder(BrokerStatus)
_refusals: Final = msgspec.json.Decoder(BrokerRefusal)
