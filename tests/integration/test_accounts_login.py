"""Logging in, and being kept out: the same for every address, and never by a stranger's doing."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher

from hub.embedded.postgres import Postgres
from services.accounts.identity.login import Login
from services.accounts.settings import AccountsSettings
from tests.fixtures.lobby import PASSWORD, Answer, Lobby, Visitor, running_lobby, shown

WRONG = "not my password"
WAITS = {5: 30, 6: 30, 7: 30, 8: 300, 9: 300}


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub that lets one address and network try as much as a test needs."""
    many = AccountsSettings(tries_per_address=0, tries_per_network=0)
    with running_lobby(postgres_server, parts_folder, many) as running:
        yield running


def let_time_pass(lobby: Lobby, *, lock: bool = False) -> None:
    """Let the waits be over; a lock only if it is said."""
    condition = "" if lock else " AND failures < 10"
    lobby.sql(f"UPDATE accounts_attempt SET until = now() WHERE until > now(){condition}")


def fail(lobby: Lobby, visitor: Visitor, times: int) -> list[Answer]:
    """Try wrong passwords, each as soon as it may be."""
    answers = []
    for _ in range(times):
        let_time_pass(lobby)
        answers.append(visitor.log_in(WRONG))
    return answers


# ── words ──


def test_every_failure_says_what_is_left(lobby: Lobby) -> None:
    """The waits grow, and the tenth locks for an hour."""
    visitor = lobby.person(logged_in=False)
    stranger = lobby.visitor(email=visitor.email)
    for number in range(1, 10):
        (answer,) = fail(lobby, stranger, 1)
        assert (answer.status, answer.body["type"]) == (401, "/problems/wrong-credentials")
        left = f"{10 - number} attempt{'s' * (number != 9)} left"
        wait = WAITS.get(number, 0)
        if not wait:
            assert (answer.body["detail"], answer.headers.get("Retry-After")) == (left, None)
            continue
        words = {30: "30 seconds", 300: "5 minutes"}[wait]
        assert answer.body["detail"] == f"{left}, the next one in {words}"
        assert int(answer.headers["Retry-After"]) == wait
        early = stranger.log_in(PASSWORD)
        assert (early.status, early.body["type"]) == (429, "/problems/too-many-attempts")
        assert early.body["detail"].startswith(f"{left}, the next one in ")
        assert 0 < int(early.headers["Retry-After"]) <= wait
    (locked,) = fail(lobby, stranger, 1)
    assert (locked.status, locked.body["type"]) == (403, "/problems/locked")
    assert re.fullmatch(
        r"locked until \d\d:\d\d \(UTC\); if this address has an account, "
        r"we mailed how to unlock it",
        locked.body["detail"],
    )
    assert 3500 < int(locked.headers["Retry-After"]) <= 3600
    assert visitor.log_in().status == 403, "the right password does not open it either"
    let_time_pass(lobby, lock=True)
    assert visitor.log_in().status == 201


def test_an_address_without_an_account_is_answered_alike(lobby: Lobby) -> None:
    """From the first attempt to the lock and through it: status, headers, words, cookies."""
    known = lobby.visitor(email=lobby.person().email)
    unknown = lobby.visitor(email=f"{secrets.token_hex(6)}@example.com")
    unverified = lobby.visitor(email=lobby.sign_up().email)
    lobby.mail_to(unverified.email, "verify")
    for _ in range(12):
        answers = [visitor.log_in(WRONG) for visitor in (known, unknown, unverified)]
        assert shown(answers[0]) == shown(answers[1]) == shown(answers[2])
        let_time_pass(lobby)
    assert answers[0].status == 403


