"""What the service `accounts` answers on the bus about second factors.

Tokens of challenges are made and digested at the edge: only their SHA-256 (hex) travels. The
digest is also what a passkey signs, so that nothing else has to be kept of a challenge.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from hub import Client, Contract, Nothing, Page, Secret
from services.accounts.identity.contracts import HASHING, FactorKind, LoggedIn, NewSession

_Encoded = Annotated[str, msgspec.Meta(max_length=65_536)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1_364)]  # 1,023 bytes in base64url
_Transport = Annotated[str, msgspec.Meta(max_length=32)]
_CAMEL: Final = {
    "raw_id": "rawId",
    "client_data_json": "clientDataJSON",
    "attestation_object": "attestationObject",
    "authenticator_data": "authenticatorData",
    "user_handle": "userHandle",
}
"""Names as browsers write them (Web Authentication, Level 3, section 5.1)."""


class Attestation(msgspec.Struct, frozen=True, rename=_CAMEL):
    """`AuthenticatorAttestationResponseJSON`, as far as it is looked at."""

    client_data_json: _Encoded
    attestation_object: _Encoded
    transports: Annotated[tuple[_Transport, ...], msgspec.Meta(max_length=16)] = ()


class NewCredential(msgspec.Struct, frozen=True, rename=_CAMEL):
    """`RegistrationResponseJSON`: what `credential.toJSON()` of a new passkey gives."""

    id: _Id
    raw_id: _Id
    type: Literal["public-key"]
    response: Attestation


class AssertionResponse(msgspec.Struct, frozen=True, rename=_CAMEL):
    """`AuthenticatorAssertionResponseJSON`."""

    client_data_json: _Encoded
    authenticator_data: _Encoded
    signature: _Encoded
    user_handle: _Id | None = None


class Assertion(msgspec.Struct, frozen=True, rename=_CAMEL):
    """`AuthenticationResponseJSON`: what `credential.toJSON()` of one that was asked for gives."""

    id: _Id
    raw_id: _Id
    type: Literal["public-key"]
    response: AssertionResponse

    def __repr__(self) -> str:
        return f"Assertion(id={self.id!r})"


class Proof(msgspec.Struct, frozen=True):
    """What somebody shows as a second factor: one of these."""

    totp: Secret | None = None
    recovery_code: Secret | None = None
    passkey: Assertion | None = None


class Shown(msgspec.Struct, frozen=True):
    """Who is asked to do something with factors of their own, in which session."""

    user: str
    session: str


# ── logging in ──


class FinishLogIn(NewSession, frozen=True, kw_only=True):
    """Answer the challenge that the password led to.

    Args:
        challenge: digest of its token.
        bound: digest of the cookie that it goes with; "" where there was none.
    """

    challenge: str
    bound: str
    proof: Proof


class AskPasskey(msgspec.Struct, frozen=True):
    """Ask for a challenge that any passkey may answer."""

    client: Client
    challenge: str
    bound: str


class PasskeyAsked(msgspec.Struct, frozen=True):
    """What a browser is to be asked with, until when."""

    options: dict[str, Any]
    expires_at: datetime


class EnterByPasskey(NewSession, frozen=True, kw_only=True):
    """Begin a session by a passkey alone."""

    challenge: str
    bound: str
    passkey: Assertion


FINISH_LOG_IN: Final = Contract("accounts.sessions.finish", FinishLogIn, LoggedIn)
ASK_PASSKEY: Final = Contract("accounts.sessions.ask-passkey", AskPasskey, PasskeyAsked)
ENTER_BY_PASSKEY: Final = Contract("accounts.sessions.by-passkey", EnterByPasskey, LoggedIn)


# ── showing once more that it is you ──


class Reauthenticate(Shown, frozen=True, kw_only=True):
    """Show the password, or a second factor, in a session.

    Args:
        challenge: digest of the one that a passkey answers; "" otherwise.
    """

    password: Secret | None = None
    proof: Proof = Proof()
    challenge: str = ""


class ChallengeIn(Shown, frozen=True, kw_only=True):
    """Ask for a challenge in a session, whose token has this digest."""

    challenge: str


REAUTHENTICATE: Final = Contract(
    "accounts.factors.reauthenticate", Reauthenticate, Nothing, timeout=HASHING
)
REAUTHENTICATION_OPTIONS: Final = Contract(
    "accounts.factors.reauthentication-options", ChallengeIn, PasskeyAsked
)


# ── authenticator apps and recovery codes ──


class Factors(msgspec.Struct, frozen=True):
    """What somebody has.

    Args:
        totp_since: when the authenticator app was confirmed; None without one.
        recovery_codes: that are left.
    """

    totp_since: datetime | None
    recovery_codes: int
    passkeys: int

    @property
    def kinds(self) -> tuple[FactorKind, ...]:
        """Those that a login may be finished with; recovery codes count beside another."""
        kinds: list[FactorKind] = []
        if self.totp_since is not None:
            kinds.append("totp")
        if self.passkeys:
            kinds.append("passkey")
        if kinds and self.recovery_codes:
            kinds.append("recovery_code")
        return tuple(kinds)


class NewTotp(msgspec.Struct, frozen=True):
    """A secret that an authenticator app is to be given; it is not shown again."""

    secret: Secret
    uri: Secret


class ConfirmTotp(Shown, frozen=True, kw_only=True):
    """Show that the app works."""

    code: Secret


class Codes(msgspec.Struct, frozen=True):
    """Recovery codes, which are not shown again; none where there are some already."""

    codes: tuple[Secret, ...]


GET_FACTORS: Final = Contract("accounts.factors.get", Shown, Factors)
START_TOTP: Final = Contract("accounts.factors.start-totp", Shown, NewTotp)
CONFIRM_TOTP: Final = Contract("accounts.factors.confirm-totp", ConfirmTotp, Codes)
REMOVE_TOTP: Final = Contract("accounts.factors.remove-totp", Shown, Nothing)
RENEW_CODES: Final = Contract("accounts.factors.renew-codes", Shown, Codes)


# ── passkeys ──


class Passkey(msgspec.Struct, frozen=True):
    """A passkey, by the name that its owner gave it."""

    id: str
    number: int
    name: str
    transports: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None


class ListPasskeys(msgspec.Struct, frozen=True):
    """A page of somebody's passkeys after `after`, the oldest first."""

    user: str
    limit: int
    after: int = 0


