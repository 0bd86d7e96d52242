"""Who has an account is told by no answer: neither its words nor the work that it takes.

`bench/login.py` measures the times themselves, and says how likely it is that they tell.
"""

import secrets
from collections.abc import Callable

import pytest

from services.accounts.identity.errands import MAILS_AN_HOUR, SignUpWish
from tests.fixtures.lobby import PASSWORD, Answer, Lobby, Visitor, shown

WRONG = "not my password"
AGAIN = MAILS_AN_HOUR[SignUpWish] + 2
"""So often that in the end no more mails are written to the address."""

Ask = Callable[[Visitor, str], Answer]

ASKED: dict[str, Ask] = {
    "log in": lambda who, email: who.ask("POST", "/sessions", {"email": email, "password": WRONG}),
    "sign up": lambda who, email: who.ask(
        "POST", "/users", {"email": email, "password": PASSWORD, "name": "Ada"}
    ),
    "forgotten": lambda who, email: who.ask("POST", "/password-resets", {"email": email}),
    "another address": lambda who, email: who.ask(
        "POST", "/email-changes", {"email": email, "password": who.password}
    ),
}


def nobodys() -> str:
    """Give an address that nobody has."""
    return f"{secrets.token_hex(6)}@example.com"


@pytest.fixture(scope="module")
def addresses(lobby: Lobby) -> dict[str, str]:
    """Give an address of each kind, all of one length."""
    found = {"with an account": lobby.person().email, "nobody's": nobodys()}
    found["not verified"] = lobby.sign_up().email
    found["suspended"] = lobby.person().email
    lobby.sql("UPDATE accounts_user SET suspended_at = now() WHERE email = $1", found["suspended"])
    found["without a password"] = nobodys()
    lobby.sql(
        "INSERT INTO accounts_user (id, email, name, verified_at) VALUES ($1, $2, 'x', now())",
        f"usr_{secrets.token_hex(10)}", found["without a password"],
    )  # fmt: skip
    lobby.settle()
    lobby.sql("DELETE FROM accounts_tally")
    return found


def seen(answer: Answer) -> object:
    """Give all of an answer that could tell something."""
    if answer.status == 401:
        return shown(answer)
    moving = {"Date", "X-Request-Id", "RateLimit"}
    headers = {name: value for name, value in answer.headers.items() if name not in moving}
    return answer.status, headers, answer.raw, answer.cookies


@pytest.mark.parametrize("way", ASKED)
def test_every_address_is_answered_alike_and_makes_as_much_work(
    lobby: Lobby, addresses: dict[str, str], work: list[list[str]], way: str
) -> None:
    """The same statements in the same order, and as many hashes, however often it is asked."""
    answers, steps = {}, {}
    times = 4 if way == "log in" else AGAIN  # the fifth wrong password has to wait
    for kind, email in addresses.items():
        who = lobby.person() if way == "another address" else lobby.visitor()
        work.clear()
        given = []
        for _ in range(times):
            who.address = lobby.visitor().address
            given.append(seen(ASKED[way](who, email)))
        answers[kind], steps[kind] = given, [list(one) for one in work]
    assert len({repr(given) for given in answers.values()}) == 1, answers
    expected = steps["nobody's"]
    assert len(expected) == times
    assert all(expected), "each of them was seen at work"
    for kind, done in steps.items():
        assert done == expected, kind


def test_what_is_asked_by_a_hash_is_hashed_once(lobby: Lobby, work: list[list[str]]) -> None:
    """With the password of nobody where there is none."""
    for way, hashes in (("log in", ["hash: check"]), ("sign up", ["hash: new"]), ("forgotten", [])):
        work.clear()
        ASKED[way](lobby.visitor(), nobodys())
        (steps,) = work
        assert [step for step in steps if step.startswith("hash")] == hashes
