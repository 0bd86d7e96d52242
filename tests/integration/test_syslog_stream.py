"""A stream destination knows when its connection is gone, and never continues a broken line."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from hub import structs
from hub.destinations import Destination
from hub.net import tools_for
from hub.outcomes import NotConnected, Retry
from hub.stream import Stream, connector
from hub.testing import eventually, make_batch
from plugins.syslog import isaax_destinations
from plugins.syslog.destination import SyslogDatagrams
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import parse_rfc5424, server_tls, syslog_receiver
from tests.fixtures.receivers import SyslogServer

(SYSLOG,) = isaax_destinations()


@asynccontextmanager
async def stream_to(port: int, *, close_timeout: float = 5.0) -> AsyncIterator[Stream]:
    """Give a stream to a TCP port of this host."""
    async with tools_for("int_x", private_hosts=True) as tools:
        yield Stream(
            connector(tools.dial, "127.0.0.1", port), "the peer", close_timeout=close_timeout
        )


@asynccontextmanager
async def built(config: dict[str, Any]) -> AsyncIterator[Destination]:
    """Build a syslog destination, and leave its end to the test."""
    async with tools_for("int_x", private_hosts=True) as tools:
        yield SYSLOG.build(structs.decode(SYSLOG.config, config), tools)


async def send_until_it_fails(destination: Destination) -> None:
    """Send lines until the destination notices that nobody takes them."""
    async with asyncio.timeout(10):
        while True:
            await destination.send(make_batch("another"))
            await asyncio.sleep(0.001)


def on_each_loop(test: Callable[..., Any]) -> Any:
    """Run a coroutine test on asyncio's own loop and on uvloop, which the hub uses."""

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    def run(loop: Callable[[], asyncio.AbstractEventLoop], tls_config: dict[str, Any]) -> None:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(test(tls_config))

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@pytest.fixture
def tls_config(authority: TestAuthority, local_certificate: Pair) -> dict[str, Any]:
    """A config that trusts the receiver's certificate; `tls` is for the receiver itself."""
    return {"host": "localhost", "ca": authority.pem, "tls": server_tls(local_certificate)}


@on_each_loop
async def test_an_idle_connection_that_ends_is_noticed(tls_config: dict[str, Any]) -> None:
    """By `wait_lost`, without a send; the next send opens a new one."""
    tls = tls_config.pop("tls")
    async with syslog_receiver(tls_config, tls=tls) as receiver, built(tls_config) as destination:
        lost = asyncio.ensure_future(destination.wait_lost())  # type: ignore[attr-defined]
        await destination.send(make_batch("one"))
        await eventually(lambda: receiver.taken() == ["one"], "the line arrived")
        assert not lost.done()
        for writer in tuple(receiver._writers):
            writer.close()
        async with asyncio.timeout(5):
            await lost
        await destination.send(make_batch("two"))
        await destination.close()
        assert receiver.taken() == ["one", "two"]
        assert receiver.connections == 2


@on_each_loop
async def test_a_loss_that_nobody_waited_for_is_reported_by_the_next_send(
    tls_config: dict[str, Any],
) -> None:
    """Else the lines before it would be lost; and it is reported once."""
    tls = tls_config.pop("tls")
    async with syslog_receiver(tls_config, tls=tls) as receiver, built(tls_config) as destination:
        await destination.send(make_batch("one"))
        await eventually(lambda: receiver.taken() == ["one"], "the line arrived")
        for writer in tuple(receiver._writers):
            writer.transport.abort()
        with pytest.raises(NotConnected, match="localhost:"):
            await send_until_it_fails(destination)
        await destination.send(make_batch("three"))
        await destination.close()
        assert receiver.taken()[-1] == "three"


@on_each_loop
async def test_closing_says_whether_all_was_taken(tls_config: dict[str, Any]) -> None:
    """It returns once the peer has read to the end, and raises when it did not."""
    tls = tls_config.pop("tls")
    async with syslog_receiver(tls_config, tls=tls) as receiver:
        lines = [f"{number} {'x' * 300}" for number in range(5_000)]
        async with built(tls_config) as destination:
            await destination.send(make_batch(*lines))
            await destination.close()
            assert receiver.taken() == lines
        async with built(tls_config) as destination:
            await destination.send(make_batch("late"))
            await eventually(lambda: receiver.taken()[-1] == "late", "the line arrived")
            await receiver.end()
            connection = destination._stream._connection  # type: ignore[attr-defined]
            await eventually(connection.lost.is_set, "the end was noticed")
            with pytest.raises(NotConnected):
                await destination.close()


