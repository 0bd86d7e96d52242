"""Links in mails: they act once, when somebody asks them to, whoever else looks at them before."""

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from hub.errors import Unavailable
from hub.secret import Secret
from hub.telemetry import Metrics
from services.accounts.identity.contracts import UseLink
from services.accounts.identity.following import Following
from services.accounts.identity.links import AT_WORK, LIFETIMES
from services.accounts.identity.passwords import PasswordRules, Passwords
from services.accounts.tokens import digest_of
from tests.fixtures.lobby import Answer, Lobby, MailedLink, Visitor

NEW = "nine purple envelopes"
ENDPOINTS: Mapping[str, str] = {
    "verify": "/email-verifications",
    "reset": "/password-resets/redeem",
    "unlock": "/unlocks",
    "email": "/email-changes/redeem",
}


def lock(lobby: Lobby, visitor: Visitor) -> None:
    """Try wrong passwords until the address is locked."""
    stranger = lobby.visitor(email=visitor.email)
    for _ in range(10):
        lobby.sql("UPDATE accounts_attempt SET until = now() WHERE until > now() AND failures < 10")
        answer = stranger.log_in("a wrong password")
    assert answer.status == 403


def reset_link(lobby: Lobby, visitor: Visitor) -> MailedLink:
    """Ask for a new password."""
    asked = lobby.visitor().ask("POST", "/password-resets", {"email": visitor.email})
    assert asked.status == 202
    return lobby.links_to(visitor.email, "reset")[0]


def given(lobby: Lobby, kind: str) -> tuple[Visitor, MailedLink]:
    """Give somebody with a link of a kind."""
    if kind == "verify":
        visitor = lobby.sign_up()
        return visitor, lobby.links_to(visitor.email, "verify")[0]
    visitor = lobby.person()
    if kind == "reset":
        return visitor, reset_link(lobby, visitor)
    if kind == "unlock":
        lock(lobby, visitor)
        return visitor, lobby.links_to(visitor.email, "locked")[0]
    new = f"{secrets.token_hex(6)}@example.org"
    body = {"email": new, "password": visitor.password}
    assert visitor.ask("POST", "/email-changes", body).status == 202
    return visitor, lobby.links_to(new, "email-new")[0]


def everything(lobby: Lobby, visitor: Visitor) -> list[Any]:
    """Give all that is kept of somebody."""
    person = "SELECT * FROM accounts_user WHERE id = $1"
    links = 'SELECT * FROM accounts_link WHERE "user" = $1 ORDER BY digest'
    (row,) = lobby.sql("SELECT id FROM accounts_user WHERE email = $1", visitor.email)
    return [
        lobby.sql(person, row["id"]), lobby.sql(links, row["id"]),
        lobby.sql('SELECT * FROM accounts_member WHERE "user" = $1', row["id"]),
        lobby.sql("SELECT key, failures, until FROM accounts_attempt ORDER BY key"),
    ]  # fmt: skip


def use(kind: str) -> Callable[[Visitor, MailedLink], Answer]:
    """Give what uses a link as a program does."""

    def by_program(visitor: Visitor, link: MailedLink) -> Answer:
        password = {"password": NEW} if kind == "reset" else {}
        return visitor.ask("POST", ENDPOINTS[kind], {"token": link.token, **password})

    return by_program


def press(visitor: Visitor, link: MailedLink) -> Answer:
    """Use a link as a person does."""
    fields = {"password": NEW} if link.kind == "reset" else {}
    return visitor.form(link.path, **fields)


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_scanner_that_follows_every_link_changes_nothing(lobby: Lobby, kind: str) -> None:
    """Programs look at mails before their readers do."""
    visitor, link = given(lobby, kind)
    scanner, before = lobby.visitor(), everything(lobby, visitor)
    for _ in range(3):
        for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 204)):
            assert scanner.send(method, link.path).status == status
    for method in ("PUT", "PATCH", "DELETE"):
        assert scanner.send(method, link.path).status == 405
    assert everything(lobby, visitor) == before
    assert press(visitor, link).status == 200


@pytest.mark.parametrize("kind", ENDPOINTS)
@pytest.mark.parametrize("page", [True, False], ids=["page", "program"])
def test_of_twenty_uses_at_once_one_counts(lobby: Lobby, kind: str, page: bool) -> None:
    _, link = given(lobby, kind)
    act = press if page else use(kind)
    answers = lobby.everybody_at_once(lambda _: act(lobby.visitor(), link), 20)
    done, dead = (200, "This link is not valid") if page else (204, "/problems/dead-link")
    assert sorted(answer.status for answer in answers) == [done] + [404] * 19
    assert all(dead in answer.text for answer in answers if answer.status == 404)
    assert act(lobby.visitor(), link).status == 404, "nor later"
    assert lobby.visitor().send("GET", link.path).status == 404


