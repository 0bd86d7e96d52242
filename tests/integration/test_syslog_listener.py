"""The syslog listener on real sockets: backpressure, limits, TLS, datagrams and the end."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from structlog.testing import capture_logs

from hub import structs
from hub.errors import Invalid, StartError
from hub.relay.ingest import Ingest
from hub.telemetry import Metrics
from hub.testing import eventually
from plugins.syslog_listener.config import Listener, SyslogListenerSettings
from plugins.syslog_listener.parse import MAX_MESSAGE
from plugins.syslog_listener.service import syslog_listener
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.ingest import RecordingIngest

TOKENS = {"t0ken": "prj_mine", "0ther": "prj_other"}


class Listening:
    """A running listener named `in`."""

    def __init__(self, port: int, ingest: RecordingIngest, metrics: Metrics) -> None:
        self.port = port
        self.ingest = ingest
        self._metrics = metrics

    def metric(self, line: str) -> float:
        """Give a metric by its name and labels, as they are rendered."""
        rows = self._metrics.render().decode().splitlines()
        return next((float(row.rpartition(" ")[2]) for row in rows if row.startswith(line)), 0.0)

    async def connect(
        self, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to it."""
        name = "localhost" if tls else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname=name)

    def shout(self, *datagrams: bytes) -> None:
        """Send datagrams."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, ("127.0.0.1", self.port))


@asynccontextmanager
async def listening(
    transport: str = "tcp", *, settings: dict[str, Any] | None = None, **listener: Any
) -> AsyncIterator[Listening]:
    """Run one listener."""
    ingest, metrics = RecordingIngest(dict(TOKENS)), Metrics()
    one = {"transport": transport, "port": 0, "token": "t0ken", "host": "127.0.0.1", **listener}
    decoded = structs.decode(SyslogListenerSettings, {"listeners": {"in": one}, **(settings or {})})
    async with syslog_listener(decoded, cast("Ingest", ingest), metrics) as ports:
        yield Listening(ports["in"], ingest, metrics)


async def test_lines_are_stored_with_all_that_they_say() -> None:
    """Host, program, priority and time; the peer's address where there is no host."""
    async with listening() as at:
        _, writer = await at.connect()
        writer.write(b"<34>1 2003-10-11T22:14:15.003Z web-1 su - ID47 - one\n<13>two\n")
        await eventually(lambda: len(at.ingest.stored) == 2, "both were stored")
        writer.close()
        first, second = at.ingest.stored
        assert (first.project, first.source, first.host) == ("prj_mine", "syslog-in", "web-1")
        assert (first.time, first.priority, first.program) == (1065910455003000, 34, "su")
        assert (first.stream, first.message) == ("sys", "one")
        assert (second.host, second.priority, second.message) == ("127.0.0.1", 13, "two")
        lines = 'isaax_syslog_listener_lines_total{listener="in"}'
        await eventually(lambda: at.metric(lines) == 2, "they were counted")


async def test_a_message_may_name_another_project_by_its_token() -> None:
    """One whose token is not valid is dropped: it is nobody's."""
    async with listening() as at:
        _, writer = await at.connect()
        for token, text in (("0ther", "theirs"), ("n0ne", "lost"), ("t0ken", "mine")):
            writer.write(f'<13>1 - h a - - [isaax@32473 token="{token}"] {text}\n'.encode())
        await eventually(lambda: len(at.ingest.stored) == 2, "two were stored")
        writer.close()
        found = {(line.project, line.message) for line in at.ingest.stored}
        assert found == {("prj_other", "theirs"), ("prj_mine", "mine")}
        dropped = 'isaax_syslog_listener_dropped_total{listener="in",reason="unknown token"}'
        assert at.metric(dropped) == 1


async def test_a_connections_last_line_needs_no_end() -> None:
    """Whoever closes without a line feed has said everything."""
    async with listening() as at:
        _, writer = await at.connect()
        writer.write(b"<13>a: first\n<13>a: last")
        writer.close()
        await eventually(lambda: at.ingest.messages == ["first", "last"], "both were stored")


