"""The demo's receiver counts right: a demo that cannot fail shows nothing."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from hub.embedded.demo.screen import Counts, LiveScreen, PlainScreen
from hub.embedded.demo.show import Result
from hub.embedded.demo.tally import Message, NotSyslogError, StreamTally, Tally, parse

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def message(text: str) -> Message:
    return Message(NOW, "vm", "demo", text)


def test_a_message_is_read() -> None:
    raw = '<14>1 2026-11-23T12:00:00.000123Z vm demo 7 - [a@1 b="c\\]"][d e="f"] größer = 1'
    assert parse(raw.encode()) == Message(NOW.replace(microsecond=123), "vm", "demo", "größer = 1")


def test_a_message_without_a_text_is_read() -> None:
    assert parse(b"<14>1 2026-11-23T12:00:00Z vm demo - - -").text == ""


@pytest.mark.parametrize(
    "raw",
    [b"", b"hello", b"<14>Nov 23 12:00:00 vm demo: old", b"<14>1 today vm demo - - - x", b"\xff"],
)
def test_what_is_no_rfc_5424_is_refused(raw: bytes) -> None:
    with pytest.raises(NotSyslogError):
        parse(raw)


def test_lines_in_order_are_complete() -> None:
    stream = StreamTally()
    for number in (1, 2, 3):
        stream.add(number)
    assert (stream.complete_to, stream.delivered) == (3, 3)
    assert (stream.duplicates, stream.disordered) == (0, 0)


def test_a_hole_a_duplicate_and_disorder_are_seen() -> None:
    stream = StreamTally()
    for number in (1, 3, 3, 2, 5, 1):
        stream.add(number)
    assert (stream.complete_to, stream.delivered) == (3, 4)
    assert stream.duplicates == 2
    assert stream.disordered == 2


def test_missing_lines_are_counted_of_what_was_sent() -> None:
    tally = Tally()
    for text in ("demo app line 1: a", "demo app line 3: c", "demo sys line 1: x", "else"):
        tally.add(message(text))
    assert tally.delivered == 3
    assert tally.missing({"app": 4, "sys": 1}) == 2
    assert tally.missing({"app": 0, "sys": 1}) == 0


@pytest.mark.parametrize(
    ("sent", "missing", "disordered", "malformed", "complete"),
    [(5, 0, 0, 0, True), (0, 0, 0, 0, False), (5, 1, 0, 0, False), (5, 0, 1, 0, False),
     (5, 0, 0, 1, False)],
)  # fmt: skip
def test_only_all_of_it_is_complete(
    sent: int, missing: int, disordered: int, malformed: int, complete: bool
) -> None:
    result = Result(Counts(sent, sent, sent), missing, 0, disordered, malformed)
    assert result.complete is complete
    assert str(result).startswith("NOT" if not complete else "Every line")


def test_the_plain_screen_shows_lines_and_counts() -> None:
    console = Console(force_terminal=False, width=200)
    with console.capture() as shown:
        screen = PlainScreen(console)
        screen.counts(Counts(3, 2, 1, 0.5))
        screen.line(message("[bold]temperature[/] 21 °C\x1b[31m"))
    assert "sent 3, acknowledged 2, delivered 1, lag 0.50 s" in shown.get()
    assert "vm demo: [bold]temperature[/] 21 °C�[31m" in shown.get()


def test_the_live_screen_shows_lines_and_counts() -> None:
    console = Console(force_terminal=True, width=100, color_system=None)
    screen = LiveScreen(console)
    screen.line(message("pump started"))
    screen.counts(Counts(3, 2, 1, 0.5))
    with console.capture() as shown:
        console.print(screen.live.get_renderable())
    assert "vm demo: pump started" in shown.get()
    assert "delivered 1" in shown.get()
