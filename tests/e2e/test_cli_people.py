"""People come to a hub by the command line alone: in, kept out, in again, and out."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.embedded.postgres import Postgres
from tests.fixtures.callers import Person
from tests.fixtures.client import Done, Isaax
from tests.fixtures.factors import Careful
from tests.fixtures.lobby import PASSWORD, Lobby, running_lobby

OTHER = "another violet lantern"


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub with accounts and mail; what it mails stays there."""
    with running_lobby(postgres_server, parts_folder) as running:
        yield running


@pytest.fixture
def person(lobby: Lobby, isaax: Isaax) -> Person:
    """Somebody new."""
    return Person(lobby, isaax)


def test_one_comes_in_is_kept_out_and_comes_in_again(person: Person) -> None:
    isaax = person.isaax
    person.sign_up()
    assert f"email  {person.email}" in isaax.said("whoami")
    assert PASSWORD not in (isaax.home / ".config/isaax/credentials.toml").read_text()
    isaax.said("logout")

    told = []
    for _ in range(10):
        person.lobby.sql("UPDATE accounts_attempt SET until = now() WHERE failures < 10")
        failed = person.log_in("not my password")
        assert failed.returncode in {1, 3}
        told.append(failed.stderr)
    assert "9 attempts left" in told[0]
    assert "5 attempts left, the next one in 30 seconds" in told[4]
    assert "locked until" in told[9]
    assert "isaax link" in told[9]
    assert person.log_in().returncode == 1, "the right one does not help now"
    person.follow("unlock", mail="locked")
    assert person.log_in().returncode == 0
    assert isaax.run("whoami").returncode == 0


def test_a_token_of_ones_own_does_what_it_may(person: Person) -> None:
    isaax = person.isaax
    person.sign_up()
    isaax.said("projects", "create", "garden")
    made = json.loads(isaax.said(
        "api-tokens", "create", "reader", "--scope", "projects:read", "--expires", "1d", "--json"
    ))  # fmt: skip
    assert made["expires_at"] > made["created_at"]
    environ = {"ISAAX_URL": person.url, "ISAAX_TOKEN": made["token"]}
    assert "garden" in isaax.said("projects", "list", **environ)
    assert f"email  {person.email}" in isaax.said("whoami", **environ)
    refused = isaax.run("projects", "create", "x", **environ)
    assert refused.returncode == 1
    assert "Use a token that has projects:write" in refused.stderr
    alone = isaax.run("sessions", "list", **environ)
    assert "only a person who is logged in" in alone.stderr
    assert made["token"] not in isaax.said("api-tokens", "show", "reader")
    isaax.said("api-tokens", "revoke", "reader", "--yes")
    assert isaax.run("projects", "list", **environ).returncode == 3
    assert isaax.said("api-tokens", "list") == ""


def test_a_session_ends_here_and_at_the_hub(person: Person) -> None:
    person.sign_up()
    session = person.session()
    assert session.startswith("iss_") or len(session) > 40
    person.isaax.said("logout")
    environ = {"ISAAX_URL": person.url, "ISAAX_TOKEN": session}
    assert person.isaax.run("whoami", **environ).returncode == 3


def test_a_forgotten_password_is_set_anew(person: Person) -> None:
    isaax = person.isaax
    person.sign_up()
    first = person.session()
    isaax.said("forgot-password", person.url, "--email", person.email)
    person.follow("reset", given=OTHER)
    assert isaax.run("whoami").returncode == 3, "every session has ended"
    assert person.log_in().returncode == 3
    assert person.log_in(OTHER).returncode == 0
    assert person.session() != first
    used = person.lobby.links_to(person.email, "reset")[-1]
    again = isaax.run(
        "link", f"https://hub.example.com{used.path}", "--url", person.url, "--password-stdin",
        given=OTHER,
    )  # fmt: skip
    assert again.returncode == 1
    assert "This link is not valid" in again.stderr


def test_one_changes_what_one_is(person: Person) -> None:
    isaax = person.isaax
    person.sign_up()
    isaax.said("me", "edit", "--name", "Ada L.", "--locale", "ja")
    shown = json.loads(isaax.said("me", "show", "--json"))
    assert (shown["name"], shown["locale"]) == ("Ada L.", "ja")
    isaax.said("me", "password", "--password-stdin", given=f"{PASSWORD}\n{OTHER}\n")
    assert isaax.run("whoami").returncode == 0, "this session goes on"
    new = f"new.{person.email}"
    isaax.said("me", "email", new, "--password-stdin", given=OTHER)
    person.email = new
    person.follow("email", mail="email-new")
    assert json.loads(isaax.said("me", "show", "--json"))["email"] == new
    sessions = json.loads(isaax.said("sessions", "list", "--json"))
    assert [one["current"] for one in sessions] == [True]
    assert sessions[0]["agent"] == "isaax-client"
    wrong = isaax.run("me", "password", "--password-stdin", given=f"nonsense here\n{OTHER}\n")
    assert wrong.returncode == 1
    assert "/current_password: this is not your password" in wrong.stderr


