"""API tokens: they act for whoever makes them, as far as their scopes and their maker's role go."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.lobby import Answer, Lobby, Visitor


def make(visitor: Visitor, **change: Any) -> Answer:
    """Make an API token."""
    return visitor.ask("POST", "/api-tokens", {"name": "program", "scopes": ["*"], **change})


def program(lobby: Lobby, visitor: Visitor, **change: Any) -> Visitor:
    """Give a program that acts for somebody."""
    answer = make(visitor, **change)
    assert answer.status == 201, answer
    return lobby.visitor(token=answer.body["token"])


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_a_token_is_shown_once_and_kept_as_a_digest(lobby: Lobby) -> None:
    visitor = lobby.person()
    made = make(visitor, scopes=["projects:read"], expires_at=in_days(1))
    token = made.body["token"]
    assert re.fullmatch(r"isx_[\w-]{43}", token)
    assert made.body["prefix"] == token[:10]
    assert made.body["user"] == lobby.user_of(visitor)
    path = made.headers["Location"].removeprefix("/api/v1")
    shown = visitor.ask("GET", path).body
    assert shown == {**made.body, "token": None}
    assert visitor.ask("GET", "/api-tokens").body == [shown]
    (row,) = lobby.sql("SELECT * FROM accounts_api_token WHERE id = $1", made.body["id"])
    assert row["digest"] == hashlib.sha256(token.encode()).digest()
    assert token[10:] not in str(row)


def test_a_token_does_what_its_scopes_name(lobby: Lobby) -> None:
    visitor = lobby.person()
    reader = program(lobby, visitor, scopes=["projects:read"])
    assert reader.ask("GET", "/projects").status == 200
    refused = reader.ask("POST", "/projects", {"name": "x"})
    assert (refused.status, "projects:write" in refused.body["detail"]) == (403, True)
    assert make(reader).status == 403
    assert reader.ask("GET", "/users/me").body["email"] == visitor.email


def test_a_token_does_no_more_than_its_maker_may_at_the_time(lobby: Lobby) -> None:
    """Their role as it is now, in that account alone; nothing once they are gone."""
    owner, member = lobby.person(), lobby.person()
    account = lobby.account_of(owner)
    lobby.join(member, account, "developer")
    there = {"Isaax-Account": account}
    made = member.ask("POST", "/api-tokens", {"name": "x", "scopes": ["*"]}, there)
    bot = lobby.visitor(token=made.body["token"])
    project = bot.ask("POST", "/projects", {"name": "by a token"})
    assert project.status == 201
    assert [one["name"] for one in owner.ask("GET", "/projects").body] == ["by a token"]
    assert member.ask("GET", "/projects").body == []
    own = {"Isaax-Account": lobby.account_of(member)}
    assert bot.ask("GET", "/projects", headers=own).status == 403
    change = 'UPDATE accounts_member SET role = $1 WHERE account = $2 AND "user" = $3'
    lobby.sql(change, "viewer", account, lobby.user_of(member))
    assert bot.ask("GET", "/projects").status == 200
    assert bot.ask("POST", "/projects", {"name": "x"}).status == 403
    lobby.sql("DELETE FROM accounts_member WHERE account = $1 AND role = 'viewer'", account)
    assert bot.ask("GET", "/projects").status == 401


@pytest.mark.parametrize(
    ("scopes", "pointers"),
    [
        (["projects:read", "projects:fly"], ["/scopes/1"]),
        (["nonsense", "projects:write", "**"], ["/scopes/0", "/scopes/1", "/scopes/2"]),
        ([], ["/scopes"]),
        ([""], ["/scopes/0"]),
        (["projects:read" + "x" * 60], ["/scopes/0"]),
        ("*", ["/scopes"]),
        ([5], ["/scopes/0"]),
    ],
    ids=str,
)
def test_scopes_are_permissions_that_the_maker_has(
    lobby: Lobby, scopes: Any, pointers: list[str]
) -> None:
    """Unknown ones, and those beyond the role, each with its place."""
    owner, viewer = lobby.person(), lobby.person()
    account = lobby.account_of(owner)
    lobby.join(viewer, account, "viewer")
    body = {"name": "x", "scopes": scopes}
    answer = viewer.ask("POST", "/api-tokens", body, {"Isaax-Account": account})
    assert answer.status == 422
    assert [error["pointer"] for error in answer.body["errors"]] == pointers


def test_a_token_makes_no_token_that_may_more(lobby: Lobby) -> None:
    """Nor one that lives longer."""
    visitor = lobby.person()
    scopes = ["api-tokens:write", "projects:read"]
    bot = program(lobby, visitor, scopes=scopes, expires_at=in_days(1))
    for wanted in (["*"], ["projects:write"], ["projects:read", "*"]):
        assert make(bot, scopes=wanted).status == 422
    for expires_at in (None, in_days(2)):
        answer = make(bot, scopes=["projects:read"], expires_at=expires_at)
        assert [error["pointer"] for error in answer.body["errors"]] == ["/expires_at"]
    child = program(lobby, bot, scopes=["projects:read"], expires_at=in_days(0.5))
    assert child.ask("GET", "/projects").status == 200
    assert child.ask("GET", "/users/me").body["email"] == visitor.email


def test_a_token_is_no_person(lobby: Lobby) -> None:
    """What only somebody who is logged in may do, no token may."""
    bot = program(lobby, lobby.person())
    for method, path, body in (
        ("GET", "/sessions", None), ("GET", "/sessions/current", None),
        ("DELETE", "/sessions/current", None), ("PATCH", "/users/me", {"name": "x"}),
        ("PUT", "/users/me/password", {"current_password": "x", "new_password": "y"}),
        ("POST", "/email-changes", {"email": "x@example.org", "password": "x"}),
    ):  # fmt: skip
        answer = bot.ask(method, path, body)
        assert (answer.status, "logged in" in answer.body["detail"]) == (403, True)


@pytest.mark.parametrize(
    "expires_at", ["2026-01-01T00:00:00Z", "2099-01-01T00:00:00", "soon", 5], ids=str
)
def test_an_expiry_is_in_the_future_and_says_its_zone(lobby: Lobby, expires_at: Any) -> None:
    answer = make(lobby.person(), expires_at=expires_at)
    assert [error["pointer"] for error in answer.body["errors"]] == ["/expires_at"]


def test_a_token_expires(lobby: Lobby) -> None:
    visitor = lobby.person()
    bot = program(lobby, visitor, expires_at=in_days(1))
    assert bot.ask("GET", "/projects").status == 200
    lobby.sql(
        'UPDATE accounts_api_token SET expires_at = now() WHERE "user" = $1',
        lobby.user_of(visitor),
    )
    assert bot.ask("GET", "/projects").status == 401
    assert len(visitor.ask("GET", "/api-tokens").body) == 1, "it is still listed, as expired"


def test_a_token_that_is_revoked_opens_nothing(lobby: Lobby) -> None:
    visitor = lobby.person()
    bot = program(lobby, visitor)
    (token,) = visitor.ask("GET", "/api-tokens").body
    path = f"/api-tokens/{token['id']}"
    assert [visitor.ask("DELETE", path).status for _ in range(2)] == [204, 404]
    assert bot.ask("GET", "/projects").status == 401
    assert visitor.ask("GET", path).status == 404
    assert visitor.ask("GET", "/api-tokens").body == []
    lobby.sql("UPDATE accounts_api_token SET revoked_at = revoked_at - interval '31 days'")
    lobby.sweep()
    assert lobby.sql("SELECT FROM accounts_api_token WHERE id = $1", token["id"]) == []


def test_when_it_was_used_is_written_seldom(lobby: Lobby) -> None:
    visitor = lobby.person()
    bot = program(lobby, visitor)

    def last_used() -> str | None:
        (token,) = visitor.ask("GET", "/api-tokens").body
        used: str | None = token["last_used_at"]
        return used

    assert last_used() is None
    bot.ask("GET", "/projects")
    first = last_used()
    assert first is not None
    bot.ask("GET", "/projects")
    assert last_used() == first
    lobby.sql("UPDATE accounts_api_token SET last_used_at = last_used_at - interval '2 minutes'")
    bot.ask("GET", "/projects")
    assert (last_used() or "") > first


def test_everybody_sees_their_own_and_owners_see_all(lobby: Lobby) -> None:
    owner, member, stranger = lobby.person(), lobby.person(), lobby.person()
    account = lobby.account_of(owner)
    lobby.join(member, account, "developer")
    there = {"Isaax-Account": account}
    theirs = member.ask("POST", "/api-tokens", {"name": "theirs", "scopes": ["*"]}, there).body
    own = make(owner, name="own").body
    elsewhere = make(member, name="elsewhere").body
    assert [one["name"] for one in owner.ask("GET", "/api-tokens").body] == ["theirs", "own"]
    seen = member.ask("GET", "/api-tokens", headers=there).body
    assert [one["name"] for one in seen] == ["theirs"]
    for who, identifier, headers in (
        (member, own["id"], there), (owner, elsewhere["id"], {}), (stranger, own["id"], {}),
        (stranger, "apt_" + "a" * 20, {}),
    ):  # fmt: skip
        for method in ("GET", "DELETE"):
            answer = who.ask(method, f"/api-tokens/{identifier}", headers=headers)
            assert answer.status == 404
            assert answer.body["detail"] == "no such API token"
    assert owner.ask("DELETE", f"/api-tokens/{theirs['id']}").status == 204


def test_nobody_makes_tokens_without_end(lobby: Lobby) -> None:
    visitor = lobby.person()
    lobby.sql(
        'INSERT INTO accounts_api_token (id, account, name, prefix, digest, "user") '
        "SELECT 'apt_' || n || $2, $1, 'x', 'x', sha256((n || $2)::bytea), $2 "
        "FROM generate_series(1, 99) AS n",
        lobby.account_of(visitor), lobby.user_of(visitor),
    )  # fmt: skip
    assert make(visitor).status == 201
    answer = make(visitor)
    assert (answer.status, "revoke some" in answer.body["detail"]) == (409, True)


@pytest.mark.parametrize(
    "more",
    [{"user": "usr_x"}, {"account": "acc_x"}, {"token": "isx_mine"}, {"id": "x"}, {"digest": "x"}],
    ids=str,
)
def test_a_token_takes_nothing_else_from_a_body(lobby: Lobby, more: dict[str, str]) -> None:
    assert make(lobby.person(), **more).status == 422


def test_a_retry_gets_the_same_token(lobby: Lobby) -> None:
    """An answer that was lost on the way need not leave a token behind that nobody has."""
    visitor, key = lobby.person(), {"Idempotency-Key": "one"}
    body = {"name": "x", "scopes": ["*"]}
    first, second = (visitor.ask("POST", "/api-tokens", body, key) for _ in range(2))
    assert first.body["token"] == second.body["token"]
    assert len(visitor.ask("GET", "/api-tokens").body) == 1
