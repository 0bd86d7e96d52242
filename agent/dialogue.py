"""What device and hub say to each other on one connection: registration, session, batches.

It does no I/O: the link gives it what arrives and the time, and carries out what it asks of its
port. docs/protocol.md is the specification.
"""

import logging
import random
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, Protocol

import msgspec

from agent.appreport import AppReport
from agent.commands import Commands
from agent.sender import DOUBT, Sender
from agent.state import Identity, SessionFile
from agent.system import addresses, agent_version, host_name, system_name
from agent.wanted import WantedOf
from hub import protocol
from hub.protocol import Session

log = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
NONCE_SECONDS: Final = 4.0  # a hub that is there answers at once: it may just not hear us yet
SLOWEST_SECONDS: Final = 60.0
LONG_SECONDS: Final = 900.0  # before trying again what the hub refused for good
RENEW_AT: Final = 0.8  # of a session's time to live
SKEW_SECONDS: Final = 60  # of the device's clock, from which on it is worth a warning

_down: Final = msgspec.json.Decoder(protocol.Down)
_acks: Final = msgspec.json.Decoder(protocol.AckMessage)


class Port(Protocol):
    """What a dialogue asks of its connection."""

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message with QoS 1."""

    def subscribe(self, topic: str) -> None:
        """Ask for a topic with QoS 1."""


class Leave(Exception):  # noqa: N818 - reads as the outcome it names
    """This connection has served: make another one in `seconds` (None: when it is due)."""

    def __init__(self, reason: str, seconds: float | None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class _Step(Enum):
    AUTH_TOPIC = "subscribing"
    WAITING = "waiting to ask again"
    NONCE = "waiting for the hub"
    REGISTERED = "registering"
    OPENED = "opening a session"
    DOWN_TOPICS = "subscribing to the session"
    OPEN = "open"


class Dialogue:
    """The device's side of the protocol on one connection.

    Args:
        client: the MQTT client id that the connection has.
        connection: the random value that its will carries.
        at: the present, in monotonic seconds, as in all methods.
    """

    def __init__(
        self,
        port: Port,
        identity: Identity,
        sessions: SessionFile,
        senders: Sequence[Sender],
        wanted: Sequence[WantedOf[Any]],
        commands: Commands,
        app: AppReport,
        *,
        client: str,
        connection: str,
        at: float,
    ) -> None:
        self._port = port
        self._identity = identity
        self._sessions = sessions
        self._senders = {sender.stream: sender for sender in senders}
        self._wanted = wanted
        self._commands = commands
        self._app = app
        self._client = client
        self._connection = connection
        self.skew: float | None = None
        self._session: Session | None = None
        self._renew_at = float("inf")
        self._asked = 0
        self._step = _Step.AUTH_TOPIC
        self._deadline = at + ANSWER_SECONDS
        port.subscribe(protocol.auth_down(client))

    @property
    def state(self) -> str:
        """Say in words where it stands; "open" when lines can be sent."""
        return self._step.value

    @property
    def is_open(self) -> bool:
        """Say whether lines can be sent."""
        return self._step is _Step.OPEN

    @property
    def has_session(self) -> bool:
        """Say whether the hub opened a session on this connection."""
        return self._session is not None

    @property
    def is_drained(self) -> bool:
        """Say whether the hub has all that is spooled."""
        return all(sender.is_done for sender in self._senders.values())

    @property
    def deadline(self) -> float:
        """When `tick` has something to do."""
        if not self.is_open:
            return self._deadline
        dues = [self._commands.deadline, *(one.deadline for one in self._senders.values())]
        return min([self._renew_at, *(due for due in dues if due is not None)])

    def on_subscribed(self, *, granted: bool, at: float) -> None:
        """Take the broker's answer to a SUBSCRIBE.

        Raises:
            Leave: it refused.
        """
        if not granted:
            raise Leave("the broker refused a subscription", None)
        if self._step is _Step.AUTH_TOPIC:
            self._begin(at)
        elif self._step is _Step.DOWN_TOPICS:
            self._step = _Step.OPEN
            self._asked = 0

    def on_message(self, topic: str, payload: bytes, *, at: float) -> None:
        """Take a message from the hub.

        Raises:
            Leave: the connection has served.
            OSError: the disk failed.
        """
        try:
            if topic == protocol.auth_down(self._client):
                self._on_auth(_down.decode(payload), at)
            elif self._session is not None and topic == self._session.ack:
                self._on_ack(_acks.decode(payload), at)
            elif (wanted := self._wanted_on(topic)) is not None:
                wanted.receive(payload)
            elif self._session is not None and topic.startswith(self._session.command("")):
                self._commands.receive(topic.removeprefix(self._session.command("")), payload)
        except protocol.UNDECODABLE as error:
            log.warning("a message of the hub on %s cannot be read: %s", topic, error)

    def tick(self, *, at: float) -> None:
        """Do what is due: ask again, renew the session, send batches.

        Raises:
            Leave: the connection has served.
            OSError: the disk failed.
        """
        if self.is_open:
            if at >= self._renew_at or any(s.silent >= DOUBT for s in self._senders.values()):
                self._begin(at)
            else:
                self._pump(at)
                self._report()
        elif at >= self._deadline:
            if self._step is not _Step.WAITING:
                log.warning("the hub does not answer (%s)", self.state)
            self._begin(at)

    def farewell(self) -> None:
        """Tell the hub that the connection ends in order."""
        self._say(protocol.Gone(self._connection))

    def close(self) -> None:
        """Take note that the connection ended."""
        for sender in self._senders.values():
            sender.close()

    # ── registration and session ─────────────────────────────────────────────────────────────

    def _begin(self, at: float) -> None:
        """Ask for a nonce; ask ever more slowly while there is no answer."""
        self._step = _Step.NONCE
        limit = min(SLOWEST_SECONDS, NONCE_SECONDS * 2 ** min(self._asked, 8))
        self._deadline = at + random.uniform(limit / 2, limit)
        self._asked += 1
        self._say(protocol.Begin())

    def _on_auth(self, message: protocol.Down, at: float) -> None:
        match message:
            case protocol.Nonce() if self._step is _Step.NONCE:
                self._on_nonce(message, at)
            case protocol.Registered() if self._step is _Step.REGISTERED:
                self._identity.register(message.device, message.key)
                raise Leave(f"registered as {message.device}", 0.0)
            case protocol.Opened() if self._step is _Step.OPENED:
                self._on_opened(message, at)
            case protocol.Refused():
                self._on_refused(message, at)
            case _:
                log.debug("an answer that nobody waits for: %s", type(message).__name__)

    def _on_nonce(self, message: protocol.Nonce, at: float) -> None:
        if protocol.VERSION not in message.versions:
            raise Leave(
                f"the hub speaks protocol versions {message.versions}, this agent "
                f"{protocol.VERSION}: update the agent",
                LONG_SECONDS,
            )
        self._deadline = at + ANSWER_SECONDS
        if self._identity.device:
            self._step = _Step.OPENED
            self._say(self._hello(message.nonce))
        else:
            self._identity.check_writable()
            self._step = _Step.REGISTERED
            self._say(self._register(message.nonce))

    def _register(self, nonce: str) -> protocol.Register:
        identity = self._identity
        proof = protocol.register_proof(identity.token, identity.project, self._client, nonce)
        return protocol.Register(
            identity.project, nonce, proof,
            label=host_name(), agent=agent_version(), system=system_name(),
        )  # fmt: skip

    def _hello(self, nonce: str) -> protocol.Hello:
        identity, previous = self._identity, self._sessions.last
        proof = protocol.hello_proof(
            identity.key, identity.project, identity.device, nonce, self._connection, previous
        )
        return protocol.Hello(
            identity.project, nonce, proof, self._connection, previous=previous,
            agent=agent_version(), system=system_name(), addresses=addresses(),
        )  # fmt: skip

    def _on_opened(self, message: protocol.Opened, at: float) -> None:
        self._sessions.begin(message.session)
        self._session = Session(self._identity.project, self._identity.device, message.session)
        self._renew_at = at + RENEW_AT * max(1, message.expires_at - message.time)
        self.skew = _compare_clocks(message.time)
        for sender in self._senders.values():
            sender.open(message.marks, at=at)
        self._step = _Step.DOWN_TOPICS
        self._deadline = at + ANSWER_SECONDS
        for one in self._wanted:
            one.begin(message.versions.get(one.kind, 0))
        self._commands.begin()
        self._app.begin()
        self._port.subscribe(f"{self._session.down}/#")
        log.info("the hub opened a session")

    def _on_refused(self, message: protocol.Refused, at: float) -> None:
        reason = f"the hub refused this device: {message.code}: {message.detail}"
        if message.code == "nonce":  # the hub was started anew meanwhile
            wait = 2.0 ** min(self._asked, 6) - 2.0  # at once; no faster than that again and again
        elif message.retry > 0:
            wait = message.retry
        else:
            raise Leave(reason, LONG_SECONDS)
        log.warning("%s; trying again in %.0f s", reason, wait)
        self._step = _Step.WAITING
        self._deadline = at + wait * random.uniform(1.0, 1.5)

    # ── batches ──────────────────────────────────────────────────────────────────────────────

    def _pump(self, at: float) -> None:
        session = self._session
        if session is not None:
            for sender in self._senders.values():
                topic = session.batches(sender.stream)
                sender.pump(lambda payload, topic=topic: self._port.publish(topic, payload), at=at)  # type: ignore[misc]

    def _report(self) -> None:
        """Say what this device has, and what became of commands, when that is due."""
        if self._session is None:
            return
        told = [state for one in self._wanted if (state := one.report()) is not None]
        if told:
            versions = {kind: at for state in told for kind, at in state.versions.items()}
            errors = {kind: error for state in told for kind, error in state.errors.items()}
            state = protocol.State(versions, errors)
            self._port.publish(self._session.state, msgspec.json.encode(state))
        if (state := self._app.report()) is not None:
            self._port.publish(self._session.state, protocol.encode_state(state))
        for name, reply in self._commands.take().items():
            self._port.publish(self._session.reply(name), msgspec.json.encode(reply))

    def _wanted_on(self, topic: str) -> WantedOf[Any] | None:
        """Give what comes on a topic; None when that is something else."""
        if self._session is None:
            return None
        wanted = (one for one in self._wanted if topic == self._session.wanted(one.kind))
        return next(wanted, None)

    def _on_ack(self, message: protocol.AckMessage, at: float) -> None:
        sender = self._senders.get(message.stream)
        if sender is None:
            return
        match message:
            case protocol.Ack():
                sender.on_ack(message, at=at)
            case protocol.Resume():
                sender.on_resume(message, at=at)
            case protocol.Reject():
                sender.on_reject(message, at=at)
            case protocol.Slow():
                sender.on_slow(message, at=at)

    def _say(self, message: protocol.Up) -> None:
        self._port.publish(protocol.auth_up(self._client), msgspec.json.encode(message))


def _compare_clocks(hub_time: int) -> float:
    """Give the seconds that the device's clock is ahead; the hub's has whole seconds."""
    skew = time.time() - hub_time
    if abs(skew) > SKEW_SECONDS:
        word = "ahead of" if skew > 0 else "behind"
        log.warning("this device's clock is %d s %s the hub's", abs(skew), word)
    return round(skew, 1)
