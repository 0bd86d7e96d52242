"""Several people in one account, and its end, by the command line alone."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.callers import Person
from tests.fixtures.client import Isaax
from tests.fixtures.lobby import PASSWORD, Lobby

Make = Callable[[str], Person]


@pytest.fixture
def somebody(lobby: Lobby, tmp_path: Path) -> Make:
    """Give somebody who has never been here, with a home of their own."""

    def make(name: str) -> Person:
        home = tmp_path / name
        home.mkdir()
        made = Person(lobby, Isaax(home))
        made.email = f"{name}.{secrets.token_hex(4)}@example.com"
        return made

    return make


@pytest.fixture
def ada(somebody: Make) -> Person:
    """The owner of an account with a project."""
    made = somebody("ada")
    made.sign_up()
    made.isaax.said("account", "rename", "Greenhouses")
    made.isaax.said("projects", "create", "tulips", "--use")
    return made


@pytest.fixture
def grace(ada: Person, somebody: Make) -> Person:
    """A newcomer who was invited, and came."""
    made = somebody("grace")
    ada.isaax.said("invitations", "create", made.email)
    made.follow("invitation", given=PASSWORD, name="Grace")
    assert made.log_in().returncode == 0
    return made


@contextmanager
def asked(person: Person, *command: str, question: str) -> Iterator[None]:
    """See that a command asks before it does something, and that nothing is done for a no."""
    alone = person.isaax.run(*command)
    assert alone.returncode == 2
    assert "--yes" in alone.stderr
    with person.isaax.at_terminal(*command) as terminal:
        terminal.read_until(question)
        terminal.type("n")
        assert terminal.end() == 1
    yield
    person.isaax.said(*command, "--yes")


def members(person: Person) -> dict[str, str]:
    """Give the role of each member, by address."""
    listed = json.loads(person.isaax.said("members", "list", "--json"))
    return {one["email"]: one["role"] for one in listed}


def test_a_newcomer_is_invited_and_comes(ada: Person, somebody: Make) -> None:
    grace, said = somebody("grace"), ada.isaax.said
    said("invitations", "create", grace.email, "--role", "viewer")
    assert "waiting" in said("invitations", "list")
    shown = json.loads(said("invitations", "show", grace.email.upper(), "--json"))
    assert (shown["email"], shown["role"]) == (grace.email, "viewer")
    said("invitations", "resend", grace.email)
    first, second = (grace.lobby.links_to(grace.email, "invitation", n)[0] for n in (1, 2))
    dead = grace.isaax.run("link", first.token, "--kind", "invitation", "--url", grace.url)
    assert dead.returncode == 1
    assert "This link is not valid" in dead.stderr
    alone = grace.isaax.run("link", second.token, "--kind", "invitation", "--url", grace.url)
    assert alone.returncode == 2, "a newcomer gives a name"
    assert f"Ada invites {grace.email} to join Greenhouses, as viewer." in alone.stderr
    joined = json.loads(grace.isaax.said(
        "link", second.token, "--kind", "invitation", "--url", grace.url, "--name", "Grace",
        "--password-stdin", "--json", given=PASSWORD,
    ))  # fmt: skip
    assert (joined["name"], joined["role"], joined["new"]) == ("Greenhouses", "viewer", True)
    assert grace.log_in().returncode == 0
    refused = grace.isaax.run("projects", "create", "mine")
    assert "your role here, viewer, lacks the permission projects:write" in refused.stderr
    assert "token" not in refused.stderr
    assert members(ada) == {ada.email: "owner", grace.email: "viewer"}


def test_an_invitation_is_withdrawn(ada: Person, somebody: Make) -> None:
    grace = somebody("grace")
    ada.isaax.said("invitations", "create", grace.email)
    (link,) = grace.lobby.links_to(grace.email, "invitation")
    question = f"Withdraw the invitation of {grace.email}?"
    with asked(ada, "invitations", "withdraw", grace.email, question=question):
        assert grace.email in ada.isaax.said("invitations", "list")
    assert ada.isaax.said("invitations", "list") == ""
    dead = grace.isaax.run("link", f"{grace.url}{link.path}")
    assert "This link is not valid" in dead.stderr
    nobody = ada.isaax.run("invitations", "withdraw", grace.email, "--yes")
    assert "there are no invitations yet" in nobody.stderr


def test_what_a_member_is_changes_there_and_in_a_project(ada: Person, grace: Person) -> None:
    said = ada.isaax.said
    said("members", "role", grace.email, "admin")
    assert members(ada)[grace.email] == "admin"
    assert said("members", "show", grace.email) == grace.isaax.said("members", "show", grace.email)
    narrowed = json.loads(said("members", "narrow", grace.email, "viewer", "--json"))
    assert (narrowed["role"], narrowed["account_role"]) == ("viewer", "admin")
    refused = grace.isaax.run("projects", "rename", "tulips", "roses")
    assert "your role in this project, viewer, lacks the permission" in refused.stderr
    assert "viewer     admin           yes" in said("members", "list", "--project", "tulips")
    said("members", "widen", grace.email)
    grace.isaax.said("projects", "rename", "tulips", "roses")
    wrong = ada.isaax.run("members", "role", f"grase{grace.email[5:]}", "viewer")
    assert f"there is {grace.email}" in wrong.stderr
    assert ada.isaax.completed("isaax members show grace") == [grace.email]
    assert ada.isaax.completed("isaax members role x ad") == ["admin"]
    assert ada.isaax.completed("isaax account use Green") == ["Greenhouses"]


def test_a_member_is_taken_out_and_another_leaves(ada: Person, grace: Person) -> None:
    question = f"Take {grace.email} out of the account?"
    with asked(ada, "members", "remove", grace.email, question=question):
        assert grace.isaax.said("projects", "list")
    assert grace.isaax.run("projects", "list").returncode == 1
    assert members(ada) == {ada.email: "owner"}
    last = ada.isaax.run("members", "leave", "--yes")
    assert last.returncode == 1
    assert "owner" in last.stderr


def test_somebody_is_in_two_accounts(ada: Person, somebody: Make) -> None:
    grace = somebody("grace")
    grace.sign_up()
    grace.isaax.said("projects", "create", "of-her-own", "--use")
    ada.isaax.said("invitations", "create", grace.email, "--role", "admin")
    grace.follow("invitation")
    assert "of-her-own" in grace.isaax.said("projects", "list"), "the one that she joined first"
    both = json.loads(grace.isaax.said("account", "list", "--json"))
    assert {(one["name"], one["role"]) for one in both} == {
        ("Ada", "owner"), ("Greenhouses", "admin"),
    }  # fmt: skip
    assert ada.email in grace.isaax.said("members", "list", "--account", "Greenhouses")
    grace.isaax.said("account", "use", "Greenhouses")
    assert "tulips" in grace.isaax.said("projects", "list")
    assert grace.isaax.run("tokens", "list").returncode == 2, "no project of this one is in use"
    assert ada.email not in grace.isaax.said("members", "list", "--account", "Ada")
    assert grace.log_in().returncode == 0
    shown = json.loads(grace.isaax.said("account", "show", "--json"))
    assert shown["name"] == "Greenhouses", "it is still in use"
    with asked(grace, "members", "leave", question="Leave Greenhouses?"):
        assert grace.email in members(ada)
    assert "of-her-own" in grace.isaax.said("projects", "list")
    assert members(ada) == {ada.email: "owner"}
    grace.isaax.said("account", "create", "Third", "--use")
    assert grace.isaax.said("projects", "list") == ""


def test_an_account_is_handed_over(ada: Person, grace: Person) -> None:
    offered = ada.isaax.run(
        "account", "hand-over", grace.email, "--yes", "--password-stdin", given="not my password"
    )
    assert "this is not your password" in offered.stderr
    hand_over = ("account", "hand-over", grace.email, "--role", "viewer", "--yes")
    said = ada.isaax.said(*hand_over, "--password-stdin", given=PASSWORD)
    assert (ada.email in said, grace.email in said) == (True, True)
    ada.isaax.said("account", "withdraw-offer")
    gone = ada.isaax.run("account", "offer")
    assert (gone.returncode, "nobody offers this account" in gone.stderr) == (1, True)
    ada.isaax.said(*hand_over, "--password-stdin", given=PASSWORD)
    assert ada.isaax.run("account", "accept-offer", "--yes").returncode == 1
    with asked(grace, "account", "accept-offer", question="Become owner of Greenhouses"):
        assert members(ada) == {ada.email: "owner", grace.email: "developer"}
    assert members(grace) == {ada.email: "viewer", grace.email: "owner"}
    grace.isaax.said("account", "hand-over", ada.email, "--yes", "--password-stdin", given=PASSWORD)
    ada.follow("transfer", mail="transfer-offer")
    assert members(ada) == {ada.email: "owner", grace.email: "admin"}


def test_somebody_is_deleted_and_stays_after_all(ada: Person) -> None:
    isaax = ada.isaax
    assert "deleted" in isaax.said("me", "deletion")
    with asked(ada, "me", "delete", question="Delete yourself?"):
        assert "not asked for" in isaax.said("me", "deletion")
    assert isaax.run("whoami").returncode == 3, "every session has ended"
    assert ada.log_in().returncode == 0
    assert json.loads(isaax.said("me", "deletion", "--json"))["state"] == "waiting"
    isaax.said("me", "undo-deletion")
    isaax.said("projects", "create", "more")
    ada.lobby.sql("UPDATE accounts_session SET proven_at = now() - interval '1 day'")
    assert isaax.run("me", "delete", "--yes").returncode == 2, "the login was too long ago"
    isaax.said("me", "delete", "--yes", "--password-stdin", given=PASSWORD)
    ada.follow("stay", mail="person-leaving", number=2)
    assert ada.log_in().returncode == 0


def test_an_account_asks_its_members_for_a_second_factor(ada: Person) -> None:
    refused = ada.isaax.run("account", "require-factor")
    assert refused.returncode == 1, "she has none herself"
    assert "second factor required  no" in ada.isaax.said("account", "show")


def test_an_account_is_deleted_and_that_is_undone(ada: Person) -> None:
    isaax = ada.isaax
    assert re.search("^deletion +not asked for$", isaax.said("account", "deletion"), re.MULTILINE)
    token = isaax.said("api-tokens", "create", "program").strip()
    program = {"ISAAX_URL": ada.url, "ISAAX_TOKEN": token}
    assert isaax.run("account", "deletion", **program).returncode == 0
    alone = isaax.run("account", "undo-deletion", **program)
    assert "Log in by your address and password" in alone.stderr
    with isaax.at_terminal("account", "delete") as terminal:
        terminal.read_until("projects: 1")
        terminal.read_until("isaax account export FILE")
        terminal.read_until("Delete Greenhouses? [y/N]")
        terminal.type("y")
        terminal.read_until("Password: ")
        terminal.type(PASSWORD)
        terminal.read_until("isaax account undo-deletion")
        assert terminal.end() == 0
    assert PASSWORD not in terminal.shown
    assert isaax.run("projects", "list", **program).returncode == 3, "its tokens are void"
    assert ada.log_in().returncode == 0
    refused = isaax.run("projects", "create", "more")
    assert refused.returncode == 1
    assert "isaax account undo-deletion" in refused.stderr
    assert json.loads(isaax.said("account", "deletion", "--json"))["state"] == "waiting"
    isaax.said("account", "undo-deletion")
    isaax.said("projects", "create", "more")
    isaax.said("account", "delete", "--yes", "--password-stdin", given=PASSWORD)
    ada.follow("keep", mail="account-closing", number=2)
    assert isaax.run("projects", "list", **program).returncode == 0
