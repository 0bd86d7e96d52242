"""What a client shows as a second factor, and what it is shown of its own."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from hub import SHOWN_ONCE, FieldError, Invalid, Secret
from services.accounts.second_factors.contracts import Assertion, NewCredential, Proof

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class FactorBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A second factor, in answer to a challenge: one of `totp`, `recovery_code` and `passkey`.

    Args:
        challenge: as it was given.
        cookie: keep the session in a cookie that scripts cannot read, and leave out its token.
    """

    challenge: Secret
    totp: Secret | None = None
    recovery_code: Secret | None = None
    passkey: Assertion | None = None
    cookie: bool = False


class EntryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A passkey in answer to a challenge; `cookie` as at any login."""

    challenge: Secret
    passkey: Assertion
    cookie: bool = False


class EntryOptionsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one wants to log in.

    Args:
        cookie: only the browser that asks may answer; it has to take a cookie.
    """

    cookie: bool = False


class ProofBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The password, or a second factor: one of `password`, `totp`, `recovery_code`, `passkey`.

    Args:
        challenge: that the passkey answers.
    """

    password: Secret | None = None
    totp: Secret | None = None
    recovery_code: Secret | None = None
    passkey: Assertion | None = None
    challenge: Secret | None = None


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The code that the app shows now."""

    code: Secret


class NewPasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new passkey: what the browser made of the options, and what it is to be called."""

    challenge: Secret
    name: Name
    credential: NewCredential


class PasskeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one sets of a passkey."""

    name: Name


class OptionsView(msgspec.Struct, frozen=True):
    """What a browser is to be asked with, in its own JSON form.

    Args:
        challenge: goes with the answer; it is good once.
        options: for `PublicKeyCredential.parseCreationOptionsFromJSON`, or
            `parseRequestOptionsFromJSON`.
    """

    challenge: Annotated[str, SHOWN_ONCE]
    options: Annotated[dict[str, Any], SHOWN_ONCE]
    expires_at: datetime


class FactorsView(msgspec.Struct, frozen=True):
    """The second factors that one has.

    Args:
        totp_since: when the authenticator app was confirmed; null without one.
        recovery_codes: that are left.
    """

    totp_since: datetime | None
    recovery_codes: int
    passkeys: int


class NewTotpView(msgspec.Struct, frozen=True):
    """A secret for an authenticator app, which is shown this once.

    Args:
        uri: the same as `otpauth://…`; `qr` is that as a QR code, in SVG.
    """

    secret: Annotated[str, SHOWN_ONCE]
    uri: Annotated[str, SHOWN_ONCE]
    qr: Annotated[str, SHOWN_ONCE]


class CodesView(msgspec.Struct, frozen=True):
    """Recovery codes, which are shown this once; each is good once.

    Args:
        recovery_codes: none where there are some already, which stay good.
    """

    recovery_codes: Annotated[tuple[str, ...], SHOWN_ONCE]


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey, as its owner knows it.

    Args:
        transports: ways to reach it, as the browser told: `usb`, `internal`, `hybrid`, …
    """

    id: str
    name: str
    transports: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None


class NewPasskeyView(PasskeyView, frozen=True, kw_only=True):
    """A passkey that was just added.

    Args:
        recovery_codes: see `CodesView`.
    """

    recovery_codes: Annotated[tuple[str, ...], SHOWN_ONCE]


def proof_of(body: FactorBody | ProofBody) -> Proof:
    """Give the factor that is shown.

    Raises:
        Invalid: it is not exactly one, or a passkey answers no challenge.
    """
    shown = [body.totp, body.recovery_code, body.passkey]
    if isinstance(body, ProofBody):
        shown.append(body.password)
    if sum(one is not None for one in shown) != 1:
        raise Invalid(
            "show one thing", errors=[FieldError("", "exactly one of these is to be given")]
        )
    if body.passkey is not None and body.challenge is None:
        raise Invalid(
            "a passkey answers a challenge", errors=[FieldError("/challenge", "is required")]
        )
    return Proof(body.totp, body.recovery_code, body.passkey)
