"""Passkeys: as a second factor, and in place of the password, over REST with a real signer."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest

from hub.embedded.postgres import Postgres
from hub.structs import decode
from services.accounts.second_factors.contracts import Assertion, NewCredential
from services.accounts.second_factors.passkeys import MOST
from services.accounts.second_factors.relying_party import Refused, RelyingParty
from services.accounts.settings import AccountsSettings
from tests.fixtures.authenticator import PRESENT, Authenticator, b64, un64
from tests.fixtures.factors import Careful
from tests.fixtures.lobby import PASSWORD, Answer, Lobby, Visitor, running_lobby


@pytest.fixture(scope="module")
def lobby(postgres_server: Postgres, parts_folder: Path) -> Iterator[Lobby]:
    """A hub that lets one address and network try as much as a test needs."""
    many = AccountsSettings(tries_per_address=0, tries_per_network=0)
    with running_lobby(postgres_server, parts_folder, many) as running:
        yield running


@pytest.fixture
def ada(lobby: Lobby) -> Careful:
    """Somebody with a passkey."""
    careful = Careful(lobby, lobby.person())
    assert careful.register().status == 201
    return careful


def problem(answer: Answer) -> tuple[int, str]:
    """Give what is wrong."""
    return answer.status, str(answer.body["type"]).removeprefix("/problems/")


def ask_to_enter(visitor: Visitor, **more: Any) -> dict[str, Any]:
    """Ask to log in by a passkey alone."""
    answer = visitor.ask("POST", "/sessions/passkey-options", more)
    assert answer.status == 200, answer
    return dict(answer.body)


def enter(visitor: Visitor, asked: dict[str, Any], passkey: Any, **more: Any) -> Answer:
    """Log in by a passkey alone."""
    body = {"challenge": asked["challenge"], "passkey": passkey, **more}
    return visitor.ask("POST", "/sessions/passkey", body)


# ── one's own ──


def test_a_passkey_is_added_listed_renamed_and_removed(lobby: Lobby) -> None:
    ada = Careful(lobby, lobby.person())
    options = ada.ask_to_register().body["options"]
    assert options["rp"] == {"id": "hub.example.com", "name": "Isaax hub.example.com"}
    assert un64(options["user"]["id"]).decode() == ada.me
    assert options["user"]["name"] == ada.visitor.email
    added = ada.register("laptop")
    assert (added.status, len(added.body["recovery_codes"])) == (201, 10)
    second = ada_with_another_device(ada).register("blue key")
    assert second.body["recovery_codes"] == [], "those that there are stay good"
    listed = ada.visitor.ask("GET", "/users/me/passkeys").body
    assert [passkey["name"] for passkey in listed] == ["laptop", "blue key"]
    assert listed[0]["transports"] == ["internal", "hybrid"]
    path = f"/users/me/passkeys/{added.body['id']}"
    renamed = ada.visitor.ask("PATCH", path, {"name": "old laptop"})
    assert renamed.body == {**listed[0], "name": "old laptop"}
    assert ada.visitor.ask("GET", path).body == renamed.body
    assert ada.visitor.ask("DELETE", path).status == 204
    assert [ada.visitor.ask(how, path).status for how in ("GET", "DELETE")] == [404, 404]
    assert "“laptop”" in lobby.mail_to(ada.visitor.email, "factor-added").text
    gone = lobby.mail_to(ada.visitor.email, "factor-removed").text
    assert ("“old laptop”" in gone, "The password alone" in gone) == (True, False)


def ada_with_another_device(ada: Careful) -> Careful:
    """Give the same person with a device of no passkeys."""
    return replace(ada, device=replace(ada.device, passkeys=[]))


def test_anothers_passkey_is_not_there(ada: Careful) -> None:
    other = ada.lobby.person()
    (mine,) = ada.visitor.ask("GET", "/users/me/passkeys").body
    path = f"/users/me/passkeys/{mine['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert problem(other.ask(method, path, body)) == (404, "not-found")
    assert ada.visitor.ask("GET", "/users/me/passkeys").body == [mine]


def test_an_authenticator_makes_one_passkey(ada: Careful) -> None:
    """A browser is told which there are; and one that is known is not taken again."""
    options = ada.ask_to_register().body["options"]
    assert [un64(one["id"]) for one in options["excludeCredentials"]] == [ada.device.passkeys[0].id]
    asked = ada.ask_to_register().body
    fresh = ada_with_another_device(ada).device
    credential = fresh.make(asked["options"])
    body = {"challenge": asked["challenge"], "name": "once", "credential": credential}
    assert ada.visitor.ask("POST", "/users/me/passkeys", body).status == 201
    assert problem(ada.visitor.ask("POST", "/users/me/passkeys", body)) == (404, "dead-challenge")


def test_there_is_a_most_of_passkeys(ada: Careful) -> None:
    ada.lobby.sql(
        """INSERT INTO accounts_passkey (id, "user", name, credential, public_key, sign_count)
           SELECT 'pky_' || $1::text || n, $1, 'many', sha256(($1 || n)::bytea), '', 0
             FROM generate_series(2, $2::integer) AS n""", ada.me, MOST,
    )  # fmt: skip
    assert problem(ada.visitor.ask("POST", "/users/me/passkeys/options")) == (409, "conflict")


def test_a_challenge_to_register_is_good_once_in_its_session(ada: Careful) -> None:
    device = ada_with_another_device(ada).device
    asked = ada.ask_to_register().body
    body = {
        "challenge": asked["challenge"], "name": "x", "credential": device.make(asked["options"]),
    }  # fmt: skip
    other = ada.stranger()
    assert ada.finish(other, ada.ask(other), recovery_code=ada.codes[0]).status == 201
    assert problem(other.ask("POST", "/users/me/passkeys", body)) == (404, "dead-challenge")
    answers = ada.lobby.everybody_at_once(
        lambda _: ada.visitor.ask("POST", "/users/me/passkeys", body), 20
    )
    assert sorted(answer.status for answer in answers) == [201] + [404] * 19


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://hub.example.org"}, {"origin": "http://hub.example.com"},
        {"type": "webauthn.get"}, {"challenge": b64(bytes(32))},
    ],
    ids=str,
)  # fmt: skip
def test_a_passkey_of_another_site_or_challenge_is_not_kept(
    lobby: Lobby, change: dict[str, str]
) -> None:
    ada = Careful(lobby, lobby.person())
    asked = ada.ask_to_register().body
    credential = ada.device.make(asked["options"], **change)
    body = {"challenge": asked["challenge"], "name": "x", "credential": credential}
    answer = ada.visitor.ask("POST", "/users/me/passkeys", body)
    assert (*problem(answer), answer.body["errors"][0]["pointer"]) == (
        422, "invalid", "/credential",
    )  # fmt: skip
    assert ada.visitor.ask("GET", "/users/me/passkeys").body == []


@pytest.mark.parametrize(
    "garbled", ["", "!", "A", b64(b"\xa0"), b64(b"\x9f" * 200), b64(bytes(37))]
)
@pytest.mark.parametrize("name", ["clientDataJSON", "attestationObject"])
def test_a_broken_registration_is_its_senders_fault(lobby: Lobby, name: str, garbled: str) -> None:
    ada = Careful(lobby, lobby.person())
    asked = ada.ask_to_register().body
    credential = ada.device.make(asked["options"])
    credential["response"][name] = garbled
    body = {"challenge": asked["challenge"], "name": "x", "credential": credential}
    assert problem(ada.visitor.ask("POST", "/users/me/passkeys", body)) == (422, "invalid")


PARTY, CHALLENGE = RelyingParty.at("https://hub.example.com"), bytes(range(32))


def test_any_other_byte_of_an_attestation_is_refused_or_harmless() -> None:
    """Whatever authenticators send: nothing but a refusal comes of what cannot be read."""
    device = Authenticator()
    options = PARTY.to_register(CHALLENGE, "usr_1", "ada@example.com", "Ada", [])
    whole = device.make(options)
    data = un64(whole["response"]["attestationObject"])
    refused = 0
    for at in range(len(data)):
        other = bytearray(data)
        other[at] ^= 0xFF
        for attestation in (bytes(other), data[:at]):
            response = {**whole["response"], "attestationObject": b64(attestation)}
            credential = decode(NewCredential, {**whole, "response": response})
            try:
                PARTY.registered(credential, CHALLENGE)
            except Refused:
                refused += 1
    assert refused > len(data), "what is cut is refused, and more"


def attested(statement: Any, key: bytes | None = None, form: Any = "none") -> bytes:
    """Write an attestation object; `key` instead of a good one."""
    made = Authenticator().make(PARTY.to_register(CHALLENGE, "usr_1", "ada@example.com", "Ada", []))
    data = cbor2.loads(un64(made["response"]["attestationObject"]))["authData"]
    data = data if key is None else data[: 37 + 16 + 2 + 32] + key
    return cbor2.dumps({"fmt": form, "attStmt": statement, "authData": data})


FAR = b"\xff" * 32
STRANGE: dict[str, bytes] = {
    "deep": b"\x81" * 40_000,
    "longer than memory": b"\x5b\x7f" + b"\xff" * 7,
    "a number of a billion digits": b"\xc4\x82\x1a\x7f\xff\xff\xff\x01",
    "itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "a deep key": attested({}, b"\x81" * 30_000),
    "a point off the curve": attested({}, cbor2.dumps({1: 2, 3: -7, -1: 1, -2: FAR, -3: FAR})),
    "a huge exponent": attested(
        {}, cbor2.dumps({1: 3, 3: -257, -1: b"\xff" * 16_000, -2: b"\xff" * 16_000})
    ),
    "no format": attested({}, form=5),
    **{
        form: attested(
            {"alg": -7, "sig": b"1", "x5c": [b"1"], "ver": "2", "response": b"a.b"}, form=form
        )
        for form in ("packed", "tpm", "fido-u2f", "apple", "android-key", "android-safetynet")
    },
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_no_authenticator_sends_is_refused(name: str) -> None:
    made = Authenticator().make(PARTY.to_register(CHALLENGE, "usr_1", "ada@example.com", "Ada", []))
    response = {**made["response"], "attestationObject": b64(STRANGE[name])}
    with pytest.raises(Refused):
        PARTY.registered(decode(NewCredential, {**made, "response": response}), CHALLENGE)


def test_any_other_bit_of_an_assertion_is_refused() -> None:
    device = Authenticator()
    made = device.make(PARTY.to_register(CHALLENGE, "usr_1", "ada@example.com", "Ada", []))
    key = PARTY.registered(decode(NewCredential, made), CHALLENGE).credential_public_key
    signed = device.sign(PARTY.to_authenticate(CHALLENGE, [], verified=True))

    def check(assertion: dict[str, Any]) -> None:
        PARTY.authenticated(
            decode(Assertion, assertion), CHALLENGE, public_key=key, sign_count=0, verified=True
        )

    check(signed)
    for name in ("clientDataJSON", "authenticatorData", "signature"):
        data = un64(signed["response"][name])
        for at in range(8 * len(data)):
            other = bytearray(data)
            other[at // 8] ^= 1 << at % 8
            with pytest.raises(Refused):
                check({**signed, "response": {**signed["response"], name: b64(bytes(other))}})


# ── as a second factor ──


def test_a_passkey_is_a_second_factor(ada: Careful) -> None:
    visitor = ada.stranger()
    asked = ada.ask(visitor)
    assert asked["kinds"] == ["passkey", "recovery_code"]
    options = asked["passkey_options"]
    (allowed,) = options["allowCredentials"]
    assert (un64(allowed["id"]), options["rpId"]) == (
        ada.device.passkeys[0].id, "hub.example.com",
    )  # fmt: skip
    assert ada.finish(visitor, asked, passkey=ada.device.sign(options)).status == 201
    assert visitor.ask("GET", "/users/me").status == 200
    (mine,) = ada.visitor.ask("GET", "/users/me/passkeys").body
    assert mine["last_used_at"] is not None


def test_what_a_passkey_has_signed_is_good_once(ada: Careful) -> None:
    """Neither for the same challenge again, nor for another."""
    visitor = ada.stranger()
    asked, other = ada.ask(visitor), ada.ask(visitor)
    signed = ada.device.sign(asked["passkey_options"])
    answers = ada.lobby.everybody_at_once(
        lambda _: ada.finish(ada.stranger(), asked, passkey=signed), 20
    )
    assert [answer.status for answer in answers].count(201) == 1
    ada.lobby.sql("UPDATE accounts_attempt SET until = now()")
    assert problem(ada.finish(ada.stranger(), other, passkey=signed)) == (401, "wrong-factor")


def test_a_copy_of_a_passkey_is_found_out(ada: Careful, capsys: pytest.CaptureFixture[str]) -> None:
    """Its counter goes back, or stays: refused, and the log says so."""
    copied = ada.device.copied()
    visitor = ada.stranger()
    asked = ada.ask(visitor)
    signed = ada.device.sign(asked["passkey_options"])
    assert ada.finish(visitor, asked, passkey=signed).status == 201
    asked = ada.ask()
    thief = ada.finish(ada.stranger(), asked, passkey=copied.sign(asked["passkey_options"]))
    assert problem(thief) == (401, "wrong-factor")
    assert "sign count of 1 was not greater" in capsys.readouterr().out


def test_an_authenticator_without_a_counter_is_fine(lobby: Lobby) -> None:
    ada = Careful(lobby, lobby.person())
    ada.device.steps = 0
    assert ada.register().status == 201
    for _ in range(2):
        visitor = ada.stranger()
        asked = ada.ask(visitor)
        signed = ada.device.sign(asked["passkey_options"])
        assert ada.finish(visitor, asked, passkey=signed).status == 201


def test_anothers_passkey_does_not_finish_a_login(ada: Careful) -> None:
    """Nor does one's own that signs for somebody else."""
    other = Careful(ada.lobby, ada.lobby.person())
    other.register()
    asked = ada.ask()
    options = {**asked["passkey_options"], "allowCredentials": []}
    answer = ada.finish(ada.stranger(), asked, passkey=other.device.sign(options))
    assert problem(answer) == (401, "wrong-factor")
    asked = ada.ask()
    signed = ada.device.sign(asked["passkey_options"])
    signed["response"]["userHandle"] = b64(other.me.encode())
    answer = ada.finish(ada.stranger(), asked, passkey=signed)
    assert problem(answer) == (401, "wrong-factor")


