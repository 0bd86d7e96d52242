"""Syslog messages taken apart, and cut out of streams: the RFCs' examples, and anything at all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.syslog_listener.framing import Frame, Framer
from plugins.syslog_listener.parse import MAX_MESSAGE, Message, parse

NOW = 1_795_446_245_000_000  # 2026-11-23T15:04:05Z
WHOLE = st.binary(max_size=300)


def at(text: str) -> int:
    """Give microseconds since the Unix epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def parsed(text: str) -> tuple[int, int, str, str, str]:
    """Give what a message says."""
    found = parse(text.encode(), now=NOW)
    return found.time, found.priority, found.host, found.program, found.text


# ── RFC 5424, 6.5 ─────────────────────────────────────────────────────────────────────────────

EXAMPLE_SD = '[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]'


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff'su root' "
            "failed for lonvick on /dev/pts/8",
            (
                at("2003-10-11T22:14:15.003+00:00"), 34, "mymachine.example.com", "su",
                "'su root' failed for lonvick on /dev/pts/8",
            ),
        ),
        (
            "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to "
            "make the do-nuts.",
            (
                at("2003-08-24T12:14:15.000003+00:00"), 165, "192.0.2.1", "myproc",
                "%% It's time to make the do-nuts.",
            ),
        ),
        (
            f"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 {EXAMPLE_SD} "
            "\ufeffAn application event log entry...",
            (
                at("2003-10-11T22:14:15.003+00:00"), 165, "mymachine.example.com", "evntslog",
                f"{EXAMPLE_SD} An application event log entry...",
            ),
        ),
        (
            "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
            f'{EXAMPLE_SD}[examplePriority@32473 class="high"]',
            (
                at("2003-10-11T22:14:15.003+00:00"), 165, "mymachine.example.com", "evntslog",
                f'{EXAMPLE_SD}[examplePriority@32473 class="high"]',
            ),
        ),
        ("<0>1 - - - - - -", (NOW, 0, "", "-", "")),
        ("<191>1 - h a p m - text ", (NOW, 191, "h", "a", "text ")),
        # Times that RFC 5424, 6.2.3.1 gives as examples, good and bad.
        ("<1>1 1985-04-12T23:20:50.52Z h a - - - x",
         (at("1985-04-12T23:20:50.52Z"), 1, "h", "a", "x")),
        ("<1>1 1985-04-12T19:20:50.52-04:00 h a - - - x",
         (at("1985-04-12T23:20:50.52Z"), 1, "h", "a", "x")),
        ("<1>1 2003-08-24T05:14:15.000000003-07:00 h a - - - x",
         (at("2003-08-24T12:14:15Z"), 1, "h", "a", "x")),
        ("<1>1 2003-06-31T05:14:15Z h a - - - x", (NOW, 1, "h", "a", "x")),
        ("<1>1 yesterday h a - - - x", (NOW, 1, "h", "a", "x")),
        # Structured data that is none stays in the text.
        ("<1>1 - h a - - [broken x", (NOW, 1, "h", "a", "[broken x")),
        ('<1>1 - h a - - [a b="c\\]d\\"e"] x', (NOW, 1, "h", "a", '[a b="c\\]d\\"e"] x')),
        ("<1>1 - h a - - [a][b] x", (NOW, 1, "h", "a", "[a][b] x")),
    ],
)  # fmt: skip
def test_rfc_5424(message: str, expected: tuple[int, int, str, str, str]) -> None:
    """Its own examples, and what comes close."""
    assert parsed(message) == expected


@pytest.mark.parametrize(
    ("data", "token", "text"),
    [
        ('[isaax@32473 token="t0k"]', "t0k", "x"),
        ('[a b="c"][isaax@32473 token="t0k"][d]', "t0k", '[a b="c"][d] x'),
        ('[isaax@32473 other="1" token="a\\]\\"\\\\b"]', 'a]"\\b', "x"),
        ("[isaax@32473]", None, "x"),
        ('[isaax@324730 token="t0k"]', None, '[isaax@324730 token="t0k"] x'),
    ],
)
def test_a_token_is_taken_out_of_the_line(data: str, token: str | None, text: str) -> None:
    """It is nowhere else then; other structured data stays at the front."""
    found = parse(f"<13>1 - h a - - {data} x".encode(), now=NOW)
    assert (found.token, found.text) == (token, text)


