"""The ledger: what may be acknowledged, and what is not handed out again."""

from hypothesis import given
from hypothesis import strategies as st

from hub.relay.ledger import Entry, Ledger
from hub.relay.reader import StoredMessage

LINES = 4
"""Lines of every message here."""


def message(
    sequence: int, *, line: int | None = None, epoch: int = 1, time: int = 0
) -> StoredMessage:
    headers = {} if line is None else {"Isaax-Line": str(line)}
    return StoredMessage(
        "relay.0.p.log.app", b"", headers, sequence, 0, time, f"reply {sequence}", epoch
    )


def admitted(ledger: Ledger, sequence: int, *, line: int | None = None, epoch: int = 1) -> Entry:
    entry = ledger.admit(message(sequence, line=line, epoch=epoch), LINES)
    assert entry is not None
    entry.total, entry.first = LINES, sequence * 100
    return entry


def test_the_longest_done_prefix_may_be_acknowledged() -> None:
    ledger = Ledger()
    first, second, third = (admitted(ledger, n) for n in (3, 5, 9))
    ledger.done(second, LINES)
    assert ledger.advance() is None, "the first one holds it back"
    ledger.done(first, LINES - 1)
    assert ledger.advance() is None
    ledger.done(first, LINES)
    place = ledger.advance()
    assert place is not None
    assert (place.sequence, place.reply) == (5, "reply 5")
    assert ledger.until == 5
    assert ledger.oldest is third


def test_what_comes_again_goes_on_where_it_was() -> None:
    ledger = Ledger()
    first, second = admitted(ledger, 1), admitted(ledger, 2)
    ledger.done(first, 3)
    ledger.done(second, LINES)
    ledger.rewind()
    again = ledger.admit(message(1, epoch=2), LINES)
    assert again is first
    assert again.resume == 3
    assert ledger.admit(message(2, epoch=2), LINES) is None, "it is done"
    ledger.done(again, LINES)
    place = ledger.advance()
    assert place is not None
    assert (place.sequence, place.epoch) == (2, 2), "acknowledged by the reply it has now"


def test_what_was_acknowledged_and_comes_again_is_acknowledged_again() -> None:
    ledger = Ledger()
    ledger.done(admitted(ledger, 1), LINES)
    assert ledger.advance() is not None
    assert ledger.admit(message(1, epoch=2), LINES) is None
    place = ledger.advance()
    assert place is not None
    assert place.epoch == 2
    assert ledger.advance() is None


def test_a_stream_that_lost_its_end_gives_its_sequences_to_others() -> None:
    """What has them now is known by its lines, and what was lost in between is missing."""
    ledger = Ledger()
    ledger.done(admitted(ledger, 1, line=0), LINES)
    ledger.advance()
    admitted(ledger, 2, line=4)
    admitted(ledger, 3, line=8)
    ledger.rewind()
    other = admitted(ledger, 1, line=12, epoch=2)
    assert getattr(ledger.missing, "lines", 0) == 8
    ledger.done(other, LINES)
    place = ledger.advance()
    assert place is not None
    assert (place.sequence, place.epoch, ledger.until, len(ledger)) == (1, 2, 1, 0)


def test_it_knows_others_by_their_time_where_lines_are_not_counted_on() -> None:
    """As after a start from an older checkpoint."""
    ledger = Ledger()
    ledger.done(admitted(ledger, 1, line=8), LINES)
    ledger.advance()
    assert ledger.admit(message(1, line=8), LINES) is None
    assert ledger.admit(message(1, line=8, time=1), LINES) is not None


def test_what_is_done_is_known_by_its_lines_when_sequences_say_nothing() -> None:
    ledger = Ledger()
    for sequence, line in ((7, 0), (8, 4)):
        ledger.done(admitted(ledger, sequence, line=line), LINES)
    ledger.advance()
    ledger.set_back()
    assert ledger.admit(message(3, line=4, epoch=2), LINES) is None, "it was number 8"
    entry = admitted(ledger, 4, line=8, epoch=2)
    assert ledger.missing is None
    ledger.done(entry, LINES)
    place = ledger.advance()
    assert place is not None
    assert (place.sequence, ledger.done_line) == (4, 12)


def test_what_was_written_comes_again_only_when_it_was_lost() -> None:
    ledger = Ledger()
    entry = admitted(ledger, 1)
    ledger.written(entry, LINES)
    assert ledger.admit(message(1, epoch=2), LINES) is None
    ledger.lost()
    assert ledger.admit(message(1, epoch=3), LINES) is entry
    assert entry.resume == 0


