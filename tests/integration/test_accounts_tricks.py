"""Headers and ids that let somebody in elsewhere: here they change nothing."""

import re

import pytest

from tests.fixtures.lobby import Lobby

OBEYED_ELSEWHERE = {
    "X-Original-URL": "/api/v1/users/me",
    "X-Rewrite-URL": "/api/v1/users/me",
    "X-HTTP-Method-Override": "DELETE",
    "X-HTTP-Method": "DELETE",
    "X-Method-Override": "DELETE",
    "X-Original-User": "ada",
    "X-Remote-User": "ada",
    "X-Forwarded-User": "ada",
    "X-User-Id": "1",
    "X-Real-IP": "127.0.0.1",
    "X-Client-IP": "127.0.0.1",
    "True-Client-IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;host=localhost",
    "X-Forwarded-Prefix": "/api/v1/users/me",
}
"""What proxies and frameworks of others take for the path, the method, the user, the client."""


@pytest.mark.parametrize(("name", "value"), OBEYED_ELSEWHERE.items(), ids=list(OBEYED_ELSEWHERE))
def test_a_header_that_others_obey_changes_nothing(lobby: Lobby, name: str, value: str) -> None:
    """Neither what is asked for, nor who asks, nor from where."""
    who, nobody = lobby.person(), lobby.visitor()
    for person in (who, nobody):
        for path in ("/sessions/current", "/users/me", "/projects"):
            plain = person.ask("GET", path)
            tricked = person.ask("GET", path, headers={name: value})
            assert (tricked.status, tricked.body if tricked.status == 200 else tricked.said) == (
                plain.status, plain.body if plain.status == 200 else plain.said,
            )  # fmt: skip
    assert who.ask("GET", "/sessions/current").status == 200, "and nothing was deleted"
    again = lobby.visitor(email=who.email)
    body = {"email": who.email, "password": who.password}
    made = again.ask("POST", "/sessions", body, {name: value})
    assert (made.status, made.body["address"]) == (201, again.address)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"},
        {"Forwarded": "host=evil.example;proto=http"},
        {"Host": "hub.example.com.evil.example", "Origin": "https://evil.example"},
    ],
    ids=str,
)
def test_links_in_mails_lead_here_whatever_host_was_asked_for(
    lobby: Lobby, headers: dict[str, str]
) -> None:
    """Else whoever asks for somebody's new password would be sent their link."""
    who = lobby.person()
    asked = lobby.visitor().ask("POST", "/password-resets", {"email": who.email}, headers)
    assert asked.status == 202
    mail = lobby.mail_to(who.email, "reset")
    for part in (mail.text, mail.html or ""):
        assert set(re.findall(r"https?://([^/\s\"<]+)", part)) == {"hub.example.com"}
        assert "evil" not in part


def test_an_id_says_nothing_of_any_other(lobby: Lobby) -> None:
    """So many random bits that nobody finds one by trying, nor the next one by the last."""
    who = lobby.person()
    made = [who.ask("POST", "/projects", {"name": "one of many"}).body["id"] for _ in range(40)]
    bodies = [one.removeprefix("prj_") for one in made]
    assert all(re.fullmatch(r"[a-z2-7]{20}", body) for body in bodies), "a hundred bits"
    assert sorted(bodies) != bodies
    assert sorted(bodies, reverse=True) != bodies
    for at in range(20):
        assert len({body[at] for body in bodies}) > 5, "no place of it stands still"
