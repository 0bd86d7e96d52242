"""The small parts of the service `auth`: nonces, the token table, a device's past."""

from typing import Any, cast

import pytest

from hub import Bus, NotAvailable, Pace, Unavailable
from hub.broker import BrokerControl
from services.auth.gate import Gate
from services.auth.nonces import Nonces
from services.auth.opening import DeviceRow
from services.auth.peers import Digests, TokenChanged, TokenDigest
from services.auth.rules import Rules
from services.auth.service import Auth
from services.auth.tokens import TokenTable
from services.auth.turns import LONGEST, Turns


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_nonce_is_good_once() -> None:
    """A recorded message cannot be played again."""
    nonces = Nonces(60)
    nonce = nonces.give("dev_1")
    assert nonces.spend("dev_1", nonce)
    assert not nonces.spend("dev_1", nonce)


def test_a_nonce_is_bound_to_its_client_and_spent_by_a_wrong_try() -> None:
    """Another client's nonce does not serve, and guessing costs the nonce."""
    nonces = Nonces(60)
    nonce, other = nonces.give("dev_1"), nonces.give("dev_2")
    assert nonce != other
    assert not nonces.spend("dev_1", other)
    assert not nonces.spend("dev_1", nonce)
    assert nonces.spend("dev_2", other)


def test_a_nonce_expires() -> None:
    """After its time it is void, by a clock that nobody can set."""
    clock = Clock()
    nonces = Nonces(60, clock=clock)
    nonce = nonces.give("dev_1")
    clock.now += 61
    assert not nonces.spend("dev_1", nonce)


def test_only_so_many_nonces_are_out() -> None:
    """The oldest goes when somebody asks for more than fit; nothing grows without bound."""
    nonces = Nonces(60, bound=2)
    first, second, third = (nonces.give(f"dev_{n}") for n in range(3))
    assert not nonces.spend("dev_0", first)
    assert nonces.spend("dev_1", second)
    assert nonces.spend("dev_2", third)


A, B = "aa" * 32, "bb" * 32


def test_the_token_table_follows_its_events() -> None:
    """Two tokens of a project may be live, and a revoked one is gone at once."""
    table = TokenTable()
    table.replace([TokenDigest(1, "acc_1", "prj_1", A)])
    table.apply(TokenChanged("acc_1", "prj_1", B, live=True))
    assert set(table.of("prj_1")) == {bytes.fromhex(A), bytes.fromhex(B)}
    table.apply(TokenChanged("acc_1", "prj_1", A, live=False))
    assert [*table.pairs()] == [("prj_1", bytes.fromhex(B))]
    assert table.account("prj_1") == "acc_1"
    assert table.drop("prj_1") == {bytes.fromhex(B)}
    assert not table.of("prj_1")


@pytest.mark.parametrize(
    ("previous", "known"),
    [("s3", True), ("s2", True), ("", True), ("s1", False), ("forged", False)],
)
def test_a_device_is_known_by_its_last_session_or_the_one_before(
    previous: str, known: bool
) -> None:
    """The answer that gave out the last session may have been lost; anything older is a clone."""
    row = DeviceRow("dev_1", "acc_1", "prj_1", b"", "active", "s3", "s2")
    assert row.knows(previous) is known


class Away:
    """A hub whose projects are kept by a process that comes late, and a broker that is told."""

    def __init__(self, *answers: Exception | Digests) -> None:
        self._answers = iter(answers)
        self.told: list[Any] = []

    async def request(self, *_: Any) -> Digests:
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def live_sessions(self) -> list[Any]:
        return []

    def snapshot(self, tokens: Any, sessions: Any) -> None:
        self.told.append((list(tokens), list(sessions)))

    def service(self) -> Auth:
        return Auth(
            cast("Rules", self), TokenTable(), cast("BrokerControl", self), cast("Bus", self),
            Gate(), pace=Pace(first=0.001, limit=0.001),
        )  # fmt: skip


async def test_the_broker_is_told_once_the_tokens_can_be_had() -> None:
    """The process that keeps them may start later, or be away while the broker starts anew."""
    digest = TokenDigest(1, "acc_1", "prj_1", "ab" * 32)
    away = Away(Unavailable("nobody"), Unavailable("nobody"), Digests([digest]))
    await away.service().sync()
    (tokens,) = (tokens for tokens, _ in away.told)
    assert len(tokens) == 1


async def test_tokens_that_nobody_keeps_are_not_waited_for() -> None:
    away = Away(NotAvailable.of("projects"))
    with pytest.raises(NotAvailable, match="projects is switched off"):
        await away.service().sync()
    assert away.told == []


def test_who_comes_before_its_time_delays_nobody() -> None:
    """The same client is given the same time again; the next one the next."""
    now = 0.0
    turns = Turns(2.0, 1, clock=lambda: now)
    assert turns.wait("a", 0) == 0.0
    first = turns.wait("a", 1)
    assert [turns.wait("a", 1) for _ in range(9)] == [first] * 9
    assert turns.wait("b", 1) == first + 0.5
    now = first
    assert turns.wait("a", 1) > 0.5, "its time has come, and there is no room again"
    assert max(turns.wait(f"{n}", 1) for n in range(2_000)) == LONGEST
