"""Sessions: seen, ended, expired; in a cookie, not for other sites; in one account at a time."""

import re
import secrets
from typing import Any

import pytest

from hub import csrf_token
from services.accounts.settings import AccountsSettings
from tests.fixtures.lobby import Lobby, Visitor

NEW = "nine purple envelopes"
PAGE = {"Sec-Fetch-Site": "same-origin"}
TLS = {"X-Forwarded-Proto": "https"}


# ── seen and ended ──


def test_somebody_sees_where_they_are_logged_in(lobby: Lobby) -> None:
    visitor = lobby.person()
    elsewhere = lobby.visitor("198.51.100.8", email=visitor.email)
    made = elsewhere.log_in()
    assert made.headers["Location"] == f"/api/v1/sessions/{made.body['id']}"
    assert re.fullmatch(r"iss_[\w-]{43}", made.body["token"])
    listed = visitor.ask("GET", "/sessions").body
    assert [(one["address"], one["agent"], one["current"]) for one in listed] == [
        (visitor.address, "visitor/1", True), ("198.51.100.8", "visitor/1", False),
    ]  # fmt: skip
    assert [one["csrf_token"] for one in listed] == [csrf_token(visitor.token), None]
    assert "token" not in listed[0]
    assert visitor.token not in visitor.ask("GET", "/sessions").text
    one = visitor.ask("GET", f"/sessions/{made.body['id']}").body
    assert one == listed[1]
    assert visitor.ask("GET", "/sessions/current").body == listed[0]


def test_a_list_comes_in_pages(lobby: Lobby) -> None:
    visitor = lobby.person()
    for _ in range(2):
        lobby.visitor(email=visitor.email).log_in()
    first = visitor.ask("GET", "/sessions?limit=2")
    assert len(first.body) == 2
    following = re.fullmatch(r'</api/v1(.*)>; rel="next"', first.headers["Link"])
    assert following
    rest = visitor.ask("GET", following[1])
    assert (len(rest.body), rest.headers.get("Link")) == (1, None)


def test_a_session_that_is_ended_opens_nothing(lobby: Lobby) -> None:
    visitor = lobby.person()
    elsewhere = lobby.visitor(email=visitor.email)
    identifier = elsewhere.log_in().body["id"]
    assert visitor.ask("DELETE", f"/sessions/{identifier}").status == 204
    assert visitor.ask("DELETE", f"/sessions/{identifier}").status == 404
    assert elsewhere.ask("GET", "/users/me").status == 401
    assert visitor.ask("DELETE", "/sessions/current").status == 204
    assert visitor.ask("GET", "/users/me").status == 401


def test_anothers_session_is_not_there(lobby: Lobby) -> None:
    """Exactly like one that nobody has."""
    visitor, other = lobby.person(), lobby.person()
    theirs = other.ask("GET", "/sessions/current").body["id"]
    for method in ("GET", "DELETE"):
        answers = [visitor.ask(method, f"/sessions/{one}") for one in (theirs, "ses_" + "a" * 20)]
        assert [answer.status for answer in answers] == [404, 404]
        assert answers[0].said == answers[1].said
    assert other.ask("GET", "/sessions/current").status == 200


@pytest.mark.parametrize(
    ("column", "setting"), [("seen_at", "session_idle"), ("created_at", "session_lifetime")]
)
def test_a_session_ends_by_itself(lobby: Lobby, column: str, setting: str) -> None:
    """When it was not used for long, and in any case when it is old."""
    visitor = lobby.person()
    current = visitor.ask("GET", "/sessions/current").body["id"]
    seconds = float(getattr(AccountsSettings(), setting))
    shift = (
        f"UPDATE accounts_session SET {column} = {column} - make_interval(secs => $1) WHERE id = $2"
    )
    lobby.sql(shift, seconds - 60, current)
    assert visitor.ask("GET", "/users/me").status == 200
    lobby.sql(shift, seconds if column == "seen_at" else 61.0, current)
    assert visitor.ask("GET", "/users/me").status == 401
    fresh = lobby.visitor(email=visitor.email)
    assert fresh.log_in().status == 201
    assert current not in {one["id"] for one in fresh.ask("GET", "/sessions").body}
    assert fresh.ask("GET", f"/sessions/{current}").status == 404
    lobby.sweep()
    assert lobby.sql("SELECT FROM accounts_session WHERE id = $1", current) == []
    assert fresh.ask("GET", "/users/me").status == 200


