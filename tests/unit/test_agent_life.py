"""Spool and hub agree on what has been sent, whatever either of them forgot."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent import life
from agent.life import Life, Settled, settle
from hub.protocol import Mark


def agree(
    old: Life | None, mark: Mark, *, acked: int = 0, known: int = 0, newest: int = 0
) -> Settled:
    return settle(old, mark, newest_boot=newest, acked=acked, floor=acked, known=known)


def test_a_fresh_spool_takes_the_boot_after_the_newest() -> None:
    assert agree(None, Mark(), newest=0) == Settled(Life(1, 0), 0)
    assert agree(None, Mark(3, 9), newest=4) == Settled(Life(5, 0), 0)


def test_the_hub_has_more_than_was_acknowledged() -> None:
    assert agree(Life(2, 10), Mark(2, 5), acked=11, known=20) == Settled(Life(2, 10), 15)


def test_a_life_that_the_hub_has_not_seen_yet_goes_on() -> None:
    assert agree(Life(2, 10), Mark(1, 99), acked=10, known=20) == Settled(Life(2, 10), 10)
    assert agree(Life(1, 0), Mark(), known=20) == Settled(Life(1, 0), 0)


def test_the_hub_forgot_what_it_acknowledged() -> None:
    assert agree(Life(2, 0), Mark(2, 5), acked=9, known=20) == Settled(Life(3, 9), 9)
    assert agree(Life(2, 0), Mark(), acked=9, known=20) == Settled(Life(3, 9), 9)


def test_the_spool_forgot_what_it_sent() -> None:
    """Lines after `known` are new: they must not hide behind numbers that the hub has."""
    assert agree(Life(2, 0), Mark(2, 25), acked=9, known=20) == Settled(Life(3, 20), 20)


def test_another_life_went_on() -> None:
    assert agree(Life(2, 0), Mark(4, 1), acked=9, known=20) == Settled(Life(5, 9), 9)


@given(
    st.one_of(st.none(), st.builds(Life, st.integers(1, 5), st.integers(0, 30))),
    st.builds(Mark, st.integers(0, 6), st.integers(0, 60)),
    st.integers(0, 6),
    st.integers(0, 30),
    st.integers(0, 30),
)
def test_what_is_sent_next_follows_the_mark(
    old: Life | None, mark: Mark, newest: int, more_acked: int, more_known: int
) -> None:
    """The hub takes the next line: it follows the mark, or begins a newer boot with 1."""
    acked = (old.base if old else 0) + more_acked
    settled = agree(old, mark, acked=acked, known=acked + more_known, newest=newest)
    following = settled.life.mark(settled.acked + 1)
    assert settled.acked >= acked
    assert settled.acked <= acked + more_known
    follows = following.boot == mark.boot and following.seq == mark.seq + 1
    assert follows or (following.boot > mark.boot and following.seq == 1)
    assert settled.life == old or settled.life.boot > max(newest, mark.boot, old.boot if old else 0)


def test_a_life_is_kept(tmp_path: Path) -> None:
    assert life.load(tmp_path) is None
    life.save(tmp_path, Life(3, 7))
    assert life.load(tmp_path) == Life(3, 7)
    (tmp_path / "life.json").write_text('{"boot": 3')
    assert life.load(tmp_path) is None
