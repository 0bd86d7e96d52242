"""GELF over HTTP, TCP and UDP: what is sent, and what each answer means."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.destinations import Destination, StreamDestination
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.testing import eventually, make_batch, make_chunk
from plugins.gelf import isaax_destinations
from plugins.gelf.config import GelfConfig
from plugins.gelf.destination import chunks
from plugins.gelf.message import messages
from tests.fixtures.gelf import (
    GelfHttpServer,
    gelf_stream,
    gelf_udp,
    read_message,
    text_of,
)
from tests.fixtures.http_receivers import Request, connected

(GELF,) = isaax_destinations()
START = 1_795_446_245_123_456


@asynccontextmanager
async def built(**config: Any) -> AsyncIterator[Destination]:
    """Build a destination, and close it."""
    async with tools_for("int_x", private_hosts=True) as tools:
        assert GELF.build is not None
        destination = GELF.build(structs.decode(GelfConfig, config), tools)
        try:
            yield destination
        finally:
            await destination.close()


def one(text: str, **labels: str) -> dict[str, Any]:
    """Give the message of one line."""
    chunk = replace(make_chunk([text], time_us=START, first=41, priorities=11), labels=labels)
    (data,) = messages(Batch("b", (chunk,)))
    assert b"\n" not in data
    assert b"\0" not in data
    return read_message(data)


def test_a_message_has_all_that_is_known() -> None:
    """With the line's id under a name that is not reserved."""
    assert one("boom", site="north") == {
        "version": "1.1",
        "host": "pump-1",
        "short_message": "boom",
        "timestamp": 1795446245.123456,
        "level": 3,
        "_line_id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "_project": "prj_aaaaaaaaaaaaaaaaaaaa",
        "_device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "_stream": "app",
        "_program": "demo",
        "_facility": 1,
        "_site": "north",
    }


@pytest.mark.parametrize(
    ("text", "short", "full"),
    [
        ("a\nb", "a", "a\nb"),
        ("\n  a\r\n b", "a", "\n  a\r\n b"),
        ("a\n", "a\n", None),
        (" a ", " a ", None),
        ("", "-", None),
        (" \n\t", "-", None),
        ("a\0b", "a\0b", None),
    ],
)
def test_the_short_message_is_the_first_line_and_never_blank(
    text: str, short: str, full: str | None
) -> None:
    """Graylog throws a message away whose short one is."""
    message = one(text)
    assert message["short_message"] == short
    assert message.get("full_message") == full


def test_a_label_cannot_take_a_name_that_is_ours_or_reserved() -> None:
    """`_id` is Graylog's, and our own fields win."""
    message = one("x", id="7", stream="mine", **{"a b": "c", "ü": "d"})
    assert message["_label_id"] == "7"
    assert message["_stream"] == "app"
    assert message["_a_b"] == "c"
    assert message["__"] == "d"


# ── HTTP ──────────────────────────────────────────────────────────────────────────────────────


async def test_http_sends_a_message_a_request_over_few_connections() -> None:
    """As every GELF input takes it; lines of one device's stream in their order."""
    async with connected(GelfHttpServer(), GELF) as (server, to):
        streams = {"app": [f"a{at}" for at in range(30)], "sys": [f"s{at}" for at in range(30)]}
        batch = Batch("b", tuple(make_chunk(texts, stream=name) for name, texts in streams.items()))
        await to.send(batch)
        assert len(server.requests) == 60
        for name, texts in streams.items():
            got = [text_of(item) for item in server.messages if item["_stream"] == name]
            assert got == texts
        assert server.requests[0].headers["content-encoding"] == "gzip"


async def test_http_in_bulk_keeps_within_what_an_input_takes() -> None:
    """65,536 bytes by default; a message that is longer is refused without asking."""
    async with connected(GelfHttpServer(bulk=True), GELF) as (server, to):
        texts = ["x" * 1000 for _ in range(100)]
        await to.send(make_batch(*texts))
        assert server.taken() == texts
        assert len(server.requests) == 2
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("before", "x" * 70_000, "after"))
        assert [index for index, _ in partial.value.rejected] == [1]
        assert server.taken()[-2:] == ["before", "after"]


class _Busy(GelfHttpServer):
    """An input that is busy when it comes to a certain line."""

    def answer(self, request: Request) -> web.Response:
        """Take a message, but for that one."""
        if b"busy" in request.body:
            return web.Response(status=503, text="later", headers={"Retry-After": "3"})
        if b"bad" in request.body:
            return web.Response(status=400, text="bad request")
        return super().answer(request)


async def test_http_tells_what_is_left_and_what_is_final() -> None:
    """What was taken does not come again, and what comes later waits for what came before."""
    async with connected(_Busy(concurrency=1), GELF) as (server, to):
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("one", "bad", "two", "busy", "three"))
        assert server.taken() == ["one", "two"]
    assert partial.value.rejected == ((1, "answered 400: bad request"),)
    assert partial.value.retry == (3, 4)
    assert partial.value.after == 3


async def test_http_raises_what_holds_for_all() -> None:
    """Nothing taken: the whole batch comes again; all refused: it is final."""
    async with connected(_Busy(), GELF) as (_, to):
        with pytest.raises(Retry, match="503: later") as retry:
            await to.send(make_batch("busy", "one"))
        assert retry.value.after == 3
        with pytest.raises(Rejected, match="400: bad request"):
            await to.send(make_batch("bad 1", "bad 2"))


