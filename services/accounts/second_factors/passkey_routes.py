"""One's own passkeys over HTTP."""

from typing import Any, Final

from hub import (
    SIGNED_IN,
    Call,
    Conflict,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    cursor_after,
    merge_patch,
    position_of,
)
from hub.structs import decode
from services.accounts.identity.user_routes import ME
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.bodies import (
    NewPasskeyBody,
    NewPasskeyView,
    OptionsView,
    PasskeyBody,
    PasskeyView,
)
from services.accounts.second_factors.errors import (
    DeadChallenge,
    PasskeysUnavailable,
    ProofRequired,
)
from services.accounts.second_factors.factor_routes import in_clear
from services.accounts.second_factors.fresh import FreshChallenge
from services.accounts.tokens import digest_of


def _shown(passkey: c.Passkey) -> dict[str, Any]:
    names = ("id", "name", "transports", "created_at", "last_used_at")
    return {name: getattr(passkey, name) for name in names}


async def ask_new_passkey(call: Call[None, NoQuery]) -> Reply:
    """Answer `POST /users/me/passkeys/options`."""
    asked = FreshChallenge.make()
    found = await call.bus.request(
        c.PASSKEY_OPTIONS,
        c.ChallengeIn(user=call.caller.user, session=call.caller.actor, challenge=asked.digest),
    )
    return Reply(OptionsView(asked.token, found.options, found.expires_at))


async def add_passkey(call: Call[NewPasskeyBody, NoQuery]) -> Reply:
    """Answer `POST /users/me/passkeys`."""
    body = call.body
    added = await call.bus.request(
        c.ADD_PASSKEY,
        c.AddPasskey(
            user=call.caller.user,
            session=call.caller.actor,
            challenge=digest_of(body.challenge.reveal()).hex(),
            name=body.name,
            credential=body.credential,
        ),
    )
    view = NewPasskeyView(**_shown(added.passkey), recovery_codes=in_clear(added.codes))
    return Reply(view, location=f"{PASSKEYS}/{added.passkey.id}")


async def list_passkeys(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /users/me/passkeys`."""
    page = await call.bus.request(
        c.LIST_PASSKEYS,
        c.ListPasskeys(call.caller.user, call.query.limit, position_of(call.query.cursor)),
    )
    following = cursor_after(page.items, more=page.more)
    return Reply([PasskeyView(**_shown(passkey)) for passkey in page.items], next=following)


async def get_passkey(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /users/me/passkeys/{passkey}`."""
    found = await call.bus.request(c.GET_PASSKEY, _which(call))
    return Reply(PasskeyView(**_shown(found)), live=True)


async def patch_passkey(call: Call[dict[str, Any], NoQuery]) -> Reply:
    """Answer `PATCH /users/me/passkeys/{passkey}`."""
    which = _which(call)
    current = await call.bus.request(c.GET_PASSKEY, which)
    body = decode(PasskeyBody, merge_patch({"name": current.name}, call.body))
    changed = await call.bus.request(
        c.RENAME_PASSKEY,
        c.RenamePasskey(
            user=which.user, session=which.session, passkey=which.passkey, name=body.name
        ),
    )
    return Reply(PasskeyView(**_shown(changed)))


async def remove_passkey(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /users/me/passkeys/{passkey}`."""
    await call.bus.request(c.REMOVE_PASSKEY, _which(call))
    return Reply()


def _which(call: Call[Any, NoQuery]) -> c.OnePasskey:
    return c.OnePasskey(
        user=call.caller.user, session=call.caller.actor, passkey=call.path["passkey"]
    )


PASSKEYS: Final = f"{ME}/passkeys"
PASSKEY: Final = f"{PASSKEYS}/{{passkey}}"
_OWN: Final = SIGNED_IN.name
_CREDENTIAL: Final = {
    "id": "rh5Tn0", "rawId": "rh5Tn0", "type": "public-key",
    "response": {
        "clientDataJSON": "eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIn0", "attestationObject": "o2NmbXRk",
        "transports": ["internal"],
    },
}  # fmt: skip
"""An example, cut short."""


def routes() -> list[Route[Any, Any]]:
    """Give the routes of passkeys."""
    return [
        Route(
            method="POST", path=f"{PASSKEYS}/options", summary="Begin with a new passkey",
            tag="second factors", handler=ask_new_passkey, permission=_OWN, interactive=True,
            response=OptionsView, errors=(ProofRequired, PasskeysUnavailable),
        ),
        Route(
            method="POST", path=PASSKEYS, summary="Add a passkey", tag="second factors",
            handler=add_passkey, permission=_OWN, interactive=True, body=NewPasskeyBody,
            response=NewPasskeyView, status=201, once=True,
            errors=(ProofRequired, DeadChallenge, Conflict),
            examples=(
                {
                    "challenge": "isc_H7tWJv1C3mZ0q5o8Yb2rXkN4uPdLsGfAeQ6iTjVwBhM",
                    "name": "laptop", "credential": _CREDENTIAL,
                },
            ),
            description="From now on a login asks for a second factor, which the passkey is; it "
            "also logs in by itself.",
        ),
        Route(
            method="GET", path=PASSKEYS, summary="List one's passkeys", tag="second factors",
            handler=list_passkeys, permission=_OWN, interactive=True, query=PageQuery,
            response=list[PasskeyView],
        ),
        Route(
            method="GET", path=PASSKEY, summary="Read one of one's passkeys",
            tag="second factors", handler=get_passkey, permission=_OWN, interactive=True,
            response=PasskeyView, errors=(NotFound,),
        ),
        Route(
            method="PATCH", path=PASSKEY, summary="Rename a passkey", tag="second factors",
            handler=patch_passkey, permission=_OWN, interactive=True, body=PasskeyBody,
            response=PasskeyView, versioned=False, errors=(NotFound,),
            examples=({"name": "blue key"},),
        ),
        Route(
            method="DELETE", path=PASSKEY, summary="Remove a passkey", tag="second factors",
            handler=remove_passkey, permission=_OWN, interactive=True, status=204, versioned=False,
            errors=(ProofRequired, NotFound),
        ),
    ]  # fmt: skip