# ── RFC 3164, 5.4 ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            (
                at("2026-10-11T22:14:15Z"), 34, "mymachine", "su",
                "'su root' failed for lonvick on /dev/pts/8",
            ),
        ),
        ("Use the BFG!", (NOW, 13, "", "-", "Use the BFG!")),
        (
            "<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
            (at("2027-02-05T17:32:18Z"), 13, "10.0.0.99", "-", "Use the BFG!"),
        ),
        (
            "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %%",
            (at("2026-08-24T05:34:00Z"), 165, "CST", "-", "1987 mymachine myproc[10]: %%"),
        ),
        (
            "<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All",
            (
                NOW, 0, "", "-",
                "1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All",
            ),
        ),
        # What there is besides.
        ("<38>Nov 23 15:04:05 web-1 sshd[812]: hi", (NOW, 38, "web-1", "sshd", "hi")),
        ("<38>Nov 23 15:04:05 sshd[812]: hi", (NOW, 38, "", "sshd", "hi")),
        ("<38>Nov 3 15:04:05 h a: x", (at("2026-11-03T15:04:05Z"), 38, "h", "a", "x")),
        ("<38>Nov 23 15:04:05.250 h a: x", (NOW + 250_000, 38, "h", "a", "x")),
        ("<38>Nov 23 2025 15:04:05 h a: x", (at("2025-11-23T15:04:05Z"), 38, "h", "a", "x")),
        ("<38>Nov 23 15:04:05 fe80::1 a/b.c: x", (NOW, 38, "fe80::1", "a/b.c", "x")),
        ("<38>Nov 23 15:04:05 h a:", (NOW, 38, "h", "a", "")),
        ("<38>2026-11-23T16:04:05.5+01:00 h a: x", (NOW + 500_000, 38, "h", "a", "x")),
        ("<38>Jan  1 00:00:00 h a: x", (at("2027-01-01T00:00:00Z"), 38, "h", "a", "x")),
        ("<38>Foo 23 15:04:05 h a: x", (NOW, 38, "h", "a", "x")),
        ("<38>su: x", (NOW, 38, "", "su", "x")),
        ("<192>x", (NOW, 13, "", "-", "<192>x")),
        ("<>x", (NOW, 13, "", "-", "<>x")),
        ("<13>", (NOW, 13, "", "-", "")),
        ("", (NOW, 13, "", "-", "")),
        ("<13>1 too little", (NOW, 13, "", "-", "1 too little")),
        (
            "<189>123: *Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured",
            (NOW, 189, "", "123", "*Mar  1 18:46:11.123: %SYS-5-CONFIG_I: Configured"),
        ),
    ],
)  # fmt: skip
def test_rfc_3164(message: str, expected: tuple[int, int, str, str, str]) -> None:
    """Its own examples, and what senders make of it; what is not recognised stays as it is."""
    assert parsed(message) == expected


@pytest.mark.parametrize(
    ("now", "stamp", "expected"),
    [
        ("2026-12-31T23:59:59Z", "Jan  1 00:00:01", "2027-01-01T00:00:01Z"),
        ("2027-01-01T00:00:01Z", "Dec 31 23:59:59", "2026-12-31T23:59:59Z"),
        ("2027-03-01T00:00:00Z", "Feb 29 12:00:00", "2028-02-29T12:00:00Z"),
    ],
)
def test_the_year_is_the_nearest(now: str, stamp: str, expected: str) -> None:
    """RFC 3164's times have none."""
    assert parse(f"<13>{stamp} h a: x".encode(), now=at(now)).time == at(expected)


def test_times_without_a_zone_are_in_that_of_the_config() -> None:
    """Also when its clock changes in the course of the year."""
    berlin = ZoneInfo("Europe/Berlin")
    winter = parse(b"<13>Nov 23 16:04:05 h a: x", now=NOW, zone=berlin)
    summer = parse(b"<13>Jul  1 12:00:00 h a: x", now=NOW, zone=berlin)
    assert winter.time == NOW
    assert summer.time == at("2026-07-01T10:00:00Z")


def test_what_is_not_utf_8_and_what_is_too_long_shows_it() -> None:
    """And neither is dropped."""
    assert parse(b"<13>Nov 23 15:04:05 h a: gr\xf6\xdfer\r\n", now=NOW).text == "gr��er"
    data = b"<13>1 - h a - - - " + "ü".encode() * MAX_MESSAGE
    found = parse(data, now=NOW)
    assert found.text.endswith(f"ü… [cut: {len(data)} bytes]")
    assert found.program == "a"


@given(st.one_of(WHOLE, WHOLE.map(lambda data: b"<13>1 - " + data)), st.integers(0, 2**52))
def test_anything_is_taken(data: bytes, now: int) -> None:
    """The parser never fails, and gives what can be stored."""
    found = parse(data, now=now, zone=UTC)
    assert 0 <= found.priority <= 191
    assert found.program
    assert -(2**62) < found.time < 2**62
    found.text.encode()