@pytest.mark.parametrize("name", ["clientDataJSON", "authenticatorData", "signature"])
def test_a_broken_assertion_is_wrong_and_no_more(ada: Careful, name: str) -> None:
    for garbled in ("", "!", "A", b64(b"{"), b64(b"\xff" * 37), b64(b"{}"), b64(b"[1]")):
        ada.lobby.sql("DELETE FROM accounts_attempt")
        asked = ada.ask()
        signed = ada.device.sign(asked["passkey_options"])
        signed["response"][name] = garbled
        answer = ada.finish(ada.stranger(), asked, passkey=signed)
        assert problem(answer) == (401, "wrong-factor"), garbled


# ── alone ──


def test_a_passkey_logs_in_by_itself(ada: Careful) -> None:
    visitor = ada.lobby.visitor()
    asked = ask_to_enter(visitor)
    options = asked["options"]
    assert (options["allowCredentials"], options["userVerification"]) == ([], "required")
    done = enter(visitor, asked, ada.device.sign(options))
    assert done.status == 201
    visitor.token = done.body["token"]
    assert visitor.ask("GET", "/users/me").body["email"] == ada.visitor.email


def test_alone_it_has_to_make_sure_of_its_user(ada: Careful) -> None:
    """As a second factor a touch is enough: the password was shown."""
    ada.device.flags = PRESENT
    visitor = ada.stranger()
    asked = ask_to_enter(visitor)
    answer = enter(visitor, asked, ada.device.sign(asked["options"]))
    assert problem(answer) == (401, "wrong-factor")
    asked = ada.ask(visitor)
    signed = ada.device.sign(asked["passkey_options"])
    assert ada.finish(visitor, asked, passkey=signed).status == 201


