"""Invitations and handing over, as people meet them: over HTTP, by mail, and many at once."""

import re
import secrets
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fixtures.lobby import Answer, Lobby, MailedLink, Visitor

GONE = (404, "/problems/dead-link")


@dataclass
class Team:
    """An account with an owner."""

    lobby: Lobby
    owner: Visitor
    account: str

    @property
    def path(self) -> str:
        return f"/accounts/{self.account}"

    def member(self, role: str) -> Visitor:
        who = self.lobby.person()
        self.lobby.join(who, self.account, role)
        return who

    def invite(self, email: str, role: str = "developer", by: Visitor | None = None) -> Answer:
        body = {"email": email, "role": role}
        return (by or self.owner).ask("POST", f"{self.path}/invitations", body)

    def link(self, email: str, number: int = 1) -> MailedLink:
        (link,) = self.lobby.links_to(email, "invitation", number)
        return link

    def invited(self, email: str, role: str = "developer") -> MailedLink:
        """Invite somebody, and give the link that they get."""
        kept = email.lower()
        number = len(self.lobby.mails_to(kept, "invitation")) + 1
        assert self.invite(email, role).status == 201
        return self.link(kept, number)

    def roles(self) -> dict[str, str]:
        """Give what everybody is, by address."""
        return self.roles_by(self.owner)

    def roles_by(self, who: Visitor) -> dict[str, str]:
        """Give the same, as somebody sees it."""
        listed = who.ask("GET", f"{self.path}/members?limit=200").body
        return {one["email"]: one["role"] for one in listed}


@pytest.fixture
def team(lobby: Lobby) -> Team:
    owner = lobby.person()
    return Team(lobby, owner, lobby.account_of(owner))


def address() -> str:
    return f"{secrets.token_hex(6)}@example.com"


def redeem(visitor: Visitor, token: str, **more: Any) -> Answer:
    return visitor.ask("POST", "/invitations/redeem", {"token": token, **more})


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["type"]


# ── invited ──


def test_a_newcomer_joins_by_the_link_alone(team: Team) -> None:
    """The link verifies the address; a name and a password are all that is missing."""
    email, visitor = address(), team.lobby.visitor()
    link = team.invited(email, "viewer")
    missing = redeem(visitor, link.token)
    assert missing.status == 422
    assert {one["pointer"] for one in missing.body["errors"]} == {"/name", "/password"}
    weak = redeem(visitor, link.token, name="Grace", password="password123")
    assert weak.status == 422
    joined = redeem(visitor, link.token, name="Grace", password=visitor.password)
    assert joined.status == 200
    assert (joined.body["account"], joined.body["role"], joined.body["new"]) == (
        team.account, "viewer", True,
    )  # fmt: skip
    visitor.email = email
    assert visitor.log_in().status == 201
    listed = visitor.ask("GET", "/accounts").body
    assert [(one["id"], one["role"]) for one in listed] == [(team.account, "viewer")]
    assert team.roles()[email] == "viewer"


def test_somebody_who_is_here_joins_logged_in_or_by_the_link(team: Team) -> None:
    for logged_in in (True, False):
        who = team.lobby.person(logged_in=logged_in)
        joined = redeem(who, team.invited(who.email).token)
        assert (joined.status, joined.body["new"]) == (200, False)
        assert team.roles()[who.email] == "developer"
        if not logged_in:
            assert who.log_in().status == 201
        assert len(who.ask("GET", "/accounts").body) == 2
        assert who.ask("GET", team.path).body["role"] == "developer"


def test_nobody_else_joins_in_their_place(team: Team) -> None:
    """Somebody who is logged in as another, be it that the link was forwarded to them."""
    who, other = team.lobby.person(), team.lobby.person()
    for email in (who.email, address()):
        link = team.invited(email)
        answer = redeem(other, link.token, name="Mallory", password=other.password)
        assert answer.status == 403
        assert "another address" in answer.body["detail"]
        assert email not in team.roles()
    assert redeem(who, team.link(who.email).token).status == 200