HEADER_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    st.integers(0, 191), HEADER_TEXT, HEADER_TEXT,
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0\ufeff")),
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001
)  # fmt: skip
def test_what_rfc_5424_says_comes_out_again(
    priority: int, host: str, program: str, text: str, moment: datetime
) -> None:
    """Field by field."""
    stamp = moment.isoformat(timespec="microseconds")
    data = f"<{priority}>1 {stamp}Z {host} {program} - - - {text}".encode()
    since = moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    time = since // timedelta(microseconds=1)  # no double holds all of these
    expected = Message(time, priority, "" if host == "-" else host, program, text)
    assert parse(data, now=NOW) == expected


# ── streams (RFC 6587) ────────────────────────────────────────────────────────────────────────


def framed(data: bytes, *, size: int = 1 << 20) -> list[Frame]:
    """Cut a whole stream, fed in pieces."""
    framer = Framer()
    frames = [
        frame
        for start in range(0, len(data), size)
        for frame in framer.feed(data[start : start + size])
    ]
    return frames + framer.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"<1>a\n<2>b\n", [b"<1>a", b"<2>b"]),
        (b"<1>a\r\n\n\n<2>b", [b"<1>a\r", b"<2>b"]),
        (b"<1>a\nb\0<2>c\0", [b"<1>a", b"b\0<2>c\0"]),  # a line feed came first
        (b"<1>a\0<2>b\nc\0", [b"<1>a", b"<2>b\nc"]),
        (b"4 <1>a6 <2>b\nc", [b"<1>a", b"<2>b\nc"]),
        (b"4 <1>a\n4 <2>b\n", [b"<1>a", b"<2>b"]),  # counted, and a line feed nevertheless
        (b"<1>a\n4 <2>b<3>c\n", [b"<1>a", b"<2>b", b"<3>c"]),  # each message by itself
        (b"12 monkeys\n1984\n", [b"12 monkeys", b"1984"]),
        (b"0 <1>a\n", [b"0 <1>a"]),
        (b"9999999999999 <1>a\n", [b"9999999999999 <1>a"]),
        (b"42", [b"42"]),
        (b"\n\0\r\n", []),
        (b"", []),
    ],
)
def test_frames_are_told_apart(data: bytes, expected: list[bytes], size: int) -> None:
    """However the stream is cut up on its way."""
    assert [message for message, _ in framed(data, size=size)] == expected


@pytest.mark.parametrize("size", [1_000, 65_536, 1 << 20])
@pytest.mark.parametrize("counted", [False, True])
def test_a_message_that_is_too_long_is_cut_and_harms_no_other(size: int, counted: bool) -> None:
    """The rest of it is passed over, and not held."""
    long = b"<1>" + b"x" * 300_000
    stream = b"%d %b5 <2>ok" % (len(long), long) if counted else long + b"\n<2>ok\n"
    first, second = framed(stream, size=size)
    assert first == (long[:MAX_MESSAGE], len(long))
    assert second == (b"<2>ok", 5)
    assert parse(first[0], now=NOW, size=first[1]).text.endswith("x… [cut: 300003 bytes]")


def test_what_the_end_of_a_connection_cut_off_is_kept_and_shows_it() -> None:
    """A counted message says how long it was to be."""
    ((message, size),) = framed(b"100 <13>a: half")
    assert parse(message, now=NOW, size=size).text == "half… [cut: 100 bytes]"
    ((message, size),) = framed(b"<1>" + b"x" * 100_000)
    assert (len(message), size) == (MAX_MESSAGE, 100_003)
    ((message, size),) = framed(b"100000 <1>" + b"x" * 70_000)
    assert (len(message), size) == (MAX_MESSAGE, 70_003)


@given(
    st.lists(
        st.tuples(st.booleans(), st.binary(min_size=1, max_size=50).map(lambda b: b"<1>" + b)),
        max_size=20,
    ),
    st.integers(1, 40),
)
def test_every_mixture_of_frames_comes_apart(messages: list[tuple[bool, bytes]], size: int) -> None:
    """Counted messages may hold anything, others no end of line."""
    stream, expected = b"<0>first\n", [b"<0>first"]
    for counted, message in messages:
        if counted:
            stream += b"%d %b" % (len(message), message)
            expected.append(message)
        else:
            plain = message.replace(b"\n", b" ")
            stream += plain + b"\n"
            expected.append(plain)
    assert [message for message, _ in framed(stream, size=size)] == expected


@given(st.lists(WHOLE, max_size=8))
def test_any_stream_is_taken(pieces: list[bytes]) -> None:
    """Nothing fails, and nothing that is held grows."""
    framer = Framer()
    frames = [frame for piece in pieces for frame in framer.feed(piece)] + framer.finish()
    assert all(len(message) <= MAX_MESSAGE for message, _ in frames)