async def test_no_more_is_read_than_reaches_the_disk() -> None:
    """A sender that is faster waits, and nothing is lost for it."""
    async with listening() as at:
        at.ingest.flowing.clear()
        _, writer = await at.connect()
        count = 20_000
        lines = b"".join(b"<13>a: %06d %s\n" % (number, b"x" * 1000) for number in range(count))
        writer.write(lines)
        await eventually(lambda: at.ingest.waiting > 0, "the first were handed over")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await writer.drain()
        assert at.ingest.waiting * 1000 < 256 * 1024
        at.ingest.flowing.set()
        await writer.drain()
        writer.close()
        await eventually(lambda: len(at.ingest.stored) == count, "all were stored")
        numbers = [int(text.split()[0]) for text in at.ingest.messages]
        assert numbers == list(range(count))


@pytest.mark.parametrize("trouble", ["limit", "away", "token"])
async def test_tcp_waits_for_what_passes(trouble: str) -> None:
    """A limit, JetStream away, a token that is not there yet: the sender waits."""
    async with listening() as at:
        match trouble:
            case "limit":
                at.ingest.limited["prj_mine"] = 0.01
            case "away":
                at.ingest.away = True
            case "token":
                at.ingest.tokens.clear()
        _, writer = await at.connect()
        writer.write(b"<13>a: one\n")
        await asyncio.sleep(0.05)
        assert at.ingest.messages == []
        at.ingest.limited.clear()
        at.ingest.away = False
        at.ingest.tokens.update(TOKENS)
        await eventually(lambda: at.ingest.messages == ["one"], "it was stored")
        writer.close()


async def test_a_project_at_its_limit_holds_up_no_other() -> None:
    """On connections of their own."""
    async with listening() as at:
        at.ingest.limited["prj_other"] = 60.0
        _, limited = await at.connect()
        limited.write(b'<13>1 - h a - - [isaax@32473 token="0ther"] theirs\n')
        _, free = await at.connect()
        free.write(b"<13>a: mine\n")
        await eventually(lambda: at.ingest.messages == ["mine"], "it was stored")
        at.ingest.limited.clear()
        limited.transport.abort()
        free.close()


@pytest.mark.parametrize("trouble", ["limit", "stuck"])
async def test_projects_in_trouble_leave_memory_to_others(trouble: str) -> None:
    """However many connections they have, each with more than may be read at once."""
    async with listening(settings={"memory": 4 << 20}) as at:
        if trouble == "limit":
            at.ingest.limited["prj_other"] = 60.0
        else:
            at.ingest.stuck.add("prj_other")
        line = b'<13>1 - h a - - [isaax@32473 token="0ther"] %s\n' % (b"x" * 1_000)
        writers = [(await at.connect())[1] for _ in range(40)]
        for writer in writers:
            writer.write(line * 200)
        if trouble == "limit":
            await eventually(lambda: at.ingest.tried >= 30, "most have tried")
        else:
            await eventually(lambda: at.ingest.waiting >= 100, "some are being stored")
        _, free = await at.connect()
        free.write(b"<13>a: mine\n")
        await eventually(lambda: at.ingest.messages == ["mine"], "it was stored")
        free.close()
        at.ingest.limited.clear()
        at.ingest.stuck.clear()
        await eventually(lambda: len(at.ingest.stored) == 40 * 200 + 1, "and then all the others")
        for writer in writers:
            writer.close()


async def test_a_connection_that_waits_is_not_looked_at_again_and_again() -> None:
    """While its project is at its limit, nothing is made of what it sent."""
    async with listening() as at:
        at.ingest.limited["prj_mine"] = 0.01
        _, writer = await at.connect()
        writer.write(b"<13>a: one\n")
        await eventually(lambda: at.ingest.asked > 2, "it asks whether it may go on")
        assert at.ingest.tried == 1
        at.ingest.limited.clear()
        await eventually(lambda: at.ingest.messages == ["one"], "it was stored")
        writer.close()