class Passkeys(Page[Passkey], frozen=True):
    """One page of them."""


class AddPasskey(ChallengeIn, frozen=True, kw_only=True):
    """Keep a new passkey, which answers a challenge."""

    name: str
    credential: NewCredential


class PasskeyAdded(msgspec.Struct, frozen=True):
    """It is kept; see `Codes`."""

    passkey: Passkey
    codes: tuple[Secret, ...]


class OnePasskey(Shown, frozen=True, kw_only=True):
    """One passkey of somebody."""

    passkey: str


class RenamePasskey(OnePasskey, frozen=True, kw_only=True):
    """Call a passkey something else."""

    name: str


PASSKEY_OPTIONS: Final = Contract("accounts.passkeys.options", ChallengeIn, PasskeyAsked)
ADD_PASSKEY: Final = Contract("accounts.passkeys.add", AddPasskey, PasskeyAdded)
LIST_PASSKEYS: Final = Contract("accounts.passkeys.list", ListPasskeys, Passkeys)
GET_PASSKEY: Final = Contract("accounts.passkeys.get", OnePasskey, Passkey)
RENAME_PASSKEY: Final = Contract("accounts.passkeys.rename", RenamePasskey, Passkey)
REMOVE_PASSKEY: Final = Contract("accounts.passkeys.remove", OnePasskey, Nothing)
