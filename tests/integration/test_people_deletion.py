"""The end of a person, as they meet it: shown, asked for, undone, done."""

from datetime import datetime, timedelta

from services.accounts.second_factors.keeping import RECENT
from tests.fixtures.lobby import Answer, Lobby

ME = "/users/me"
DELETION = "/users/me/deletion"


def problem(answer: Answer) -> tuple[int, str]:
    """Give the status and the type of a problem."""
    return answer.status, answer.body["type"].removeprefix("/problems/")


def test_it_shows_what_goes(lobby: Lobby) -> None:
    """Accounts of one's own, by what becomes of them; those with another owner do not count."""
    ada, grace = lobby.person(), lobby.person()
    own, shared = lobby.account_of(ada), lobby.account_of(grace)
    lobby.join(ada, shared, "owner")
    shown = ada.ask("GET", DELETION)
    assert (shown.status, shown.body["state"], shown.body["due_at"]) == (200, "none", None)
    assert [(one["id"], one["others"], one["outcome"]) for one in shown.body["accounts"]] == [
        (own, 0, "deleted")
    ]
    lobby.join(grace, own, "developer")
    (one,) = ada.ask("GET", DELETION).body["accounts"]
    assert (one["others"], one["outcome"]) == (1, "blocks")


def test_a_last_owner_leaves_nobody_behind(lobby: Lobby) -> None:
    """Refused by name, and nothing has changed; with another owner, it goes."""
    ada, grace = lobby.person(), lobby.person()
    account = lobby.account_of(ada)
    lobby.join(grace, account, "developer")
    refused = ada.ask("DELETE", ME)
    assert problem(refused) == (409, "last-owner")
    assert f"“Ada” ({account})" in refused.body["detail"]
    assert ada.ask("GET", DELETION).body["state"] == "none"
    member = f"/accounts/{account}/members/{lobby.user_of(grace)}"
    assert ada.ask("PATCH", member, {"role": "owner"}).status == 200
    asked = ada.ask("DELETE", ME)
    assert (asked.status, asked.body["state"], asked.body["accounts"]) == (202, "waiting", [])
    due, at = (datetime.fromisoformat(asked.body[name]) for name in ("due_at", "requested_at"))
    assert due - at == timedelta(days=14)


def test_of_two_owners_who_go_at_once_one_stays(lobby: Lobby) -> None:
    ada, grace, linus = lobby.person(), lobby.person(), lobby.person()
    account = lobby.account_of(ada)
    lobby.join(grace, account, "owner")
    lobby.join(linus, account, "viewer")
    answers = lobby.everybody_at_once(lambda n: (ada, grace)[n].ask("DELETE", ME).status, 2)
    assert sorted(answers) == [202, 409]
    left = grace if answers[0] == 202 else ada
    me = f"/accounts/{account}/members"
    assert left.ask("DELETE", f"{me}/me").status == 409, "who leaves is no owner any more"
    demoted = left.ask("PATCH", f"{me}/{lobby.user_of(left)}", {"role": "viewer"})
    assert demoted.status == 409


def test_it_asks_for_a_fresh_proof(lobby: Lobby) -> None:
    """By the password or a factor, as changes of factors do; no token does it."""
    ada = lobby.person()
    made = ada.ask("POST", "/api-tokens", {"name": "t", "scopes": ["*"]}).body["token"]
    program = lobby.visitor(token=made)
    assert problem(program.ask("DELETE", ME)) == (403, "forbidden")
    lobby.sql(
        "UPDATE accounts_session SET proven_at = now() - make_interval(secs => $2) "
        'WHERE "user" = $1',
        lobby.user_of(ada), RECENT,
    )  # fmt: skip
    assert problem(ada.ask("DELETE", ME)) == (403, "proof-required")
    assert ada.ask("POST", "/reauthentications", {"password": ada.password}).status == 204
    assert ada.ask("DELETE", ME).status == 202


