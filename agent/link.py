"""The thread that keeps the agent in touch with the hub."""

import logging
import random
import secrets
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agent.appreport import AppReport
from agent.commands import Commands
from agent.config import Server
from agent.connection import Connection, Credentials, Lost, NotAccepted, Received, Waker
from agent.dialogue import LONG_SECONDS, Dialogue, Leave
from agent.sender import Sender
from agent.state import Identity, SessionFile, new_client
from agent.wanted import WantedOf
from hub.protocol import Gone, auth_up

log = logging.getLogger(__name__)

FIRST_SECONDS: Final = 1.0
SLOWEST_SECONDS: Final = 60.0
SETTLED_SECONDS: Final = 30.0  # a session this long was no accident: the delays begin anew
FAREWELL_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 1.0  # at the end, for a hub that has not opened a session yet


class Link:
    """Connects, and connects again, until it is told to finish.

    Args:
        tls: None for a plaintext connection.
    """

    def __init__(
        self,
        server: Server,
        tls: ssl.SSLContext | None,
        identity: Identity,
        sessions: SessionFile,
        senders: Sequence[Sender],
        wanted: Sequence[WantedOf[Any]],
        commands: Commands,
        app: AppReport,
    ) -> None:
        self.state = "starting"
        self.error = ""
        self.skew: float | None = None
        self._server = server
        self._tls = tls
        self._identity = identity
        self._sessions = sessions
        self._senders = senders
        self._wanted = wanted
        self._commands = commands
        self._app = app
        self._waker = Waker()
        self._stop_at: float | None = None
        self._stop_asked = 0.0
        self._failures = 0
        self._refused_with: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to send; from any thread."""
        self._waker.wake()

    def finish(self, seconds: float) -> None:
        """Send what is spooled if the hub takes it within so many seconds, say goodbye, end."""
        self._stop_asked = time.monotonic()
        self._stop_at = self._stop_asked + seconds
        self._waker.wake()
        self._thread.join(seconds + FAREWELL_SECONDS + 1.0)

    def _run(self) -> None:
        while self._stop_at is None:
            try:
                delay = self._converse()
            except Exception:  # a fault of ours must not end sending for good
                log.exception("a fault of the agent ended the connection")
                delay = self._backoff()
            self._pause(delay)
        self.state = "ended"

    def _converse(self) -> float:
        """Use one connection for as long as it lasts; give the seconds until the next one."""
        opened = time.monotonic()
        try:
            self._connect_and_talk()
        except NotAccepted as refusal:
            return self._refused(str(refusal))
        except Leave as leave:
            return self._left(leave)
        except Lost as loss:
            self._note("offline", f"no connection to {self._server.host}: {loss}")
        except OSError as error:
            self._note("offline", f"the disk of the agent failed: {error}")
        if time.monotonic() - opened >= SETTLED_SECONDS:
            self._failures = 0
        return self._backoff()

    def _connect_and_talk(self) -> None:
        connection_id = secrets.token_hex(16)
        client = self._identity.device or new_client()
        self.state = "connecting"
        connection = Connection.open(
            self._server,
            self._tls,
            Credentials(
                client,
                self._identity.project,
                self._password(),
                auth_up(client),
                msgspec.json.encode(Gone(connection_id)),
            ),
            self._waker,
        )
        self._refused_with.clear()
        dialogue = Dialogue(
            connection, self._identity, self._sessions, self._senders, self._wanted,
            self._commands, self._app,
            client=client, connection=connection_id, at=time.monotonic(),
        )  # fmt: skip
        try:
            self._talk(connection, dialogue)
        except Leave:
            self._part(connection, dialogue)
            raise
        finally:
            dialogue.close()
            connection.close()

    def _talk(self, connection: Connection, dialogue: Dialogue) -> None:
        while True:
            now = time.monotonic()
            dialogue.tick(at=now)
            self.state = dialogue.state
            if dialogue.is_open:
                self.error = ""
                self.skew = dialogue.skew
            last_call = self._last_call(dialogue)
            if now >= last_call or (self._stop_at is not None and dialogue.is_drained):
                raise Leave("the agent ends", 0.0)
            until = min(dialogue.deadline, last_call)
            for event in connection.poll(until - time.monotonic()):
                now = time.monotonic()
                if isinstance(event, Received):
                    dialogue.on_message(event.topic, event.payload, at=now)
                else:
                    dialogue.on_subscribed(granted=event.granted, at=now)

    def _last_call(self, dialogue: Dialogue) -> float:
        """Give until when the hub may take what is spooled: less when it does not even answer."""
        if self._stop_at is None:
            return float("inf")
        return self._stop_at if dialogue.is_open else self._stop_asked + SILENT_SECONDS

    def _part(self, connection: Connection, dialogue: Dialogue) -> None:
        """End a connection in order."""
        if not dialogue.has_session:
            return
        dialogue.farewell()
        deadline = time.monotonic() + FAREWELL_SECONDS
        try:
            while not connection.is_confirmed and time.monotonic() < deadline:
                connection.poll(deadline - time.monotonic())
        except Lost:
            return
        if connection.is_confirmed:
            self._sessions.end()

    def _password(self) -> str:
        """Give the token, with the proof to take over a session that may still be alive."""
        session = self._sessions.unfinished if self._identity.device else ""
        with_proof = f"{self._identity.token}/{session}"
        if session and with_proof not in self._refused_with:
            return with_proof
        return self._identity.token

    def _refused(self, reason: str) -> float:
        password = self._password()
        self._refused_with.add(password)
        if password != self._identity.token:
            return 0.0  # the broker does not know that session any more: the token will do
        self._refused_with.clear()
        self._note("refused", f"the broker does not accept project and projectToken: {reason}")
        return self._backoff()

    def _left(self, leave: Leave) -> float:
        if leave.seconds == 0.0:
            log.info("%s", leave)
            return 0.0
        if leave.seconds == LONG_SECONDS:
            self._note("refused", str(leave))
            return leave.seconds * random.uniform(0.8, 1.2)
        self._note("offline", str(leave))
        return self._backoff()

    def _note(self, state: str, reason: str) -> None:
        self.state = state
        if reason != self.error:
            log.warning("%s; lines are kept on this device", reason)
        self.error = reason

    def _backoff(self) -> float:
        """Wait a random part of a limit that doubles ("full jitter")."""
        limit = min(SLOWEST_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        return random.uniform(0.0, limit)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._stop_at is None and (left := deadline - time.monotonic()) > 0:
            self._waker.receiver.settimeout(left)
            try:
                self._waker.receiver.recv(4096)
            except TimeoutError:
                break
        self._waker.receiver.setblocking(False)
