"""What a project may send, by rate, by day and by its share of the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.relay.admission import BURST, LONGEST, Admission, Rates, Share, day_of, until_midnight
from hub.relay.contracts import ProjectLimits
from hub.relay.counts import CountKey, LineCounts
from hub.relay.stored import BatchId

LOG = CountKey("log", "prj_one")
METRIC = CountKey("metric", "prj_one")
NOON = 1_795_435_200.0  # 2026-11-23 12:00 UTC
MIDNIGHT = NOON + 12 * 3_600


def test_without_limits_everything_passes() -> None:
    admission = Admission(Rates())
    assert [admission.ask(LOG, 1_000, 1 << 19, NOON) for _ in range(1_000)] == [0.0] * 1_000


def test_a_burst_passes_and_then_the_rate() -> None:
    admission = Admission(Rates(lines_per_second=100))
    taken = 0
    while not (wait := admission.ask(LOG, 50, 1, NOON)):
        taken += 50
    assert taken == 100 * BURST
    assert admission.ask(LOG, 50, 1, NOON + wait) == 0.0
    assert admission.ask(LOG, 50, 1, NOON + wait) > 0.0


def test_a_batch_larger_than_a_second_passes_and_is_waited_for() -> None:
    admission = Admission(Rates(lines_per_second=10))
    assert admission.ask(LOG, 1_000, 1, NOON) == 0.0
    assert admission.ask(LOG, 1, 1, NOON) == pytest.approx((1_000 - 10 * BURST) / 10, abs=0.2)


def test_what_overdraws_passes_and_is_waited_for_by_the_next() -> None:
    admission = Admission(Rates(lines_per_second=10, lines_per_day=1_000))
    assert admission.wait(LOG, NOON) == 0.0
    assert admission.ask(LOG, 999, 1, NOON) == 0.0
    assert admission.ask(LOG, 100, 1, NOON, overdraw=True) == 0.0
    wait = admission.wait(LOG, NOON)
    assert wait == admission.ask(LOG, 1, 1, NOON) == LONGEST  # the day's lines are used up


def test_bytes_count_too() -> None:
    admission = Admission(Rates(bytes_per_second=1_000))
    assert admission.ask(LOG, 1, 4_000, NOON) == 0.0
    assert admission.ask(LOG, 1, 1, NOON) == pytest.approx(2.0, abs=0.2)


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 1_000)), min_size=1, max_size=200),
    st.floats(1, 1_000),
)
def test_what_passes_stays_within_the_rate(arrivals: list[tuple[float, int]], rate: float) -> None:
    admission = Admission(Rates(lines_per_second=rate))
    now, passed, last = NOON, 0, 0
    for pause, lines in arrivals:
        now += pause
        if not admission.ask(LOG, lines, 1, now):
            passed += lines
            last = lines
    assert passed - last <= rate * (BURST + now - NOON) + 1e-3


def test_samples_and_lines_are_let_in_apart() -> None:
    admission = Admission(Rates(lines_per_second=1, lines_per_day=10))
    assert admission.ask(METRIC, 500, 1, NOON) == 0.0
    assert admission.ask(METRIC, 1, 1, NOON) > 0.0
    assert admission.ask(LOG, 500, 1, NOON) == 0.0


def test_projects_are_let_in_apart() -> None:
    admission = Admission(Rates(lines_per_second=1))
    admission.ask(LOG, 500, 1, NOON)
    assert admission.ask(CountKey("log", "prj_two"), 1, 1, NOON) == 0.0


def test_the_day_ends_at_midnight_in_utc() -> None:
    admission = Admission(Rates(lines_per_day=100))
    assert admission.ask(LOG, 100, 1, MIDNIGHT - 1_000) == 0.0
    assert admission.ask(LOG, 1, 1, MIDNIGHT - 1_000) == LONGEST, "limits may be raised meanwhile"
    assert admission.ask(LOG, 1, 1, MIDNIGHT - 5) == pytest.approx(5.0)
    assert admission.ask(LOG, 1, 1, MIDNIGHT) == 0.0


def test_what_was_sent_before_the_start_counts_once() -> None:
    admission = Admission(Rates())
    sent = ProjectLimits(lines_per_day=100, day=day_of(NOON), lines=95, samples=5)
    admission.learn("prj_one", sent, NOON)
    assert admission.ask(LOG, 5, 1, NOON) == 0.0
    admission.learn("prj_one", sent, NOON)
    assert admission.ask(LOG, 1, 1, NOON) > 0.0
    assert admission.ask(METRIC, 90, 1, NOON) == 0.0
    assert admission.ask(METRIC, 5, 1, NOON) == 0.0
    assert admission.ask(METRIC, 1, 1, NOON) > 0.0


def test_what_was_sent_yesterday_does_not_count() -> None:
    admission = Admission(Rates())
    sent = ProjectLimits(lines_per_day=100, day=day_of(NOON - 86_400), lines=1_000)
    admission.learn("prj_one", sent, NOON)
    assert admission.ask(LOG, 5, 1, NOON) == 0.0


def test_limits_of_its_own_take_the_place_of_the_settings() -> None:
    admission = Admission(Rates(lines_per_second=1, bytes_per_second=7))
    admission.ask(LOG, 1_000, 1, NOON)
    assert admission.ask(LOG, 1, 1, NOON) > 0.0
    admission.learn("prj_one", ProjectLimits(lines_per_second=0), NOON)
    assert admission.ask(LOG, 1_000, 1_000, NOON) == 0.0
    assert admission.ask(LOG, 1, 1, NOON) > 0.0, "what it does not set stays: the bytes"
    admission.learn("prj_one", ProjectLimits(lines_per_second=5, bytes_per_second=0), NOON)
    assert admission.ask(LOG, 1_000, 1, NOON) == 0.0
    assert admission.ask(LOG, 1, 1, NOON) > 0.0


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    admission = Admission(Rates(lines_per_second=10))
    assert admission.ask(LOG, 120, 1, NOON) == 0.0
    assert admission.ask(LOG, 1, 1, NOON - 3_600) == pytest.approx(10.1)
    assert admission.ask(LOG, 1, 1, NOON - 3_590) == pytest.approx(0.1, abs=0.01)


def test_the_day_in_words() -> None:
    assert day_of(NOON) == "2026-11-23"
    assert until_midnight(NOON) == 12 * 3_600


# ── shares of the window ──────────────────────────────────────────────────────────────────────


def held(share: Share, project: str, most: int, now: float = 0.0) -> int:
    count = 0
    while count < most and share.has_place(project, now):
        share.take(project)
        count += 1
    return count


def test_alone_a_project_may_have_all_places() -> None:
    assert held(Share(100), "prj_one", 100) == 100


def test_with_others_it_has_a_quarter() -> None:
    share = Share(100)
    assert share.has_place("prj_two", 0.0)
    assert held(share, "prj_one", 100) == 25
    assert held(share, "prj_two", 100) == 25
    share.give_back("prj_one")
    assert held(share, "prj_one", 100) == 1


def test_who_has_not_come_for_a_while_keeps_no_places() -> None:
    share = Share(100)
    assert share.has_place("prj_two", 0.0)
    assert not held(share, "prj_one", 100, 1.0) > 25
    assert held(share, "prj_one", 75, 11.0) == 75


# ── counting ──────────────────────────────────────────────────────────────────────────────────


def test_counts_go_on_over_a_restart() -> None:
    counts = LineCounts()
    assert [counts.give(LOG, 5), counts.give(LOG, 7), counts.give(METRIC, 1)] == [0, 5, 0]
    counts.stored(LOG, 5)
    assert counts.take_changed() == {LOG: 5}
    assert counts.take_changed() == {}
    counts.put_back([LOG])
    assert counts.take_changed() == {LOG: 5}
    again = LineCounts()
    again.stored(LOG, 5)
    assert again.give(LOG, 7) == 5


def test_lost_lines_count_as_the_line_that_says_so() -> None:
    assert BatchId("dev", "app", 1, 1, 1_000).lines == 1_000
    assert BatchId("dev", "app", 1, 1, 1 << 31).lines == 1