def test_a_link_of_a_hub_that_died_at_work_is_good_again(lobby: Lobby) -> None:
    """While one sets a password with it, nobody else does; it is not lost with the hub."""
    visitor = lobby.person()
    link = reset_link(lobby, visitor)
    digest = digest_of(link.token)
    taken = "UPDATE accounts_link SET taken_until = now() + $2 WHERE digest = $1"
    lobby.sql(taken, digest, timedelta(seconds=AT_WORK))
    assert press(lobby.visitor(), link).status == 404
    assert use("reset")(lobby.visitor(), link).status == 404
    lobby.sql(taken, digest, timedelta())
    assert press(lobby.visitor(), link).status == 200


def test_a_link_stays_good_when_too_many_log_in(lobby: Lobby) -> None:
    """Nobody gets to hash a password then."""
    link = reset_link(lobby, lobby.person())
    nothing: Any = None

    async def use_it() -> None:
        async with Passwords.open(Metrics()) as passwords:
            passwords._waiting = 10_000
            following = Following(
                lobby.database, PasswordRules.load(), passwords, *[nothing] * 5
            )  # fmt: skip
            request = UseLink("reset", digest_of(link.token).hex(), Secret(NEW))
            with pytest.raises(Unavailable):
                await following.use(request)

    lobby.run(use_it())
    assert press(lobby.visitor(), link).status == 200


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_link_expires(lobby: Lobby, kind: str) -> None:
    visitor, link = given(lobby, kind)
    lobby.sql(
        "UPDATE accounts_link SET expires_at = expires_at - make_interval(secs => $1)",
        LIFETIMES[link.kind],  # type: ignore[index]
    )
    before = everything(lobby, visitor)
    page = press(visitor, link)
    assert (page.status, "This link is not valid" in page.text) == (404, True)
    answer = use(kind)(visitor, link)
    assert (answer.status, answer.body["type"]) == (404, "/problems/dead-link")
    assert everything(lobby, visitor) == before


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_link_is_good_for_its_kind_alone(lobby: Lobby, kind: str) -> None:
    visitor, link = given(lobby, kind)
    for other in ENDPOINTS.keys() - {kind}:
        assert use(other)(visitor, link).status == 404
        assert (
            visitor.form(link.path.replace(f"/{kind}/", f"/{other}/"), password=NEW).status == 404
        )
    assert press(visitor, link).status == 200


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "é", "../verify", "%00", "'; DROP TABLE"])
def test_what_is_no_link_is_not_there(lobby: Lobby, token: str) -> None:
    visitor = lobby.visitor()
    assert visitor.ask("POST", "/unlocks", {"token": token}).status == 404
    for method in ("GET", "POST"):
        assert visitor.send(method, f"/links/unknown/{'a' * 43}").status == 404


@pytest.mark.parametrize("kind", ENDPOINTS)
def test_a_page_runs_nothing_and_tells_nobody_where_it_is(lobby: Lobby, kind: str) -> None:
    """No scripts, nothing from elsewhere, not in a frame, no address in a Referer, not kept."""
    visitor, link = given(lobby, kind)
    page = visitor.send("GET", link.path)
    assert "<script" not in page.text
    assert not re.search(r"\son\w+=|https?:|//", page.text)
    assert link.token not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.cookies == []
    assert ('type="password"' in page.text) == (kind == "reset")


def test_a_page_shows_an_address_as_text(lobby: Lobby) -> None:
    visitor = lobby.sign_up(email="o'hara&sons@example.com")
    (link,) = lobby.links_to(visitor.email, "verify")
    assert "o&#39;hara&amp;sons@example.com" in visitor.send("GET", link.path).text


# ── a new password ──


def test_a_new_password_ends_everything_that_the_old_one_opened(lobby: Lobby) -> None:
    visitor = lobby.person()
    elsewhere = lobby.visitor(email=visitor.email)
    assert elsewhere.log_in(cookie=True).status == 201
    lock(lobby, visitor)
    new = f"{secrets.token_hex(6)}@example.org"
    body = {"email": new, "password": visitor.password}
    assert visitor.ask("POST", "/email-changes", body).status == 202
    (change,) = lobby.links_to(new, "email-new")
    unlock = lobby.links_to(visitor.email, "locked")[0]
    link = reset_link(lobby, visitor)
    page = press(lobby.visitor(), link)
    assert (page.status, "Your new password is set" in page.text) == (200, True)
    for old in (visitor, elsewhere):
        assert old.ask("GET", "/sessions/current").status == 401
    assert lobby.visitor(email=visitor.email).log_in(visitor.password).status == 401
    visitor.token = ""
    assert visitor.log_in(NEW).status == 201, "it unlocks, too"
    assert [press(visitor, dead).status for dead in (change, unlock)] == [404, 404]
    assert "was changed" in lobby.mail_to(visitor.email, "password-changed").head.subject