def test_a_link_is_good_once_however_many_use_it_at_once(team: Team) -> None:
    who = team.lobby.person()
    token = team.invited(who.email).token
    visitors = [team.lobby.visitor() for _ in range(20)]
    answers = team.lobby.everybody_at_once(lambda n: redeem(visitors[n], token), 20)
    assert sorted(answer.status for answer in answers) == [200] + [404] * 19
    assert {refused(answer) for answer in answers if answer.status != 200} == {GONE}
    assert list(team.roles()).count(who.email) == 1


def test_a_newcomer_is_made_once_however_many_use_the_link_at_once(team: Team) -> None:
    email = address()
    token = team.invited(email).token
    visitors = [team.lobby.visitor() for _ in range(20)]
    answers = team.lobby.everybody_at_once(
        lambda n: redeem(visitors[n], token, name=f"N{n}", password=f"tired lantern {n:03}"), 20
    )
    (won,) = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert {refused(answer) for answer in answers if answer.status != 200} == {GONE}
    visitor = team.lobby.visitor(email=email)
    assert visitor.log_in(f"tired lantern {won:03}").status == 201


def test_what_squats_on_an_address_gets_nothing(team: Team) -> None:
    """Somebody signed up with the address and never verified it: their password is void."""
    squatter = team.lobby.sign_up()
    (verify,) = team.lobby.links_to(squatter.email, "verify")
    invited = team.lobby.visitor()
    link = team.invited(squatter.email)
    seen = invited.ask("POST", "/invitations/preview", {"token": link.token}).body
    assert seen["known"] is False
    owner_password = "another violet lantern"
    assert redeem(invited, link.token, name="Grace", password=owner_password).status == 200
    assert squatter.log_in().status == 401
    assert invited.form(verify.path).status == 404
    assert squatter.log_in().status == 401
    invited.email = squatter.email
    assert invited.log_in(owner_password).status == 201


def test_a_page_for_people_and_a_scanner_that_looks_first(team: Team) -> None:
    """A GET, however often, changes nothing; the button does it, in both languages."""
    email, scanner = address(), team.lobby.visitor()
    link = team.invited(email)
    for lang, word in (("en", "You are invited"), ("ja", "招待されています")):
        page = scanner.send("GET", re.sub("lang=..", f"lang={lang}", link.path))
        assert (page.status, word in page.text, 'name="password"' in page.text) == (
            200, True, True,
        )  # fmt: skip
        assert email in page.text
    again = scanner.form(link.path, name="Grace", password="short")
    assert (again.status, "10 to 128" in again.text) == (422, True)
    done = scanner.form(link.path, name="Grace", password="tired violet lantern")
    assert (done.status, "You are in" in done.text) == (200, True)
    assert team.roles()[email] == "developer"
    assert scanner.send("GET", link.path).status == 404
    known = team.lobby.person(logged_in=False)
    link = team.invited(known.email)
    assert 'name="password"' not in scanner.send("GET", link.path).text
    assert scanner.form(link.path).status == 200
    assert known.email in team.roles()


# ── inviting ──


def test_it_is_the_same_whether_the_address_has_an_account_or_not(team: Team) -> None:
    """For who invites, and in the mail; only who has the link learns more."""
    known, unknown = team.lobby.person().email, address()
    answers = [team.invite(email) for email in (known, unknown)]
    assert [answer.status for answer in answers] == [201, 201]
    shown = [
        {k: v for k, v in answer.body.items() if k not in {"id", "email"} and "_at" not in k}
        for answer in answers
    ]
    assert shown[0] == shown[1]
    mails = [team.lobby.mail_to(email, "invitation") for email in (known, unknown)]
    bare = [re.sub(r"/links/\S+", "", mail.text.replace(mail.head.to, "someone")) for mail in mails]
    assert " ".join(bare[0].split()) == " ".join(bare[1].split())