async def test_http_needs_the_right_header() -> None:
    """A wrong token is final, and not repeated."""
    server = GelfHttpServer(headers={"Authorization": "Bearer wr0ng"})
    async with connected(server, GELF) as (_, to):
        with pytest.raises(Rejected, match="401: who are you") as refused:
            await to.send(make_batch("one"))
        assert "wr0ng" not in refused.value.reason


def test_a_batch_of_single_requests_is_small() -> None:
    """So that it ends within its time limit."""
    http = {"transport": "http", "url": "http://localhost/gelf"}
    single = GELF.limits_of(structs.decode(GelfConfig, http))
    assert single.max_lines == 200
    bulk = GELF.limits_of(structs.decode(GelfConfig, http | {"bulk": True}))
    assert bulk.max_lines == 2_000


# ── TCP and UDP ───────────────────────────────────────────────────────────────────────────────


async def test_tcp_messages_end_with_a_nul() -> None:
    """Also where a line holds one."""
    async with (
        gelf_stream({"transport": "tcp", "host": "127.0.0.1"}) as receiver,
        built(**receiver.config) as to,
    ):
        await to.send(make_batch("a\0b", "two\nlines"))
        await to.close()
        await eventually(lambda: receiver.taken() == ["a\0b", "two\nlines"], "both arrived")


async def test_tcp_notices_a_loss() -> None:
    """What was not confirmed comes again: the type has a window."""
    assert GELF.window is not None
    async with (
        gelf_stream({"transport": "tcp", "host": "127.0.0.1"}) as receiver,
        built(**receiver.config) as to,
    ):
        await to.send(make_batch("one"))
        await eventually(lambda: receiver.taken() == ["one"], "it arrived")
        assert isinstance(to, StreamDestination)
        lost = asyncio.create_task(to.wait_lost())
        await receiver.end()
        async with asyncio.timeout(10):
            await lost
        with pytest.raises(NotConnected):
            await to.send(make_batch("two"))


@pytest.mark.parametrize("compression", ["gzip", "zlib", "none"])
@pytest.mark.parametrize("datagram", [512, 1420, 8192])
async def test_udp_messages_come_whole_in_one_datagram_or_in_chunks(
    compression: str, datagram: int
) -> None:
    """None longer than was configured."""
    texts = ["short", "".join(chr(33 + at * at % 89) for at in range(20_000))]
    async with (
        gelf_udp() as (receiver, port),
        built(
            transport="udp", host="127.0.0.1", port=port, compression=compression,
            datagram=datagram,
        ) as to,
    ):  # fmt: skip
        await to.send(make_batch(*texts))
        await eventually(lambda: len(receiver.messages) == 2, "both arrived")
        assert [text_of(message) for message in receiver.messages] == texts
        assert max(map(len, receiver.datagrams)) <= datagram
        first = b"{" if compression == "none" else {"gzip": b"\x1f", "zlib": b"\x78"}[compression]
        assert receiver.datagrams[0].startswith(first)


async def test_udp_refuses_what_no_128_chunks_can_hold() -> None:
    """The others are sent."""
    async with (
        gelf_udp() as (receiver, port),
        built(transport="udp", host="127.0.0.1", port=port, compression="none", datagram=512) as to,
    ):
        with pytest.raises(Partial) as partial:
            await to.send(make_batch("before", "x" * 64_001, "after"))
        await eventually(lambda: len(receiver.messages) == 2, "the others arrived")
    assert [index for index, _ in partial.value.rejected] == [1]
    assert "128 chunks" in partial.value.rejected[0][1]


def test_chunks_are_numbered_and_of_one_message() -> None:
    """Magic, eight bytes of id, number, count: 12 bytes, and then the data."""
    parts = chunks(b"x" * 1001, 512)
    assert [(part[:2], part[10], part[11], len(part)) for part in parts] == [
        (b"\x1e\x0f", 0, 3, 512), (b"\x1e\x0f", 1, 3, 512), (b"\x1e\x0f", 2, 3, 13),
    ]  # fmt: skip
    assert len({part[2:10] for part in parts}) == 1
    assert chunks(b"x" * 1001, 512)[0][2:10] != parts[0][2:10]
    assert len(chunks(b"x" * 128 * 500, 512)) == 128


async def test_udp_reports_that_nobody_listens() -> None:
    """As far as the host says so."""
    async with gelf_udp() as (_, port):
        pass
    async with built(transport="udp", host="127.0.0.1", port=port) as to:
        with pytest.raises(NotConnected, match="nothing listens for UDP"):
            await _send_for_ever(to)


async def _send_for_ever(to: Destination) -> None:
    async with asyncio.timeout(10):
        while True:
            await to.send(make_batch("one"))
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "config",
    [
        {"transport": "http"}, {"transport": "tcp"}, {"transport": "tcp", "url": "http://x"},
        {"transport": "http", "url": "http://x", "host": "y"},
        {"transport": "tcp", "host": "x", "bulk": True},
        {"transport": "udp", "host": "x", "headers": {"A": "b"}},
        {"transport": "http", "url": "http://x", "compression": "zlib"},
        {"transport": "tcp", "host": "x", "client_key": "k"},
        {"transport": "udp", "host": "x", "ca": "c"}, {"transport": "udp", "host": "x/y"},
        {"transport": "udp", "host": "x", "datagram": 9000},
        {"transport": "http", "url": "http://x", "headers": {"Content-Type": "b"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any]) -> None:
    """When it is made."""
    with pytest.raises(Invalid):
        structs.decode(GelfConfig, config)
