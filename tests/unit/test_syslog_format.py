"""Syslog messages: what RFC 5424 and RFC 3164 say, for whatever devices send."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.batches import Batch
from hub.syslog import (
    PIECE_LINES,
    SyslogFormatter,
    SyslogStyle,
    cut,
    header,
    legacy_host,
    legacy_tag,
)
from hub.testing import make_batch, make_chunk
from tests.fixtures.destinations import parse_rfc5424

START = 1_795_446_245_123_456  # 2026-11-23T15:04:05.123456Z


def written(batch: Batch, **style: object) -> bytes:
    """Give what is written to a stream."""
    return b"".join(SyslogFormatter(SyslogStyle(**style)).stream(batch))  # type: ignore[arg-type]


def test_rfc5424() -> None:
    """The whole message, byte by byte."""
    assert written(make_batch("hello", "wörld", time_us=START)) == (
        b"<14>1 2026-11-23T15:04:05.123456Z pump-1 demo - - - hello\n"
        b"<14>1 2026-11-23T15:04:05.124456Z pump-1 demo - - - w\xc3\xb6rld\n"
    )


def test_rfc3164() -> None:
    """The time stamp is in UTC, in English, and a day below ten has a space."""
    early = START - 20 * 86_400_000_000
    assert written(
        make_batch("hello", time_us=early, priorities=[3], programs=["sshd"]), format="rfc3164"
    ) == (b"<3>Nov  3 15:04:05 pump-1 sshd: hello\n")


def test_octet_counting_counts_bytes() -> None:
    """RFC 6587, 3.4.1: octets, not characters; a newline stays within its message."""
    batch = make_batch("ü", "a\nb", time_us=START)
    head = "<14>1 2026-11-23T15:04:05.12{}456Z pump-1 demo - - - "
    first, second = head.format(3) + "ü", head.format(4) + "a\nb"
    expected = b"".join(
        f"{len(text.encode())} ".encode() + text.encode() for text in (first, second)
    )
    assert written(batch, framing="octet-counting") == expected


def test_ascii_and_other_text_are_framed_alike() -> None:
    """The quick way and the other give the same."""
    plain = written(make_batch("a", "b", time_us=START), framing="octet-counting")
    mixed = written(make_batch("a", "b", "ü", time_us=START), framing="octet-counting")
    assert mixed.startswith(plain)


def test_unsafe_characters_are_replaced_visibly() -> None:
    """As rsyslog writes them; RFC 5424, 6.4 allows it."""
    text = written(make_batch("a\nb\rc\0d\te", time_us=START)).decode()
    assert text.endswith(" a#012b#015c#000d\te\n")
    octets = written(make_batch("a\nb\rc\0d", time_us=START), framing="octet-counting")
    assert octets.endswith(b" a\nb\rc#000d")


def test_what_lines_share_or_not_gives_the_same_text() -> None:
    """One number or program for all lines, or a column of equal ones."""
    scalar = make_batch("a", "b", time_us=START)
    columns = make_batch("a", "b", time_us=START, priorities=[14, 14], programs=["demo", "demo"])
    assert written(scalar) == written(columns)


def test_facility_can_be_overridden() -> None:
    """The severity stays the line's own."""
    batch = make_batch("a", "b", time_us=START, priorities=[3, 191])
    assert re.findall(rb"<\d+>", written(batch, facility=16)) == [b"<131>", b"<135>"]


def test_structured_data_and_ids() -> None:
    """PROCID and sequenceId together are the line's stable id, with the host."""
    batch = make_batch("a", "b", time_us=START, first=2_147_483_647)
    first, second = written(batch, include_id=True, structured_data="[x@1]").splitlines()
    assert first.endswith(b' pump-1 demo app-1 - [x@1][meta sequenceId="2147483647"] a')
    assert second.endswith(b' pump-1 demo app-1 - [x@1][meta sequenceId="1"] b')
    assert written(batch, structured_data="[x@1]").splitlines()[0].endswith(b" - - [x@1] a")