def test_everything_is_cut_off_and_comes_back(lobby: Lobby) -> None:
    """Sessions, tokens, and the account that goes along; with the undo, all is there again."""
    ada = lobby.person()
    account = lobby.account_of(ada)
    made = ada.ask("POST", "/api-tokens", {"name": "t", "scopes": ["*"]}).body["token"]
    program = lobby.visitor(token=made)
    assert ada.log_in(cookie=True).status == 201
    asked = ada.ask("DELETE", ME)
    assert asked.status == 202
    assert "session" not in ada.cookies
    assert program.ask("GET", "/projects").status == 401
    ada.csrf = ""
    assert ada.log_in().status == 201
    assert ada.ask("GET", DELETION).body["state"] == "waiting"
    assert ada.ask("GET", f"/accounts/{account}/deletion").body["state"] == "waiting"
    assert problem(ada.ask("POST", "/projects", {"name": "x"})) == (403, "account-closing")
    assert problem(ada.ask("POST", "/accounts", {"name": "x"})) == (409, "conflict")
    assert problem(ada.ask("DELETE", ME)) == (409, "conflict")
    alone = ada.ask("DELETE", f"/accounts/{account}/deletion")
    assert (alone.status, "users/me/deletion" in alone.body["detail"]) == (409, True)
    mail = lobby.mail_to(ada.email, "person-leaving")
    assert ("Ada" in mail.text, asked.body["due_at"][:10] in mail.text) == (True, True)
    tag = ada.ask("GET", DELETION).headers["ETag"]
    assert ada.ask("DELETE", DELETION, headers={"If-Match": '"0"'}).status == 412
    assert ada.ask("DELETE", DELETION, headers={"If-Match": tag}).status == 204
    assert program.ask("GET", "/projects").status == 200
    assert ada.ask("POST", "/projects", {"name": "x"}).status == 201
    assert ada.ask("GET", f"/accounts/{account}/deletion").body["state"] == "none"
    assert ada.ask("DELETE", DELETION).status == 404
    lobby.mail_to(ada.email, "person-stays")


def test_an_account_that_was_to_go_anyway_is_not_brought_back(lobby: Lobby) -> None:
    ada = lobby.person()
    account = lobby.account_of(ada)
    closing = ada.ask("POST", f"/accounts/{account}/deletion", {"password": ada.password})
    assert closing.status == 202
    assert ada.log_in().status == 201
    asked = ada.ask("DELETE", ME)
    assert [one["outcome"] for one in asked.body["accounts"]] == ["closing"]
    assert ada.log_in().status == 201
    assert ada.ask("DELETE", DELETION).status == 204
    assert ada.ask("GET", f"/accounts/{account}/deletion").body["state"] == "waiting"
    assert ada.ask("DELETE", f"/accounts/{account}/deletion").status == 204


def test_the_link_undoes_it_once_and_by_the_button(lobby: Lobby) -> None:
    ada, scanner = lobby.person(), lobby.visitor()
    assert ada.ask("DELETE", ME).status == 202
    (link,) = lobby.links_to(ada.email, "person-leaving")
    for _ in range(3):
        page = scanner.send("GET", link.path)
        assert (page.status, ada.email in page.text) == (200, True)
    answers = lobby.everybody_at_once(
        lambda _: lobby.visitor().ask("POST", "/user-deletions/undo", {"token": link.token}).status,
        20,
    )
    assert sorted(answers) == [204] + [404] * 19
    assert ada.log_in().status == 201
    assert ada.ask("GET", DELETION).body["state"] == "none"
    assert scanner.form(link.path).status == 404


def test_nobody_who_goes_is_made_the_last_owner(lobby: Lobby) -> None:
    """An offer that was made before waits for the undo."""
    ada, grace, third = lobby.person(), lobby.person(), lobby.person()
    account = lobby.account_of(ada)
    lobby.join(grace, account, "developer")
    lobby.join(third, account, "viewer")
    to = {"to": lobby.user_of(grace), "password": ada.password}
    assert ada.ask("POST", f"/accounts/{account}/transfer", to).status == 200
    (offer,) = lobby.links_to(grace.email, "transfer-offer")
    assert grace.ask("DELETE", ME).status == 202
    assert grace.form(offer.path).status == 422
    (stay,) = lobby.links_to(grace.email, "person-leaving")
    assert grace.form(stay.path).status == 200
    assert grace.form(offer.path).status == 200


def test_nothing_undoes_it_when_the_time_has_come(lobby: Lobby) -> None:
    ada = lobby.person()
    assert ada.ask("DELETE", ME).status == 202
    (link,) = lobby.links_to(ada.email, "person-leaving")
    assert ada.log_in().status == 201
    user = lobby.user_of(ada)
    # Her account is still there, so she is not erased yet, whenever the hub looks.
    lobby.sql('UPDATE accounts_departure SET due_at = now() WHERE "user" = $1', user)
    assert ada.ask("GET", DELETION).body["state"] == "erasing"
    assert ada.ask("DELETE", DELETION).status == 409
    assert lobby.visitor().form(link.path).status == 404
