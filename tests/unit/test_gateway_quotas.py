"""Rate limits as pure rules: a model of them, and how much they remember."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.gateway.quotas import Quota, network_of


@dataclass
class Clock:
    """Time that a test lets pass."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=100)


@given(st.integers(1, 12), STEPS)
def test_a_quota_is_a_bucket_that_fills_evenly(requests: int, steps: list[tuple[str, int]]) -> None:
    """Time passes in quarters of the interval, so that the model needs no rounding."""
    clock = Clock()
    quota = Quota("q", requests, window=4.0 * requests, clock=clock)
    full = 4 * requests
    buckets = {"a": full, "b": full}  # in quarters of a request
    for key, passed in steps:
        clock.now += passed
        buckets = {name: min(full, level + passed) for name, level in buckets.items()}
        left = quota.take(key)
        assert left.allowed == (buckets[key] >= 4)
        buckets[key] -= 4 * left.allowed
        assert left.requests == buckets[key] // 4
        missing = 4 - buckets[key] % 4 if buckets[key] < full else 0
        assert left.more_in == pytest.approx(missing)


def test_what_is_known_is_bounded_and_the_newest_is_kept() -> None:
    quota = Quota("q", 2, remembered=100, clock=Clock())
    for number in range(10_000):
        quota.take(str(number))
        quota.take("busy")
    assert not quota.take("busy").allowed
    assert len(quota._full_at) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.250", True),
        ("203.0.113.7", "203.0.114.7", False),
        ("2001:db8:1:ff00::1", "2001:db8:1:ff42:dead::", True),
        ("2001:db8:1:ff00::1", "2001:db8:1:fe00::1", False),
        ("::ffff:203.0.113.7", "203.0.113.9", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "nonsense", True),
        ("", "203.0.113.7", False),
    ],
)
def test_addresses_of_one_network_count_together(one: str, other: str, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same
