"""One MQTT connection: made once, used from one thread, thrown away when it ends."""

import contextlib
import selectors
import socket
import ssl
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from agent.config import Server

KEEPALIVE_SECONDS: Final = 30
CONNECT_SECONDS: Final = 15.0
_REFUSED: Final = 0x80  # MQTT 3.1.1, 3.9.3: the return code of a failed SUBSCRIBE


class Lost(Exception):  # noqa: N818 - reads as the outcome it names
    """The connection could not be made, or ended."""


class NotAccepted(Lost):
    """The broker does not let this client in; its word for it is the message."""


class Subscribed(msgspec.Struct, frozen=True):
    """The broker answered a SUBSCRIBE."""

    granted: bool


class Received(msgspec.Struct, frozen=True):
    """A message arrived."""

    topic: str
    payload: bytes


Event = Subscribed | Received


class Credentials(msgspec.Struct, frozen=True):
    """What a CONNECT carries; it has no repr, because of the password."""

    client: str
    username: str
    password: str
    will_topic: str
    will: bytes

    def __repr__(self) -> str:
        return f"Credentials(client={self.client!r})"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Make the TLS settings: TLS 1.2 or newer, the certificate and the host name are checked.

    Raises:
        OSError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Waker:
    """Ends a `Connection.poll` from another thread."""

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)

    def wake(self) -> None:
        """End the present poll, or the next one."""
        with contextlib.suppress(BlockingIOError):  # it is full of wake-ups already
            self._sender.send(b"\0")

    def close(self) -> None:
        """Close it."""
        self.receiver.close()
        self._sender.close()

    def clear(self) -> None:
        """Take the wake-ups."""
        with contextlib.suppress(BlockingIOError):
            while self.receiver.recv(4096):
                pass


class Connection:
    """A connection that the broker accepted. Use `Connection.open`."""

    def __init__(self, client: paho.Client, waker: Waker) -> None:
        self._client = client
        self._waker = waker
        self._events: list[Event] = []
        self._answer: Any = None
        self._unconfirmed = 0
        self._selector = selectors.DefaultSelector()
        self._watched: Any = None
        self._mask = 0
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish

    @classmethod
    def open(
        cls, server: Server, tls: ssl.SSLContext | None, credentials: Credentials, waker: Waker
    ) -> "Connection":
        """Connect, and wait for the broker's word.

        Raises:
            Lost: no connection.
            NotAccepted: the broker refused.
        """
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=credentials.client,
            clean_session=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(1000)  # the senders keep to their windows
        client.username_pw_set(credentials.username, credentials.password)
        client.will_set(credentials.will_topic, credentials.will, qos=1)
        if tls is not None:
            client.tls_set_context(tls)
        connection = cls(client, waker)
        try:
            client.connect(server.host, server.port, KEEPALIVE_SECONDS)
            connection._await_answer()
        except (OSError, ValueError) as error:
            connection.close()
            raise Lost(str(error) or type(error).__name__) from None
        except Lost:
            connection.close()
            raise
        return connection

    @property
    def is_confirmed(self) -> bool:
        """Say whether the broker has confirmed every message that was published."""
        return self._unconfirmed == 0

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message with QoS 1."""
        self._unconfirmed += 1
        self._client.publish(topic, payload, qos=1)

    def subscribe(self, topic: str) -> None:
        """Ask for a topic with QoS 1; a `Subscribed` event is the answer."""
        self._client.subscribe(topic, qos=1)

    def poll(self, timeout: float) -> list[Event]:
        """Wait for something to happen, for `timeout` seconds at most, and give what came.

        Raises:
            Lost: the connection ended.
        """
        self._watch()
        for key, mask in self._selector.select(max(0.0, min(timeout, 1.0))):
            if key.fileobj is self._waker.receiver:
                self._waker.clear()
                continue
            if mask & selectors.EVENT_READ:
                self._read()
            if mask & selectors.EVENT_WRITE:
                self._check(self._client.loop_write())
        self._check(self._client.loop_misc())
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Say DISCONNECT where that is possible (the broker then forgets the will), and close."""
        self._client.disconnect()
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._selector.close()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while self._answer is None:
            if time.monotonic() >= deadline:
                raise Lost("the broker does not answer")
            try:
                self._events = self.poll(1.0)
            except Lost:
                if self._answer is None:
                    raise
        if self._answer.is_failure:
            raise NotAccepted(str(self._answer))

    def _watch(self) -> None:
        sock = self._client.socket()
        if sock is None:
            raise Lost("the connection ended")
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        if self._watched is None:
            self._selector.register(self._waker.receiver, selectors.EVENT_READ)
            self._selector.register(sock, mask)
            self._watched = sock
        elif mask != self._mask:
            self._selector.modify(sock, mask)
        self._mask = mask

    def _read(self) -> None:
        self._check(self._client.loop_read())
        # what TLS has decrypted already does not show in the selector
        while isinstance(sock := self._client.socket(), ssl.SSLSocket) and sock.pending():
            self._check(self._client.loop_read())

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Lost(paho.error_string(code))

    def _on_connect(self, _c: Any, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        self._answer = reason

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        self._events.append(Received(message.topic, bytes(message.payload)))

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        self._events.append(Subscribed(all(reason.value < _REFUSED for reason in reasons)))

    def _on_publish(self, _c: Any, _u: Any, _mid: int, _reason: Any, _p: Any) -> None:
        self._unconfirmed -= 1
