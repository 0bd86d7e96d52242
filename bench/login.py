"""What logging in takes, what it leaves to others, what its time tells: `python bench/login.py`.

It starts a whole hub (`isaax serve` on real parts). First it asks, in turn and in random order, for
addresses that have an account and for as many that have none, by each way there is to ask, and
compares the times. Then it logs in as fast as it can, and watches what that does to others.
"""

import argparse
import asyncio
import math
import random
import secrets
import statistics
import sys
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aiohttp
from argon2 import PasswordHasher

from hub.database import Database
from hub.ids import new
from tests.fixtures.spine import Spine, running_spine

PASSWORD: Final = "tired violet lantern"
_SIGNIFICANT: Final = 0.01
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, slots=True)
class Site:
    """The hub, and somebody who asks."""

    http: aiohttp.ClientSession
    url: str
    token: str

    async def post(self, path: str, body: dict[str, Any]) -> int:
        """Send a body; give the status."""
        async with self.http.post(f"{self.url}/api/v1{path}", json=body) as answer:
            await answer.read()
            return answer.status

    async def get(self, path: str) -> int:
        """Read something as the owner of the first account."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with self.http.get(f"{self.url}/api/v1{path}", headers=headers) as answer:
            await answer.read()
            return answer.status


Ask = Callable[[Site, str], Awaitable[int]]


async def wrong_password(site: Site, email: str) -> int:
    """Try to log in."""
    return await site.post("/sessions", {"email": email, "password": "not the password"})


async def forgotten(site: Site, email: str) -> int:
    """Ask for a new password."""
    return await site.post("/password-resets", {"email": email})


async def sign_up(site: Site, email: str) -> int:
    """Sign up."""
    return await site.post("/users", {"email": email, "password": PASSWORD, "name": "x"})


async def people(spine: Spine, number: int) -> list[str]:
    """Make so many people with one password, and give their addresses."""
    hashed = _HASHER.hash(PASSWORD)
    emails = [f"{secrets.token_hex(8)}@example.com" for _ in range(number)]
    async with (
        Database.open(spine.embedded.postgres.settings) as database,
        database.system() as tx,
    ):
        await tx.raw.executemany(
            "INSERT INTO accounts_user (id, email, name, password, verified_at) "
            "VALUES ($1, $2, 'x', $3, now())",
            [(new("usr"), email, hashed) for email in emails],
        )
    return emails


async def timed(ask: Ask, site: Site, email: str) -> float:
    """Give the milliseconds that an answer took."""
    started = time.perf_counter()
    await ask(site, email)
    return (time.perf_counter() - started) * 1e3


async def compare(name: str, ask: Ask, site: Site, known: Sequence[str], rounds: int) -> None:
    """Ask for both kinds of address in turn, and say how far their times differ."""
    unknown = [f"{secrets.token_hex(8)}@example.com" for _ in known]
    kinds = [*((email, 0) for email in known), *((email, 1) for email in unknown)]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        random.shuffle(kinds)
        for email, kind in kinds:
            times[kind].append(await timed(ask, site, email))
    ours, others = times
    slower, p = rank_sum(ours, others)
    print(
        f"{name}, {len(ours)} each: median {statistics.median(ours):.3f} ms with an account, "
        f"{statistics.median(others):.3f} without, ratio "
        f"{statistics.median(ours) / statistics.median(others):.4f}; slower with one in "
        f"{slower * 100:.2f} % of pairs, p = {p:.3f}: {verdict(tells=p < _SIGNIFICANT)}"
    )
    for share in (0.1, 0.5):  # the quick ones are those that other work has disturbed least
        low, high = spread(ours, others, share)
        print(
            f"    p{share * 100:.0f}: {quantile(ours, share) - quantile(others, share):+.3f} ms, "
            f"{low:+.3f} to {high:+.3f} in 95 % of resamples: "
            f"{verdict(tells=not low <= 0 <= high)}"
        )


def verdict(*, tells: bool) -> str:
    """Say what somebody who takes the time learns."""
    return "TELLS THEM APART" if tells else "tells nothing"


def rank_sum(ours: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Compare by ranks (Mann and Whitney, 1947): for any distribution, whatever the outliers.

    Returns:
        The share of pairs in which ours is the larger, and how likely a share as far from a half
        is where there is no difference (two-sided, by the normal approximation).
    """
    ranked = sorted([(time, 1) for time in ours] + [(time, 0) for time in others])
    ranks, at = 0.0, 0
    while at < len(ranked):
        end = bisect_right(ranked, (ranked[at][0], 1))
        middle = (at + 1 + end) / 2  # those that are equal share their ranks
        ranks += middle * sum(mine for _, mine in ranked[at:end])
        at = end
    n, m = len(ours), len(others)
    larger = ranks - n * (n + 1) / 2
    z = (larger - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return larger / (n * m), 2 * (1 - statistics.NormalDist().cdf(abs(z)))


def quantile(times: Sequence[float], share: float) -> float:
    """Give the time that this share of them is below."""
    return sorted(times)[int(len(times) * share)]


def spread(ours: Sequence[float], others: Sequence[float], share: float) -> tuple[float, float]:
    """Give where the difference lies in 95 of 100 resamples."""
    differences = sorted(
        quantile(random.choices(ours, k=len(ours)), share)
        - quantile(random.choices(others, k=len(others)), share)
        for _ in range(2_000)
    )
    return differences[50], differences[-51]


async def watch(site: Site, until: asyncio.Event) -> list[float]:
    """Read a list every 20 ms; give the milliseconds that each took."""
    times = []
    while not until.is_set():
        started = time.perf_counter()
        assert await site.get("/projects") == 200
        times.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(0.02)
    return times


async def under_load(site: Site, emails: Sequence[str], at_once: int, seconds: float) -> None:
    """Log in as fast as it goes, and print how fast that is, and what others notice."""
    done, statuses = asyncio.Event(), dict[int, int]()

    async def log_in(email: str) -> None:
        while not done.is_set():
            body = {"email": email, "password": PASSWORD}
            status = await site.post("/sessions", body)
            statuses[status] = statuses.get(status, 0) + 1

    watching = asyncio.create_task(watch(site, done))
    started = time.perf_counter()
    tasks = [asyncio.create_task(log_in(email)) for email in emails[:at_once]]
    await asyncio.sleep(seconds)
    done.set()
    await asyncio.gather(*tasks)
    rate = statuses.get(201, 0) / (time.perf_counter() - started)
    times = sorted(await watching)
    print(
        f"{at_once:>3} at once: {rate:6.1f} logins/s {statuses}; a list meanwhile: "
        f"p50 {statistics.median(times):.1f} ms, p99 {times[int(len(times) * 0.99)]:.1f} ms"
    )


async def measure(spine: Spine, arguments: argparse.Namespace) -> None:
    """Measure everything."""
    spine.project("bench")
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        site = Site(http, f"http://127.0.0.1:{spine.http}", spine.token)
        known = await people(spine, arguments.people)
        for email in known[:20]:
            await wrong_password(site, f"warm-{email}")
        await compare("a wrong password", wrong_password, site, known, 4)
        await compare("forgotten", forgotten, site, known, 4)
        await compare("sign up", sign_up, site, known, 4)
        fresh = await people(spine, 256)
        for at_once in (0, 1, 32, 256):
            await under_load(site, fresh, at_once, arguments.seconds)


def main() -> None:
    """Start a hub, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=250, help="addresses of each kind")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    extra = {
        "accounts": {"tries_per_address": 0, "tries_per_network": 0},
        "http": {
            "requests_unauthenticated": 0, "requests_per_network": 0, "requests_per_token": 0,
        },
    }  # fmt: skip
    with running_spine(extra) as spine:
        asyncio.run(measure(spine, parser.parse_args()))


if __name__ == "__main__":
    main()
