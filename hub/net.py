"""How integrations reach the hosts that users name, without reaching what they must not.

A host is resolved once, every address that comes back must be allowed, and the connection goes to
one of those very addresses with the original name for SNI, `Host` and certificate. A name that
answers differently the second time (DNS rebinding) therefore gains nothing. No redirect is
followed. Without `private_hosts` only globally reachable addresses are allowed.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import aiohttp
import aiohttp.abc
import structlog

from hub.destinations import Tools
from hub.outcomes import NotConnected, Rejected, Retry

T = TypeVar("T")

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for resolving, connecting and the TLS handshake, each."""

DEAD_PEER_TIMEOUT: Final = 30.0
"""Seconds after which a peer that acknowledges nothing counts as gone (TCP_USER_TIMEOUT)."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_METADATA: Final = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "fd00:ec2::254",  # Amazon EC2, over IPv6
        "fd20:ce::254",  # Google Compute Engine, over IPv6
        "fd00:c1::a9fe:a9fe",  # Oracle, over IPv6
        "192.0.0.192",  # Oracle, classic
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's WireServer; a public address by its number
    )
)
"""Metadata services of clouds that are not at a link-local address."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, 2.1
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291, 2.5.5.1


@dataclass(frozen=True, slots=True)
class Resolved:
    """One address of a host: the family, and what `socket.connect` takes."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int]

    @property
    def ip(self) -> str:
        """The address as text."""
        return self.sockaddr[0]


Resolve = Callable[[str, int], Awaitable[list[Resolved]]]
"""Give all addresses of a host and port; raises OSError when there are none."""


async def system_resolve(host: str, port: int) -> list[Resolved]:
    """Resolve as the system does (hosts file, DNS, numeric forms such as `127.1`)."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [Resolved(family, address) for family, _, _, _, address in found]  # type: ignore[arg-type]


# ── which addresses are allowed ───────────────────────────────────────────────────────────────


def forbidden(ip: str, *, private_hosts: bool) -> str:
    """Say why an address may not be connected to; "" when it may.

    An IPv6 address that carries an IPv4 one (mapped, compatible, 6to4, NAT64) is judged by it.

    Args:
        private_hosts: private and loopback addresses are allowed. Link-local ones never are, nor
            others at which a cloud's metadata service lives.
    """
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded_v4(address)
        if inner is not None:
            return forbidden(str(inner), private_hosts=private_hosts)
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        return "it is a multicast, link-local or unspecified address"
    if address in _METADATA:
        return "it is the address of a cloud's metadata service"
    if private_hosts:
        return ""
    if not address.is_global or address.is_reserved or _is_site_local(address):
        return "it is not a public address, and relay.private_hosts is off"
    return ""


