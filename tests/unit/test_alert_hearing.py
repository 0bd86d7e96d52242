"""What is known of a project's lines: counted in buckets, by a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub import HeardLines, LinePlace
from hub.protocol import Codec, Lines, ProtocolError, count_severities, encode_batch
from services.alerts import peers
from services.alerts.hearing import Bad, Ear, Needs
from services.alerts.judging import of_silence
from tests.unit.test_alert_judging import rule

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def seconds(count: float) -> datetime:
    """Give a moment."""
    return NOW + timedelta(seconds=count)


def lines(at: float, *severities: int, stream: str = "app", device: str = "dev_a") -> HeardLines:
    """Make a batch that was stored then."""
    counts = [severities.count(severity) for severity in range(8)]
    return HeardLines(device, stream, LinePlace(round(seconds(at).timestamp() * 1e9), 1), counts)


def ear(**changes: Any) -> Ear:
    """Listen from noon on, for rules like this one."""
    made = Ear(NOW, NOW, LinePlace(0), {}, NOW)
    made.need(Needs.of([rule(kind="error-rate", over=1.0, **changes)]), NOW)
    return made


def test_lines_are_counted_from_a_severity_on_and_in_a_time() -> None:
    mine = rule(kind="error-rate", over=1.0, minutes=1, level="warning")
    one = ear(minutes=1, level="warning")
    one.note(lines(1, 0, 4, 5, 6))
    one.note(lines(30, 3, 3, stream="sys"))
    one.note(lines(31, 3, device="dev_b"))
    one.caught_up(seconds(40))
    assert one.bad(mine, "dev_a") == Bad(4, 4)
    assert one.bad(mine, "dev_b") == Bad(1, 1)
    assert (
        one.bad(rule(kind="error-rate", minutes=1, level="warning", stream="sys"), "dev_a").now == 2
    )
    one.caught_up(seconds(65))
    assert one.bad(mine, "dev_a") == Bad(2, 2)
    one.caught_up(seconds(200))
    assert one.bad(mine, "dev_a") == Bad(0, 0)


def test_what_was_most_between_two_looks_is_known_once() -> None:
    mine = rule(kind="error-rate", minutes=1)
    one = ear(minutes=1)
    one.caught_up(seconds(10))
    one.note(lines(12, 3))
    one.note(lines(15, 3))
    one.caught_up(seconds(100))
    assert one.bad(mine, "dev_a") == Bad(2, 0)
    one.caught_up(seconds(115))
    assert one.bad(mine, "dev_a") == Bad(0, 0)


def test_what_was_not_counted_is_read_again() -> None:
    """For a rule that needs more than those before; one that needs less leaves all as it is."""
    one = ear(minutes=5)
    one.note(lines(1, 3))
    place = one.place
    one.need(Needs.of([rule(kind="error-rate", minutes=1)]), seconds(10))
    assert one.place == place
    one.need(Needs.of([rule(kind="error-rate", minutes=5, level="debug")]), seconds(10))
    assert one.place.time == round(seconds(10 - 300).timestamp() * 1e9)


def test_silence_is_of_a_stream_or_of_all() -> None:
    """From when a device was registered or listened to, at the earliest; and not told at once."""
    device = peers.Device("dev_a", 1, "prj_a", "", "", "active", False, seconds(-900), None)
    one = ear()
    one.note(lines(200, 6, stream="sys"))
    one.caught_up(seconds(301))
    assert of_silence(rule(kind="silence", stream="app"), device, one, seconds(301)).holds
    heard = of_silence(rule(kind="silence"), device, one, seconds(301))
    assert (heard.holds, heard.is_calm) == (False, True)
    assert not of_silence(rule(kind="silence", stream="app"), device, one, seconds(299)).holds
    one.fair = seconds(310)
    assert not of_silence(rule(kind="silence", stream="app"), device, one, seconds(301)).holds


@pytest.mark.parametrize("codec", Codec)
def test_severities_are_counted_without_the_texts(codec: Codec) -> None:
    many = Lines([1, 2, 3, 4], [3, 8 + 3, 6, 191], ["a", "b", "c", "d"], ["x", "y", "z", "ä"])
    assert count_severities(encode_batch(many, boot=1, first=1, codec=codec)) == [
        0, 0, 0, 2, 0, 0, 1, 1,
    ]  # fmt: skip
    alike = Lines([1, 2], 14, "a", ["x", "y"])
    assert count_severities(encode_batch(alike, boot=1, first=1, codec=codec))[6] == 2


def test_what_is_no_batch_is_not_counted() -> None:
    short = Lines([1, 2], [3], "a", ["x", "y"])
    with pytest.raises(ProtocolError):
        count_severities(encode_batch(short, boot=1, first=1))
    with pytest.raises(ProtocolError):
        count_severities(b"rubbish")
