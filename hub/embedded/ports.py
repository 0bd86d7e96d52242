"""The ports of `isaax up`, and a clear word when one is taken."""

import contextlib
import errno
import random
import socket

import msgspec

from hub.errors import StartError


class Ports(msgspec.Struct, frozen=True):
    """Where each part listens.

    Args:
        http: REST and web; mqtts: devices, over TLS; mqtt, nats, postgres: on the loopback, for
            the hub alone.
    """

    http: int = 7800
    mqtts: int = 8883
    mqtt: int = 7883
    nats: int = 7422
    postgres: int = 7432


def check_free(host: str, port: int, what: str, option: str) -> None:
    """Make sure that we can listen on a port.

    Args:
        what: the part that wants it; option: of `isaax up`, that changes it.

    Raises:
        StartError: somebody else has it, or we may not.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise StartError(
            f"{what}: no such address: {host}. Choose another one with --host"
        ) from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason = f"port {port} on {host} is taken by another program"
            else:
                reason = f"port {port} on {host} cannot be used ({error.strerror})"
            raise StartError(
                f"{what}: {reason}. Choose another one with {option} PORT, or end that program"
                f" (ss -ltnp 'sport = :{port}' names it)."
            ) from None


def free_port(host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Give a port that nobody listens on now.

    It is below those that Linux gives to outgoing connections (32768 and above, by
    `net.ipv4.ip_local_port_range`): one of them may take such a port before it is listened on.
    """
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket(type=kind) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port


def fill(ports: Ports) -> Ports:
    """Replace each 0 by a free port."""
    chosen = {name: port or free_port() for name, port in msgspec.structs.asdict(ports).items()}
    return Ports(**chosen)
