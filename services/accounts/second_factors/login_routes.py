"""The second step of a login over HTTP, and logging in by a passkey alone."""

from typing import Any, Final

from hub import SIGNED_IN, Call, LimitReached, NoQuery, Reply, Route
from services.accounts.identity.errors import Locked, Suspended, TooManyAttempts, Unverified
from services.accounts.identity.session_routes import SESSIONS, Fresh, NewSessionView
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.bodies import (
    EntryBody,
    EntryOptionsBody,
    FactorBody,
    OptionsView,
    ProofBody,
    proof_of,
)
from services.accounts.second_factors.errors import (
    DeadChallenge,
    PasskeysUnavailable,
    WrongFactor,
)
from services.accounts.second_factors.fresh import (
    BOUND,
    GONE,
    FreshChallenge,
    digest_of_cookie,
)
from services.accounts.tokens import digest_of


async def finish_log_in(call: Call[FactorBody, NoQuery]) -> Reply:
    """Answer `POST /sessions/second-factor`."""
    body, fresh = call.body, Fresh.make()
    logged_in = await call.bus.request(
        c.FINISH_LOG_IN,
        c.FinishLogIn(
            challenge=digest_of(body.challenge.reveal()).hex(),
            bound=digest_of_cookie(call, BOUND),
            proof=proof_of(body),
            **fresh.asked_by(call),
        ),
    )
    return fresh.reply(logged_in, cookie=body.cookie, also=_gone(call))


async def ask_passkey_login(call: Call[EntryOptionsBody, NoQuery]) -> Reply:
    """Answer `POST /sessions/passkey-options`."""
    asked = FreshChallenge.make(bound=call.body.cookie)
    found = await call.bus.request(
        c.ASK_PASSKEY, c.AskPasskey(call.client, asked.digest, asked.bound_digest)
    )
    view = OptionsView(asked.token, found.options, found.expires_at)
    return Reply(view, cookies=asked.cookies)


async def log_in_by_passkey(call: Call[EntryBody, NoQuery]) -> Reply:
    """Answer `POST /sessions/passkey`."""
    body, fresh = call.body, Fresh.make()
    logged_in = await call.bus.request(
        c.ENTER_BY_PASSKEY,
        c.EnterByPasskey(
            challenge=digest_of(body.challenge.reveal()).hex(),
            bound=digest_of_cookie(call, BOUND),
            passkey=body.passkey,
            **fresh.asked_by(call),
        ),
    )
    return fresh.reply(logged_in, cookie=body.cookie, also=_gone(call))


def _gone(call: Call[Any, NoQuery]) -> tuple[Any, ...]:
    return (GONE,) if BOUND in call.cookies else ()


async def reauthenticate(call: Call[ProofBody, NoQuery]) -> Reply:
    """Answer `POST /reauthentications`."""
    body, proof = call.body, proof_of(call.body)
    await call.bus.request(
        c.REAUTHENTICATE,
        c.Reauthenticate(
            user=call.caller.user,
            session=call.caller.actor,
            password=body.password,
            proof=proof,
            challenge=digest_of(body.challenge.reveal()).hex() if body.challenge else "",
        ),
    )
    return Reply()


async def ask_passkey_proof(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /reauthentications/passkey-options`."""
    asked = FreshChallenge.make()
    found = await call.bus.request(
        c.REAUTHENTICATION_OPTIONS,
        c.ChallengeIn(user=call.caller.user, session=call.caller.actor, challenge=asked.digest),
    )
    return Reply(OptionsView(asked.token, found.options, found.expires_at))


SECOND_FACTOR: Final = f"{SESSIONS}/second-factor"
REAUTHENTICATIONS: Final = "/api/v1/reauthentications"
_OWN: Final = SIGNED_IN.name
_CHALLENGE: Final = "isc_H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM"
ASSERTION: Final = {
    "id": "rh5Tn0", "rawId": "rh5Tn0", "type": "public-key",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0", "authenticatorData": "SZYN5YgO",
        "signature": "MEUCIQDb", "userHandle": "dXNyXzE",
    },
}  # fmt: skip
"""An example, cut short."""


def routes() -> list[Route[Any, Any]]:
    """Give the routes of second steps."""
    return [
        Route(
            method="POST", path=SECOND_FACTOR, summary="Finish logging in by a second factor",
            tag="sessions", handler=finish_log_in, permission=None, anonymous=True, body=FactorBody,
            response=NewSessionView, status=201, once=True,
            errors=(WrongFactor, DeadChallenge, TooManyAttempts, Locked, Unverified, Suspended),
            examples=(
                {"challenge": _CHALLENGE, "totp": "492039"},
                {"challenge": _CHALLENGE, "recovery_code": "k3fd-7qzm-a2xw-p5ne"},
                {"challenge": _CHALLENGE, "passkey": ASSERTION},
            ),
            description="After `POST /api/v1/sessions` has answered 202. Wrong answers count like "
            "wrong passwords, and the fifth ends the challenge.",
        ),
        Route(
            method="POST", path=f"{SESSIONS}/passkey-options",
            summary="Ask to log in by a passkey alone", tag="sessions", handler=ask_passkey_login,
            permission=None, anonymous=True, body=EntryOptionsBody, response=OptionsView,
            errors=(TooManyAttempts, PasskeysUnavailable), examples=(EntryOptionsBody(),),
        ),
        Route(
            method="POST", path=f"{SESSIONS}/passkey", summary="Log in by a passkey alone",
            tag="sessions", handler=log_in_by_passkey, permission=None, anonymous=True,
            body=EntryBody, response=NewSessionView, status=201, once=True,
            errors=(WrongFactor, DeadChallenge, TooManyAttempts, Unverified, Suspended),
            examples=({"challenge": _CHALLENGE, "passkey": ASSERTION},),
            description="The passkey must have made sure of its user, by a fingerprint or a PIN.",
        ),
        Route(
            method="POST", path=REAUTHENTICATIONS, summary="Show once more that it is you",
            tag="sessions", handler=reauthenticate, permission=_OWN, interactive=True,
            body=ProofBody, status=204, errors=(LimitReached, DeadChallenge),
            examples=({"password": "correct horse battery staple"}, {"totp": "492039"}),
            description="By the password or a second factor; it is believed for 10 minutes, as a "
            "login is. Changes of second factors ask for it (`proof-required`).",
        ),
        Route(
            method="POST", path=f"{REAUTHENTICATIONS}/passkey-options",
            summary="Ask to show by a passkey that it is you", tag="sessions",
            handler=ask_passkey_proof, permission=_OWN, interactive=True,
            response=OptionsView, errors=(PasskeysUnavailable,),
        ),
    ]  # fmt: skip
