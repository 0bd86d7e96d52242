"""Integrations reach public hosts, and nothing else, whatever a name's owner tries."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from hub.net import Guard, GuardedDialer, Resolved, explain, forbidden, tools_for
from hub.outcomes import NotConnected, Rejected, Retry
from hub.push import post
from hub.secret import Secret
from hub.tls import client_tls
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import server_tls

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1",
    "192.0.2.1", "240.0.0.1", "255.255.255.255", "::1", "fc00::1", "2001:db8::1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "::127.0.0.1", "2001::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "::", "169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "224.0.1.1",
    "ff02::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "::ffff:168.63.129.16", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """With and without the setting for private hosts."""
    assert forbidden(address, private_hosts=False) == ""
    assert forbidden(address, private_hosts=True) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_need_the_setting(address: str) -> None:
    """In whatever form an IPv4 address hides in an IPv6 one."""
    assert forbidden(address, private_hosts=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fc00::1", "100.64.0.1"])
def test_the_setting_allows_them(address: str) -> None:
    """A self-hoster's own network."""
    assert forbidden(address, private_hosts=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_allowed(address: str) -> None:
    """A cloud's metadata service, multicast, and what means `this host`."""
    assert forbidden(address, private_hosts=False)
    assert forbidden(address, private_hosts=True)


class Resolver:
    """Answers each question with the next of its answers, and then with the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[Resolved]:
        """Give the next answer."""
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [Resolved(_family(ip), (ip, port)) for ip in answer]


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


@asynccontextmanager
async def listener() -> AsyncIterator[tuple[int, list[int]]]:
    """Listen on loopback; give the port, and a list that grows with every connection."""
    connections: list[int] = []

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], connections


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "::1",
             "::ffff:127.0.0.1"],
)  # fmt: skip
async def test_no_way_to_loopback(host: str) -> None:
    """TCP, UDP and HTTP refuse loopback however it is written; nothing is connected to."""
    url_host = f"[{host}]" if ":" in host else host
    async with listener() as (port, connections):
        async with tools_for("int_x", private_hosts=False) as tools:
            with pytest.raises((Retry, NotConnected)):
                await tools.dial.open_tcp(host, port)
            with pytest.raises((Retry, NotConnected)):
                await tools.dial.open_udp(host, port)
            with pytest.raises((Rejected, Retry)):  # some of them are no URL at all
                await post(tools.http, f"http://{url_host}:{port}/", b"", headers={})
        assert connections == []


async def test_one_bad_address_among_good_ones_refuses_the_host() -> None:
    """A name that points into our network is refused, even where another address is public."""
    dial = GuardedDialer(Guard(private_hosts=False, resolve=Resolver(["8.8.8.8", "10.0.0.1"])))
    with pytest.raises(Retry, match=r"evil\.example \(10\.0\.0\.1\) may not be connected to"):
        await dial.open_tcp("evil.example", 80)


async def test_rebinding_gains_nothing_over_tcp() -> None:
    """The address that was checked is the one that is connected to: one question, one answer."""
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    async with listener() as (port, connections):
        dial = GuardedDialer(Guard(private_hosts=True, resolve=resolver))
        _, writer = await dial.open_tcp("flips.example", port)
        writer.close()
        await writer.wait_closed()
        assert resolver.asked == 1
        assert len(connections) == 1
        with pytest.raises(Retry):
            await dial.open_tcp("flips.example", port)


async def test_rebinding_gains_nothing_over_http() -> None:
    """Each connection resolves once, and a flipped answer is refused at the next one."""
    resolver = Resolver(["127.0.0.1"], ["169.254.169.254"])
    answer = web.Response(text="ok", headers={"Connection": "close"})
    async with (
        answering(answer) as port,
        tools_for("int_x", private_hosts=True, resolve=resolver) as tools,
    ):
        url = f"http://flips.example:{port}/"
        assert (await post(tools.http, url, b"x", headers={})).status == 200
        assert resolver.asked == 1
        with pytest.raises(Retry, match="may not be connected to"):
            await post(tools.http, url, b"x", headers={})


@asynccontextmanager
async def answering(response: web.Response) -> AsyncIterator[int]:
    """Serve HTTP with one answer; give the port."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            status=response.status, body=response.body, headers=dict(response.headers)
        )

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """Not by the helper, and not by an author who uses the session itself."""
    async with listener() as (target, connections):
        there = {"Location": f"http://127.0.0.1:{target}/"}
        answer = web.Response(status=status, headers=there)
        async with (
            answering(answer) as port,
            tools_for("int_x", private_hosts=True) as tools,
        ):
            with pytest.raises(Rejected, match="redirects are not followed"):
                await post(tools.http, f"http://127.0.0.1:{port}/", b"", headers={})
            with pytest.raises(Rejected, match="redirects are not followed"):
                await tools.http.get(f"http://127.0.0.1:{port}/")
        assert connections == []


