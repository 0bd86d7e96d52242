"""One simulated device: the protocol of docs/protocol.md over a small MQTT 3.1.1 client.

paho takes a thread or a selector for each connection; ten thousand of these share one loop. What a
device does is what `agent/` does, its waits included, but that it keeps nothing on a disk.
"""

import asyncio
import contextlib
import functools
import random
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from agent.dialogue import ANSWER_SECONDS, NONCE_SECONDS, SLOWEST_SECONDS
from agent.link import FIRST_SECONDS, SETTLED_SECONDS
from hub.protocol import (
    Begin,
    Down,
    Gone,
    Hello,
    Nonce,
    Opened,
    Refused,
    Register,
    Registered,
    Session,
    State,
    Up,
    auth_down,
    auth_up,
    hello_proof,
    register_proof,
)

CONNECT_SECONDS: Final = 15.0
KEEPALIVE: Final = 60
HOP: Final = "desired"
"""The reserved kind that the bare hop uses: a device ignores what it carries."""

_down: Final = msgspec.json.Decoder(Down)


class Lost(Exception):  # noqa: N818 - an outcome, as in agent/connection.py
    """The connection could not be made, or ended."""


class NotAccepted(Lost):
    """The broker does not let this client in."""


class Versioned(msgspec.Struct, frozen=True):
    """What every message of a kind begins with."""

    version: int