async def test_a_peer_that_does_not_end_is_given_up_on() -> None:
    """Closing is bounded, and does not claim what it does not know."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with stream_to(silent.getsockname()[1], close_timeout=0.1) as stream:
            await stream.write([b"line\n"])
            with pytest.raises(NotConnected, match="did not end the connection in time"):
                await stream.close()
            await stream.close()


async def test_a_peer_that_does_not_read_makes_a_write_wait_in_bounded_memory() -> None:
    """A cancelled write drops the connection: its last line may be half there."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with stream_to(silent.getsockname()[1]) as stream:
            lost = asyncio.ensure_future(stream.wait_lost())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.write([b"x" * 1_000_000 + b"\n"] * 64)
            await lost
            accepted, _ = silent.accept()
            with accepted:
                await stream.write([b"whole\n"])
                again, _ = silent.accept()
                with again:
                    again.settimeout(5)
                    assert again.recv(100) == b"whole\n"
                with contextlib.suppress(NotConnected):
                    await stream.close()


async def test_a_cancelled_write_is_reported_where_nobody_waited() -> None:
    """What was written before it must be sent again, too."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with stream_to(silent.getsockname()[1]) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stream.write([b"x" * 1_000_000 + b"\n"] * 64)
            with pytest.raises(NotConnected, match="given up half-way"):
                await stream.write([b"next\n"])


async def test_waiting_for_the_loss_of_nothing_waits() -> None:
    """Before the first send there is no connection that could be lost."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with stream_to(silent.getsockname()[1]) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stream.wait_lost()


async def test_the_lines_for_a_host_that_is_not_allowed_wait() -> None:
    """Until the host is mended, or the hub's owner allows it: nothing is lost meanwhile."""
    async with tools_for("int_x", private_hosts=False) as tools:
        config = structs.decode(SYSLOG.config, {"host": "127.0.0.1", "transport": "tcp"})
        with pytest.raises(Retry, match="not a public address"):
            await SYSLOG.build(config, tools).send(make_batch("one"))


async def test_a_client_without_its_certificate_gets_nothing_confirmed(
    own_syslog_server: SyslogServer, authority: TestAuthority
) -> None:
    """TLS 1.3 refuses it after the handshake: the loss is reported, and no line was taken."""
    port = own_syslog_server.ports["mtls-rfc5424-lf"]
    config = {"host": "localhost", "port": port, "ca": authority.pem}
    async with built(config) as destination:
        with pytest.raises(NotConnected):
            await send_until_it_fails(destination)
    assert own_syslog_server.lines("pump-1") == []


# ── UDP ───────────────────────────────────────────────────────────────────────────────────────


async def test_udp_sends_a_datagram_a_line() -> None:
    """No frame, and none longer than the setting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        config = {"host": "127.0.0.1", "port": receiver.getsockname()[1], "transport": "udp"}
        async with built(config) as destination:
            await destination.send(make_batch("a\nb", "x" * 5000, *["more"] * 100))
            first, second = receiver.recv(70_000), receiver.recv(70_000)
            assert parse_rfc5424(first)["text"] == "a\nb"
            assert len(second) == 1024
            assert parse_rfc5424(second)["text"].endswith("… [cut: 5000 bytes]")
            await destination.close()
            await destination.close()


async def test_udp_reports_that_nobody_listens() -> None:
    """The only thing that UDP ever says, and it is not ignored."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = {"host": "127.0.0.1", "port": port, "transport": "udp"}
    async with built(config) as destination:
        assert isinstance(destination, SyslogDatagrams)
        lost = asyncio.ensure_future(destination.wait_lost())
        await destination.send(make_batch("one"))
        async with asyncio.timeout(5):
            await lost
        with pytest.raises(NotConnected, match=f"nothing listens for UDP at 127.0.0.1:{port}"):
            await send_until_it_fails(destination)
        await destination.close()