def _is_site_local(address: _Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.is_site_local


def _embedded_v4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _V4_COMPATIBLE and int(address) > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


@dataclass(frozen=True, slots=True)
class Guard:
    """Resolves a host once and lets only allowed addresses through."""

    private_hosts: bool
    resolve: Resolve = system_resolve

    def check(self, host: str, ip: str) -> None:
        """Refuse an address that is not allowed.

        Raises:
            Retry: it is not. The lines wait until the host, or the setting, is mended.
        """
        why = forbidden(ip, private_hosts=self.private_hosts)
        if why:
            shown = host if host == ip else f"{host} ({ip})"
            raise Retry(f"{shown} may not be connected to: {why}")

    async def addresses(self, host: str, port: int) -> list[Resolved]:
        """Resolve a host once; every address of it must be allowed.

        Raises:
            Retry: one of them is not.
            NotConnected: the name cannot be resolved.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                found = await self.resolve(host, port)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise NotConnected(explain(error, host)) from error
        if not found:
            raise NotConnected(f"the name {host} has no address")
        for address in found:
            self.check(host, address.ip)
        return found


# ── TCP, TLS and UDP ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class GuardedDialer:
    """The hub's `Dialer` (see hub/destinations.py)."""

    guard: Guard

    async def open_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address that answers, with keepalive and a dead-peer timeout.

        Raises:
            Retry: an address of the host is not allowed.
            NotConnected: no connection, in words a user understands.
        """
        return await self._first(host, port, lambda address: _open_stream(address, host, tls))

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """Give a connected TCP socket, for a client library that speaks its own protocol on it.

        Raises:
            Retry, NotConnected: as for `open_tcp`.
        """
        return await self._first(host, port, _connect)

    async def _first(self, host: str, port: int, attempt: Callable[[Resolved], Awaitable[T]]) -> T:
        failure: Exception = OSError("no address")
        for address in await self.guard.addresses(host, port):
            try:
                return await attempt(address)
            except (OSError, TimeoutError) as error:
                failure = error
        raise NotConnected(explain(failure, f"{host}:{port}")) from failure

    async def open_udp(self, host: str, port: int) -> asyncio.DatagramTransport:
        """Open a UDP socket that is connected to the first address of the host.

        Its protocol (`transport.get_protocol()`) is a `Datagrams`.

        Raises:
            Retry, NotConnected: as for `open_tcp`.
        """
        address = (await self.guard.addresses(host, port))[0]
        try:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                Datagrams, remote_addr=address.sockaddr[:2], family=address.family
            )
        except OSError as error:
            raise NotConnected(explain(error, f"{host}:{port}")) from error
        return transport


async def _open_stream(
    address: Resolved, host: str, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    raw = await _connect(address)
    try:
        if tls is None:
            return await asyncio.open_connection(sock=raw)
        # Its own limit for the handshake would say that the peer broke the connection.
        async with asyncio.timeout(CONNECT_TIMEOUT):
            return await asyncio.open_connection(
                sock=raw,
                ssl=tls,
                server_hostname=host.rstrip("."),
                ssl_handshake_timeout=2 * CONNECT_TIMEOUT,
                ssl_shutdown_timeout=CONNECT_TIMEOUT,
            )
    except BaseException:
        raw.close()
        raise


async def _connect(address: Resolved) -> socket.socket:
    raw = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        notice_dead_peer(raw)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await asyncio.get_running_loop().sock_connect(raw, address.sockaddr)
    except BaseException:
        raw.close()
        raise
    return raw


def notice_dead_peer(raw: socket.socket) -> None:
    """Let the kernel end a connection whose peer answers nothing for `DEAD_PEER_TIMEOUT`.

    Keepalive sees to an idle connection, TCP_USER_TIMEOUT (RFC 5482) to one with data under way,
    which would else be retransmitted for a quarter of an hour.
    """
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_PEER_TIMEOUT * 1000))


class Datagrams(asyncio.DatagramProtocol):
    """What is to be known of a connected UDP socket: its last error, and when it can take more."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self.error: OSError | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def pause_writing(self) -> None:
        """The socket's buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._writable.set()

    def error_received(self, exc: Exception) -> None:
        """The peer's host, or one on the way, refused a datagram (ICMP)."""
        self.error = exc if isinstance(exc, OSError) else OSError(str(exc))
        self.failed.set()

    async def drain(self) -> None:
        """Wait until datagrams can be sent without piling up in memory."""
        await self._writable.wait()


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


class GuardedResolver(aiohttp.abc.AbstractResolver):
    """Resolves host names for aiohttp by the guard; the connector never resolves by itself."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[aiohttp.abc.ResolveResult]:
        """Give the checked addresses of a host."""
        return [
            {
                "hostname": host,
                "host": address.ip,
                "port": port,
                "family": address.family,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for address in await self._guard.addresses(host, port)
            if family in {socket.AF_UNSPEC, address.family}
        ]

    async def close(self) -> None:
        """Nothing is held."""


async def _refuse_redirects(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status in {301, 302, 303, 307, 308}:
        response.close()
        # Where it leads may hold what the address holds: `hub.push.post` masks that.
        target = response.headers.get("Location", "elsewhere")[:2048]
        raise Rejected(
            f"{request.url.host} answered {response.status}, and redirects are not followed: "
            f"configure the final address. It was a redirect to {target}"
        )
    return response


def _guarded_session(guard: Guard) -> aiohttp.ClientSession:
    def connect_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        # Also sees addresses written as literals in the URL, which no resolver is asked about.
        guard.check(info[4][0], info[4][0])
        raw = socket.socket(info[0], info[1], info[2])
        notice_dead_peer(raw)
        return raw

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=GuardedResolver(guard),
            use_dns_cache=False,
            socket_factory=connect_socket,
            limit=8,
        ),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=CONNECT_TIMEOUT * 2, sock_connect=CONNECT_TIMEOUT, sock_read=60
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "isaax", "Accept-Encoding": "identity"},
        middlewares=(_refuse_redirects,),
        trust_env=False,
        raise_for_status=False,
    )


@contextlib.asynccontextmanager
async def tools_for(
    integration: str,
    *,
    project: str = "",
    private_hosts: bool,
    folder: Path | None = None,
    resolve: Resolve = system_resolve,
) -> AsyncIterator[Tools]:
    """Give an integration its tools, and close them in the end.

    Args:
        integration: its id, bound to the logger; `project` is that of its project.
        folder: its own on the hub's disk, if there is one; it need not exist yet.
        private_hosts: it may reach private addresses (a self-hoster's own network).
        resolve: how names are resolved.
    """
    guard = Guard(private_hosts, resolve)
    async with _guarded_session(guard) as http:
        log = structlog.stdlib.get_logger("isaax.destination").bind(integration=integration)
        yield Tools(integration, project, http, GuardedDialer(guard), log, folder)


# ── errors in a user's words ──────────────────────────────────────────────────────────────────


def explain(error: BaseException, peer: str) -> str:
    """Say in a user's words why there is no connection to `peer` (any more)."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            words = explain(error.certificate_error, peer)
        case aiohttp.ClientConnectorError():
            words = explain(error.os_error, peer)
        case aiohttp.ClientOSError():  # its own words hold the URL, which may hold a secret
            words = explain(error.__cause__ or ConnectionError(), peer)
        case ssl.SSLCertVerificationError():
            words = f"the certificate of {peer} is not trusted: {error.verify_message}"
        case ssl.SSLError():
            detail = (getattr(error, "reason", "") or str(error)).lower().replace("_", " ")
            words = f"no TLS connection with {peer}: {detail}"
        case socket.gaierror() | UnicodeError():
            words = f"the name {peer} cannot be resolved"
        case ConnectionRefusedError():
            words = f"{peer} refused the connection: nothing listens there"
        case ConnectionError():
            words = f"{peer} broke the connection"
        case TimeoutError():
            words = f"{peer} did not answer in time"
        case OSError() if error.strerror:
            words = f"no connection with {peer}: {error.strerror}"
        case aiohttp.ClientError():
            words = f"{peer} broke off the HTTP exchange"
        case _:
            words = f"no connection with {peer}"
    return words
