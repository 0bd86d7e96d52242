"""A second factor at the login: an authenticator app and recovery codes, over REST."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest

from hub.embedded.postgres import Postgres
from hub.errors import NotFound
from services.accounts.identity.letters import Letters
from services.accounts.identity.login import Login
from services.accounts.second_factors.loss import drop_factors
from services.accounts.second_factors.recovery import FEW, NUMBER
from services.accounts.second_factors.totp import step_of
from services.accounts.settings import AccountsSettings
from tests.fixtures.factors import Careful
from tests.fixtures.lobby import PASSWORD, Answer, Lobby, running_lobby


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub that lets one address and network try as much as a test needs."""
    many = AccountsSettings(tries_per_address=0, tries_per_network=0)
    with running_lobby(postgres_server, parts_folder, many) as running:
        yield running


@pytest.fixture
def ada(lobby: Lobby) -> Careful:
    """Somebody with an authenticator app."""
    careful = Careful(lobby, lobby.person())
    careful.enrol()
    return careful


def problem(answer: Answer) -> tuple[int, str]:
    """Give what is wrong."""
    return answer.status, str(answer.body["type"]).removeprefix("/problems/")


def let_time_pass(lobby: Lobby) -> None:
    """Let the waits be over, but no lock."""
    lobby.sql("UPDATE accounts_attempt SET until = now() WHERE failures < 10")


def let_recency_pass(ada: Careful) -> None:
    """Let the last login be a while ago."""
    ada.lobby.sql(
        """UPDATE accounts_session SET proven_at = now() - interval '601 seconds'
            WHERE "user" = $1""", ada.me,
    )  # fmt: skip


# ── the app ──


def test_an_app_is_begun_confirmed_and_asked_for(lobby: Lobby) -> None:
    ada = Careful(lobby, lobby.person())
    begun = ada.visitor.ask("POST", "/users/me/totp").body
    uri = pyotp.parse_uri(begun["uri"])
    assert isinstance(uri, pyotp.TOTP)
    assert (uri.secret, uri.name, uri.issuer) == (
        begun["secret"], ada.visitor.email, "Isaax hub.example.com",
    )  # fmt: skip
    assert begun["qr"].startswith("<svg")
    assert begun["qr"].endswith("</svg>")
    assert ada.stranger().log_in().status == 201, "not before it is confirmed"
    ada.secret = begun["secret"]
    refused = ada.visitor.ask("PUT", "/users/me/totp", {"code": ada.wrong()})
    assert problem(refused) == (422, "invalid")
    assert ada.stranger().log_in().status == 201
    done = ada.visitor.ask("PUT", "/users/me/totp", {"code": uri.now()})
    assert (done.status, len(done.body["recovery_codes"])) == (200, NUMBER)
    asked = ada.ask()
    assert (asked["kinds"], asked["passkey_options"]) == (["totp", "recovery_code"], None)
    assert ada.log_in(totp=ada.code()).status == 201
    told = ada.lobby.mail_to(ada.visitor.email, "factor-added")
    assert "authenticator app" in told.text
    assert ada.secret not in told.text


def test_an_app_that_was_begun_anew_has_another_secret(lobby: Lobby) -> None:
    ada = Careful(lobby, lobby.person())
    first = ada.visitor.ask("POST", "/users/me/totp").body["secret"]
    ada.enrol()
    assert ada.secret != first
    assert problem(ada.visitor.ask("POST", "/users/me/totp")) == (409, "conflict")
    again = ada.visitor.ask("PUT", "/users/me/totp", {"code": ada.code()})
    assert problem(again) == (409, "conflict")


def test_nothing_is_confirmed_that_was_not_begun(lobby: Lobby) -> None:
    answer = lobby.person().ask("PUT", "/users/me/totp", {"code": "000000"})
    assert problem(answer) == (404, "not-found")


@pytest.mark.parametrize(("step", "good"), [(-2, 0), (-1, 1), (0, 1), (1, 1), (2, 0)])
def test_a_clock_may_be_one_step_off(step: int, good: int) -> None:
    secret, now = pyotp.random_base32(), 1_800_000_017
    code = pyotp.TOTP(secret).at(now + 30 * step)
    assert (step_of(secret, code, now) == now // 30 + step) == bool(good)
    assert step_of(secret, f"{code[:3]} {code[3:]}", now) == step_of(secret, code, now)


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "\0" * 6, "é" * 6, "\ud800"]
)
def test_what_is_no_code_is_wrong(code: str) -> None:
    assert step_of(pyotp.random_base32(), code, 1_800_000_000) is None


