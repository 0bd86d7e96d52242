"""A server that stands for any destination: whatever address is asked for, it is reached.

The tools that it gives lead every HTTP request, and every connection and datagram, to itself. So a
destination can be tried with its real config, vendor's host name and all, and nothing leaves this
machine. HTTP is led there in the clear, also when the address says https; a TLS connection of
`dial` is a real one, to a certificate that is trusted here and nowhere else.
"""

import asyncio
import dataclasses
import re
import socket
import ssl
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from hub.destinations import Dialer, Tools
from hub.embedded.tls import Authority
from hub.net import Resolved, tools_for
from hub.testing.bodies import LONGEST_MARK, guessed, marks, unpacked

_HERE: Final = "127.0.0.1"
_ASKED_FOR: Final = "X-Isaax-Loopback-For"
_READ: Final = 64 * 1024
_BULK_ACTION: Final = re.compile(rb'^\s*\{\s*"(index|create)"\s*:')


@dataclass(frozen=True, slots=True)
class Reply:
    """What the loopback does with one HTTP request.

    Args:
        body: None for one that fits most clients.
        delay: seconds before it answers.
        never: it takes the request, and never answers.
        breaks_after: bytes of the body after which it breaks the connection.
        one_by_one: it reads one byte a second.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    never: bool = False
    breaks_after: int | None = None
    one_by_one: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request that arrived whole.

    Args:
        url: that was asked for.
        headers: by their names in lower case.
        body: without its compression.
        status: that it was answered with.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int


class Loopback:
    """Stands for a destination; a `Receiver`, with a `config` that need not be changed for it.

    Args:
        config: that is tried, as JSON values.

    Attributes:
        requests: HTTP requests, in order.
        connections: what came over each connection of `dial.open_tcp`.
        datagrams: of `dial.open_udp`, without their compression.
        protocols: what was used so far, of `http`, `tcp` and `udp`.
        reply: to every request that `script` says nothing of.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = dict(config or {})
        self.requests: list[Request] = []
        self.connections: list[bytearray] = []
        self.datagrams: list[bytes] = []
        self.protocols: set[str] = set()
        self.reply = Reply()
        self.folder = Path()
        self._script: deque[Reply] = deque()
        self._posted: list[str] = []
        self._streamed: list[list[str]] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ports: dict[str, int] = {}
        self._certificates: ssl.SSLContext | None = None
        self._life = AsyncExitStack()
        self._connected: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def start(cls, config: Mapping[str, Any] | None = None) -> AsyncIterator["Loopback"]:
        """Run one."""
        loopback = cls(config)
        with tempfile.TemporaryDirectory(prefix="isaax-loopback-") as folder:
            loopback.folder = Path(folder) / "int_loopback"
            await loopback._listen()
            try:
                yield loopback
            finally:
                loopback.go_on()
                await loopback.end()

    # ── what it does ──────────────────────────────────────────────────────────────────────────

    def script(self, *replies: Reply) -> None:
        """Give these replies first, one to each request."""
        self._script.extend(replies)

    def stall(self) -> None:
        """Take and answer nothing from now on."""
        self._flowing.clear()

    def go_on(self) -> None:
        """End a `stall`."""
        self._flowing.set()

    async def end(self) -> None:
        """Go away: connections break, and new ones are refused."""
        self._flowing.set()
        for writer in tuple(self._connected):
            writer.transport.abort()
        await self._life.aclose()

    # ── what arrived ──────────────────────────────────────────────────────────────────────────

    def taken(self) -> list[str]:
        """The words (`hub.testing.mark`) in all that was taken, in the order of arrival."""
        streams = [word for words in self._streamed for word in words]
        return self._posted + streams + self._filed()

    def _filed(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [word for path in files for word in marks(guessed(path.read_bytes()))]

    # ── tools that lead here ──────────────────────────────────────────────────────────────────

    @asynccontextmanager
    async def tools(self) -> AsyncIterator[Tools]:
        """Give the tools of a destination, as the hub does; all of them lead here."""

        async def here(_host: str, port: int) -> list[Resolved]:
            return [Resolved(socket.AF_INET, (_HERE, port))]

        async def lead(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            request.headers[_ASKED_FOR] = str(request.url)
            request.url = URL.build(
                scheme="http",
                host=_HERE,
                port=self._ports["http"],
                path=request.url.raw_path,
                query_string=request.url.raw_query_string,
                encoded=True,
            )
            return await handler(request)

        session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "isaax", "Accept-Encoding": "identity"},
            middlewares=(lead,),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        tools = tools_for(
            "int_loopback",
            project="prj_aaaaaaaaaaaaaaaaaaaa",
            private_hosts=True,
            folder=self.folder,
            resolve=here,
        )
        async with session, tools as guarded:
            yield dataclasses.replace(guarded, http=session, dial=_Dial(self, guarded.dial))

    def trusted(self) -> ssl.SSLContext:
        """Give a client's context that trusts the certificate here, for any name."""
        assert self._certificates is not None
        return self._certificates

    # ── listening ─────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, auto_decompress=False),
            shutdown_timeout=0.01,
        )
        await runner.setup()
        self._life.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, _HERE, 0).start()
        self._ports["http"] = runner.addresses[0][1]
        server_tls, self._certificates = await asyncio.to_thread(_certificates)
        for name, tls in (("tcp", None), ("tls", server_tls)):
            server = await asyncio.start_server(self._read, _HERE, 0, ssl=tls)
            self._life.callback(server.close)
            self._ports[name] = server.sockets[0].getsockname()[1]
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(_HERE, 0)
        )
        self._life.callback(transport.close)
        self._ports["udp"] = transport.get_extra_info("sockname")[1]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.protocols.add("http")
        await self._flowing.wait()
        reply = self._script.popleft() if self._script else self.reply
        body = await self._body(request, reply)
        if body is None:
            return web.Response(status=500)  # nobody hears it: the connection is broken
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = headers.pop(_ASKED_FOR.lower(), str(request.url))
        await self._flowing.wait()
        if reply.never:
            await asyncio.Event().wait()
        await asyncio.sleep(reply.delay)
        try:
            encoding = headers.get("content-encoding", "")
            body = unpacked(body, encoding) if encoding else guessed(body)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        self.requests.append(Request(request.method, url, headers, body, reply.status))
        if 200 <= reply.status < 300:
            self._posted += marks(body)
        said = _fitting(self.requests[-1]) if reply.body is None else reply.body
        kind = {"Content-Type": "application/json"} if said[:1] == b"{" else {}
        return web.Response(status=reply.status, headers=kind | dict(reply.headers), body=said)

    @staticmethod
    async def _body(request: web.BaseRequest, reply: Reply) -> bytes | None:
        """Read the body as the reply says; None when the connection was broken."""
        taken = bytearray()
        while True:
            if reply.breaks_after is not None and len(taken) >= reply.breaks_after:
                if request.transport is not None:
                    request.transport.abort()
                return None
            piece = await request.content.read(1 if reply.one_by_one else _READ)
            if not piece:
                return bytes(taken)
            taken += piece
            if reply.one_by_one:
                await asyncio.sleep(1)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.protocols.add("tcp")
        data, words = bytearray(), list[str]()
        self.connections.append(data)
        self._streamed.append(words)
        begun = 0  # where a word may begin that has not ended yet
        self._connected.add(writer)
        try:
            await self._flowing.wait()
            while piece := await reader.read(_READ):
                data += piece
                words += marks(bytes(data[begun:]))
                begun = max(data.rfind(b"kram") + 4, len(data) - LONGEST_MARK, begun)
                await self._flowing.wait()
        except OSError:
            writer.transport.abort()
        finally:
            self._connected.discard(writer)
            writer.close()

    def arrived(self, datagram: bytes) -> None:
        """Note a datagram."""
        self.protocols.add("udp")
        if self._flowing.is_set():
            self.datagrams.append(guessed(datagram))
            self._posted += marks(self.datagrams[-1])

    @property
    def ports(self) -> Mapping[str, int]:
        """Where it listens, for `http`, `tcp`, `tls` and `udp`."""
        return self._ports


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, loopback: Loopback) -> None:
        self._loopback = loopback

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._loopback.arrived(data)