def test_a_challenge_to_enter_is_good_once(ada: Careful) -> None:
    """Even if the answer was wrong."""
    asked = ask_to_enter(ada.lobby.visitor())
    signed = ada.device.sign(asked["options"])
    answers = ada.lobby.everybody_at_once(lambda _: enter(ada.lobby.visitor(), asked, signed), 20)
    assert sorted(answer.status for answer in answers) == [201] + [404] * 19
    asked = ask_to_enter(ada.lobby.visitor())
    signed = ada.device.sign(asked["options"])
    wrong = json.loads(json.dumps(signed))
    wrong["response"]["signature"] = b64(b"no")
    assert problem(enter(ada.lobby.visitor(), asked, wrong)) == (401, "wrong-factor")
    assert problem(enter(ada.lobby.visitor(), asked, signed)) == (404, "dead-challenge")


def test_a_challenge_is_of_one_kind(ada: Careful) -> None:
    """One to enter does not finish a login, and the other way round."""
    asked, entry = ada.ask(), ask_to_enter(ada.stranger())
    signed = ada.device.sign(entry["options"])
    finished = ada.finish(ada.stranger(), entry, passkey=signed)
    assert problem(finished) == (404, "dead-challenge")
    signed = ada.device.sign(asked["passkey_options"])
    assert problem(enter(ada.stranger(), asked, signed)) == (404, "dead-challenge")