def test_when_it_was_seen_is_written_seldom(lobby: Lobby) -> None:
    visitor = lobby.person()
    read = 'SELECT seen_at FROM accounts_session WHERE "user" = $1'
    user = lobby.user_of(visitor)
    before = lobby.sql(read, user)
    for _ in range(3):
        visitor.ask("GET", "/users/me")
    assert lobby.sql(read, user) == before
    lobby.sql("UPDATE accounts_session SET seen_at = seen_at - interval '2 minutes'")
    visitor.ask("GET", "/users/me")
    assert lobby.sql(read, user)[0]["seen_at"] > before[0]["seen_at"]


def test_nobody_piles_up_sessions(lobby: Lobby) -> None:
    """Of very many the oldest ends; the same goes for devices."""
    visitor = lobby.person()
    user = lobby.user_of(visitor)
    lobby.sql(
        'INSERT INTO accounts_session (id, "user", digest, address, agent) '
        "SELECT 'ses_' || n, $1, sha256(n::text::bytea), '', '' FROM generate_series(1, 120) AS n",
        user,
    )
    lobby.sql(
        'INSERT INTO accounts_device (id, "user", digest) '
        "SELECT 'kdv_' || n, $1, sha256(n::text::bytea) FROM generate_series(1, 30) AS n",
        user,
    )
    assert lobby.visitor(email=visitor.email).log_in().status == 201
    for table, most in (("session", 100), ("device", 20)):
        counted = lobby.sql(f'SELECT count(*) AS n FROM accounts_{table} WHERE "user" = $1', user)
        assert counted == [{"n": most}]
    assert visitor.ask("GET", "/users/me").status == 401


# ── cookies ──


def test_a_browser_gets_no_token_that_a_script_could_read(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    answer = visitor.log_in(cookie=True)
    assert (answer.status, answer.body["token"]) == (201, None)
    known, session = answer.cookies
    assert re.fullmatch(
        r"known=isd_[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000", known
    )
    assert re.fullmatch(
        r"session=iss_[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7776000", session
    )
    assert answer.body["csrf_token"] == csrf_token(visitor.cookies["session"])
    assert visitor.ask("GET", "/users/me").status == 200
    out = visitor.ask("DELETE", "/sessions/current")
    assert out.cookies == ["session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"]
    assert "known" in visitor.cookies


def test_over_tls_cookies_are_this_hosts_alone(lobby: Lobby) -> None:
    visitor = lobby.person(logged_in=False)
    body = {"email": visitor.email, "password": visitor.password, "cookie": True}
    answer = visitor.ask("POST", "/sessions", body, TLS)
    for cookie, name in zip(answer.cookies, ("known", "session"), strict=True):
        assert cookie.startswith(f"__Host-{name}=")
        assert "; Secure;" in cookie
    assert visitor.ask("GET", "/users/me", headers=TLS).status == 200
    planted = {"session": visitor.cookies.pop("__Host-session")}
    visitor.cookies = planted  # as another host of the domain could set it
    assert visitor.ask("GET", "/users/me", headers=TLS).status == 401


def changes(visitor: Visitor) -> list[tuple[str, str, Any]]:
    """Give changes that a page of another site would like to make."""
    return [
        ("PATCH", "/users/me", {"name": "Eve"}),
        ("PUT", "/users/me/password", {"current_password": visitor.password, "new_password": NEW}),
        ("POST", "/email-changes", {"email": "eve@example.org", "password": visitor.password}),
        ("POST", "/api-tokens", {"name": "eve", "scopes": ["*"]}),
        ("POST", "/projects", {"name": "eve"}),
        ("DELETE", "/sessions/current", None),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {}, PAGE, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"},
        {"X-CSRF-Token": "x", **PAGE},
    ],
    ids=str,
)  # fmt: skip
def test_another_site_changes_nothing_by_a_cookie(lobby: Lobby, headers: dict[str, str]) -> None:
    """It can have a browser send the cookie, and never the token that goes with it."""
    visitor = lobby.person(logged_in=False)
    assert visitor.log_in(cookie=True).status == 201
    token, visitor.csrf = visitor.csrf, ""
    for method, path, body in changes(visitor):
        answer = visitor.ask(method, path, body, headers)
        assert (answer.status, answer.body["type"]) == (403, "/problems/forged")
    from_elsewhere = {"X-CSRF-Token": token, "Sec-Fetch-Site": "cross-site"}
    assert visitor.ask("DELETE", "/sessions/current", None, from_elsewhere).status == 403
    visitor.csrf = token
    assert visitor.ask("GET", "/users/me").body["name"] == "Ada"
    assert visitor.ask("PATCH", "/users/me", {"name": "Grace"}).status == 200