async def test_what_is_stored_is_not_stored_again_with_the_rest() -> None:
    """Of lines that came together, those of one project wait; their times are those of then."""
    async with listening() as at:
        at.ingest.limited["prj_other"] = 0.01
        _, writer = await at.connect()
        for token, text in (("t0ken", "1"), ("0ther", "2"), ("n0ne", "3"), ("0ther", "4")):
            writer.write(f'<13>1 - h a - - [isaax@32473 token="{token}"] {text}\n'.encode())
        await eventually(lambda: at.ingest.messages == ["1"], "one was stored")
        await eventually(lambda: at.ingest.asked > 1, "the others were tried again")
        at.ingest.limited.clear()
        await eventually(lambda: len(at.ingest.stored) == 3, "they were stored")
        writer.close()
        assert at.ingest.messages == ["1", "2", "4"]
        assert len({line.time for line in at.ingest.stored}) == 1
        dropped = 'isaax_syslog_listener_dropped_total{listener="in",reason="unknown token"}'
        assert at.metric(dropped) == 1


async def test_there_may_be_only_so_many_connections() -> None:
    """What is refused is closed at once, and counted; a place that is left can be taken."""
    async with listening(settings={"connections_per_address": 2}) as at:
        writers = [(await at.connect())[1] for _ in range(2)]
        reader, writer = await at.connect()
        assert await reader.read() == b""
        writer.close()
        refused = 'isaax_syslog_listener_refused_total{listener="in",reason="too many connections f'
        assert at.metric(refused) == 1
        writers.pop().close()
        gauge = 'isaax_syslog_listener_connections{listener="in"}'
        await eventually(lambda: at.metric(gauge) == 1, "one has ended")
        _, writer = await at.connect()
        writer.write(b"<13>a: x\n")
        await eventually(lambda: at.ingest.messages == ["x"], "the place was taken")
        writer.close()
        writers.pop().close()


async def test_an_idle_connection_is_closed() -> None:
    """After what the config says."""
    async with listening(settings={"idle": 0.05}) as at:
        reader, writer = await at.connect()
        writer.write(b"<13>a: last")
        assert await reader.read() == b""
        writer.close()
        await eventually(lambda: at.ingest.messages == ["last"], "it was stored")


async def test_the_end_stores_what_was_read_and_closes() -> None:
    """SIGTERM leaves the context; nothing that was taken is lost."""
    async with listening() as at:
        at.ingest.flowing.clear()
        reader, writer = await at.connect()
        writer.write(b"<13>a: one\n")
        await eventually(lambda: at.ingest.waiting == 1, "it is being stored")
        writer.write(b"<13>a: two\n")
        await writer.drain()
        asyncio.get_running_loop().call_later(0.1, at.ingest.flowing.set)
    assert at.ingest.messages[0] == "one"
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await at.connect()


async def test_the_end_stores_what_waits_at_a_limit() -> None:
    """A limit sets the pace; it is no reason to lose what was read, of which no sender knows."""
    texts = [f"{number:04d} {'x' * 1_000}" for number in range(500)]
    async with asyncio.timeout(20):
        async with listening() as at:
            at.ingest.limited["prj_mine"] = 300.0
            reader, writer = await at.connect()
            writer.write("".join(f"<13>a: {text}\n" for text in texts).encode())
            await eventually(lambda: at.ingest.tried == 1, "it waits")
            hearing = asyncio.create_task(reader.read())
            hearing.add_done_callback(lambda _: writer.close())
        assert await hearing == b""
    assert at.ingest.messages == texts
    assert at.metric('isaax_syslog_listener_lines_total{listener="in"}') == len(texts)


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_sender_that_looks_for_the_end_loses_nothing(
    transport: str,
    loop: Callable[[Coroutine[Any, Any, None]], None],
    tmp_path: Path,
    authority: TestAuthority,
    local_certificate: Pair,
) -> None:
    """What it wrote until it heard of it is taken; so do rsyslog and syslog-ng."""
    certificate, key = local_certificate.write(tmp_path, "in")
    files = {"certificate": str(certificate), "key": str(key)} if transport == "tls" else {}
    trust = ssl.create_default_context(cadata=authority.pem) if transport == "tls" else None
    sent: list[str] = []

    async def run() -> None:
        async with asyncio.timeout(30):
            async with listening(transport, **files) as at:
                sending = asyncio.create_task(
                    asyncio.to_thread(send_until_end, at.port, trust, sent)
                )
                await eventually(lambda: len(at.ingest.stored) > 1_000, "it flows")
            await sending
            assert at.ingest.messages == sent

    loop(run())


