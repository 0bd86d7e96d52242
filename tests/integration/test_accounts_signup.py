"""Signing up, over REST, with the mails that come of it."""

from typing import Any

import pytest

from hub.embedded.postgres import Postgres
from services.accounts.identity.errands import HOUR, MAILS_AN_HOUR, SignUpWish
from services.accounts.settings import AccountsSettings
from tests.fixtures.lobby import PASSWORD, Lobby, running_lobby


def body_of(email: str, /, **change: Any) -> dict[str, Any]:
    """Give a good body to sign up with."""
    return {"email": email, "password": PASSWORD, "name": "Ada", **change}


def test_somebody_signs_up_verifies_and_has_an_account(lobby: Lobby) -> None:
    visitor = lobby.sign_up()
    (link,) = lobby.links_to(visitor.email, "verify")
    assert link.kind == "verify"
    page = visitor.send("GET", link.path)
    assert (page.status, visitor.email in page.text) == (200, True)
    assert visitor.form(link.path).status == 200
    assert visitor.log_in().status == 201
    assert visitor.ask("POST", "/projects", {"name": "greenhouse"}).status == 201
    me = visitor.ask("GET", "/users/me").body
    assert (me["email"], me["name"], me["locale"]) == (visitor.email, "Ada", "en")
    owned = lobby.sql(
        'SELECT m.role, a.name FROM accounts_member AS m JOIN accounts_account AS a '
        'ON a.id = m.account WHERE m."user" = $1', me["id"],
    )  # fmt: skip
    assert owned == [{"role": "owner", "name": "Ada"}]


def test_a_program_verifies_without_a_page(lobby: Lobby) -> None:
    visitor = lobby.sign_up()
    (link,) = lobby.links_to(visitor.email, "verify")
    token = {"token": link.token}
    assert visitor.ask("POST", "/email-verifications", token).status == 204
    assert visitor.ask("POST", "/email-verifications", token).status == 404
    assert visitor.log_in().status == 201


def test_the_answer_does_not_tell_whether_an_address_has_an_account(lobby: Lobby) -> None:
    """The mail does; and nothing about the account is changed by it."""
    known = lobby.person()
    answers = [
        lobby.visitor().ask("POST", "/users", body_of(email, password="another good passphrase"))
        for email in (known.email, known.email.upper(), "nobody-yet@example.com")
    ]
    assert [(a.status, a.body, a.cookies) for a in answers] == [
        (202, {"detail": "we mailed to this address how to go on"}, [])
    ] * 3
    told = lobby.mail_to(known.email, "registered", 2)
    assert "already" in told.head.subject
    assert known.log_in().status == 201
    assert known.log_in("another good passphrase").status == 401


def test_before_the_address_is_verified_only_the_right_password_learns_of_it(
    lobby: Lobby,
) -> None:
    visitor, nobody = lobby.sign_up(), lobby.visitor(email="nobody-at-all@example.com")
    lobby.mail_to(visitor.email, "verify")
    right = visitor.log_in()
    assert (right.status, right.body["type"]) == (403, "/problems/unverified")
    assert "sign up again" in right.body["detail"]
    wrong, unknown = visitor.log_in("a wrong password"), nobody.log_in()
    assert (wrong.status, wrong.said) == (401, unknown.said)


def test_a_link_makes_the_account_that_was_asked_for_with_it(lobby: Lobby) -> None:
    """Somebody else who signs up with an address, before or after its owner, gets nothing by it."""
    owner = lobby.sign_up()
    (link,) = lobby.links_to(owner.email, "verify")
    stranger = lobby.sign_up(email=owner.email)
    stranger.password = "the stranger's choice"
    again = lobby.visitor()
    sent = again.ask("POST", "/users", body_of(owner.email, password=stranger.password))
    assert sent.status == 202
    lobby.mail_to(owner.email, "verify", 3)
    assert owner.form(link.path).status == 200
    assert owner.log_in().status == 201
    assert stranger.log_in().status == 401
    later = lobby.links_to(owner.email, "verify", 3)[0]
    assert owner.form(later.path).status == 404, "what others asked for is void"


def test_signing_up_again_sends_another_link(lobby: Lobby) -> None:
    visitor = lobby.sign_up()
    assert visitor.ask("POST", "/users", body_of(visitor.email)).status == 202
    (second,) = lobby.links_to(visitor.email, "verify", 2)
    assert visitor.form(second.path).status == 200
    assert visitor.log_in().status == 201


def test_ten_who_sign_up_at_once_with_one_address_make_one_account(lobby: Lobby) -> None:
    email = "many-at-once@example.com"
    answers = lobby.everybody_at_once(
        lambda _: lobby.visitor().ask("POST", "/users", body_of(email)).status, 10
    )
    assert answers == [202] * 10
    most = MAILS_AN_HOUR[SignUpWish]
    links = [lobby.links_to(email, "verify", number + 1)[0] for number in range(most)]
    used = lobby.everybody_at_once(lambda n: lobby.visitor().form(links[n].path).status, most)
    assert sorted(used) == [200] + [404] * (most - 1)
    found = lobby.sql(
        'SELECT count(*) AS n FROM accounts_member AS m JOIN accounts_user AS u ON u.id = m."user"'
        " WHERE u.email = $1", email,
    )  # fmt: skip
    assert found == [{"n": 1}]