def test_another_site_logs_nobody_in(lobby: Lobby) -> None:
    """A form of another site sends no JSON, and a script there may not (no CORS)."""
    owner = lobby.person(logged_in=False)
    data = f'{{"email":"{owner.email}","password":"{owner.password}","cookie":true}}'.encode()
    kinds = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")
    for kind in kinds:
        answer = owner.send("POST", "/api/v1/sessions", data, {"Content-Type": kind})
        assert (answer.status, answer.cookies) == (415, [])
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = owner.send("OPTIONS", "/api/v1/sessions", headers=asked)
    assert not [name for name in preflight.headers if name.startswith("Access-Control")]


# ── accounts ──


def test_a_session_is_for_one_account_at_a_time(lobby: Lobby) -> None:
    """The one that was joined first, or the one that the request names, with the role there."""
    visitor, other = lobby.person(), lobby.person()
    theirs, own = lobby.account_of(other), lobby.account_of(visitor)
    other.ask("POST", "/projects", {"name": "theirs"})
    asked = {"Isaax-Account": theirs}
    assert visitor.ask("GET", "/projects", headers=asked).status == 404
    lobby.join(visitor, theirs, "viewer")
    assert visitor.ask("GET", "/projects").body == []
    listed = visitor.ask("GET", "/projects", headers=asked).body
    assert [project["name"] for project in listed] == ["theirs"]
    made = visitor.ask("POST", "/projects", {"name": "x"}, asked)
    assert (made.status, "viewer" in made.body["detail"]) == (403, True)
    assert visitor.ask("POST", "/projects", {"name": "x"}, {"Isaax-Account": own}).status == 201
    nobodys = visitor.ask("GET", "/projects", headers={"Isaax-Account": "acc_" + "a" * 20})
    lobby.sql("DELETE FROM accounts_member WHERE account = $1 AND role = 'viewer'", theirs)
    left = visitor.ask("GET", "/projects", headers=asked)
    assert (left.status, left.said) == (nobodys.status, nobodys.said)


def test_whoever_is_in_no_account_concerns_themselves_alone(lobby: Lobby) -> None:
    visitor = lobby.person()
    lobby.sql('DELETE FROM accounts_member WHERE "user" = $1', lobby.user_of(visitor))
    assert visitor.ask("GET", "/users/me").status == 200
    answer = visitor.ask("POST", "/projects", {"name": "nowhere"})
    assert (answer.status, answer.body["detail"]) == (403, "you are a member of no account")
    assert lobby.sql("SELECT FROM projects_project WHERE account = ''") == []


@pytest.mark.parametrize(
    "credential",
    [
        "iss_" + "a" * 43, "iss_", "isx_" + "a" * 43, "isd_" + "a" * 43, "acc_x", "x" * 5000,
        "iss_\u00e9", "iss_' OR 1=1 --",
    ],
)  # fmt: skip
def test_what_is_no_session_is_nobody(lobby: Lobby, credential: str) -> None:
    for shown in ({"token": credential}, {"cookies": {"session": credential}}):
        visitor = lobby.visitor(**shown)
        visitor.token = visitor.token.encode("utf-8").decode("latin-1")
        visitor.cookies = {
            name: value.encode("utf-8").decode("latin-1") for name, value in visitor.cookies.items()
        }
        assert visitor.ask("GET", "/users/me").status in {400, 401, 431}


def test_a_cookie_of_another_kind_is_no_session(lobby: Lobby) -> None:
    """Neither the one of a known device, nor an API token, nor a session's id."""
    visitor = lobby.person()
    token = visitor.ask("POST", "/api-tokens", {"name": "x", "scopes": ["*"]}).body["token"]
    session = visitor.ask("GET", "/sessions/current").body["id"]
    for value in (visitor.cookies["known"], token, session):
        assert lobby.visitor(cookies={"session": value}).ask("GET", "/users/me").status == 401
    for value in (visitor.cookies["known"], session):
        assert lobby.visitor(token=value).ask("GET", "/users/me").status == 401