def send_until_end(port: int, tls: ssl.SSLContext | None, sent: list[str]) -> None:
    """Send lines, and look for the end before each dozen of them."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        connection = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        while not has_ended(connection):
            new = [f"{len(sent) + number:06d}" for number in range(12)]
            sent += new
            connection.sendall("".join(f"<13>a: {text}\n" for text in new).encode())
        connection.close()


def has_ended(connection: socket.socket) -> bool:
    """Say whether the peer has, without waiting."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except ssl.SSLEOFError:  # TLS has a word of its own for the end, which is not said
        return True
    finally:
        connection.setblocking(True)


async def test_a_sender_that_does_not_hear_the_end_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not hold up the hub, however much it has to say."""
    monkeypatch.setattr("plugins.syslog_listener.connection._LINGER", 0.3)
    async with asyncio.timeout(20):
        async with listening() as at:
            _, writer = await at.connect()

            async def go_on() -> None:
                while True:
                    writer.write(b"<13>a: more\n" * 100)
                    await writer.drain()
                    await asyncio.sleep(0)

            sending = asyncio.create_task(go_on())
            await eventually(lambda: len(at.ingest.stored) > 1_000, "it flows")
    with pytest.raises(ConnectionError):
        await sending


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_what_the_end_leaves_no_time_for_is_told(transport: str) -> None:
    """By number, in the log and the metrics: a sender of syslog cannot know."""
    running: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    leaving = asyncio.Event()

    async def live() -> None:
        async with listening(transport) as at:
            running.set_result(at)
            await leaving.wait()

    service = asyncio.create_task(live())
    at = await running
    at.ingest.away = True
    if transport == "udp":
        at.shout(b"<13>a: one", b"<13>a: two", b"<13>a: three")
    else:
        reader, writer = await at.connect()
        writer.write(b"<13>a: one\n<13>a: two\n<13>a: thr")
    await eventually(lambda: at.ingest.tried > 1, "it was tried")
    leaving.set()
    before = at.ingest.tried
    await eventually(lambda: at.ingest.tried > before, "it is tried to the end")
    dropped = 'isaax_syslog_listener_dropped_total{listener="in",reason="the hub ended first"}'
    assert at.metric(dropped) == 0
    with capture_logs() as logs:
        service.cancel()
        with pytest.raises(asyncio.CancelledError):
            await service
    assert at.metric(dropped) == 3
    assert [(one["event"], one["messages"]) for one in logs] == [("dropped", 3)]
    if transport == "tcp":
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("transport", ["tcp", "tls", "udp"])
def test_it_runs_on_the_loop_that_the_hub_has(
    transport: str, tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """uvloop's transports differ from asyncio's."""
    certificate, key = local_certificate.write(tmp_path, "in")
    files = {"certificate": str(certificate), "key": str(key)} if transport == "tls" else {}
    trust = ssl.create_default_context(cadata=authority.pem) if transport == "tls" else None
    texts = [f"{number:05d} {'x' * 1000}" for number in range(1_000)]

    async def send() -> None:
        async with listening(transport, **files) as at:
            if transport == "udp":
                at.shout(b"<13>a: only")
                await eventually(lambda: at.ingest.messages == ["only"], "it was stored")
                return
            _, writer = await at.connect(trust)
            writer.write("".join(f"<13>a: {text}\n" for text in texts).encode())
            writer.close()
            await eventually(lambda: at.ingest.messages == texts, "all were stored")

    uvloop.run(send())


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def tls_listening(folder: Path, pair: Pair, **settings: Any) -> AsyncIterator[Listening]:
    """Run a TLS listener."""
    certificate, key = pair.write(folder, "in")
    async with listening(
        "tls", certificate=str(certificate), key=str(key), settings=settings
    ) as at:
        yield at


async def test_tls_takes_octet_counted_lines(
    tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """RFC 5425's transport; a line may hold line feeds then."""
    trust = ssl.create_default_context(cadata=authority.pem)
    async with tls_listening(tmp_path, local_certificate) as at:
        _, writer = await at.connect(trust)
        message = b"<13>1 - h a - - - two\nlines"
        big = b"<13>a: " + b"x" * 200_000
        writer.write(b"%d %b%d %b" % (len(message), message, len(big), big))
        await eventually(lambda: len(at.ingest.stored) == 2, "both were stored")
        writer.close()
        assert at.ingest.messages[0] == "two\nlines"
        assert at.ingest.messages[1].endswith(f"… [cut: {len(big)} bytes]")
        assert len(at.ingest.messages[1]) < MAX_MESSAGE + 50


