"""Rate limits: so many requests in a window, for each token and each network.

A quota is a token bucket: it fills up evenly over its window, and what has gathered may be used at
once. What is known of each token and network is one number, and of how many is bounded. Each hub
counts by itself: behind several, a client may send as often as all of them allow together.

Told in `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
"""

import functools
import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter

from hub.gateway.problems import TooManyRequests
from hub.settings import HttpSettings

WINDOW: Final = 60.0
"""Seconds for which a quota is given."""
REMEMBERED: Final = 50_000
"""Tokens, or networks, that a quota knows at once; of those beyond it, the one is forgotten that
was not heard of for longest, and has its whole quota when it comes again."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a quota after a request.

    Args:
        requests: that may be sent at once.
        more_in: seconds until there is one more; 0 where there is all of it.
        allowed: whether this request was among them.
    """

    requests: int
    more_in: float
    allowed: bool


class Quota:
    """So many requests in a window, for each of many.

    Args:
        name: in the headers.
        requests: 0 is no limit.
    """

    def __init__(
        self,
        name: str,
        requests: int,
        *,
        window: float = WINDOW,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.requests = requests
        self.policy = f'"{name}";q={requests};w={round(window)}'
        self._window = window
        self._interval = window / requests if requests else 0.0
        self._remembered = remembered
        self._clock = clock
        # By key, when its bucket will be full again (the generic cell rate algorithm); the one
        # that was heard of last comes last.
        self._full_at: dict[str, float] = {}

    def take(self, key: str) -> Left:
        """Count a request; one that is not allowed costs nothing."""
        now = self._clock()
        full_at = max(self._full_at.pop(key, now), now)
        allowed = full_at + self._interval - now <= self._window + 1e-9
        if allowed:
            full_at += self._interval
        self._full_at[key] = full_at
        if len(self._full_at) > self._remembered:
            del self._full_at[next(iter(self._full_at))]
        filled = max(0.0, self._window - (full_at - now)) / self._interval + 1e-9
        whole = min(int(filled), self.requests)
        more_in = (whole + 1 - filled) * self._interval if whole < self.requests else 0.0
        return Left(whole, more_in, allowed)


class Quotas:
    """The quotas of a gateway.

    Args:
        limited: counts requests that are not allowed, by the name of the quota.
    """

    def __init__(
        self,
        settings: HttpSettings,
        limited: Counter,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limited = limited
        self._token = Quota("token", settings.requests_per_token, clock=clock)
        self._network = Quota("network", settings.requests_per_network, clock=clock)
        self._unauthenticated = Quota(
            "unauthenticated", settings.requests_unauthenticated, clock=clock
        )

    def of_network(self, address: str, headers: dict[str, str]) -> None:
        """Count a request of whoever is at this address.

        Args:
            headers: of the answer; what is left is told there.

        Raises:
            TooManyRequests: with when to come again.
        """
        self._take(self._network, network_of(address), headers)

    def of_token(self, token: str, headers: dict[str, str]) -> None:
        """Count a request of a token or session, by its id; as `of_network`."""
        self._take(self._token, token, headers)

    def of_unauthenticated(self, address: str, headers: dict[str, str]) -> None:
        """Count a request without a valid credential; as `of_network`."""
        self._take(self._unauthenticated, network_of(address), headers)

    def _take(self, quota: Quota, key: str, headers: dict[str, str]) -> None:
        if not quota.requests:
            return
        left = quota.take(key)
        item = f'"{quota.name}";r={left.requests}'
        if left.more_in:
            item += f";t={math.ceil(left.more_in)}"
        _add(headers, "RateLimit-Policy", quota.policy)
        _add(headers, "RateLimit", item)
        if not left.allowed:
            self._limited.labels(quota.name).inc()
            raise TooManyRequests(
                f"at most {quota.requests} requests in {WINDOW:g} s for each {quota.name}"
                if quota.name != "unauthenticated"
                else f"at most {quota.requests} requests in {WINDOW:g} s without a valid "
                "credential from one network",
                headers={"Retry-After": str(math.ceil(left.more_in))},
            )


def _add(headers: dict[str, str], name: str, value: str) -> None:
    headers[name] = f"{headers[name]}, {value}" if name in headers else value


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Give the network that an address counts for: its /24, or its /56 in IPv6.

    A customer is given a whole /56 at least (RFC 6177), and can use any address in it.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = 24 if parsed.version == 4 else 56
    return str(ipaddress.ip_network((parsed, prefix), strict=False))