def test_labels_are_structured_data() -> None:
    """Escaped, never breaking a frame, and only as many as leave room for the text."""
    labels = {"site": 'a "b"] \\ c\nd', "long_" * 10: "ü", "huge": "x" * 300, "last": "y"}
    batch = Batch("b", (replace(make_chunk(["hello"], time_us=START), labels=labels),))
    data = r'[labels@32473 site="a \"b\"\] \\ c#012d" ' + "long_" * 6 + 'lo="ü"'
    assert written(batch, max_message=600).decode().endswith(f' - {data} last="y"] hello\n')
    text = written(batch, structured_data="[a@1]", include_id=True).decode()
    assert f'[a@1]{data} huge="{"x" * 300}" last="y"][meta sequenceId="1"] hello' in text
    assert parse_rfc5424(text[:-1].encode())["text"] == "hello"
    long = replace(make_chunk(["z" * 900], host="h" * 255), labels=labels)
    assert len(written(Batch("b", (long,)), max_message=480)) == 480 + len("\n")
    assert b"site=" not in written(batch, format="rfc3164")


@pytest.mark.parametrize(
    "moment",
    [0, -1, 1, 999_999, 10**15 - 1, 10**15, 10**16 - 1, 10**16, 10**18, 2**63 - 1, -(2**63)],
)
def test_wild_clocks_give_a_valid_time(moment: int) -> None:
    """A device without a clock, or with a broken one, is no reason to fail."""
    batch = make_batch("a", time_us=moment)
    found = parse_rfc5424(written(batch)[:-1])
    shown = datetime.fromisoformat(found["time"])
    if 0 <= moment < 10**16:
        assert int(shown.timestamp()) == moment // 1_000_000
        assert shown.microsecond == moment % 1_000_000
    assert re.match(rb"<14>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", written(batch, format="rfc3164"))


@given(st.lists(st.integers(10**15 - 10**7, 10**15 + 10**7), min_size=1, max_size=30))
def test_times_are_exact(times: list[int]) -> None:
    """Within one second, over many, backwards, and where the number of digits changes."""
    chunk = make_chunk(["x"] * len(times))
    chunk.lines.times[:] = times
    rows = SyslogFormatter(SyslogStyle()).datagrams(Batch("b", (chunk,)))
    shown = [datetime.fromisoformat(parse_rfc5424(row)["time"]) for row in rows]
    assert [
        int(moment.replace(microsecond=0).timestamp()) * 10**6 + moment.microsecond
        for moment in shown
    ] == times
    assert all(moment.tzinfo == UTC for moment in shown)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.lists(st.tuples(TEXT, TEXT, st.integers(0, 191)), min_size=1, max_size=8), TEXT)
def test_any_text_makes_valid_messages(lines: list[tuple[str, str, int]], host: str) -> None:
    """One message a line, each of them parsed, with the line's own priority."""
    chunk = make_chunk(
        [message for message, _, _ in lines],
        programs=[program for _, program, _ in lines],
        priorities=[priority for _, _, priority in lines],
        host=host,
    )
    data = written(Batch("b", (chunk,)))
    assert data.endswith(b"\n")
    messages = data[:-1].split(b"\n")
    assert [int(parse_rfc5424(message)["pri"]) for message in messages] == [
        priority for _, _, priority in lines
    ]
    framed = written(Batch("b", (chunk,)), framing="octet-counting")
    texts = [parse_rfc5424(message)["text"] for message in _unframed(framed)]
    assert texts == [message.replace("\0", "#000") for message, _, _ in lines]


def _unframed(data: bytes) -> Iterator[bytes]:
    while data:
        count, _, rest = data.partition(b" ")
        yield rest[: int(count)]
        data = rest[int(count) :]