def test_lines_that_are_left_are_all_that_is_left() -> None:
    ledger = Ledger()
    entry = admitted(ledger, 1)
    ledger.done_but(entry, LINES, [1, 2])
    assert (entry.resume, sorted(entry.beyond)) == (1, [3])
    ledger.done_but(entry, LINES, [2])
    assert (entry.resume, sorted(entry.beyond)) == (2, [3])
    ledger.done(entry, 3)
    assert entry.is_done


@given(st.lists(st.tuples(st.integers(1, LINES), st.sets(st.integers(0, LINES - 1))), max_size=8))
def test_done_is_never_undone_and_nothing_left_is_done(
    steps: list[tuple[int, set[int]]],
) -> None:
    ledger = Ledger()
    entry = admitted(ledger, 1)
    done: set[int] = set()
    for count, left in steps:
        ledger.done_but(entry, count, left)
        done |= set(range(count)) - left
        held = set(range(entry.done)) | entry.beyond
        assert held == done
        assert entry.is_done == (done == set(range(LINES)))


@given(st.data())
def test_a_model_of_any_order_of_work(data: st.DataObject) -> None:
    """Whatever is done, whenever reading begins anew: nothing is lost, nothing handed out twice."""
    ledger = Ledger()
    stream = range(1, 7)
    todo = {n: list(range(LINES)) for n in stream}
    epoch = acknowledged = 0
    for _ in range(data.draw(st.integers(1, 4))):
        epoch += 1
        ledger.rewind()
        for sequence in range(acknowledged + 1, data.draw(st.integers(acknowledged, 6)) + 1):
            entry = ledger.admit(message(sequence, epoch=epoch), LINES)
            if entry is None:
                assert not todo[sequence]
                continue
            entry.total = LINES
            out = [n for n in range(entry.resume, LINES) if n not in entry.beyond]
            assert out == todo[sequence], "exactly what is left is handed out"
            left = data.draw(st.sets(st.sampled_from(out)))
            ledger.done_but(entry, LINES, left)
            todo[sequence] = sorted(left)
        if (place := ledger.advance()) is not None:
            acknowledged = place.sequence
        assert not any(todo[n] for n in range(1, acknowledged + 1))
        if acknowledged < len(stream):
            assert todo[acknowledged + 1]


# ── what is missing ───────────────────────────────────────────────────────────────────────────


def test_a_hole_in_the_numbers_is_missing_lines() -> None:
    ledger = Ledger()
    admitted(ledger, 1, line=0)
    admitted(ledger, 2, line=LINES)
    assert ledger.missing is None
    admitted(ledger, 9, line=LINES * 3 + 1)
    assert ledger.missing is not None
    assert tuple(ledger.missing) == (2, LINES + 1, LINES * 3 + 1)


def test_what_an_earlier_process_did_is_not_missing() -> None:
    ledger = Ledger()
    ledger.restore(5, 100)
    admitted(ledger, 7, line=90)
    assert ledger.missing is None, "it wrote down more than it acknowledged"
    ledger = Ledger()
    ledger.restore(5, 100)
    admitted(ledger, 7, line=130)
    assert ledger.missing is not None
    assert ledger.missing[:2] == (5, 30)


def test_what_does_not_come_again_is_missing_and_holds_up_nothing() -> None:
    ledger = Ledger()
    admitted(ledger, 1, line=0)
    admitted(ledger, 2, line=LINES)
    ledger.rewind()
    last = ledger.admit(message(3, line=2 * LINES, epoch=2), LINES)
    assert last is not None
    assert ledger.missing is not None
    assert ledger.missing.lines == 2 * LINES
    last.total = LINES
    ledger.done(last, LINES)
    place = ledger.advance()
    assert place is not None
    assert place.sequence == 3


def test_what_was_counted_as_gone_is_not_missing_once_more() -> None:
    ledger = Ledger()
    admitted(ledger, 1, line=0)
    admitted(ledger, 2, line=LINES)
    ledger.rewind()
    assert ledger.pass_over(9, 5 * LINES) == 5 * LINES, "with those that were in hand"
    ledger.rewind()
    assert ledger.admit(message(9, line=5 * LINES, epoch=2), LINES) is not None
    assert ledger.missing is None
    assert ledger.done_line == 5 * LINES, "nor by a later process"


def test_it_says_how_many_lines_are_done() -> None:
    ledger = Ledger()
    ledger.done(admitted(ledger, 1, line=40), LINES)
    ledger.advance()
    assert (ledger.done_until, ledger.done_line) == (1, 40 + LINES)