@dataclass(frozen=True, slots=True)
class _Dial:
    """A `Dialer` whose every connection leads to the loopback."""

    loopback: Loopback
    inner: Dialer

    async def open_tcp(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As `Dialer.open_tcp`; TLS trusts the loopback's certificate, whatever `tls` trusts."""
        led = None if tls is None else self.loopback.trusted()
        return await self.inner.open_tcp(host, self._port("tls" if tls else "tcp"), tls=led)

    async def open_socket(self, host: str, port: int) -> socket.socket:
        """As `Dialer.open_socket`."""
        return await self.inner.open_socket(host, self._port("tcp"))

    async def open_udp(self, host: str, port: int) -> asyncio.DatagramTransport:
        """As `Dialer.open_udp`."""
        return await self.inner.open_udp(host, self._port("udp"))

    def _port(self, name: str) -> int:
        return self.loopback.ports[name]


def _certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate; give the server's context, and that of a client that trusts it."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder), name="Isaax loopback")
        files = authority.server(Path(folder), ["localhost"], None)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(files.certificate, files.key)
        client = ssl.create_default_context(cafile=str(files.ca))
        client.check_hostname = False  # it stands for any host
    return server, client


def _fitting(request: Request) -> bytes:
    """Give an answer that says "taken" to most clients."""
    kind = request.headers.get("content-type", "")
    if "protobuf" in kind:
        return b""  # an empty message: all was taken (OTLP 1.7, "Full success")
    if request.url.partition("?")[0].endswith("/_bulk"):
        # Elasticsearch and those that speak its bulk API want to hear of each item.
        actions = [line for line in request.body.split(b"\n") if _BULK_ACTION.match(line)]
        items = [{"create": {"status": 201}} for _ in actions]
        return msgspec.json.encode({"took": 1, "errors": False, "items": items})
    return b"{}"