@given(st.lists(st.text(max_size=3000), min_size=1, max_size=5), st.integers(480, 2000))
def test_no_message_is_longer_than_allowed(messages: list[str], longest: int) -> None:
    """And one that fits is left as it is."""
    batch = make_batch(*messages, time_us=START)
    formatter = SyslogFormatter(SyslogStyle(max_message=longest, framing="datagram"))
    for row, message in zip(formatter.datagrams(batch), messages, strict=True):
        assert len(row) <= longest
        whole = message.replace("\0", "#000").encode()
        text = parse_rfc5424(row)["text"].encode()
        if text != whole:
            assert text.endswith(f"… [cut: {len(whole)} bytes]".encode())
            assert len(row) > longest - 4


@given(st.text(max_size=100), st.integers(0, 200))
def test_cut_keeps_characters_whole(text: str, room: int) -> None:
    """What is left is a beginning of the text, and it says how long that was."""
    result = cut(text, room)
    if result != text:
        kept, mark, size = result.rpartition("… [cut: ")
        assert text.startswith(kept)
        assert mark
        assert size == f"{len(text.encode())} bytes]"


@pytest.mark.parametrize(
    ("make", "text", "made"),
    [
        (header, "Küche 1", "Kuche-1"),
        (header, "", "-"),
        (header, "日本", "--"),
        (legacy_host, "a b:c/d", "a-b-c-d"),
        (legacy_host, "-", "unknown"),
        (legacy_tag, "sshd[12]: x", "sshd-12---x"),
        (legacy_tag, "", "unknown"),
        (legacy_tag, "x" * 40, "x" * 32),
    ],
)
def test_header_fields(make: object, text: str, made: str) -> None:
    """Readable, printable, and of the length that the RFCs allow."""
    assert (make(text, 255) if make is header else make(text)) == made  # type: ignore[operator]


def test_long_names_are_cut_to_the_fields() -> None:
    """RFC 5424, 6: HOSTNAME 255, APP-NAME 48."""
    found = parse_rfc5424(written(make_batch("a", host="h" * 300, programs="p" * 99))[:-1])
    assert len(found["host"]) == 255
    assert len(found["program"]) == 48


def test_pieces_hold_many_lines_and_all_of_them() -> None:
    """Small chunks go out together, large ones one by one; nothing is lost between them."""
    small = [make_chunk(["x"], first=number) for number in range(PIECE_LINES)]
    large = [make_chunk(["y"] * PIECE_LINES) for _ in range(2)]
    pieces = list(SyslogFormatter(SyslogStyle()).stream(Batch("b", (*small, *large))))
    assert len(pieces) == 3
    assert b"".join(pieces).count(b"\n") == 3 * PIECE_LINES


def test_many_hosts_and_seconds_are_forgotten_again() -> None:
    """A formatter that lives for years stays small."""
    formatter = SyslogFormatter(SyslogStyle())
    for number in range(5_000):
        batch = make_batch("x", host=f"h{number}", time_us=START + number * 1_000_000)
        assert list(formatter.stream(batch))
    assert len(formatter._seconds) <= 4096
    assert formatter._tail.cache_info().currsize <= 2048


def test_ids_of_a_chunk_with_holes_are_those_of_its_lines() -> None:
    """What a shape left out leaves a hole in the numbers."""
    chunk = replace(make_chunk(["a", "b", "c"], first=7), seqs=[7, 9, 2**31])
    assert re.findall(rb'sequenceId="(\d+)"', written(Batch("b", (chunk,)), include_id=True)) == [
        b"7", b"9", b"1",
    ]  # fmt: skip


def test_octets_of_structured_data_beyond_ascii_are_counted() -> None:
    """A parameter's value may be any UTF-8 (RFC 5424, 6.3.3)."""
    style = {"framing": "octet-counting", "structured_data": '[a@1 name="größer"]'}
    data = written(make_batch("x", "ü", programs=["one", "two"], time_us=START), **style)
    assert [row.rpartition(b"] ")[2] for row in _unframed(data)] == [b"x", "ü".encode()]