def test_who_may_invite_to_what(team: Team) -> None:
    for role in ("admin", "developer", "viewer", "billing"):
        by = team.member(role)
        statuses = {
            wanted: team.invite(address(), wanted, by).status for wanted in ("viewer", "owner")
        }
        allowed = role == "admin"
        assert statuses == {"viewer": 201 if allowed else 403, "owner": 403}
        listed = by.ask("GET", f"{team.path}/invitations").status
        assert listed == (200 if allowed else 403)
    assert team.invite(address(), "owner").status == 201


def test_a_member_is_not_invited_and_a_bad_address_neither(team: Team) -> None:
    who = team.member("viewer")
    again = team.invite(who.email.upper())
    assert (again.status, "member already" in again.body["detail"]) == (409, True)
    assert team.invite("nobody").status == 422


def test_another_invitation_replaces_the_one_that_waits(team: Team) -> None:
    email, visitor = address(), team.lobby.visitor()
    first = team.invited(email, "admin")
    second = team.invited(email.upper(), "viewer")
    assert refused(redeem(visitor, first.token, name="G", password=visitor.password)) == GONE
    listed = team.owner.ask("GET", f"{team.path}/invitations").body
    assert [(one["email"], one["role"]) for one in listed] == [(email, "viewer")]
    assert redeem(visitor, second.token, name="G", password=visitor.password).status == 200
    assert team.owner.ask("GET", f"{team.path}/invitations").body == []


def test_an_admin_does_not_replace_what_an_owner_offered(team: Team) -> None:
    email, admin = address(), team.member("admin")
    made = team.invite(email, "owner")
    path = f"{team.path}/invitations/{made.body['id']}"
    assert team.invite(email, "viewer", admin).status == 403
    assert admin.ask("DELETE", path).status == 403
    assert admin.ask("POST", f"{path}/resend").status == 403


def test_withdrawn_resent_and_expired(team: Team) -> None:
    email, visitor = address(), team.lobby.visitor()
    made = team.invite(email)
    first, path = team.link(email), f"{team.path}/invitations/{made.body['id']}"
    assert team.owner.ask("GET", path).headers["ETag"] == made.headers["ETag"]
    again = team.owner.ask("POST", f"{path}/resend")
    assert (again.status, again.headers["ETag"] == made.headers["ETag"]) == (200, False)
    second = team.link(email, 2)
    assert refused(redeem(visitor, first.token)) == GONE
    team.lobby.sql(
        "UPDATE accounts_invitation SET expires_at = now() WHERE id = $1", made.body["id"]
    )
    assert refused(redeem(visitor, second.token)) == GONE
    assert team.owner.ask("GET", path).body["state"] == "expired"
    assert team.owner.ask("POST", f"{path}/resend").body["state"] == "waiting"
    third = team.link(email, 3)
    assert visitor.ask("POST", "/invitations/preview", {"token": third.token}).status == 200
    assert team.owner.ask("DELETE", path).status == 204
    assert refused(redeem(visitor, third.token)) == GONE
    assert team.owner.ask("DELETE", path).status == 404
    assert team.owner.ask("POST", f"{path}/resend").status == 404


def test_how_many_mails_and_how_many_that_wait(team: Team) -> None:
    """An address gets three of an account in an hour; an account has a hundred that wait."""
    email = address()
    assert [team.invite(email).status for _ in range(4)] == [201, 201, 201, 429]
    waiting = len(team.owner.ask("GET", f"{team.path}/invitations").body)
    team.lobby.sql(
        "INSERT INTO accounts_invitation (id, account, email, role, locale, digest, expires_at) "
        "SELECT 'inv_' || $1 || n, $1, n || '@example.org', 'viewer', 'en', "
        "sha256(($1 || n)::bytea), now() FROM generate_series(1, $2::int) AS n",
        team.account, 99 - waiting,
    )  # fmt: skip
    assert team.invite(address()).status == 201
    full = team.invite(address())
    assert (full.status, "100 invitations" in full.body["detail"]) == (409, True)


