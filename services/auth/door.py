"""The door: what clients say on `auth/<client>/up`, and the answers on `auth/<client>/down`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import structlog

from hub import IsaaxError, LimitReached
from hub.broker import BrokerControl
from hub.mqtt import Mqtt, MqttMessage
from hub.protocol import (
    Begin,
    Down,
    Gone,
    Hello,
    Nonce,
    Refused,
    Register,
    Up,
    auth_down,
)
from services.auth.gate import Gate
from services.auth.refusals import Refusal
from services.auth.registration import Registration
from services.auth.rules import Rules
from services.auth.sessions import LiveSession
from services.auth.settings import AuthSettings
from services.auth.turns import Turns

_log = structlog.get_logger("auth")
_decoder: msgspec.json.Decoder[Up] = msgspec.json.Decoder(Up)

_Said = tuple[MqttMessage, Up]

TOPIC = "auth/+/up"
MAX_MESSAGE = 4096
RETRY_SECONDS = 2.0
REGISTERING = 8
"""Registrations at once: each is a transaction of its own, and others need some, too."""
UNCONFIRMED = 64
"""Messages of QoS 0 that may wait for one worker: no window of the broker's bounds those."""


class Door:
    """Answers clients, at most `workers` at once, and each in the order of what it said.

    Args:
        gate: is passed by each hello, from what it reads until its session is granted.
    """

    def __init__(
        self,
        settings: AuthSettings,
        rules: Rules,
        registration: Registration,
        mqtt: Mqtt,
        control: BrokerControl,
        gate: Gate,
    ) -> None:
        self._nonce_seconds = settings.nonce_seconds
        self._turns = Turns(settings.hellos_per_second, settings.hellos_at_once)
        self._rules = rules
        self._registration = registration
        self._mqtt = mqtt
        self._control = control
        self._gate = gate
        # One for each worker, and a client always has the same: a will must not overtake a hello.
        # The broker's in-flight window bounds them: a message is acknowledged when it is answered.
        self._queues: list[asyncio.Queue[_Said]] = [
            asyncio.Queue() for _ in range(settings.workers)
        ]
        self._waiting = 0
        self._registering = asyncio.Semaphore(REGISTERING)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Answer while the context is open; leaving it answers what has come."""
        async with asyncio.TaskGroup() as tasks:
            workers = [tasks.create_task(self._work(queue)) for queue in self._queues]
            await self._mqtt.subscribe(TOPIC, self._take)
            try:
                yield
                for queue in self._queues:
                    await queue.join()
            finally:
                for worker in workers:
                    worker.cancel()

    def _take(self, message: MqttMessage) -> None:
        """Answer who begins, and put what else is said where its client's wait."""
        client = _client_of(message)
        queue = self._queues[hash(client) % len(self._queues)]
        if len(message.payload) > MAX_MESSAGE:
            self._refuse(message, f"at most {MAX_MESSAGE} bytes are read here")
            return
        try:
            said = _decoder.decode(message.payload)
        except msgspec.DecodeError as error:
            _log.info("malformed message of a client", client=client)
            self._refuse(message, str(error))
            return
        if isinstance(said, Begin):
            message.ack()
            self._begin(client)
        elif message.confirmed or queue.qsize() < UNCONFIRMED:
            self._waiting += 1
            queue.put_nowait((message, said))

    def _refuse(self, message: MqttMessage, detail: str) -> None:
        message.ack()
        self._say(_client_of(message), Refused("malformed", detail))

    def _begin(self, client: str) -> None:
        """Give a nonce, or a time to come again while many are at it."""
        nonces = self._rules.nonces
        if not nonces.has(client):
            wait = self._turns.wait(client, self._waiting + nonces.fresh())
            if wait:
                self._say(client, Refused("unavailable", "many devices come at once", wait))
                return
        self._say(client, Nonce(nonces.give(client), self._nonce_seconds))

    async def _work(self, queue: "asyncio.Queue[_Said]") -> None:
        while True:
            message, said = await queue.get()
            try:
                await self._answer(_client_of(message), said)
            finally:
                self._waiting -= 1
                message.ack()
                queue.task_done()

    async def _answer(self, client: str, said: Up) -> None:
        try:
            await self._handle(client, said)
        except Refusal as no:
            _log.info("device refused", client=client, reason=no.reason)
            self._say(client, Refused(no.reason, no.detail, no.retry))
            if no.reason == "revoked":  # also whoever has a session under this identity now
                self._control.unsession(client)
        except IsaaxError as error:
            _log.warning("client not answered", client=client, error=str(error))
            self._say(client, Refused("unavailable", error.title, RETRY_SECONDS))
        except Exception:  # noqa: BLE001 - one client's message must not close the door to all
            _log.exception("client not answered", client=client)
            self._say(client, Refused("unavailable", "something went wrong", RETRY_SECONDS))

    async def _handle(self, client: str, said: Up) -> None:
        match said:
            case Begin():
                self._begin(client)
            case Register() as request:
                async with self._registering:
                    answer = await self._registration.register(client, request)
                self._say(client, answer)
            case Hello() as request:
                async with self._gate.passing():
                    admission = await self._rules.hello(client, request)
                    self._grant(admission.session, request.connection)
                self._say(client, admission.opened)
            case Gone(connection):
                await self._rules.gone(client, connection)

    def _grant(self, session: LiveSession, connection: str) -> None:
        """Open a session's topics; it takes effect before what is said next."""
        self._control.session(
            session.device, session.project, session.id, session.expires_at, connection
        )

    def _say(self, client: str, message: Down) -> None:
        try:
            self._mqtt.publish(auth_down(client), msgspec.json.encode(message))
        except LimitReached as error:  # the client asks again
            _log.warning("an answer is dropped", client=client, error=str(error))


def _client_of(message: MqttMessage) -> str:
    return message.topic.split("/")[1]


@asynccontextmanager
async def repeating(
    seconds: float, work: Callable[[], Awaitable[None]], name: str
) -> AsyncIterator[None]:
    """Do some upkeep while the context is open; what fails is logged and tried again."""

    async def loop() -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await work()
            except IsaaxError as error:
                _log.warning("upkeep failed, will be tried again", work=name, error=str(error))

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(loop(), name=name)
        try:
            yield
        finally:
            task.cancel()
