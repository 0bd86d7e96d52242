"""An account that wants second factors of its members: who decides, and who is kept out."""

import json
from dataclasses import dataclass

import pytest

from tests.fixtures.factors import Careful
from tests.fixtures.lobby import Answer, Lobby, Visitor

WANTED = {"require_second_factor": True}


def problem(answer: Answer) -> tuple[int, str]:
    """Give the status and the type of a problem."""
    return answer.status, answer.body["type"].removeprefix("/problems/")


@dataclass
class Org:
    """An account with an owner who has an authenticator app, and a member who has none."""

    lobby: Lobby
    owner: Careful
    member: Visitor
    account: str

    @property
    def path(self) -> str:
        return f"/accounts/{self.account}"

    @property
    def named(self) -> dict[str, str]:
        return {"Isaax-Account": self.account}

    def require(self) -> None:
        answer = self.owner.visitor.ask("PATCH", self.path, WANTED)
        assert (answer.status, answer.body["require_second_factor"]) == (200, True)

    def token_of(self, who: Visitor) -> Visitor:
        body = {"name": "t", "scopes": ["*"]}
        made = who.ask("POST", "/api-tokens", body, self.named)
        assert made.status == 201, made
        return self.lobby.visitor(token=made.body["token"])


@pytest.fixture
def org(lobby: Lobby) -> Org:
    owner, member = Careful(lobby, lobby.person()), lobby.person()
    owner.enrol()
    account = lobby.account_of(owner.visitor)
    lobby.join(member, account, "admin")
    return Org(lobby, owner, member, account)


def test_who_decides(org: Org) -> None:
    """An owner, logged in, who has one: nobody else turns it on or off, or locks themselves out."""
    owner = org.owner.visitor
    assert owner.ask("GET", org.path).body["require_second_factor"] is False
    assert problem(org.member.ask("PATCH", org.path, WANTED)) == (403, "forbidden")
    program = org.token_of(owner)
    assert problem(program.ask("PATCH", org.path, WANTED)) == (403, "forbidden")
    assert program.ask("PATCH", org.path, {"name": "renamed"}).status == 200
    careless = org.lobby.person()
    org.lobby.join(careless, org.account, "owner")
    refused = careless.ask("PATCH", org.path, WANTED)
    assert problem(refused) == (409, "conflict")
    assert "/users/me/totp" in refused.body["detail"]
    org.require()
    off = {"require_second_factor": False}
    assert problem(program.ask("PATCH", org.path, off)) == (403, "forbidden")
    assert org.owner.visitor.ask("PATCH", org.path, {"name": "x"}).body["name"] == "x"
    assert owner.ask("GET", org.path).body["require_second_factor"] is True
    assert owner.ask("PATCH", org.path, off).body["require_second_factor"] is False
    assert careless.ask("GET", "/projects", headers=org.named).status == 200


def test_who_has_none_is_kept_out_until_they_add_one(org: Org) -> None:
    """Sessions and tokens, here alone; it says what to do, and that is let through."""
    program = org.token_of(org.member)
    org.require()
    assert org.owner.visitor.ask("GET", "/projects", headers=org.named).status == 200
    for who in (org.member, program):
        for method, path in (("GET", "/projects"), ("POST", "/projects"), ("GET", org.path)):
            body = {"name": "x"} if method == "POST" else None
            answer = who.ask(method, path, body, org.named)
            assert problem(answer) == (403, "second-factor-required")
            assert "authenticator app" in answer.body["detail"]
    assert org.member.ask("GET", "/projects").status == 200, "in their own account"
    assert org.member.ask("GET", "/accounts").status == 200
    assert org.member.ask("GET", "/users/me", headers=org.named).status == 200
    mail = org.lobby.mail_to(org.member.email, "factor-required")
    assert "second factor" in mail.head.subject
    assert org.lobby.mails_to(org.owner.visitor.email, "factor-required") == []
    Careful(org.lobby, org.member).enrol()
    assert org.member.ask("GET", "/projects", headers=org.named).status == 200
    assert program.ask("GET", "/projects").status == 200
    assert org.member.ask("DELETE", "/users/me/totp").status == 204
    assert problem(org.member.ask("GET", "/projects", headers=org.named))[0] == 403


def test_a_passkey_will_do_and_a_secret_that_was_never_confirmed_will_not(org: Org) -> None:
    org.require()
    assert org.member.ask("POST", "/users/me/totp").status == 200
    assert problem(org.member.ask("GET", org.path)) == (403, "second-factor-required")
    assert Careful(org.lobby, org.member).register().status == 201
    assert org.member.ask("GET", org.path).status == 200


def test_a_token_that_stands_for_the_account_needs_none(org: Org) -> None:
    program = org.token_of(org.owner.visitor)
    org.lobby.sql('UPDATE accounts_api_token SET "user" = NULL WHERE account = $1', org.account)
    org.require()
    assert program.ask("GET", "/projects").status == 200


def test_it_is_in_the_audit_log(org: Org) -> None:
    org.require()

    def shown() -> list[str]:
        rows = org.lobby.sql(
            "SELECT v.value FROM audit_value AS v JOIN audit_entry AS e USING (account, seq) "
            "WHERE account = $1 AND v.part = 'content' "
            "AND e.action = 'PATCH /api/v1/accounts/{account}'",
            org.account,
        )
        return [row["value"] for row in rows]

    org.lobby._wait(lambda: bool(shown()), "the entry")
    (value,) = map(json.loads, shown())
    assert (value["before"]["require_second_factor"], value["after"]["require_second_factor"]) == (
        False, True,
    )  # fmt: skip