def test_the_mail_that_tells_how_to_unlock_does(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    fail(lobby, lobby.visitor(email=visitor.email), 10)
    unlock, reset = lobby.links_to(visitor.email, "locked")
    assert (unlock.kind, reset.kind) == ("unlock", "reset")
    assert visitor.log_in().status == 403
    assert visitor.form(unlock.path).status == 200
    assert visitor.log_in().status == 201


def test_one_such_mail_an_hour_is_enough(lobby: Lobby) -> None:
    visitor, nobody = lobby.person(), f"{secrets.token_hex(6)}@example.com"
    stranger = lobby.visitor(email=visitor.email)
    for _ in range(3):
        assert fail(lobby, stranger, 10)[-1].status == 403
        assert fail(lobby, lobby.visitor(email=nobody), 10)[-1].status == 403
        let_time_pass(lobby, lock=True)
    lobby.mail_to(visitor.email, "locked")
    lobby.settle()
    assert len(lobby.mails_to(visitor.email, "locked")) == 1
    assert lobby.mails_to(nobody) == []
    lobby.sql("UPDATE accounts_tally SET ends_at = now()")
    assert fail(lobby, stranger, 10)[-1].status == 403
    lobby.mail_to(visitor.email, "locked", 2)


# ── work ──


def test_an_address_without_an_account_makes_as_much_work(
    lobby: Lobby, work: list[list[str]]
) -> None:
    """Every statement and every hash is the same: there is nothing to tell them apart by time."""
    known = lobby.visitor(email=lobby.person(logged_in=False).email)
    unknown = lobby.visitor(email=f"{secrets.token_hex(6)}@example.com")
    work.clear()
    for visitor in (known, unknown):
        for _ in range(11):
            visitor.log_in(WRONG)
            let_time_pass(lobby)
    ours, nobodys = work[:11], work[11:]
    assert ours == nobodys
    assert ours[0] == ["find_login", "take_attempt", "hash: check"]
    assert ours[9][:3] == ours[0]
    assert "add_many" in ours[9], "what the lock has mailed"
    assert ours[10] == ["find_login", "take_attempt", "get_attempt"]


def test_a_password_that_was_never_set_takes_as_long(lobby: Lobby, work: list[list[str]]) -> None:
    """Of somebody who was invited and has set none yet."""
    email = f"{secrets.token_hex(6)}@example.com"
    lobby.sql(
        "INSERT INTO accounts_user (id, email, name, verified_at) VALUES ($1, $2, 'x', now())",
        f"usr_{secrets.token_hex(10)}", email,
    )  # fmt: skip
    visitor = lobby.visitor(email=email)
    for password in (WRONG, ""):
        assert (
            visitor.ask("POST", "/sessions", {"email": email, "password": password}).status == 401
        )
    assert work == [["find_login", "take_attempt", "hash: check"]] * 2


# ── strangers ──


def test_a_stranger_does_not_lock_the_owner_out_of_a_known_device(lobby: Lobby) -> None:
    owner = lobby.person()
    assert "known" in owner.cookies
    fail(lobby, lobby.visitor(email=owner.email), 10)
    assert lobby.visitor(email=owner.email).log_in().status == 403
    again = owner.log_in()
    assert again.status == 201
    assert not [cookie for cookie in again.cookies if cookie.startswith("known=")]
    assert lobby.visitor(email=owner.email).log_in().status == 403, "that is still locked"


def test_a_known_device_has_a_count_of_its_own(lobby: Lobby) -> None:
    """Whoever sits at it guesses no more than anybody else; the mail unlocks it, too."""
    owner = lobby.person()
    assert fail(lobby, owner, 10)[-1].status == 403
    assert owner.log_in().status == 403
    assert lobby.visitor(email=owner.email).log_in().status == 201
    unlock = lobby.links_to(owner.email, "locked")[0]
    assert owner.form(unlock.path).status == 200
    assert owner.log_in().status == 201


def test_a_device_is_known_for_its_owner_alone(lobby: Lobby) -> None:
    """With somebody else's cookie, or one that is made up, one is a stranger."""
    owner, other = lobby.person(), lobby.person()
    fail(lobby, lobby.visitor(email=owner.email), 10)
    for cookie in (other.cookies["known"], "isd_made-up", "x" * 4000):
        visitor = lobby.visitor(email=owner.email, cookies={"known": cookie})
        assert visitor.log_in().status == 403


def test_a_device_is_known_on_every_login_after(lobby: Lobby) -> None:
    """The owner of an account hears of a login from one that was not known."""
    owner = lobby.person()
    assert owner.log_in().status == 201
    lobby.settle()
    assert lobby.mails_to(owner.email, "new-device") == []
    elsewhere = lobby.visitor("198.51.100.7", email=owner.email)
    assert elsewhere.log_in().status == 201
    mail = lobby.mail_to(owner.email, "new-device")
    assert "198.51.100.7 (visitor/1)" in mail.text


def test_forty_guesses_at_once_are_no_more_than_five(lobby: Lobby, work: list[list[str]]) -> None:
    """Each is counted before it is checked, so that none slips through beside the others."""
    visitor = lobby.person(logged_in=False)
    answers = lobby.everybody_at_once(
        lambda _: lobby.visitor(email=visitor.email).log_in(WRONG).status, 40
    )
    assert sorted(answers) == [401] * 5 + [429] * 35
    assert sum("hash: check" in steps for steps in work) == 5


def test_a_right_password_begins_the_count_anew(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    for _ in range(3):
        fail(lobby, visitor, 4)
        assert visitor.log_in().status == 201
    visitor.cookies.clear()
    assert fail(lobby, visitor, 1)[0].body["detail"] == "9 attempts left"


def test_a_day_without_failures_begins_the_count_anew(lobby: Lobby) -> None:
    visitor = lobby.visitor(email=f"{secrets.token_hex(6)}@example.com")
    fail(lobby, visitor, 7)
    lobby.sql("UPDATE accounts_attempt SET changed_at = changed_at - interval '25 hours'")
    assert fail(lobby, visitor, 1)[0].body["detail"] == "9 attempts left"


def test_an_address_is_one_however_it_is_written(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    shouting = lobby.visitor(email=visitor.email.upper())
    assert shouting.log_in().status == 201
    shouting.cookies.clear()
    fail(lobby, shouting, 3)
    answer = lobby.visitor(email=visitor.email).log_in(WRONG)
    assert answer.body["detail"] == "6 attempts left"


@pytest.mark.parametrize(
    ("hosts", "refused"),
    [
        (["203.0.113.5"] * 5, 3),
        (["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5"], 4),
        (["2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:ff::1", "2001:db8:0:3::9"] * 2, 4),
        (["::ffff:203.0.113.1", "203.0.113.2", "::ffff:203.0.113.3", "203.0.113.4"] * 2, 4),
    ],
)
def test_one_network_tries_only_so_much(
    postgres_server: Postgres, parts_folder: Path, hosts: list[str], refused: int
) -> None:
    """At many addresses of people, which each have a count of their own."""
    few = AccountsSettings(tries_per_address=3, tries_per_network=4)
    with running_lobby(postgres_server, parts_folder, few) as lobby:
        owner = lobby.person()
        lobby.sql("DELETE FROM accounts_tally")
        answers = [
            lobby.visitor(host, email=f"u{n}@example.com").log_in(WRONG)
            for n, host in enumerate(hosts)
        ]
        assert [a.status for a in answers] == [401] * refused + [429] * (len(hosts) - refused)
        assert answers[-1].body["detail"].startswith("too many from your ")
        owner.address = hosts[0]
        assert owner.log_in().status == 201, "a device that is known is not held up"
        elsewhere = lobby.visitor("192.0.2.1", email=owner.email)
        for _ in range(6):
            assert elsewhere.log_in().status == 201, "a right password is no try"


# ── sessions that begin ──


def test_nobody_chooses_somebody_elses_session(lobby: Lobby) -> None:
    """Session fixation: what a browser had before is worth nothing after, and never becomes one."""
    owner, attacker = lobby.person(), lobby.person()
    planted = attacker.token
    victim = lobby.visitor(
        email=owner.email, cookies={"session": planted, "known": owner.cookies["known"]}
    )
    answer = victim.log_in(cookie=True)
    assert answer.status == 201
    assert victim.cookies["session"] not in {planted, owner.token}
    assert attacker.ask("GET", "/users/me").status == 401, "it ended with the login"
    attacker.token = victim.cookies["session"]
    made_up = lobby.visitor(email=owner.email, cookies={"session": "iss_" + "a" * 43})
    assert made_up.log_in(cookie=True).status == 201
    assert made_up.cookies["session"] != "iss_" + "a" * 43


@pytest.mark.parametrize(
    "more",
    [{"token": "iss_x"}, {"user": "usr_x"}, {"account": "acc_x"}, {"role": "owner"}, {"id": "x"}],
    ids=str,
)
def test_a_login_takes_nothing_but_the_credentials(lobby: Lobby, more: dict[str, str]) -> None:
    owner = lobby.person(logged_in=False)
    assert owner.log_in(**more).status == 422


def test_whoever_is_suspended_learns_of_it_by_the_right_password_alone(lobby: Lobby) -> None:
    visitor = lobby.person()
    lobby.sql("UPDATE accounts_user SET suspended_at = now() WHERE email = $1", visitor.email)
    assert visitor.ask("GET", "/users/me").status == 401, "their sessions open nothing"
    stranger = lobby.visitor(email=visitor.email)
    assert stranger.log_in(WRONG).body["type"] == "/problems/wrong-credentials"
    right = stranger.log_in()
    assert (right.status, right.body["type"]) == (403, "/problems/suspended")


def test_a_hash_with_old_parameters_is_made_anew(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(visitor.password)
    set_to = "UPDATE accounts_user SET password = $1 WHERE email = $2"
    lobby.sql(set_to, old, visitor.email)
    assert visitor.log_in(WRONG).status == 401
    read = "SELECT password FROM accounts_user WHERE email = $1"
    assert lobby.sql(read, visitor.email) == [{"password": old}]
    assert visitor.log_in().status == 201
    (row,) = lobby.sql(read, visitor.email)
    assert "$m=19456,t=2,p=1$" in row["password"]
    assert visitor.log_in().status == 201


def test_a_password_is_one_however_it_is_typed(lobby: Lobby) -> None:
    """Keyboards compose letters in different ways (NFKC)."""
    visitor = lobby.sign_up(password="Größenwahn Å ﬁnale")
    (link,) = lobby.links_to(visitor.email, "verify")
    assert visitor.form(link.path).status == 200
    assert visitor.log_in("Gro\u0308ßenwahn A\u030a finale").status == 201
    assert visitor.log_in("x" * 100_000).status == 401


def test_a_password_that_is_changed_meanwhile_lets_nobody_in(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its check and the session that it would have begun."""
    visitor = lobby.person(logged_in=False)
    go_on = Login._go_on

    async def late(self: Login, entry: Any, proven: Any, request: Any) -> Any:
        async with lobby.database.system() as tx:
            await tx.raw.execute(
                "UPDATE accounts_user SET password = 'x' WHERE email = $1", visitor.email
            )
        return await go_on(self, entry, proven, request)

    monkeypatch.setattr(Login, "_go_on", late)
    answer = visitor.log_in()
    assert (answer.status, "changed" in answer.body["detail"]) == (401, True)
    found = lobby.sql(
        'SELECT FROM accounts_session AS s JOIN accounts_user AS u ON u.id = s."user" '
        "WHERE u.email = $1", visitor.email,
    )  # fmt: skip
    assert found == []
