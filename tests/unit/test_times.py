"""Points in time as text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.times import rfc3339, rfc3339_column

TIMES = st.integers(-(2**63), 2**63) | st.integers(-3_000_000, 3_000_000)


@settings(deadline=None)
@given(st.lists(TIMES))
def test_a_column_of_times_is_written_as_each_of_them_is(times: list[int]) -> None:
    """Whatever clock it was, just before 1970 too."""
    assert rfc3339_column([-5, *times]) == [rfc3339(time) for time in (-5, *times)]