def test_a_code_is_good_once(ada: Careful) -> None:
    """Neither again, nor at another challenge, nor one from before the last that was used."""
    code, visitor = ada.code(), ada.stranger()
    asked, other = ada.ask(visitor), ada.ask(visitor)
    assert ada.finish(visitor, asked, totp=code).status == 201
    again = ada.finish(ada.stranger(), other, totp=code)
    assert problem(again) == (401, "wrong-factor")
    used = ada.finish(ada.stranger(), asked, totp=ada.code())
    assert problem(used) == (404, "dead-challenge")


def test_of_twenty_that_show_one_code_at_once_one_is_in(ada: Careful) -> None:
    """Each with a challenge of its own."""
    visitors = [ada.stranger() for _ in range(20)]
    asked = [ada.ask(visitor) for visitor in visitors]
    code = ada.code()

    def show(number: int) -> Answer:
        return ada.finish(visitors[number], asked[number], totp=code)

    answers = ada.lobby.everybody_at_once(show, 20)
    assert sorted(a.status for a in answers).count(201) == 1
    assert {a.status for a in answers} <= {201, 401, 403, 429}


def test_of_twenty_that_answer_one_challenge_one_is_in(ada: Careful) -> None:
    """With a good recovery code each, of which one is used up."""
    asked = ada.ask()

    def show(number: int) -> Answer:
        code = ada.codes[number % NUMBER]
        return ada.finish(ada.stranger(), asked, recovery_code=code)

    answers = ada.lobby.everybody_at_once(show, 20)
    assert [a.status for a in answers].count(201) == 1
    left = ada.visitor.ask("GET", "/users/me/second-factors").body["recovery_codes"]
    assert left == NUMBER - 1


# ── challenges ──


def test_a_challenge_opens_nothing_by_itself(ada: Careful) -> None:
    asked = ada.ask()
    for credential in (asked["challenge"], f"iss_{asked['challenge'][4:]}"):
        visitor = ada.lobby.visitor(token=credential)
        assert visitor.ask("GET", "/users/me").status == 401


def test_a_browsers_challenge_is_of_use_to_that_browser_alone(ada: Careful) -> None:
    browser = ada.stranger()
    answer = browser.log_in(cookie=True)
    (cookie,) = answer.cookies
    assert re.fullmatch(r"challenge=isb_\S+; Path=/; HttpOnly; SameSite=Lax; Max-Age=300", cookie)
    thief = ada.finish(ada.stranger(), answer.body, totp=ada.code())
    assert problem(thief) == (404, "dead-challenge")
    done = ada.finish(browser, answer.body, totp=ada.code(), cookie=True)
    assert (done.status, done.body["token"]) == (201, None)
    assert set(browser.cookies) == {"session", "known"}
    browser.cookies["challenge"] = "isb_of_another_login"
    assert ada.finish(browser, ada.ask(browser), recovery_code=ada.codes[0]).status == 201
    assert browser.ask("GET", "/users/me").status == 200


def test_a_challenge_expires(ada: Careful) -> None:
    asked = ada.ask()
    ada.lobby.sql("UPDATE accounts_challenge SET expires_at = now()")
    late = ada.finish(ada.stranger(), asked, totp=ada.code())
    assert problem(late) == (404, "dead-challenge")
    ada.lobby.sweep()
    assert not ada.lobby.sql('SELECT FROM accounts_challenge WHERE "user" = $1', ada.me)


def test_a_new_password_ends_challenges_of_the_old_one(ada: Careful) -> None:
    asked = ada.ask()
    body = {"current_password": PASSWORD, "new_password": "violet tired lantern"}
    assert ada.visitor.ask("PUT", "/users/me/password", body).status == 204
    late = ada.finish(ada.stranger(), asked, totp=ada.code())
    assert problem(late) == (404, "dead-challenge")


