"""The ceremonies of Web Authentication (Level 3), as py_webauthn checks them."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import webauthn
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import (
    base64url_to_bytes,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
    options_to_json_dict,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from services.accounts.second_factors.challenges import LIFETIME
from services.accounts.second_factors.contracts import Assertion, NewCredential
from services.accounts.second_factors.errors import PasskeysUnavailable

# Beyond the library's own errors: its parsers meet what no authenticator has made.
_BROKEN: Final = (WebAuthnException, ValueError, KeyError, IndexError, TypeError, AttributeError)


class Refused(Exception):  # noqa: N818 - reads as the outcome it names
    """A credential does not verify; the text says why, for the log."""


class Credential(msgspec.Struct, frozen=True):
    """A passkey as a browser is told of it."""

    credential: bytes
    transports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """The hub, as passkeys know it.

    Args:
        id: the name that passkeys are bound to; "" where browsers make none.
        origin: of the pages that may use them.
    """

    id: str
    origin: str

    @classmethod
    def at(cls, origin: str) -> "RelyingParty":
        """Give the one of a hub whose pages are there.

        A hub at an address of this machine is `localhost` to passkeys, which take no addresses.
        """
        parts = urlsplit(origin)
        host = parts.hostname or ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            local = host == "localhost" or host.endswith(".localhost")
            return cls(host if parts.scheme == "https" or local else "", origin)
        if not address.is_loopback:
            return cls("", origin)
        port = f":{parts.port}" if parts.port else ""
        return cls("localhost", f"{parts.scheme}://localhost{port}")

    def to_register(
        self, challenge: bytes, user: str, email: str, name: str, there: Iterable[Credential]
    ) -> dict[str, Any]:
        """Give what a browser is to make a passkey with (`parseCreationOptionsFromJSON`).

        Args:
            there: passkeys that the person has; no authenticator makes a second one.

        Raises:
            PasskeysUnavailable: browsers make none here.
        """
        options = webauthn.generate_registration_options(
            rp_id=self._available(),
            rp_name=f"Isaax {self.id}",
            user_id=user.encode(),
            user_name=email,
            user_display_name=name,
            challenge=challenge,
            timeout=round(LIFETIME * 1000),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_described(there),
        )
        return options_to_json_dict(options)

    def to_authenticate(
        self, challenge: bytes, allowed: Iterable[Credential], *, verified: bool
    ) -> dict[str, Any]:
        """Give what a browser is to ask for a passkey with (`parseRequestOptionsFromJSON`).

        Args:
            allowed: the passkeys that will do; none: any that it finds.
            verified: the authenticator has to make sure of its user.

        Raises:
            PasskeysUnavailable: browsers have none here.
        """
        wanted = UserVerificationRequirement
        options = webauthn.generate_authentication_options(
            rp_id=self._available(),
            challenge=challenge,
            timeout=round(LIFETIME * 1000),
            allow_credentials=_described(allowed),
            user_verification=wanted.REQUIRED if verified else wanted.PREFERRED,
        )
        return options_to_json_dict(options)

    def registered(self, credential: NewCredential, challenge: bytes) -> VerifiedRegistration:
        """Check a new passkey.

        Raises:
            Refused: it does not answer the challenge, or is not good.
        """
        try:
            verified = webauthn.verify_registration_response(
                credential=msgspec.to_builtins(credential),
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
            )
            # What cannot be used later is refused now.
            decoded_public_key_to_cryptography(
                decode_credential_public_key(verified.credential_public_key)
            )
        except _BROKEN as error:
            raise Refused(str(error)) from None
        return verified

    def authenticated(
        self,
        assertion: Assertion,
        challenge: bytes,
        *,
        public_key: bytes,
        sign_count: int,
        verified: bool,
    ) -> VerifiedAuthentication:
        """Check what a passkey has signed.

        Raises:
            Refused: it does not answer the challenge, or comes from a copy of the passkey.
        """
        try:
            return webauthn.verify_authentication_response(
                credential=msgspec.to_builtins(assertion),
                expected_challenge=challenge,
                expected_rp_id=self.id,
                expected_origin=self.origin,
                credential_public_key=public_key,
                credential_current_sign_count=sign_count,
                require_user_verification=verified,
            )
        except _BROKEN as error:
            raise Refused(str(error)) from None

    def _available(self) -> str:
        if not self.id:
            raise PasskeysUnavailable(f"it is reached at {self.origin}")
        return self.id


def credential_of(encoded: str) -> bytes:
    """Give the id of a passkey; b"" for what is none."""
    try:
        return base64url_to_bytes(encoded)
    except ValueError:
        return b""


def _described(credentials: Iterable[Credential]) -> list[PublicKeyCredentialDescriptor]:
    known = {transport.value for transport in AuthenticatorTransport}
    return [
        PublicKeyCredentialDescriptor(
            id=one.credential,
            transports=[AuthenticatorTransport(name) for name in one.transports if name in known],
        )
        for one in credentials
    ]