# ── second factors ──


@pytest.fixture
def careful(person: Person) -> Careful:
    """Somebody who is logged in, in a browser as well."""
    person.sign_up()
    visitor = person.lobby.visitor(email=person.email)
    assert visitor.log_in().status == 201
    return Careful(person.lobby, visitor)


def login_of(person: Person, *more: str) -> Done:
    return person.isaax.run(
        "login", person.url, "--name", "hub", "--email", person.email, "--password-stdin", *more,
        given=PASSWORD,
    )  # fmt: skip


def test_an_app_and_its_codes_are_asked_for_after_the_password(
    person: Person, careful: Careful
) -> None:
    isaax = person.isaax
    begun = json.loads(isaax.said("factors", "add-app", "--json"))
    careful.secret = begun["secret"]
    codes = isaax.said("factors", "confirm-app", careful.code()).split()
    assert len(codes) > 5
    assert f"recovery codes left  {len(codes)}" in isaax.said("factors", "show")
    alone = login_of(person)
    assert alone.returncode == 2, "nobody can be asked for a code here"
    wrong = login_of(person, "--code", careful.wrong())
    assert wrong.returncode == 3
    assert "not a second factor of yours" in wrong.stderr
    assert login_of(person, "--code", careful.code()).returncode == 0
    assert login_of(person, "--code", codes[0]).returncode == 0
    assert login_of(person, "--code", codes[0]).returncode == 3, "it is good once"
    with isaax.at_terminal("login", person.url, "--email", person.email) as terminal:
        terminal.read_until("Password: ")
        terminal.type(PASSWORD)
        terminal.read_until("Code of your app, or a recovery code: ")
        terminal.type(careful.code())
        assert terminal.end() == 0


def test_who_logged_in_long_ago_shows_the_password_once_more(
    person: Person, careful: Careful
) -> None:
    isaax = person.isaax
    careful.enrol()
    person.lobby.sql("UPDATE accounts_session SET proven_at = now() - interval '1 day'")
    refused = isaax.run("factors", "new-codes")
    assert refused.returncode == 2
    assert "--password-stdin" in refused.stderr
    codes = isaax.said("factors", "new-codes", "--password-stdin", given=PASSWORD).split()
    assert not set(codes) & set(careful.codes)
    isaax.said("factors", "remove-app", "--yes")
    assert "authenticator app    none" in isaax.said("factors", "show")
    assert login_of(person).returncode == 0


def test_a_passkey_is_renamed_and_removed_here_and_used_elsewhere(
    person: Person, careful: Careful
) -> None:
    isaax = person.isaax
    assert careful.register("laptop").status == 201
    assert "laptop" in isaax.said("passkeys", "list")
    isaax.said("passkeys", "rename", "laptop", "blue key")
    assert json.loads(isaax.said("passkeys", "list", "--json"))[0]["name"] == "blue key"
    recovered = login_of(person, "--code", careful.codes[0])
    assert recovered.returncode == 0, recovered.stderr
    isaax.said("passkeys", "remove", "blue key", "--yes")
    assert isaax.said("passkeys", "list") == ""


def test_at_a_terminal_no_password_is_shown(person: Person) -> None:
    with person.isaax.at_terminal("signup", person.url) as terminal:
        for question, answer in (
            ("Your e-mail address: ", person.email), ("Your name: ", "Ada"),
            ("Password: ", PASSWORD), ("Repeat for confirmation: ", PASSWORD),
        ):  # fmt: skip
            terminal.read_until(question)
            terminal.type(answer)
        assert terminal.end() == 0
    assert PASSWORD not in terminal.shown
    person.follow("verify")
    with person.isaax.at_terminal("login", person.url) as terminal:
        terminal.read_until("Your e-mail address (empty: use an API token): ")
        terminal.type(person.email)
        terminal.read_until("Password: ")
        terminal.type(PASSWORD)
        assert terminal.end() == 0
    assert PASSWORD not in terminal.shown


@pytest.mark.parametrize(
    "link", ["verify", "https://hub.example.com/links/elsewhere/x", "https://h/"]
)
def test_what_is_no_link_is_bad_usage(isaax: Isaax, link: str) -> None:
    done = isaax.run("link", link)
    assert done.returncode == 2
    assert "https://hub.example.com/links/verify/" in done.stderr
