"""The way to the hub, a step at a time: name, port, certificate, login, answer.

It logs in as a device that is not registered yet does, under an id of its own: the session of the
running agent is not touched, and no device is made.
"""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import msgspec

from agent.config import Server, server_of
from agent.connection import (
    Connection,
    Credentials,
    Lost,
    NotAccepted,
    Received,
    Waker,
    tls_context,
)
from agent.doctor.findings import Finding, failed, ok, warning
from agent.settings import AgentConfig
from agent.state import new_client
from hub.protocol import UNDECODABLE, VERSION, Begin, Down, Gone, Nonce, auth_down, auth_up

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 10.0
SOON_DAYS: Final = 14

_down: Final = msgspec.json.Decoder(Down)


def examine(config: AgentConfig) -> Iterator[Finding]:
    """Go the way to the hub, as far as it goes."""
    server = server_of(config)
    for step in (_name, _port):
        finding = step(server)
        yield finding
        if finding.verdict == "failed":
            return
    context = None
    if server.tls:
        finding, context = _certificate(server, config)
        yield finding
        if context is None:
            return
    yield from _login(server, context, config)


def _name(server: Server) -> Finding:
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return failed(
            "name", f"{server.host}: {error.strerror}",
            "see that the name is right, and what /etc/resolv.conf says",
        )  # fmt: skip
    addresses = sorted({str(one[4][0]) for one in found})
    return ok("name", f"{server.host} is {', '.join(addresses)}")


def _port(server: Server) -> Finding:
    place = f"{server.host}:{server.port}"
    try:
        socket.create_connection((server.host, server.port), CONNECT_SECONDS).close()
    except OSError as error:
        return failed(
            "port", f"{place}: {error.strerror or error}",
            "see that the hub runs, that `server` has its port, and that no firewall is between",
        )  # fmt: skip
    return ok("port", f"{place} can be reached")


def _certificate(server: Server, config: AgentConfig) -> tuple[Finding, ssl.SSLContext | None]:
    """Check the hub's certificate as the agent does; without a context it is refused."""
    try:
        context = tls_context(config.ca_file)
    except OSError as error:
        advice = "let `caFile` name a PEM file with the authority of the hub's certificate"
        return failed("certificate", f"{config.ca_file}: {error.strerror or error}", advice), None
    try:
        with (
            socket.create_connection((server.host, server.port), CONNECT_SECONDS) as raw,
            context.wrap_socket(raw, server_hostname=server.host) as sock,
        ):
            certificate: Any = sock.getpeercert()
    except ssl.SSLCertVerificationError as error:
        return failed("certificate", error.verify_message, _advice_on(error)), None
    except OSError as error:
        advice = "see that this is the port for mqtts://, and not that for mqtt://"
        return failed("certificate", f"no TLS: {error.strerror or error}", advice), None
    return _judge_expiry(certificate["notAfter"]), context


def _advice_on(error: ssl.SSLCertVerificationError) -> str:
    if "expired" in error.verify_message:
        return "renew the hub's certificate, and see that this device's clock is right"
    if "not yet valid" in error.verify_message:
        return "set this device's clock"
    if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
        return "let `server` have the name that the certificate is for"
    return "let `caFile` name the authority of the hub's certificate"


def _judge_expiry(not_after: str) -> Finding:
    days = int((ssl.cert_time_to_seconds(not_after) - time.time()) // 86_400)
    seen = f"it is valid for {days} more days"
    if days < SOON_DAYS:
        return warning("certificate", seen, "renew the hub's certificate")
    return ok("certificate", seen)


def _login(
    server: Server, context: ssl.SSLContext | None, config: AgentConfig
) -> Iterator[Finding]:
    client = new_client()
    credentials = Credentials(
        client, config.project, str(config.project_token), auth_up(client),
        msgspec.json.encode(Gone(client)),
    )  # fmt: skip
    with closing(Waker()) as waker:
        try:
            connection = Connection.open(server, context, credentials, waker)
        except NotAccepted as refusal:
            advice = "see that `project` and `projectToken` are those of the hub; make a new token"
            yield failed("login", f"the broker refuses project and token: {refusal}", advice)
        except Lost as loss:
            yield failed("login", str(loss), "see that an MQTT broker of the hub is at that port")
        else:
            with closing(connection):
                yield ok("login", "the broker accepts project and token")
                yield _answer(connection, client)


def _answer(connection: Connection, client: str) -> Finding:
    """Ask the hub behind the broker for a nonce, which binds nobody to anything."""
    advice = "see that the hub's service `auth` runs; isaax's log on the hub says more"
    try:
        connection.subscribe(auth_down(client))
        connection.publish(auth_up(client), msgspec.json.encode(Begin()))
        deadline = time.monotonic() + ANSWER_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            for event in connection.poll(left):
                if isinstance(event, Received):
                    return _judge(_down.decode(event.payload), advice)
    except (Lost, *UNDECODABLE) as error:
        return failed("hub", str(error), advice)
    return failed("hub", f"no answer within {ANSWER_SECONDS:.0f} s", advice)


def _judge(message: Down, advice: str) -> Finding:
    if not isinstance(message, Nonce):
        return failed("hub", f"it answers with {getattr(message, 'detail', 'nonsense')}", advice)
    if VERSION not in message.versions:
        seen = f"it speaks protocol versions {message.versions}, this agent {VERSION}"
        return failed("hub", seen, "update the agent")
    return ok("hub", "it answers")