async def test_a_huge_answer_is_read_in_part() -> None:
    """No destination fills our memory."""
    async with (
        answering(web.Response(body=b"x" * 10_000_000)) as port,
        tools_for("int_x", private_hosts=True) as tools,
    ):
        answer = await post(tools.http, f"http://127.0.0.1:{port}/", b"", headers={}, limit=100)
    assert answer.body == b"x" * 100


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve TLS and wait for the client's end; give the port."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def connect(host: str, port: int, tls: ssl.SSLContext) -> str:
    """Connect and close; give the TLS version."""
    dial = GuardedDialer(Guard(private_hosts=True))
    _, writer = await dial.open_tcp(host, port, tls=tls)
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    await writer.wait_closed()
    return str(version)


async def test_tls_verifies_authority_and_name(
    authority: TestAuthority, local_certificate: Pair
) -> None:
    """An unknown authority, another's name, and an old protocol are refused in plain words."""
    async with tls_server(server_tls(local_certificate)) as port:
        ours = client_tls(ca=authority.pem)
        assert await connect("localhost", port, ours) == "TLSv1.3"
        assert await connect("127.0.0.1", port, ours) == "TLSv1.3"
        with pytest.raises(NotConnected, match=r"certificate of localhost:.* is not trusted"):
            await connect("localhost", port, client_tls())
    async with tls_server(server_tls(authority.issue("other.example"))) as port:
        with pytest.raises(NotConnected, match=r"(?i)hostname mismatch"):
            await connect("localhost", port, ours)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_old_tls_is_refused(authority: TestAuthority, local_certificate: Pair) -> None:
    """A server that speaks no more than TLS 1.1 is not spoken to."""
    old = server_tls(local_certificate)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with tls_server(old) as port:
        with pytest.raises(NotConnected, match=r"no TLS connection|broke the connection"):
            await connect("localhost", port, client_tls(ca=authority.pem))


async def test_a_handshake_that_never_comes_ends(
    authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rsyslog#5539: a peer that accepts and says nothing is given up on."""
    monkeypatch.setattr("hub.net.CONNECT_TIMEOUT", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(NotConnected, match=r"did not answer in time|broke the connection"):
        await connect("127.0.0.1", silent.getsockname()[1], client_tls(ca=authority.pem))


async def test_a_connection_notices_a_dead_peer() -> None:
    """vector#4933: the kernel is told to give up on a peer that answers nothing."""
    async with listener() as (port, _):
        _, writer = await GuardedDialer(Guard(private_hosts=True)).open_tcp("127.0.0.1", port)
        raw = writer.get_extra_info("socket")
        assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        writer.close()
        await writer.wait_closed()


def test_pem_that_cannot_be_used_is_refused_in_words(authority: TestAuthority) -> None:
    """And without showing the key."""
    one, other = authority.issue("a", client=True), authority.issue("b", client=True)
    with pytest.raises(ValueError, match="ca is not a PEM certificate"):
        client_tls(ca="not pem")
    with pytest.raises(ValueError, match="go together"):
        client_tls(ca=authority.pem, certificate=one.certificate)
    with pytest.raises(ValueError, match="not the key of client_certificate"):
        client_tls(ca=authority.pem, certificate=one.certificate, key=Secret(other.key))
    with pytest.raises(ValueError, match="must be PEM text") as failed:
        client_tls(ca=authority.pem, certificate=one.certificate, key=Secret("hush"))
    assert "hush" not in str(failed.value)


# ── words ─────────────────────────────────────────────────────────────────────────────────────


async def test_names_that_do_not_resolve_are_said_so() -> None:
    """As loss of connection over TCP, and to be tried again over HTTP."""

    async def unknown(host: str, port: int) -> list[Resolved]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with tools_for("int_x", private_hosts=False, resolve=unknown) as tools:
        with pytest.raises(NotConnected, match=r"the name nowhere\.example cannot be resolved"):
            await tools.dial.open_tcp("nowhere.example", 1)
        with pytest.raises(Retry, match=r"the name nowhere\.example cannot be resolved"):
            await post(tools.http, "http://nowhere.example/", b"", headers={})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "h:1 refused the connection: nothing listens there"),
        (ConnectionResetError(), "h:1 broke the connection"),
        (TimeoutError(), "h:1 did not answer in time"),
        (OSError(113, "No route to host"), "no connection with h:1: No route to host"),
        (ssl.SSLError(1, "x"), "no TLS connection with h:1"),
        (aiohttp.ServerDisconnectedError(), "h:1 broke off the HTTP exchange"),
        (ValueError("internal"), "no connection with h:1"),
    ],
)
def test_errors_in_a_users_words(error: Exception, words: str) -> None:
    """No class names, no numbers."""
    assert explain(error, "h:1").startswith(words)
