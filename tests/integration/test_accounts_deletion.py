"""The end of an account, as its owners meet it: shown, taken along, asked for, undone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from hub.embedded.postgres import Postgres
from tests.fixtures.lobby import Answer, Lobby, MailedLink, Visitor, running_lobby

AWAY: Final = ("messages",)


@dataclass
class Owned:
    """An account with an owner, a project and a token of each kind."""

    lobby: Lobby
    owner: Visitor
    account: str
    project: str
    secret: str
    program: Visitor

    @property
    def path(self) -> str:
        return f"/accounts/{self.account}"

    def member(self, role: str) -> Visitor:
        who = self.lobby.person()
        self.lobby.join(who, self.account, role)
        return who

    def close(self, by: Visitor | None = None, **more: Any) -> Answer:
        by = by or self.owner
        return by.ask("POST", f"{self.path}/deletion", {"password": by.password, **more})

    def undo_link(self, email: str = "", number: int = 1) -> MailedLink:
        (link,) = self.lobby.links_to(email or self.owner.email, "account-closing", number)
        return link

    def lets_devices_in(self) -> bool:
        """Whether the project's token is one of those that the broker is told."""
        rows = self.lobby.sql(
            "SELECT FROM projects_token AS t WHERE project = $1 AND NOT EXISTS "
            "(SELECT FROM projects_suspended AS s WHERE s.account = t.account)",
            self.project,
        )
        return bool(rows)

    def until_devices(self, let_in: bool) -> None:
        self.lobby._wait(lambda: self.lets_devices_in() is let_in, f"devices let in: {let_in}")


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub some of whose services are away, and others are switched off."""
    with running_lobby(postgres_server, parts_folder, away=AWAY) as running:
        yield running


@pytest.fixture
def owned(lobby: Lobby) -> Owned:
    owner = lobby.person()
    project = owner.ask("POST", "/projects", {"name": "greenhouse"}).body["id"]
    secret = owner.ask("POST", f"/projects/{project}/tokens", {"name": "devices"}).body["token"]
    made = owner.ask("POST", "/api-tokens", {"name": "t", "scopes": ["*"]}).body["token"]
    program = lobby.visitor(token=made)
    return Owned(lobby, owner, lobby.account_of(owner), project, secret, program)


def test_it_shows_what_goes(owned: Owned) -> None:
    owned.member("viewer")
    shown = owned.owner.ask("GET", f"{owned.path}/deletion")
    assert (shown.status, shown.body["state"], shown.body["due_at"]) == (200, "none", None)
    counts = shown.body["counts"]
    assert {name: counts[name] for name in ("projects", "project_tokens", "members")} == {
        "projects": 1, "project_tokens": 1, "members": 2,
    }  # fmt: skip
    assert counts["api_tokens"] == 1
    # What those keep that are away is said to be missing; of those that are off it is counted.
    assert set(shown.body["unknown"]) == {*AWAY}
    assert {"devices", "api_tokens", "metric_series"} <= counts.keys()


def test_who_may_ask_for_it(owned: Owned) -> None:
    """An owner, who is there themselves, and shows the password once more."""
    for role in ("admin", "developer", "viewer", "billing"):
        who = owned.member(role)
        assert owned.close(who).status == 403
        assert who.ask("GET", f"{owned.path}/deletion").status == 403
        assert who.ask("POST", f"{owned.path}/exports").status == 403
    assert owned.program.ask("POST", f"{owned.path}/deletion", {"password": "x"}).status == 403
    assert owned.program.ask("DELETE", f"{owned.path}/deletion").status == 403
    stranger = owned.lobby.person()
    assert owned.close(stranger).status == 404
    wrong = owned.close(password="not my password")
    assert (wrong.status, wrong.body["errors"][0]["pointer"]) == (422, "/password")
    assert owned.owner.ask("GET", f"{owned.path}/deletion").body["state"] == "none"
    assert owned.owner.ask("DELETE", f"{owned.path}/deletion").status == 404


def test_everything_is_cut_off_and_comes_back(owned: Owned) -> None:
    """Sessions, tokens and devices at once; with the undo, what was there is there again."""
    lobby, other = owned.lobby, owned.member("developer")
    closing = owned.close()
    assert (closing.status, closing.body["state"]) == (202, "waiting")
    asked, due = (datetime.fromisoformat(closing.body[name]) for name in ("requested_at", "due_at"))
    assert due - asked == timedelta(days=14)
    assert owned.owner.ask("GET", "/users/me").status == 401, "the session has ended"
    assert owned.program.ask("GET", "/projects").status == 401
    owned.until_devices(let_in=False)
    assert other.ask("GET", "/users/me").status == 200, "they are in an account of their own"
    assert owned.owner.log_in().status == 201
    assert owned.close().status == 409
    undone = owned.owner.ask("DELETE", f"{owned.path}/deletion")
    assert undone.status == 204
    assert owned.program.ask("GET", "/projects").status == 200
    owned.until_devices(let_in=True)
    lobby.mail_to(owned.owner.email, "account-goes-on")
    assert owned.owner.ask("DELETE", f"{owned.path}/deletion").status == 404


CHANGES = [
    ("PATCH", "/accounts/{account}", {"name": "changed"}),
    ("POST", "/projects", {"name": "another"}),
    ("PATCH", "/projects/{project}", {"name": "changed"}),
    ("DELETE", "/projects/{project}", None),
    ("POST", "/projects/{project}/tokens", {"name": "another"}),
    ("POST", "/api-tokens", {"name": "t", "scopes": ["*"]}),
    ("POST", "/accounts/{account}/invitations", {"email": "grace@example.com"}),
    ("POST", "/accounts/{account}/transfer", {"to": "usr_x", "password": "x"}),
]


def test_meanwhile_it_can_be_looked_at_and_not_changed(owned: Owned) -> None:
    """By its owners and members who log in again; they may take along what there is, too."""
    viewer = owned.member("viewer")
    assert owned.close().status == 202
    assert owned.owner.log_in().status == 201
    for method, path, body in CHANGES:
        url = path.format(account=owned.account, project=owned.project)
        answer = owned.owner.ask(method, url, body, {"Isaax-Account": owned.account})
        assert (answer.status, answer.body["type"]) == (403, "/problems/account-closing"), url
    named = {"Isaax-Account": owned.account}
    assert owned.owner.ask("GET", f"/projects/{owned.project}", headers=named).status == 200
    assert viewer.ask("GET", f"/projects/{owned.project}", headers=named).status == 200
    assert owned.owner.ask("POST", f"{owned.path}/exports").status == 201
    assert owned.owner.ask("GET", f"{owned.path}/deletion").body["state"] == "waiting"
    left = viewer.ask("DELETE", f"{owned.path}/members/me")
    assert (left.status, "being deleted" in left.body["detail"]) == (409, True)
    # Whoever is in another account, too, has that one as the first from now on.
    mine = owned.owner.ask("POST", "/accounts", {"name": "another"}).body["id"]
    assert owned.owner.ask("POST", "/projects", {"name": "mine"}).status == 201
    assert owned.owner.ask("GET", f"/accounts/{mine}").status == 200


def test_nobody_joins_or_is_joined_meanwhile(owned: Owned) -> None:
    """What was invited or offered before waits for the undo, and is not lost by trying."""
    who, receiver = owned.lobby.person(), owned.member("developer")
    body = {"email": who.email, "role": "viewer"}
    assert owned.owner.ask("POST", f"{owned.path}/invitations", body).status == 201
    (invitation,) = owned.lobby.links_to(who.email, "invitation")
    to = {"to": owned.lobby.user_of(receiver), "password": owned.owner.password}
    assert owned.owner.ask("POST", f"{owned.path}/transfer", to).status == 200
    (offer,) = owned.lobby.links_to(receiver.email, "transfer-offer")
    assert owned.close().status == 202
    for link in (invitation, offer):
        page = who.form(link.path)
        assert (page.status, "being deleted" in page.text) == (422, True)
    assert who.form(owned.undo_link().path).status == 200
    for link in (invitation, offer):
        assert who.form(link.path).status == 200


def test_the_link_undoes_it_once_and_by_the_button(owned: Owned) -> None:
    """For every owner, without logging in; a scanner that looks at it changes nothing."""
    second, scanner = owned.member("owner"), owned.lobby.visitor()
    assert owned.close().status == 202
    link = owned.undo_link(second.email)
    for _ in range(3):
        page = scanner.send("GET", link.path)
        assert (page.status, "is to be deleted" in page.text) == (200, True)
    assert owned.program.ask("GET", "/projects").status == 401
    visitors = [owned.lobby.visitor() for _ in range(20)]
    body = {"token": link.token}
    answers = owned.lobby.everybody_at_once(
        lambda n: visitors[n].ask("POST", "/account-deletions/undo", body).status, 20
    )
    assert sorted(answers) == [200] + [404] * 19
    assert owned.program.ask("GET", "/projects").status == 200
    assert scanner.send("GET", link.path).status == 404
    assert owned.close(second).status == 202
    assert scanner.form(link.path).status == 404, "it was for the deletion before"


def test_once_it_has_begun_it_ends(owned: Owned) -> None:
    assert owned.close().status == 202
    link = owned.undo_link()
    owned.lobby.sql(
        "UPDATE accounts_deletion SET begun_at = now() WHERE account = $1", owned.account
    )
    assert owned.owner.log_in().status == 201
    shown = owned.owner.ask("GET", f"{owned.path}/deletion")
    assert shown.body["state"] == "erasing"
    assert owned.owner.ask("DELETE", f"{owned.path}/deletion").status == 409
    assert owned.owner.form(link.path).status == 404


def test_a_change_of_another_request_undoes_nothing(owned: Owned) -> None:
    """By the tag of the deletion that was looked at."""
    assert owned.close().status == 202
    assert owned.owner.log_in().status == 201
    path = f"{owned.path}/deletion"
    tag = owned.owner.ask("GET", path).headers["ETag"]
    stale = {"If-Match": '"0"'}
    assert owned.owner.ask("DELETE", path, headers=stale).status == 412
    assert owned.owner.ask("DELETE", path, headers={"If-Match": tag}).status == 204


# ── exports ──


def test_an_export_has_what_there_is_and_no_secret(lobby: Lobby) -> None:
    """Fetched by a program that may; of services that are not there, the archive says so."""
    owner = lobby.person()
    path = f"/accounts/{lobby.account_of(owner)}"
    made = owner.ask("POST", f"{path}/exports")
    assert (made.status, made.headers["Location"]) == (
        201, f"/api/v1{path}/exports/{made.body['id']}",
    )  # fmt: skip
    assert owner.ask("GET", f"{path}/exports/{made.body['id']}").body == made.body
    lobby.sql("UPDATE accounts_export SET expires_at = now() WHERE id = $1", made.body["id"])
    assert owner.ask("GET", f"{path}/exports/{made.body['id']}").status == 404
    assert owner.send("GET", made.body["archive"]).status == 404
    stranger = lobby.person()
    assert stranger.send("GET", made.body["archive"]).status == 404


def test_an_export_breaks_off_rather_than_leave_something_out(owned: Owned) -> None:
    """A service that keeps something is away: nobody gets a whole archive."""
    made = owned.owner.ask("POST", f"{owned.path}/exports").body
    answer = owned.owner.send("GET", made["archive"])
    assert (answer.status, answer.body["type"]) == (503, "/problems/unavailable")