def test_a_password_that_is_changed_meanwhile_asks_for_nothing(
    ada: Careful, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its check and the challenge that it would have led to."""
    me, go_on = ada.me, Login._go_on

    async def late(self: Login, entry: Any, proven: Any, request: Any) -> Any:
        async with ada.lobby.database.system() as tx:
            await tx.raw.execute("UPDATE accounts_user SET password = 'x' WHERE id = $1", me)
        return await go_on(self, entry, proven, request)

    monkeypatch.setattr(Login, "_go_on", late)
    assert problem(ada.stranger().log_in()) == (401, "unauthenticated")
    assert not ada.lobby.sql('SELECT FROM accounts_challenge WHERE "user" = $1', me)


def test_a_new_password_by_mail_does_not_take_the_second_factor_away(ada: Careful) -> None:
    email, new = ada.visitor.email, "violet tired lantern"
    ada.lobby.visitor().ask("POST", "/password-resets", {"email": email})
    (link,) = ada.lobby.links_to(email, "reset")
    reset = ada.lobby.visitor().ask(
        "POST", "/password-resets/redeem", {"token": link.token, "password": new}
    )
    assert reset.status == 204
    ada.visitor.password = new
    assert ada.stranger().log_in().status == 202


@pytest.mark.parametrize(
    "factor",
    [{}, {"totp": "1", "recovery_code": "2"}, {"password": PASSWORD}, {"totp": None}],
    ids=str,
)
def test_exactly_one_factor_is_shown(ada: Careful, factor: dict[str, Any]) -> None:
    assert problem(ada.log_in(**factor)) == (422, "invalid")


def test_the_reference_tells_of_both_answers(lobby: Lobby) -> None:
    document = json.loads(lobby.visitor().send("GET", "/openapi.json").raw)
    responses = document["paths"]["/api/v1/sessions"]["post"]["responses"]
    shown = {
        status: responses[status]["content"]["application/json"]["schema"]["$ref"]
        for status in ("201", "202")
    }
    assert [ref.rpartition("/")[2] for ref in shown.values()] == [
        "NewSessionView", "SecondFactorView",
    ]  # fmt: skip


# ── lockout ──


def test_wrong_codes_count_like_wrong_passwords(ada: Careful) -> None:
    """A right password in between begins nothing anew, and the tenth locks, with the mail."""
    thief = ada.stranger()
    for number in range(1, 10):
        let_time_pass(ada.lobby)
        answer = ada.finish(thief, ada.ask(thief), totp=ada.wrong())
        assert problem(answer) == (401, "wrong-factor")
        left = f"{10 - number} attempt{'s' * (number != 9)} left"
        assert answer.body["detail"].startswith(left)
    let_time_pass(ada.lobby)
    asked, other = ada.ask(thief), ada.ask(thief)
    locked = ada.finish(thief, asked, totp=ada.wrong())
    assert problem(locked) == (403, "locked")
    right = ada.finish(thief, other, totp=ada.code())
    assert (problem(right), right.said) == ((403, "locked"), locked.said)
    told = [thief.log_in(), thief.log_in("not the password")]
    assert [answer.said for answer in told] == [locked.said] * 2, "it says what the password is"
    links = ada.lobby.links_to(ada.visitor.email, "locked")
    unlock = next(link for link in links if link.kind == "unlock")
    assert thief.ask("POST", "/unlocks", {"token": unlock.token}).status == 204
    assert ada.log_in(totp=ada.code()).status == 201


def test_a_good_end_begins_the_count_anew(ada: Careful) -> None:
    visitor = ada.stranger()
    for _ in range(3):
        ada.finish(visitor, ada.ask(visitor), totp=ada.wrong())
    assert ada.finish(visitor, ada.ask(visitor), totp=ada.code()).status == 201
    wrong = ada.stranger().log_in("not the password")
    assert wrong.body["detail"].startswith("9 attempts left")


def test_one_challenge_takes_five_wrong_answers(ada: Careful) -> None:
    visitor = ada.stranger()
    asked = ada.ask(visitor)
    for _ in range(5):
        assert ada.finish(visitor, asked, totp=ada.wrong()).status == 401
    let_time_pass(ada.lobby)
    dead = ada.finish(visitor, asked, totp=ada.code())
    assert problem(dead) == (404, "dead-challenge")


def test_a_stranger_does_not_lock_the_owner_out_of_a_known_device(ada: Careful) -> None:
    mine = ada.stranger()
    assert ada.finish(mine, ada.ask(mine), totp=ada.code()).status == 201
    thief = ada.stranger()
    for _ in range(10):
        let_time_pass(ada.lobby)
        thief.log_in("not the password")
    assert problem(thief.log_in()) == (403, "locked")
    assert ada.finish(mine, ada.ask(mine), totp=ada.code()).status == 201


# ── recovery codes ──


def test_a_recovery_code_is_good_once_however_it_is_typed(ada: Careful) -> None:
    """Its use is told by mail, and how many are left when it is few."""
    first, second = ada.codes[:2]
    assert ada.log_in(recovery_code=first).status == 201
    assert problem(ada.log_in(recovery_code=first)) == (401, "wrong-factor")
    assert ada.log_in(recovery_code=f" {second.upper().replace('-', ' ')} ").status == 201
    told = ada.lobby.mail_to(ada.visitor.email, "recovery-used", 2)
    assert f"left: {NUMBER - 2}" in told.text.replace("\n", " ")
    assert "run out" not in told.text
    for code in ada.codes[2 : NUMBER - FEW]:
        assert ada.log_in(recovery_code=code).status == 201
    told = ada.lobby.mail_to(ada.visitor.email, "recovery-used", NUMBER - FEW)
    assert "run out" in told.text


def test_of_twenty_that_show_one_recovery_code_one_is_in(ada: Careful) -> None:
    visitors = [ada.stranger() for _ in range(20)]
    asked = [ada.ask(visitor) for visitor in visitors]

    def show(number: int) -> Answer:
        return ada.finish(visitors[number], asked[number], recovery_code=ada.codes[0])

    answers = ada.lobby.everybody_at_once(show, 20)
    assert [answer.status for answer in answers].count(201) == 1


def test_new_recovery_codes_end_the_old_ones(ada: Careful) -> None:
    renewed = ada.visitor.ask("POST", "/users/me/recovery-codes")
    assert renewed.status == 200
    new = renewed.body["recovery_codes"]
    assert (len(set(new)), set(new) & set(ada.codes)) == (NUMBER, set())
    assert ada.log_in(recovery_code=ada.codes[0]).status == 401
    assert ada.log_in(recovery_code=new[0]).status == 201
    ada.lobby.mail_to(ada.visitor.email, "recovery-new")


def test_anothers_recovery_code_is_no_good(ada: Careful) -> None:
    other = Careful(ada.lobby, ada.lobby.person())
    other.enrol()
    assert ada.log_in(recovery_code=other.codes[0]).status == 401


def test_without_a_factor_there_is_nothing_to_recover(lobby: Lobby) -> None:
    assert problem(lobby.person().ask("POST", "/users/me/recovery-codes")) == (409, "conflict")


def test_recovery_codes_go_with_the_last_factor(ada: Careful) -> None:
    assert ada.visitor.ask("DELETE", "/users/me/totp").status == 204
    assert problem(ada.visitor.ask("DELETE", "/users/me/totp")) == (404, "not-found")
    assert ada.visitor.ask("GET", "/users/me/second-factors").body == {
        "totp_since": None, "recovery_codes": 0, "passkeys": 0,
    }  # fmt: skip
    assert ada.stranger().log_in().status == 201
    assert "The password alone" in ada.lobby.mail_to(ada.visitor.email, "factor-removed").text


def test_mails_are_in_the_readers_language(lobby: Lobby) -> None:
    ada = Careful(lobby, lobby.person(locale="ja"))
    ada.enrol()
    assert "認証アプリ" in lobby.mail_to(ada.visitor.email, "factor-added").text


def test_whoever_runs_the_hub_helps_somebody_who_has_lost_everything(ada: Careful) -> None:
    """And nobody who is not there."""
    letters = Letters(ada.lobby.postbox, "https://hub.example.com")

    async def drop(email: str) -> None:
        async with ada.lobby.database.system() as tx:
            await drop_factors(tx, letters, email)

    ada.lobby.run(drop(ada.visitor.email.upper()))
    assert ada.stranger().log_in().status == 201
    assert problem(ada.visitor.ask("DELETE", "/users/me/totp")) == (404, "not-found")
    assert "Every second factor" in ada.lobby.mail_to(ada.visitor.email, "factor-removed").text
    with pytest.raises(NotFound, match="nobody has this address"):
        ada.lobby.run(drop("nobody@example.com"))


# ── showing that it is you ──

CHANGES = [
    ("POST", "/users/me/totp"),
    ("DELETE", "/users/me/totp"),
    ("POST", "/users/me/recovery-codes"),
    ("POST", "/users/me/passkeys/options"),
    ("DELETE", "/users/me/passkeys/pky_1"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_need_somebody_who_was_here_lately(ada: Careful, method: str, path: str) -> None:
    let_recency_pass(ada)
    assert problem(ada.visitor.ask(method, path)) == (403, "proof-required")


def test_the_password_or_a_factor_shows_that_it_is_you(ada: Careful) -> None:
    for kind in ("password", "totp", "recovery_code"):
        let_recency_pass(ada)
        shown = {"password": PASSWORD, "totp": ada.code(), "recovery_code": ada.codes[0]}
        proof = {kind: shown[kind]}
        assert ada.visitor.ask("POST", "/reauthentications", proof).status == 204
        renewed = ada.visitor.ask("POST", "/users/me/recovery-codes")
        assert renewed.status == 200
        ada.codes = renewed.body["recovery_codes"]


def test_a_wrong_proof_shows_nothing_and_counts(ada: Careful) -> None:
    let_recency_pass(ada)
    proofs = [{"totp": ada.wrong()}, {"recovery_code": "no"}, {"password": "not the password"}] * 2
    answers = [ada.visitor.ask("POST", "/reauthentications", proof) for proof in proofs]
    assert [answer.status for answer in answers] == [422] * 5 + [429]
    assert ada.visitor.ask("POST", "/users/me/recovery-codes").status == 403


def test_a_proof_counts_in_its_own_session(ada: Careful) -> None:
    other = ada.stranger()
    assert ada.finish(other, ada.ask(other), totp=ada.code()).status == 201
    let_recency_pass(ada)
    assert ada.visitor.ask("POST", "/reauthentications", {"password": PASSWORD}).status == 204
    assert other.ask("DELETE", "/users/me/totp").status == 403


def test_a_program_has_no_say_in_second_factors(ada: Careful) -> None:
    token = ada.visitor.ask("POST", "/api-tokens", {"name": "all", "scopes": ["*"]}).body["token"]
    program = ada.lobby.visitor(token=token)
    for method, path in [*CHANGES, ("GET", "/users/me/second-factors")]:
        assert program.ask(method, path).status == 403


# ── what is kept ──


def test_nothing_of_it_is_readable_in_postgres(ada: Careful) -> None:
    asked = ada.ask()
    ada.log_in(recovery_code=ada.codes[0])
    ada.lobby.settle()
    hidden = [ada.secret, asked["challenge"], *ada.codes]
    hidden += [code.replace("-", "") for code in ada.codes]
    tables = ada.lobby.sql(
        """SELECT c.relname AS name FROM pg_class AS c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
              AND has_table_privilege(c.oid, 'SELECT')"""
    )
    assert {"accounts_totp", "outbox"} <= {table["name"] for table in tables}
    for table in tables:
        rows = ada.lobby.sql(f'SELECT t::text AS row FROM "{table["name"]}" AS t')
        everything = "\n".join(row["row"] for row in rows)
        assert not [one for one in hidden if one in everything], table["name"]
        assert not [one for one in hidden if one.encode().hex() in everything], table["name"]


def test_nothing_of_it_is_in_the_log(lobby: Lobby, capsys: pytest.CaptureFixture[str]) -> None:
    ada = Careful(lobby, lobby.person())
    ada.enrol()
    asked, totp, wrong = ada.ask(), ada.code(), ada.wrong()
    assert ada.finish(ada.stranger(), asked, totp=wrong).status == 401
    assert ada.finish(ada.stranger(), asked, totp=totp).status == 201
    assert ada.log_in(recovery_code=ada.codes[0]).status == 201
    lobby.settle()
    log = capsys.readouterr().out
    assert "/api/v1/sessions/second-factor" in log
    hidden = [
        ada.secret,
        asked["challenge"],
        *ada.codes,
        f"={totp}",
        f"={wrong}",
        ada.visitor.token,
    ]
    assert not [one for one in hidden if one in log]


def test_nothing_of_it_is_readable_in_jetstream(ada: Careful, parts_folder: Path) -> None:
    """What was mailed about is there, sealed."""
    ada.log_in(recovery_code=ada.codes[0])
    ada.lobby.settle()
    files = [path for path in parts_folder.rglob("*.blk") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    assert b"mail" in stored
    hidden = [ada.secret, *ada.codes, ada.visitor.email, "recovery code"]
    assert not [one for one in hidden if one.encode() in stored]


def test_a_secret_is_sealed_for_its_person_alone(ada: Careful) -> None:
    """Moved to another person, it opens nothing: the hub says so by a fault of its own."""
    other = Careful(ada.lobby, ada.lobby.person())
    other.enrol()
    ada.lobby.sql(
        """UPDATE accounts_totp SET sealed = (SELECT sealed FROM accounts_totp WHERE "user" = $1)
            WHERE "user" = $2""", other.me, ada.me,
    )  # fmt: skip
    code = pyotp.TOTP(other.secret).now()
    assert ada.log_in(totp=code).status == 500


def test_an_idempotency_key_gives_the_same_secret_again(lobby: Lobby) -> None:
    """And another answer to nobody else."""
    ada, key = Careful(lobby, lobby.person()), {"Idempotency-Key": secrets.token_hex(8)}
    first, again = (ada.visitor.ask("POST", "/users/me/totp", None, key) for _ in range(2))
    assert first.body["secret"] == again.body["secret"]