# ── oneself ──


def test_somebody_changes_what_they_are_called(lobby: Lobby) -> None:
    visitor = lobby.person()
    before = visitor.ask("GET", "/users/me")
    changed = visitor.ask("PATCH", "/users/me", {"name": "Grace", "locale": "ja"})
    assert (changed.body["name"], changed.body["locale"]) == ("Grace", "ja")
    assert changed.headers["ETag"] != before.headers["ETag"]
    stale = {"If-Match": before.headers["ETag"]}
    assert visitor.ask("PATCH", "/users/me", {"name": "Eve"}, stale).status == 412
    assert visitor.ask("GET", "/users/me").body == changed.body
    kept = {"If-None-Match": changed.headers["ETag"]}
    assert visitor.ask("GET", "/users/me", headers=kept).status == 304


@pytest.mark.parametrize(
    "patch",
    [
        {"email": "eve@example.org"}, {"role": "owner"}, {"verified_at": "2026-01-01"},
        {"id": "usr_x"},
        {"password": "x"}, {"version": 1}, {"name": None}, {"name": ""}, {"locale": "xx"},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_else_is_changed_by_that(lobby: Lobby, patch: dict[str, Any]) -> None:
    visitor = lobby.person()
    before = visitor.ask("GET", "/users/me").body
    assert visitor.ask("PATCH", "/users/me", patch).status == 422
    assert visitor.ask("GET", "/users/me").body == before


def test_a_new_password_ends_every_other_session(lobby: Lobby) -> None:
    visitor = lobby.person()
    elsewhere = lobby.visitor(email=visitor.email)
    assert elsewhere.log_in().status == 201
    body = {"current_password": visitor.password, "new_password": NEW}
    assert visitor.ask("PUT", "/users/me/password", body).status == 204
    assert visitor.ask("GET", "/users/me").status == 200
    assert elsewhere.ask("GET", "/users/me").status == 401
    assert elsewhere.log_in().status == 401
    assert elsewhere.log_in(NEW).status == 201
    lobby.mail_to(visitor.email, "password-changed")
    (row,) = lobby.sql(
        'SELECT count(*) AS n FROM accounts_device AS d JOIN accounts_user AS u ON u.id = d."user"'
        " WHERE u.email = $1", visitor.email,
    )  # fmt: skip
    assert row["n"] == 2, "the one at hand stayed known"


def test_a_new_password_needs_the_old_one(lobby: Lobby) -> None:
    """Whoever finds a session open guesses ten times, not more."""
    visitor = lobby.person()
    body = {"current_password": "wrong", "new_password": NEW}
    answer = visitor.ask("PUT", "/users/me/password", body)
    (error,) = answer.body["errors"]
    assert (answer.status, error["pointer"]) == (422, "/current_password")
    assert "9 attempts left" in error["detail"]
    for _ in range(4):
        visitor.ask("PUT", "/users/me/password", body)
    waiting = visitor.ask(
        "PUT", "/users/me/password", {**body, "current_password": visitor.password}
    )
    assert (waiting.status, int(waiting.headers["Retry-After"]) > 0) == (429, True)
    assert lobby.visitor(email=visitor.email).log_in().status == 201, "logging in is counted apart"


def test_a_new_password_is_no_worse_than_the_first(lobby: Lobby) -> None:
    visitor = lobby.person()
    for new in ("short", "password1234", visitor.email):
        body = {"current_password": visitor.password, "new_password": new}
        answer = visitor.ask("PUT", "/users/me/password", body)
        assert [error["pointer"] for error in answer.body["errors"]] == ["/new_password"]
    assert lobby.visitor(email=visitor.email).log_in().status == 201


def test_of_two_changes_at_once_one_counts(lobby: Lobby) -> None:
    visitor = lobby.person()
    others = [lobby.visitor(email=visitor.email) for _ in range(2)]
    for other in others:
        assert other.log_in().status == 201

    def change(number: int) -> int:
        body = {
            "current_password": visitor.password,
            "new_password": f"{NEW} {number} {secrets.token_hex(4)}",
        }
        return others[number].ask("PUT", "/users/me/password", body).status

    # Each counts as an attempt until it is found to be right: the other may have to wait for it.
    others_fate = {401, 409, 422, 429}
    won, lost = sorted(lobby.everybody_at_once(change, 2))
    assert (won, lost in others_fate) == (204, True)