_versioned: Final = msgspec.json.Decoder(Versioned)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the hub is, and the project that all are of."""

    host: str
    port: int
    project: str
    token: str


@dataclass(slots=True)
class Counts:
    """What all devices together have done. Times are monotonic seconds.

    Args:
        asked: for a nonce; told_to_wait: by a refusal.
        opened: when each session was opened.
        reported: version, and when the report that it is applied left the device.
        hops: when each message of the bare hop came.
    """

    open: int = 0
    connects: int = 0
    refused: int = 0
    asked: int = 0
    told_to_wait: int = 0
    opened: list[float] = field(default_factory=list)
    reported: list[tuple[int, float]] = field(default_factory=list)
    hops: list[float] = field(default_factory=list)


def _length(size: int) -> bytes:
    """Encode the remaining length (MQTT 3.1.1, 2.2.3)."""
    out = bytearray()
    while True:
        size, low = divmod(size, 128)
        out.append(low | (128 if size else 0))
        if not size:
            return bytes(out)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + _length(len(body)) + body


class Wire(asyncio.Protocol):
    """One connection: CONNECT with a will, SUBSCRIBE and PUBLISH with QoS 1, PUBACK, PINGREQ.

    Args:
        heard: is called with what is published to it, after the PUBACK is under way; what it does
            not take (it gives False) waits for `next`.
    """

    def __init__(self, heard: Callable[[str, bytes], bool]) -> None:
        self._heard = heard
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._mid = 0
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False

    # ── what asyncio calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Take every whole packet there is."""
        buffer = self._buffer + data if self._buffer else data
        position, end = 0, len(buffer)
        while end - position >= 2:
            size, shift, at = 0, 0, position + 1
            while at < end:
                byte = buffer[at]
                size |= (byte & 127) << shift
                shift, at = shift + 7, at + 1
                if not byte & 128:
                    break
            else:
                break
            if at + size > end:
                break
            self._take(buffer[position], buffer[at : at + size])
            position = at + size
        self._buffer = buffer[position:]

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._lost = True
        self._wake()

    # ── what a device calls ──

    def connect(self, client: str, user: str, password: str, will: bytes) -> None:
        """Send CONNECT; `next` gives the CONNACK."""
        flags = 0x80 | 0x40 | 0x08 | 0x04 | 0x02  # user, password, will of QoS 1, clean
        body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", KEEPALIVE) + _text(client)
        body += _text(auth_up(client)) + struct.pack(">H", len(will)) + will
        self._send(_packet(0x10, body + _text(user) + _text(password)))

    def subscribe(self, topic: str) -> None:
        """Send SUBSCRIBE; `next` gives the SUBACK."""
        self._send(_packet(0x82, struct.pack(">H", self._next_mid()) + _text(topic) + b"\x01"))

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message with QoS 1."""
        self._send(_packet(0x32, _text(topic) + struct.pack(">H", self._next_mid()) + payload))

    def forget(self) -> None:
        """Wait no more for what came so far."""
        self._waiting.clear()

    def ping(self) -> None:
        """Say that we are here."""
        self._send(b"\xc0\x00")

    def end(self) -> None:
        """Say DISCONNECT, and close."""
        if self._transport is not None:
            self._send(b"\xe0\x00")
            self._transport.close()

    async def next(self, seconds: float) -> tuple[str, bytes]:
        """Give the next word of the broker (`connack`, `suback`), or message, that is waited for.

        Raises:
            TimeoutError: there is none.
            Lost: the connection ended.
        """
        while not self._waiting:
            if self._lost:
                raise Lost("the connection ended")
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(seconds):
                await self._waiter
        return self._waiting.popleft()

    # ── within ──

    def _take(self, head: int, body: bytes) -> None:
        kind = head & 0xF0
        if kind == 0x30:
            size = int.from_bytes(body[:2])
            topic, at = body[2 : 2 + size].decode(), 2 + size
            if head & 0x06:
                self._send(b"\x40\x02" + body[at : at + 2])
                at += 2
            if not self._heard(topic, body[at:]):
                self._put(topic, body[at:])
        elif kind == 0x20:
            self._put("connack", body[1:2])
        elif kind == 0x90:
            self._put("suback", body[2:3])

    def _put(self, topic: str, payload: bytes) -> None:
        self._waiting.append((topic, payload))
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._lost:
            self._transport.write(data)

    def _next_mid(self) -> int:
        self._mid = self._mid % 65535 + 1
        return self._mid


class Device:
    """A device that registers, or lives: connects, says hello, reports, and comes back.

    Args:
        counts: of all.
    """

    def __init__(self, place: Place, counts: Counts, id: str = "", key: str = "") -> None:  # noqa: A002
        self.id, self.key = id, key
        self._place = place
        self._counts = counts
        self._previous = ""
        self._unfinished = ""
        self._session: Session | None = None
        self._wire: Wire | None = None
        self._applied = 0

    async def register(self) -> None:
        """Get an id and a key."""
        client = f"new-{secrets.token_hex(8)}"
        wire = await self._connected(client, self._place.token, b'{"op":"gone","connection":""}')
        try:
            made = await self._proven(wire, client, functools.partial(self._register, client))
            if not isinstance(made, Registered):
                raise Lost(f"not registered: {made}")
            self.id, self.key = made.device, made.key
        finally:
            wire.end()

    async def live(self) -> None:
        """Be there, until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._converse()
            except NotAccepted:
                if self._unfinished:  # the broker does not know that session any more
                    self._unfinished = ""
                    continue
            except (Lost, OSError, TimeoutError):
                pass
            finally:
                self._end()
            if time.monotonic() - began >= SETTLED_SECONDS:
                failures = 0
            limit = min(SLOWEST_SECONDS, FIRST_SECONDS * 2 ** min(failures, 10))
            failures += 1
            await asyncio.sleep(random.uniform(0.0, limit))

    def _register(self, client: str, nonce: str) -> Up:
        place = self._place
        proof = register_proof(place.token, place.project, client, nonce)
        return Register(place.project, nonce, proof, "bench", "bench/1")

    def ping(self) -> None:
        """Keep the connection alive."""
        if self._wire is not None:
            self._wire.ping()

    def _end(self) -> None:
        if self._session is not None:
            self._counts.open -= 1
            self._session = None
        if self._wire is not None:
            self._wire.end()
            self._wire = None

    async def _converse(self) -> None:
        connection = secrets.token_hex(16)
        token = self._place.token
        password = f"{token}/{self._unfinished}" if self._unfinished else token
        will = msgspec.json.encode(Gone(connection))
        wire = self._wire = await self._connected(self.id, password, will)
        opened = await self._hello(wire, connection)
        self._previous = self._unfinished = opened.session
        self._session = session = Session(self._place.project, self.id, opened.session)
        wire.subscribe(f"{session.down}/#")
        await self._await(wire, "suback")
        self._counts.open += 1
        self._counts.opened.append(time.monotonic())
        self._report()
        while True:
            with contextlib.suppress(TimeoutError):
                await wire.next(3600)

    async def _connected(self, client: str, password: str, will: bytes) -> Wire:
        loop, place = asyncio.get_running_loop(), self._place
        self._counts.connects += 1
        async with asyncio.timeout(CONNECT_SECONDS):
            _, wire = await loop.create_connection(
                lambda: Wire(self._heard), place.host, place.port
            )
        wire.connect(client, place.project, password, will)
        try:
            code = await self._await(wire, "connack", CONNECT_SECONDS)
            if code != b"\0":
                self._counts.refused += 1
                raise NotAccepted(f"return code {code.hex()}")
            wire.subscribe(auth_down(client))
            await self._await(wire, "suback")
        except BaseException:
            wire.end()
            raise
        return wire

    async def _hello(self, wire: Wire, connection: str) -> Opened:
        place = self._place

        def hello(nonce: str) -> Up:
            proof = hello_proof(self.key, place.project, self.id, nonce, connection, self._previous)
            return Hello(place.project, nonce, proof, connection, self._previous, "bench/1", "none")

        answer = await self._proven(wire, self.id, hello)
        if not isinstance(answer, Opened):
            raise Lost(f"no session: {answer}")
        return answer

    async def _proven(self, wire: Wire, client: str, proof: Callable[[str], Up]) -> Down:
        """Ask for a nonce, and then with it for something; again, as long as there is no answer."""
        asked = 0
        while True:
            limit = min(SLOWEST_SECONDS, NONCE_SECONDS * 2 ** min(asked, 8))
            asked += 1
            self._counts.asked += 1
            answer: Down | None = None
            with contextlib.suppress(TimeoutError):
                answer = await self._ask(wire, client, Begin(), random.uniform(limit / 2, limit))
                if isinstance(answer, Nonce):
                    answer = await self._ask(wire, client, proof(answer.nonce), ANSWER_SECONDS)
            if isinstance(answer, Refused) and (answer.retry > 0 or answer.code == "nonce"):
                self._counts.told_to_wait += 1
                await asyncio.sleep(answer.retry * random.uniform(1.0, 1.5))
            elif answer is not None:
                return answer

    async def _ask(self, wire: Wire, client: str, message: Up, seconds: float) -> Down:
        wire.forget()  # a late answer to what was asked before
        wire.publish(auth_up(client), msgspec.json.encode(message))
        return _down.decode(await self._await(wire, auth_down(client), seconds))

    async def _await(self, wire: Wire, what: str, seconds: float = ANSWER_SECONDS) -> bytes:
        async with asyncio.timeout(seconds):
            while True:
                topic, payload = await wire.next(seconds)
                if topic == what:
                    return payload

    def _heard(self, topic: str, payload: bytes) -> bool:
        if not topic.startswith("c/"):
            return False
        if topic.endswith("/envars"):
            self._applied = _versioned.decode(payload).version
            self._report()
        elif topic.endswith(HOP):
            self._counts.hops.append(time.monotonic())
        return True

    def _report(self) -> None:
        """Say which variables are used."""
        if self._wire is not None and self._session is not None:
            state = State({"envars": self._applied})
            self._wire.publish(self._session.state, msgspec.json.encode(state))
            self._counts.reported.append((self._applied, time.monotonic()))