def test_a_browsers_challenge_to_enter_is_of_use_to_it_alone(ada: Careful) -> None:
    browser = ada.lobby.visitor()
    asked = ask_to_enter(browser, cookie=True)
    assert set(browser.cookies) == {"challenge"}
    signed = ada.device.sign(asked["options"])
    thief = enter(ada.lobby.visitor(), asked, signed)
    assert problem(thief) == (404, "dead-challenge")
    done = enter(browser, asked, signed, cookie=True)
    assert (done.status, done.body["token"], set(browser.cookies)) == (
        201, None, {"session", "known"},
    )  # fmt: skip


def test_a_passkey_that_nobody_has_enters_nowhere(ada: Careful) -> None:
    visitor = ada.lobby.visitor()
    (mine,) = ada.visitor.ask("GET", "/users/me/passkeys").body
    assert ada.visitor.ask("DELETE", f"/users/me/passkeys/{mine['id']}").status == 204
    asked = ask_to_enter(visitor)
    answer = enter(visitor, asked, ada.device.sign(asked["options"]))
    assert problem(answer) == (401, "wrong-factor")


def test_whoever_is_suspended_does_not_enter(ada: Careful) -> None:
    me, visitor = ada.me, ada.lobby.visitor()
    ada.lobby.sql("UPDATE accounts_user SET suspended_at = now() WHERE id = $1", me)
    asked = ask_to_enter(visitor)
    answer = enter(visitor, asked, ada.device.sign(asked["options"]))
    assert problem(answer) == (403, "suspended")