def test_an_address_is_not_flooded_by_many_accounts(team: Team) -> None:
    """Ten mails a day, whoever sends them."""
    email = address()
    accounts = [
        team.owner.ask("POST", "/accounts", {"name": f"a{n}"}).body["id"] for n in range(11)
    ]
    answers = [
        team.owner.ask("POST", f"/accounts/{one}/invitations", {"email": email}).status
        for one in accounts
    ]
    assert answers == [201] * 10 + [429]


def test_invitations_end_with_who_made_them(team: Team) -> None:
    """One who is removed, or may no longer invite to that: what they sent is void."""
    visitor = team.lobby.visitor()
    for change in ({"role": "viewer"}, None):
        admin, email = team.member("admin"), address()
        assert team.invite(email, "admin", admin).status == 201
        link = team.link(email)
        path = f"{team.path}/members/{team.lobby.user_of(admin)}"
        assert team.owner.ask("PATCH" if change else "DELETE", path, change).status in {200, 204}
        assert refused(redeem(visitor, link.token)) == GONE
    second, email, other = team.member("owner"), address(), address()
    assert team.invite(email, "owner", second).status == 201
    assert team.invite(other, "viewer", second).status == 201
    path = f"{team.path}/members/{team.lobby.user_of(second)}"
    assert team.owner.ask("PATCH", path, {"role": "admin"}).status == 200
    assert refused(redeem(visitor, team.link(email).token)) == GONE
    seen = visitor.ask("POST", "/invitations/preview", {"token": team.link(other).token})
    assert seen.status == 200


@pytest.mark.parametrize("name", ["win at evil.example", "https://evil", "www evil", "a@b"])
def test_an_invitation_carries_nobodys_advertisement(team: Team, name: str) -> None:
    """What a mail program would make a link of is left out."""
    assert team.owner.ask("PATCH", team.path, {"name": name}).status == 200
    assert team.owner.ask("PATCH", "/users/me", {"name": name}).status == 200
    email = address()
    team.invited(email)
    mail = team.lobby.mail_to(email, "invitation")
    assert name not in mail.text + mail.head.subject
    assert team.owner.email in mail.text


def test_the_mail_in_japanese(team: Team) -> None:
    email = address()
    body = {"email": email, "role": "viewer", "locale": "ja"}
    assert team.owner.ask("POST", f"{team.path}/invitations", body).status == 201
    assert "招待" in team.lobby.mail_to(email, "invitation").head.subject


# ── leaving ──


def test_one_leaves_and_their_tokens_with_them(team: Team) -> None:
    who = team.member("viewer")
    made = who.ask("POST", "/api-tokens", {"name": "t", "scopes": ["*"]}, team_header(team))
    assert made.status == 201
    program = team.lobby.visitor(token=made.body["token"])
    assert program.ask("GET", team.path).status == 200
    assert program.ask("DELETE", f"{team.path}/members/me").status == 403
    assert who.ask("DELETE", f"{team.path}/members/me").status == 204
    assert who.ask("GET", team.path).status == 404
    assert program.ask("GET", team.path).status == 401
    last = team.owner.ask("DELETE", f"{team.path}/members/me")
    assert (last.status, "no owner" in last.body["detail"]) == (409, True)


def team_header(team: Team) -> dict[str, str]:
    return {"Isaax-Account": team.account}


# ── handing over ──


def offer(team: Team, to: Visitor, by: Visitor | None = None, **more: Any) -> Answer:
    by = by or team.owner
    body = {"to": team.lobby.user_of(to), "password": by.password, **more}
    return by.ask("POST", f"{team.path}/transfer", body)