@pytest.mark.parametrize("loop", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("is_told", [True, False], ids=["close_notify", "no word"])
def test_the_end_of_a_tls_stream_waits_for_all_of_it(
    is_told: bool,
    loop: Callable[[Coroutine[Any, Any, None]], None],
    tmp_path: Path,
    authority: TestAuthority,
    local_certificate: Pair,
) -> None:
    """What a peer sent before it left is stored, however long that takes."""
    trust = ssl.create_default_context(cadata=authority.pem)
    texts = [f"{number:04d} {'x' * 1_000}" for number in range(400)]

    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as plain:
            connection = trust.wrap_socket(plain, server_hostname="localhost")
            connection.sendall("".join(f"<13>a: {text}\n" for text in texts).encode())
            if is_told:
                connection.setblocking(False)
                with contextlib.suppress(ssl.SSLWantReadError):
                    connection.unwrap()
            connection.close()

    async def run() -> None:
        async with tls_listening(tmp_path, local_certificate) as at:
            at.ingest.flowing.clear()
            await asyncio.to_thread(send, at.port)
            await eventually(lambda: at.ingest.waiting > 0, "the first are being stored")
            at.ingest.flowing.set()
            await eventually(lambda: at.ingest.messages == texts, "all were stored")

    loop(run())


async def test_a_handshake_that_hangs_holds_up_nobody(
    tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """rsyslog#5539; it is given up after a while, and so is what is no TLS."""
    trust = ssl.create_default_context(cadata=authority.pem)
    async with tls_listening(tmp_path, local_certificate, handshake=0.3) as at:
        hanging = [await at.connect() for _ in range(10)]
        _, writer = await at.connect(trust)
        writer.write(b"<13>a: one\n")
        await eventually(lambda: at.ingest.messages == ["one"], "it was stored")
        writer.close()
        for reader, hung in hanging:
            assert await reader.read() == b""
            hung.close()
        refused = 'isaax_syslog_listener_refused_total{listener="in",reason="no handshake"}'
        await eventually(lambda: at.metric(refused) == 10, "all were counted")


async def test_the_end_waits_for_no_handshake(tmp_path: Path, local_certificate: Pair) -> None:
    """Nothing was read there."""
    async with asyncio.timeout(5):
        async with tls_listening(tmp_path, local_certificate, handshake=60.0) as at:
            _, writer = await at.connect()
            gauge = 'isaax_syslog_listener_connections{listener="in"}'
            await eventually(lambda: at.metric(gauge) == 1, "it is shaking hands")
        writer.close()


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the files' names."""
    listener = {"transport": "tls", "port": 0, "token": "t", "host": "127.0.0.1"}
    files = {"certificate": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    decoded = structs.decode(SyslogListenerSettings, {"listeners": {"in": listener | files}})

    async def start() -> None:
        ingest = cast("Ingest", RecordingIngest({}))
        async with syslog_listener(decoded, ingest, Metrics()):
            pass

    with pytest.raises(StartError, match=r"none\.pem"):
        asyncio.run(start())


# ── UDP ───────────────────────────────────────────────────────────────────────────────────────


async def test_datagrams_are_stored() -> None:
    """Each is a message; a token in it means nothing, and is not kept."""
    async with listening("udp") as at:
        at.shout(
            b"<38>Nov 23 15:04:05 web-1 sshd[812]: one\n\0",
            b'<13>1 - h a - - [isaax@32473 token="0ther"] two',
            b"three",
        )
        await eventually(lambda: len(at.ingest.stored) == 3, "all were stored")
        found = [(one.project, one.host, one.program, one.message) for one in at.ingest.stored]
        assert sorted(found) == [
            ("prj_mine", "127.0.0.1", "-", "three"),
            ("prj_mine", "h", "a", "two"),
            ("prj_mine", "web-1", "sshd", "one"),
        ]


async def test_datagrams_that_do_not_fit_are_counted() -> None:
    """They wait while JetStream is away, as many as may; what waits is stored afterwards."""
    async with listening("udp", settings={"udp_queue": 65_536}) as at:
        at.ingest.flowing.clear()
        at.shout(*[b"<13>a: %04d %s" % (number, b"x" * 1000) for number in range(200)])
        dropped = 'isaax_syslog_listener_dropped_total{listener="in",reason="the queue is full"}'
        await eventually(lambda: at.metric(dropped) > 0, "some were dropped")
        at.ingest.flowing.set()
        await eventually(
            lambda: len(at.ingest.stored) + at.metric(dropped) == 200, "the others were stored"
        )
        assert 40 < len(at.ingest.stored) < 200


@pytest.mark.parametrize("trouble", ["limit", "token"])
async def test_datagrams_wait_for_no_limit(trouble: str) -> None:
    """Their senders cannot be made to wait: they are dropped, and counted."""
    async with listening("udp") as at:
        if trouble == "limit":
            at.ingest.limited["prj_mine"] = 60.0
            reason = "the project's limit is reached"
        else:
            at.ingest.tokens.clear()
            reason = "the listener's token is not valid"
        at.shout(b"<13>a: one")
        dropped = f'isaax_syslog_listener_dropped_total{{listener="in",reason="{reason}"}}'
        await eventually(lambda: at.metric(dropped) == 1, "it was dropped")
        at.ingest.limited.clear()
        at.ingest.tokens.update(TOKENS)
        at.shout(b"<13>a: two")
        await eventually(lambda: at.ingest.messages == ["two"], "the next was stored")


async def test_the_end_stores_the_datagrams_that_wait() -> None:
    """They were taken."""
    async with listening("udp") as at:
        at.ingest.flowing.clear()
        at.shout(b"<13>a: one")
        await eventually(lambda: at.ingest.waiting == 1, "it is being stored")
        at.shout(b"<13>a: two")
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().call_later(0.05, at.ingest.flowing.set)
    assert at.ingest.messages == ["one", "two"]


# ── the config ────────────────────────────────────────────────────────────────────────────────

GOOD = {"transport": "tcp", "port": 601, "token": "t"}


@pytest.mark.parametrize(
    "change",
    [
        {"transport": "sctp"},
        {"port": 70_000},
        {"token": ""},
        {"zone": "Mars/Olympus"},
        {"zone": "../../etc/passwd"},
        {"transport": "tls"},
        {"certificate": "a.pem"},
        {"unknown": 1},
    ],
)
def test_a_listener_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """At the start, and with words."""
    assert structs.decode(Listener, GOOD).zone_info() is not None
    with pytest.raises(Invalid):
        structs.decode(Listener, GOOD | change)


async def test_a_port_that_is_taken_is_named() -> None:
    """With the listener's name."""
    async with listening() as at:
        with pytest.raises(StartError, match=rf"listeners\.in: .* port {at.port}"):
            async with listening(port=at.port):
                pass


async def test_nothing_listens_by_default() -> None:
    """The service may be in every hub's list."""
    ingest = cast("Ingest", RecordingIngest({}))
    async with syslog_listener(SyslogListenerSettings(), ingest, Metrics()) as ports:
        assert ports == {}