def test_a_device_that_was_known_is_a_stranger_after_a_new_password(lobby: Lobby) -> None:
    visitor = lobby.person()
    known = dict(visitor.cookies)
    assert press(lobby.visitor(), reset_link(lobby, visitor)).status == 200
    lock(lobby, visitor)
    assert visitor.log_in(NEW).status == 403
    assert visitor.cookies == known


def test_a_bad_new_password_leaves_the_link_as_good_as_it_was(lobby: Lobby) -> None:
    visitor = lobby.person()
    link = reset_link(lobby, visitor)
    for bad in ("short", visitor.email, "password1234"):
        page = visitor.form(link.path, password=bad)
        assert (page.status, "Choose another password" in page.text) == (422, True)
        assert bad not in page.text.replace(visitor.email, "")
        answer = visitor.ask(
            "POST", "/password-resets/redeem", {"token": link.token, "password": bad}
        )
        assert [error["pointer"] for error in answer.body["errors"]] == ["/password"]
    assert press(visitor, link).status == 200
    assert visitor.log_in(NEW).status == 201


def test_asking_for_a_new_password_does_not_tell_who_is_there(lobby: Lobby) -> None:
    visitor = lobby.person()
    answers = [
        lobby.visitor().ask("POST", "/password-resets", {"email": email})
        for email in (visitor.email, "nobody-here@example.com")
    ]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].raw == answers[1].raw
    lobby.mail_to(visitor.email, "reset")
    lobby.settle()
    assert lobby.mails_to("nobody-here@example.com") == []


def test_a_new_password_verifies_the_address(lobby: Lobby) -> None:
    """Whoever reads the mails may have lost the first one; what was chosen before is void."""
    visitor = lobby.sign_up()
    (verify,) = lobby.links_to(visitor.email, "verify")
    assert press(visitor, reset_link(lobby, visitor)).status == 200
    assert visitor.log_in(NEW).status == 201
    assert visitor.ask("GET", "/projects").status == 200
    assert press(visitor, verify).status == 404


def test_somebody_who_is_suspended_has_no_good_links(lobby: Lobby) -> None:
    visitor = lobby.person()
    link = reset_link(lobby, visitor)
    lobby.sql("UPDATE accounts_user SET suspended_at = now() WHERE email = $1", visitor.email)
    assert press(visitor, link).status == 404
    asked = lobby.visitor().ask("POST", "/password-resets", {"email": visitor.email})
    assert asked.status == 202
    lobby.settle()
    assert len(lobby.mails_to(visitor.email, "reset")) == 1


# ── another address ──


def test_an_address_changes_when_its_reader_says_so(lobby: Lobby) -> None:
    visitor = lobby.person()
    old, new = visitor.email, f"{secrets.token_hex(6)}@example.org"
    body = {"email": new.upper(), "password": visitor.password}
    assert visitor.ask("POST", "/email-changes", body).status == 202
    told = lobby.mail_to(old, "email-old")
    assert new in told.text
    reset = reset_link(lobby, visitor)
    (link,) = lobby.links_to(new, "email-new")
    page = visitor.send("GET", link.path)
    assert new in page.text
    assert visitor.ask("GET", "/users/me").body["email"] == old
    assert press(visitor, link).status == 200
    assert visitor.ask("GET", "/users/me").body["email"] == new
    assert lobby.visitor(email=old).log_in().status == 401
    assert lobby.visitor(email=new).log_in().status == 201
    assert press(visitor, reset).status == 404, "it went to the old address"


def test_an_address_that_somebody_has_is_not_told_of(lobby: Lobby) -> None:
    """The answer is the same; whoever has it is told, and nothing changes."""
    visitor, other = lobby.person(), lobby.person()
    body = {"email": other.email, "password": visitor.password}
    answer = visitor.ask("POST", "/email-changes", body)
    free = visitor.ask("POST", "/email-changes", {**body, "email": "free@example.org"})
    assert (answer.status, answer.raw) == (free.status, free.raw) == (202, answer.raw)
    lobby.mail_to(other.email, "registered")
    lobby.settle()
    assert lobby.mails_to(other.email, "email-new") == []


def test_an_address_that_somebody_took_meanwhile_is_not_taken_away(lobby: Lobby) -> None:
    visitor, new = lobby.person(), f"{secrets.token_hex(6)}@example.org"
    body = {"email": new, "password": visitor.password}
    assert visitor.ask("POST", "/email-changes", body).status == 202
    (link,) = lobby.links_to(new, "email-new")
    lobby.person(email=new)
    assert press(visitor, link).status == 404
    assert visitor.ask("GET", "/users/me").body["email"] == visitor.email


def test_a_change_of_address_needs_the_password(lobby: Lobby) -> None:
    visitor = lobby.person()
    answer = visitor.ask("POST", "/email-changes", {"email": "x@example.org", "password": "wrong"})
    assert answer.status == 422
    assert [error["pointer"] for error in answer.body["errors"]] == ["/password"]
