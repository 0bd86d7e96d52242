"""People in the audit log: in that of every account that they are a member of, and in no other."""

import json
from typing import Any

from tests.fixtures.lobby import PASSWORD, Lobby, Visitor

WRONG = "not my password"


def told(lobby: Lobby, account: str, action: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait for entries of an account, and give them."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        rows = lobby.sql(
            "SELECT entry FROM audit_entry WHERE account = $1 AND action = $2 ORDER BY seq",
            account, action,
        )  # fmt: skip
        found[:] = [json.loads(row["entry"]) for row in rows]
        return len(found) >= count

    lobby._wait(there, f"{count} of {action} in the log of {account}")
    assert len(found) == count
    return found


def values(lobby: Lobby) -> str:
    """Give all that the log keeps."""
    rows = lobby.sql(
        "SELECT entry AS text FROM audit_entry UNION ALL SELECT value FROM audit_value "
        "UNION ALL SELECT deed || coalesce(origin, '') || coalesce(content, '') FROM audit_pending"
    )
    return "\n".join(row["text"] for row in rows)


def fail(lobby: Lobby, visitor: Visitor, times: int) -> None:
    for _ in range(times):
        lobby.sql("UPDATE accounts_attempt SET until = now() WHERE until > now() AND failures < 10")
        assert visitor.log_in(WRONG).status in {401, 403}


def test_a_login_is_in_the_log_of_every_account_of_the_person(lobby: Lobby) -> None:
    """With where it came from; nobody else's says a word."""
    host, guest = lobby.person(), lobby.person(logged_in=False)
    lobby.join(guest, lobby.account_of(host), "viewer")
    assert guest.log_in().status == 201
    user = lobby.user_of(guest)
    for account in (lobby.account_of(host), lobby.account_of(guest)):
        begun = told(lobby, account, "session.begun", 2 if account == lobby.account_of(host) else 1)
        last = begun[-1]
        assert (last["actor"]["kind"], last["actor"]["user"]) == ("person", user)
        assert last["actor"]["id"] == last["object"]["session"]
        (origin,) = lobby.sql(
            "SELECT value FROM audit_value WHERE account = $1 AND seq = $2 AND part = 'origin'",
            account, last["seq"],
        )  # fmt: skip
        assert json.loads(origin["value"]) == {"address": guest.address, "agent": "visitor/1"}
    assert user not in json.dumps(told(lobby, lobby.account_of(lobby.person()), "session.begun"))


def test_a_lock_is_in_the_log_of_the_persons_account(lobby: Lobby) -> None:
    """The wrong passwords before it are counted in the hub's own log, whoever's they were to be."""
    visitor = lobby.person(logged_in=False)
    fail(lobby, lobby.visitor(email=visitor.email), 10)
    (locked,) = told(lobby, lobby.account_of(visitor), "user.locked")
    assert (locked["object"], locked["actor"]["kind"]) == (
        {"user": lobby.user_of(visitor)}, "hub",
    )  # fmt: skip


def test_what_a_person_knows_is_nowhere_in_it(lobby: Lobby) -> None:
    """Passwords, tokens of sessions and links, and the guard of pages."""
    visitor = lobby.person(logged_in=False)
    fail(lobby, lobby.visitor(email=visitor.email), 10)
    unlock, _ = lobby.links_to(visitor.email, "locked")
    assert visitor.form(unlock.path).status == 200
    answer = visitor.log_in()
    assert answer.status == 201
    visitor.token = answer.body["token"]
    made = visitor.ask("POST", "/api-tokens", {"name": "mine", "scopes": ["*"]})
    assert made.status == 201
    account = lobby.account_of(visitor)
    (entry,) = told(lobby, account, "POST /api/v1/api-tokens")
    assert entry["status"] == 201
    told(lobby, account, "session.begun")
    everything = values(lobby)
    assert made.body["id"] in everything
    secrets = (
        PASSWORD, WRONG, visitor.token, answer.body["csrf_token"], made.body["token"],
        unlock.path.split("/")[-1].split("?")[0],
    )  # fmt: skip
    assert [secret for secret in secrets if secret in everything] == []