def test_one_network_asks_for_only_so_many_challenges(
    postgres_server: Postgres, parts_folder: Path
) -> None:
    """Those that end in a login are given back."""
    few = AccountsSettings(tries_per_address=3, tries_per_network=0)
    with running_lobby(postgres_server, parts_folder, few) as lobby:
        ada, visitor = Careful(lobby, lobby.person()), lobby.visitor()
        assert ada.register().status == 201
        for _ in range(4):
            asked = ask_to_enter(visitor)
            assert enter(visitor, asked, ada.device.sign(asked["options"])).status == 201
        answers = [visitor.ask("POST", "/sessions/passkey-options", {}) for _ in range(4)]
        assert [answer.status for answer in answers] == [200] * 3 + [429]


def test_a_passkey_shows_that_it_is_you(ada: Careful) -> None:
    ada.lobby.sql("UPDATE accounts_session SET proven_at = now() - interval '1 hour'")
    asked = ada.visitor.ask("POST", "/reauthentications/passkey-options").body
    body = {"challenge": asked["challenge"], "passkey": ada.device.sign(asked["options"])}
    other = ada.lobby.person()
    assert problem(other.ask("POST", "/reauthentications", body)) == (404, "dead-challenge")
    assert ada.visitor.ask("POST", "/reauthentications", body).status == 204
    assert problem(ada.visitor.ask("POST", "/reauthentications", body)) == (404, "dead-challenge")
    assert ada.visitor.ask("POST", "/users/me/recovery-codes").status == 200
    assert ada.visitor.ask("POST", "/reauthentications", {"password": PASSWORD}).status == 204


# ── where there are any ──


@pytest.mark.parametrize(
    ("at", "id_", "origin"),
    [
        ("https://hub.example.com", "hub.example.com", "https://hub.example.com"),
        ("https://hub.example.com:8443", "hub.example.com", "https://hub.example.com:8443"),
        ("http://127.0.0.1:7800", "localhost", "http://localhost:7800"),
        ("http://[::1]:7800", "localhost", "http://localhost:7800"),
        ("http://localhost:7800", "localhost", "http://localhost:7800"),
        ("http://hub.example.com", "", "http://hub.example.com"),
        ("https://192.0.2.7", "", "https://192.0.2.7"),
    ],
)
def test_passkeys_belong_to_a_name(at: str, id_: str, origin: str) -> None:
    assert RelyingParty.at(at) == RelyingParty(id_, origin)
