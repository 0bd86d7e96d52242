"""One's own second factors over HTTP: the authenticator app and the recovery codes."""

import io
from typing import Any, Final

import segno

from hub import SIGNED_IN, Call, Conflict, LimitReached, NoQuery, NotFound, Reply, Route, Secret
from services.accounts.identity.user_routes import ME
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.bodies import (
    CodeBody,
    CodesView,
    FactorsView,
    NewTotpView,
)
from services.accounts.second_factors.errors import ProofRequired


def shown(call: Call[Any, Any]) -> c.Shown:
    """Give who asks, in which session."""
    return c.Shown(call.caller.user, call.caller.actor)


def in_clear(codes: tuple[Secret, ...]) -> tuple[str, ...]:
    """Give recovery codes to whoever has just made them."""
    return tuple(code.reveal() for code in codes)


async def get_factors(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /users/me/second-factors`."""
    found = await call.bus.request(c.GET_FACTORS, shown(call))
    return Reply(FactorsView(found.totp_since, found.recovery_codes, found.passkeys), live=True)


async def start_totp(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /users/me/totp`."""
    made = await call.bus.request(c.START_TOTP, shown(call))
    uri = made.uri.reveal()
    return Reply(NewTotpView(made.secret.reveal(), uri, qr_of(uri)))


async def confirm_totp(call: Call[CodeBody, NoQuery]) -> Reply:
    """Answer `PUT /users/me/totp`."""
    done = await call.bus.request(
        c.CONFIRM_TOTP,
        c.ConfirmTotp(user=call.caller.user, session=call.caller.actor, code=call.body.code),
    )
    return Reply(CodesView(in_clear(done.codes)))


async def remove_totp(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /users/me/totp`."""
    await call.bus.request(c.REMOVE_TOTP, shown(call))
    return Reply()


async def renew_codes(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /users/me/recovery-codes`."""
    done = await call.bus.request(c.RENEW_CODES, shown(call))
    return Reply(CodesView(in_clear(done.codes)))


def qr_of(uri: str) -> str:
    """Draw a QR code as an SVG document, dark on light whatever is around it."""
    out = io.BytesIO()
    segno.make_qr(uri, error="m").save(out, kind="svg", scale=4, light="#fff", xmldecl=False)
    return out.getvalue().decode().strip()


TOTP: Final = f"{ME}/totp"
_OWN: Final = SIGNED_IN.name


def routes() -> list[Route[Any, Any]]:
    """Give the routes of factors."""
    return [
        Route(
            method="GET", path=f"{ME}/second-factors", summary="Read what second factors one has",
            tag="second factors", handler=get_factors, permission=_OWN, interactive=True,
            response=FactorsView,
        ),
        Route(
            method="POST", path=TOTP, summary="Begin with an authenticator app",
            tag="second factors", handler=start_totp, permission=_OWN, interactive=True,
            response=NewTotpView, once=True, errors=(ProofRequired, Conflict),
            description="Gives the secret for it, once; nothing is asked for before it is "
            "confirmed. Beginning again makes another secret.",
        ),
        Route(
            method="PUT", path=TOTP, summary="Confirm one's authenticator app",
            tag="second factors", handler=confirm_totp, permission=_OWN, interactive=True,
            body=CodeBody, response=CodesView, once=True, versioned=False,
            errors=(ProofRequired, NotFound, Conflict, LimitReached),
            examples=({"code": "492039"},),
            description="From now on a login asks for a code. Gives recovery codes, unless there "
            "are some.",
        ),
        Route(
            method="DELETE", path=TOTP, summary="Remove one's authenticator app",
            tag="second factors", handler=remove_totp, permission=_OWN, interactive=True,
            status=204, versioned=False, errors=(ProofRequired, NotFound),
        ),
        Route(
            method="POST", path=f"{ME}/recovery-codes", summary="Make new recovery codes",
            tag="second factors", handler=renew_codes, permission=_OWN, interactive=True,
            response=CodesView, errors=(ProofRequired, Conflict),
            description="Those that there were are good no more.",
        ),
    ]  # fmt: skip
