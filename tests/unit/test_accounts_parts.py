"""What is a good password, how it is hashed, and what is said of attempts."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import Invalid, Unavailable
from hub.secret import Secret
from hub.telemetry import Metrics
from hub.vault import Vault
from services.accounts.identity import passwords
from services.accounts.identity.lockout import MOST, Attempt, duration
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.tokens import digest_of, new_token, shown_of

RULES = PasswordRules.load()
ADA = "ada@example.com"


def reasons(password: str) -> str:
    """Give why a password is refused; "" if it is not."""
    try:
        RULES.check(Secret(password), ADA, pointer="/p")
    except Invalid as error:
        (one,) = error.errors
        assert one.pointer == "/p"
        return one.detail
    return ""


def test_every_common_password_is_refused() -> None:
    """The 3,000 most common ones, and those of the right length beyond them; in any case."""
    common = RULES._common
    assert len(common) > 5_000
    assert sum(len(one) >= passwords.SHORTEST for one in common) > 2_000
    for one in common:
        assert reasons(one), one
        assert reasons(one.upper()), one
    assert {"123456", "password", "qwertyuiop", "1q2w3e4r5t"} <= common


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple", "x7Kq-pW2v9", "これはよいパスワードです",
        "dragonfly at dawn",
        "94715203dog83", "a" * 9 + "bcd", "ｆｕｌｌ ｗｉｄｔｈ ｗｏｒｄｓ", "🦊🐻🐼🦁🐯🐨🐵🐸🐙🦉",
    ],
)  # fmt: skip
def test_a_good_password_is_taken(password: str) -> None:
    assert reasons(password) == ""


@pytest.mark.parametrize("password", ["", "x" * 10, "abcabcabcab", " " * 12, "x" * 10_000_000])
def test_a_bad_one_is_not(password: str) -> None:
    assert reasons(password) != ""


async def test_hashes_are_made_beside_the_loop_and_bounded() -> None:
    """The loop goes on meanwhile; what would wait too long is refused at once."""
    async with Passwords.open(Metrics()) as hashing:
        ticks = 0
        working = [
            asyncio.create_task(hashing.hash(Secret("tired violet lantern"))) for _ in range(10)
        ]
        while not all(task.done() for task in working):
            await asyncio.sleep(0)
            ticks += 1
        assert ticks > 100
        hashes = {task.result() for task in working}
        assert len(hashes) == 10
        assert all(one.startswith("$argon2id$v=19$m=19456,t=2,p=1$") for one in hashes)
        right = await hashing.verify(hashes.pop(), Secret("tired violet lantern"))
        wrong = await hashing.verify(hashes.pop(), Secret("tired violet lanterns"))
        nobodys = await hashing.verify(None, Secret("tired violet lantern"))
        assert (right, wrong, nobodys) == (True, False, False)
        waiting = [asyncio.create_task(hashing.hash(Secret("x"))) for _ in range(64)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await hashing.hash(Secret("one too many"))
        with pytest.raises(Unavailable):
            hashing.check_room()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        hashing.check_room()
    assert not [one for one in threading.enumerate() if one.name.startswith("password")]


def test_a_hash_of_other_parameters_is_outdated() -> None:
    hashed = "c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
    assert Passwords.is_outdated(f"$argon2id$v=19$m=8192,t=1,p=1${hashed}")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 second"), (1, "1 second"), (29.5, "30 seconds"), (90, "90 seconds"),
        (91, "2 minutes"), (300, "5 minutes"), (3600, "60 minutes"),
    ],
)  # fmt: skip
def test_times_to_wait_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("until", "shown"), [("14:04:59", "14:05"), ("14:05:00", "14:05"), ("23:59:01", "00:00")]
)
def test_nobody_comes_back_before_the_lock_is_over(until: str, shown: str) -> None:
    """The minute that is said is never before the end, and it is in UTC."""
    east = datetime.fromisoformat(f"2026-11-30T{until}+00:00").astimezone(
        tz=datetime.now(UTC).astimezone().tzinfo
    )
    attempt = Attempt(MOST, east + timedelta(0), 3600.0, taken=True)
    assert attempt.failure().detail.startswith(f"locked until {shown} (UTC); if this address")
    assert attempt.failure().retry_after == 3600.0


def test_a_token_is_recognised_and_kept_as_a_digest() -> None:
    first, second = new_token(), new_token()
    assert first != second
    assert first.startswith("isx_")
    assert shown_of(first) == first[:10]
    assert len(digest_of("\ud800")) == 32


def test_a_keyed_digest_is_the_keys_own() -> None:
    """For one purpose, and for one text."""
    ours, others = Vault(b"k" * 32), Vault(b"l" * 32, (b"k" * 32,))
    digest = ours.keyed("attempts", ADA)
    assert digest == ours.keyed("attempts", ADA)
    assert len(digest) == 32
    assert digest not in {
        others.keyed("attempts", ADA), ours.keyed("tries", ADA), ours.keyed("attempts", "x"),
        ours.keyed("attemptsa", ADA[1:]),
    }  # fmt: skip