def test_handing_over_by_the_link(team: Team) -> None:
    """Both at once, and everybody who owns it is told."""
    second, receiver = team.member("owner"), team.member("developer")
    assert offer(team, receiver, role="viewer").status == 200
    for owner in (team.owner, second):
        team.lobby.mail_to(owner.email, "transfer-offered")
    (link,) = team.lobby.links_to(receiver.email, "transfer-offer")
    scanner = team.lobby.visitor()
    assert "hand" in scanner.send("GET", link.path).text
    assert team.roles()[receiver.email] == "developer"
    assert scanner.form(link.path).status == 200
    assert (team.roles_by(second)[receiver.email], team.roles_by(second)[team.owner.email]) == (
        "owner", "viewer",
    )  # fmt: skip
    for told in (team.owner, second, receiver):
        team.lobby.mail_to(told.email, "transfer-done")
    assert scanner.form(link.path).status == 404


def test_handing_over_in_the_api(team: Team) -> None:
    receiver, stranger = team.member("viewer"), team.member("admin")
    assert offer(team, receiver).status == 200
    assert stranger.ask("POST", f"{team.path}/transfer/accept").status == 403
    accepted = receiver.ask("POST", f"{team.path}/transfer/accept")
    assert (accepted.status, accepted.body["account"]) == (200, team.account)
    roles = team.roles_by(receiver)
    assert (roles[receiver.email], roles[team.owner.email]) == ("owner", "admin")
    assert receiver.ask("POST", f"{team.path}/transfer/accept").status == 404


def test_what_is_in_the_way_of_handing_over(team: Team) -> None:
    receiver, admin = team.member("developer"), team.member("admin")
    second = team.member("owner")
    wrong = offer(team, receiver, password="not my password")
    assert (wrong.status, wrong.body["errors"][0]["pointer"]) == (422, "/password")
    assert offer(team, receiver, by=admin).status == 403
    assert offer(team, second).status == 409
    assert offer(team, team.lobby.person()).status == 404
    assert team.owner.ask("GET", f"{team.path}/transfer").status == 404
    made = team.owner.ask("POST", "/api-tokens", {"name": "t", "scopes": ["*"]})
    program = team.lobby.visitor(token=made.body["token"])
    program.email, program.password = team.owner.email, team.owner.password
    assert offer(team, receiver, by=program).status == 403


def test_an_offer_is_taken_back_declined_replaced_or_void(team: Team) -> None:
    receiver, other = team.member("developer"), team.member("viewer")
    path = f"{team.path}/transfer"
    assert offer(team, receiver).status == 200
    assert other.ask("DELETE", path).status == 403
    assert receiver.ask("DELETE", path).status == 204
    assert offer(team, receiver).status == 200
    assert offer(team, other).status == 200
    assert team.owner.ask("GET", path).body["receiver"] == team.lobby.user_of(other)
    assert receiver.ask("POST", f"{path}/accept").status == 403
    assert team.owner.ask("DELETE", path).status == 204
    assert other.ask("POST", f"{path}/accept").status == 404
    second = team.member("owner")
    assert offer(team, other, by=second).status == 200
    user = team.lobby.user_of(second)
    assert team.owner.ask("PATCH", f"{team.path}/members/{user}", {"role": "admin"}).status == 200
    assert other.ask("POST", f"{path}/accept").status == 404


def test_an_offer_is_accepted_once_however_many_do_at_once(team: Team) -> None:
    receiver = team.member("developer")
    assert offer(team, receiver).status == 200
    (link,) = team.lobby.links_to(receiver.email, "transfer-offer")
    body = {"token": link.token}
    visitors = [team.lobby.visitor() for _ in range(20)]
    answers = team.lobby.everybody_at_once(
        lambda n: visitors[n].ask("POST", "/transfers/redeem", body).status, 20
    )
    assert sorted(answers) == [200] + [404] * 19
    assert list(team.roles_by(receiver).values()).count("owner") == 1
