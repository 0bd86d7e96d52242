"""rsyslog and syslog-ng take what `syslog` and `papertrail` send, exactly and without complaint."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hub import structs
from hub.batches import Batch, Chunk
from hub.destinations import Destination, DestinationType
from hub.net import tools_for
from hub.outcomes import NotConnected
from hub.testing import deliver, eventually, make_chunk
from plugins.papertrail import isaax_destinations as papertrail
from plugins.syslog import isaax_destinations as syslog
from tests.fixtures.certificates import TestAuthority
from tests.fixtures.receivers import FORMS, SyslogServer

START = 1_795_446_245_999_000  # the lines go over a second's edge
PRIORITIES = [14, 0, 191, 84, 11]
PROGRAMS = ["demo", "sshd", "a/b.c_d-e", "kernel", "x"]
MESSAGES = [
    "plain",
    "größer 温度 🌡️",
    'quotes " \\ [brackets] {braces} 100%',
    "tab\tand colour \x1b[31mred\x1b[0m",
    "a: b[1]: c",
]


@pytest.fixture
def host() -> str:
    """A host name of this test's own."""
    return f"host-{next(_numbers)}"


_numbers = itertools.count(1)


@asynccontextmanager
async def destination(kind: str, config: dict[str, Any]) -> AsyncIterator[Destination]:
    """Build one of our destinations, and see that it closes in order."""
    declared: DestinationType[Any] = (papertrail() if kind == "papertrail" else syslog())[0]
    async with tools_for("int_test", private_hosts=True) as tools:
        built = declared.build(structs.decode(declared.config, config), tools)
        yield built
        await built.close()


def config_for(form: str, server: SyslogServer, authority: TestAuthority) -> dict[str, Any]:
    """Give the config of `syslog` that this form needs."""
    transport, style, *framing = form.split("-", 2)
    config: dict[str, Any] = {"host": "127.0.0.1", "port": server.ports[form], "format": style}
    config["transport"] = transport.removeprefix("m")
    if framing:
        config["framing"] = framing[0]
    if "tls" in transport:
        config["ca"] = authority.pem
    if transport == "mtls":
        client = authority.issue("hub", client=True)
        config |= {"client_certificate": client.certificate, "client_key": client.key}
    return config


def mixed_chunk(host: str) -> Chunk:
    """Lines that differ in everything."""
    return make_chunk(MESSAGES, host=host, time_us=START, priorities=PRIORITIES, programs=PROGRAMS)