def test_nobody_is_mailed_to_without_end(lobby: Lobby) -> None:
    """What is beyond the limit is answered like the rest; an hour later there are mails again."""
    email = "flooded@example.com"
    most = MAILS_AN_HOUR[SignUpWish]
    for _ in range(most + 3):
        assert lobby.visitor().ask("POST", "/users", body_of(email)).status == 202
    lobby.settle()
    assert len(lobby.mails_to(email)) == most
    lobby.sql("UPDATE accounts_tally SET ends_at = ends_at - make_interval(secs => $1)", HOUR)
    assert lobby.visitor().ask("POST", "/users", body_of(email)).status == 202
    lobby.mail_to(email, "verify", most + 1)


def test_mails_come_in_ones_own_language(lobby: Lobby) -> None:
    visitor = lobby.sign_up(locale="ja")
    mail = lobby.mail_to(visitor.email, "verify")
    assert (mail.head.locale, "確認" in mail.head.subject) == ("ja", True)
    (link,) = lobby.links_to(visitor.email, "verify")
    assert link.path.endswith("?lang=ja")
    page = visitor.send("GET", link.path)
    assert '<html lang="ja">' in page.text
    assert "確認する" in page.text


@pytest.mark.parametrize(
    ("password", "because"),
    [
        ("short", "10 to 128 characters"),
        ("x" * 129, "10 to 128 characters"),
        ("password123", "most common"),
        ("QwertyUiop", "most common"),
        ("Dragon!2024!", "most common"),
        ("aaaaaaaaaaab", "different characters"),
        ("grace.hopper@example.com", "your e-mail address"),
        ("Grace.Hopper!!", "your e-mail address"),
        ("is grace.hopper@example.com", "your e-mail address"),
        ("ﬀﬀﬀﬀ", "10 to 128 characters"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(
    lobby: Lobby, password: str, because: str
) -> None:
    answer = lobby.visitor().ask(
        "POST", "/users", body_of("Grace.Hopper@example.com", password=password)
    )
    (error,) = answer.body["errors"]
    assert (answer.status, error["pointer"], because in error["detail"]) == (422, "/password", True)
    assert password not in answer.text


@pytest.mark.parametrize(
    "more",
    [
        {"role": "owner"}, {"account": "acc_aaaaaaaaaaaaaaaaaaaa"},
        {"id": "usr_aaaaaaaaaaaaaaaaaaaa"},
        {"verified_at": "2026-01-01T00:00:00Z"}, {"suspended_at": None}, {"version": 9},
        {"locale": "xx"}, {"name": ""}, {"name": "x" * 101}, {"email": "no address"},
        {"email": "ada@example.com\nBcc: eve@example.com"}, {"email": ["a@example.com"]},
        {"email": f"{'a' * 250}@example.com"}, {"password": None}, {"password": 5},
    ],
    ids=str,
)  # fmt: skip
def test_only_what_is_asked_for_is_taken(lobby: Lobby, more: dict[str, Any]) -> None:
    """No role, account or date comes in by the body."""
    answer = lobby.visitor().ask("POST", "/users", body_of("mass@example.com", **more))
    assert answer.status == 422
    assert [error["pointer"] for error in answer.body["errors"]] == [f"/{next(iter(more))}"]
    assert lobby.sql("SELECT FROM accounts_user WHERE email = 'mass@example.com'") == []


def test_too_many_from_one_network_have_to_wait(
    postgres_server: Postgres, parts_folder: Any
) -> None:
    """Whatever the addresses; others are not held up. And a hub may take no sign-ups at all."""
    few = AccountsSettings(tries_per_address=2, tries_per_network=3)
    with running_lobby(postgres_server, parts_folder, few) as lobby:
        asked = [
            lobby.visitor(f"203.0.113.{host}").ask("POST", "/users", body_of(f"n{n}@example.com"))
            for n, host in enumerate((1, 1, 1, 2, 2))
        ]
        assert [answer.status for answer in asked] == [202, 202, 429, 202, 429]
        assert "from your address" in asked[2].body["detail"]
        assert "from your network" in asked[4].body["detail"]
        assert 0 < int(asked[4].headers["Retry-After"]) <= 900
        other = lobby.visitor("203.0.114.1")
        assert other.ask("POST", "/users", body_of("n9@example.com")).status == 202
        lobby.sql("UPDATE accounts_tally SET ends_at = now()")
        again = lobby.visitor("203.0.113.1")
        assert again.ask("POST", "/users", body_of("n10@example.com")).status == 202


def test_a_closed_hub_takes_no_sign_ups(postgres_server: Postgres, parts_folder: Any) -> None:
    closed = AccountsSettings(signup="closed")
    with running_lobby(postgres_server, parts_folder, closed) as lobby:
        answer = lobby.visitor().ask("POST", "/users", body_of("ada@example.com"))
        assert (answer.status, answer.body["type"]) == (403, "/problems/signup-closed")
        assert "invite" in answer.body["detail"]
        assert lobby.sql("SELECT FROM accounts_tally") == []


def test_who_never_verifies_is_forgotten(lobby: Lobby) -> None:
    """With the link that could have done it; those who did, and newcomers, stay."""
    gone, new, there = lobby.sign_up(), lobby.sign_up(), lobby.person(logged_in=False)
    for visitor in (gone, new):
        lobby.mail_to(visitor.email, "verify")
    old = "UPDATE accounts_user SET created_at = created_at - interval '8 days' WHERE email = $1"
    for visitor in (gone, there):
        lobby.sql(old, visitor.email)
    lobby.sql(
        'UPDATE accounts_link SET expires_at = now() WHERE "user" = '
        "(SELECT id FROM accounts_user WHERE email = $1)", gone.email,
    )  # fmt: skip
    lobby.sweep()
    found = lobby.sql(
        "SELECT email FROM accounts_user WHERE email = ANY ($1) ORDER BY number",
        [gone.email, new.email, there.email],
    )
    assert [row["email"] for row in found] == [new.email, there.email]