def shown(server: SyslogServer, host: str) -> list[tuple[str, int, str]]:
    """Give program, priority and message of each line; RFC 3164's tag leaves a space at rsyslog."""
    return [
        (line["program"], int(line["pri"]), line["message"].removeprefix(" "))
        for line in server.lines(host)
    ]


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_is_taken_exactly(
    form: str, syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """Host, program, severity and facility, and text are what the device sent."""
    uniform = make_chunk([f"line {number}" for number in range(200)], host=host, time_us=START)
    expected = list(zip(PROGRAMS, PRIORITIES, MESSAGES, strict=True))
    expected += [("demo", 14, text) for text in uniform.lines.messages]
    async with destination("syslog", config_for(form, syslog_server, authority)) as built:
        await built.send(Batch("one", (mixed_chunk(host), uniform)))
    await eventually(lambda: len(shown(syslog_server, host)) >= len(expected), "all were written")
    assert shown(syslog_server, host) == expected
    times = [line["time"][:26] for line in syslog_server.lines(host)[:3]]
    if "rfc5424" in form:
        assert [time[:26] for time in times] == [
            "2026-11-23T15:04:05.999000", "2026-11-23T15:04:06.000000",
            "2026-11-23T15:04:06.001000",
        ]  # fmt: skip
    else:
        assert [time[:19] for time in times] == [
            "2026-11-23T15:04:05", "2026-11-23T15:04:06", "2026-11-23T15:04:06",
        ]  # fmt: skip
    assert syslog_server.complaints() == ""


@pytest.mark.parametrize("form", ["tls-rfc5424-lf", "tls-rfc5424-octet-counting"])
async def test_newlines_and_long_lines_stay_one_message(
    form: str, syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """What had to be replaced or cut shows that it was."""
    texts = ["a\nb\r\nc\0d", "x" * 20_000, "ü" * 20_000, "", "end"]
    async with destination("syslog", config_for(form, syslog_server, authority)) as built:
        await built.send(Batch("one", (make_chunk(texts, host=host, time_us=START),)))
    await eventually(lambda: len(syslog_server.lines(host)) >= len(texts), "all were written")
    first, ascii_cut, umlauts_cut, empty, last = (text for _, _, text in shown(syslog_server, host))
    newline, both = ("\n", "\r\n") if "octet" in form else ("#012", "#015#012")
    assert first == f"a{newline}b{both}c#000d"
    assert ascii_cut.endswith("x… [cut: 20000 bytes]")
    assert umlauts_cut.endswith("ü… [cut: 40000 bytes]")
    assert 8000 < len(ascii_cut) < 8192
    assert (empty, last) == ("", "end")
    assert syslog_server.complaints() == ""


async def test_ids_and_structured_data_are_parsed(
    syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """The stable id travels in registered fields, beside the user's own elements."""
    config = config_for("tls-rfc5424-lf", syslog_server, authority)
    config |= {"include_id": True, "structured_data": '[own@32473 key="a \\"b\\" \\]"]'}
    async with destination("syslog", config) as built:
        await built.send(Batch("one", (make_chunk(["text"], host=host, first=41),)))
    await eventually(lambda: len(syslog_server.lines(host)) == 1, "it was written")
    (line,) = syslog_server.lines(host)
    assert line["procid"] == "app-1"
    assert line["message"] == "text"
    assert "sequenceId" in str(line["sd"])
    assert "41" in str(line["sd"])
    assert "own@32473" in str(line["sd"])
    assert syslog_server.complaints() == ""


@pytest.mark.parametrize("style", ["rfc5424", "rfc3164"])
async def test_papertrail_classic(
    style: str, syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """The classic mode is syslog over TLS."""
    form = f"tls-{style}-lf"
    config = {
        "mode": "classic", "host": "localhost", "port": syslog_server.ports[form],
        "ca": authority.pem, "format": style,
    }  # fmt: skip
    async with destination("papertrail", config) as built:
        await built.send(Batch("one", (mixed_chunk(host),)))
    await eventually(lambda: len(shown(syslog_server, host)) >= 5, "all were written")
    assert shown(syslog_server, host) == list(zip(PROGRAMS, PRIORITIES, MESSAGES, strict=True))
    assert syslog_server.complaints() == ""


async def test_papertrail_token(
    syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """The token travels as structured data, and the message is what it was."""
    config = {
        "mode": "token", "token": "s3cret-Token_1", "host": "localhost", "ca": authority.pem,
        "port": syslog_server.ports["tls-rfc5424-lf"],
    }  # fmt: skip
    async with destination("papertrail", config) as built:
        await built.send(Batch("one", (mixed_chunk(host),)))
    await eventually(lambda: len(shown(syslog_server, host)) >= 5, "all were written")
    assert [line["message"] for line in syslog_server.lines(host)] == MESSAGES
    if syslog_server.name == "rsyslog":  # syslog-ng shows elements without parameters as nothing
        assert {line["sd"] for line in syslog_server.lines(host)} == {"[s3cret-Token_1@41058]"}
    assert syslog_server.complaints() == ""


async def send_for_ever(to: Destination, batch: Batch) -> None:
    """Send without a pause, until it fails."""
    async with asyncio.timeout(10):
        while True:
            await to.send(batch)


async def test_a_killed_receiver_is_noticed_and_no_line_is_mixed_up(
    syslog_server: SyslogServer, authority: TestAuthority, host: str
) -> None:
    """SIGKILL in mid-stream is reported; what is sent again after it arrives whole."""
    lines = [f"{number:05d} {'x' * 200}" for number in range(500)]
    batch = Batch("one", (make_chunk(lines, host=host, time_us=START),))
    async with destination("syslog", config_for("tls-rfc5424-lf", syslog_server, authority)) as to:
        await to.send(batch)
        await eventually(lambda: len(syslog_server.lines(host)) >= 1, "the first were written")
        syslog_server.kill()
        with pytest.raises(NotConnected):
            await send_for_ever(to, batch)
        syslog_server.start()
        await deliver(to, batch)
        last = lines[-1]
        await eventually(
            lambda: syslog_server.lines(host)[-1]["message"] == last, "the rest was written"
        )
    known = set(lines)
    strange = [text for _, _, text in shown(syslog_server, host) if text not in known]
    # The line that was under way when it was killed may have been written in part.
    assert all(any(line.startswith(text) for line in lines) for text in strange)
    assert known <= {text for _, _, text in shown(syslog_server, host)}
