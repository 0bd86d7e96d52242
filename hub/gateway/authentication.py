# ruff: noqa: N818 - an error reads as the outcome it names: `raise NotAcceptable(...)`
"""`Authorization: <scheme> <credential>` becomes a caller, by the plugins' authenticators."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from hub.contracts import Bus
from hub.errors import Forbidden, Unauthenticated
from hub.gateway.problems import HttpError, Malformed
from hub.routes import Authenticator, Caller

ANYONE: Final = Caller(account="", actor="anonymous", scopes=())
"""The caller on a route that is open to everyone, when it shows no credential."""

# RFC 9110, section 11.4; RFC 6750, section 2.1: scheme and token68.
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9._-]*) +(?P<credential>[\x21-\x7e]+)")


class NotAuthenticated(HttpError, Unauthenticated):
    """Credentials are missing or not valid."""

    status = Unauthenticated.status
    code = Unauthenticated.code


class OutOfScope(HttpError, Forbidden):
    """These credentials do not allow this."""

    status = Forbidden.status
    code = Forbidden.code


class Identity(msgspec.Struct, frozen=True):
    """A caller, and the credential that it showed: that one is for deriving keys, never kept."""

    caller: Caller
    credential: str = ""

    def __repr__(self) -> str:
        return f"Identity({self.caller!r})"


class Authentication:
    """Knows every way to authenticate that plugins declared."""

    def __init__(self, authenticators: Sequence[Authenticator], bus: Bus) -> None:
        self._bus = bus
        self._by_scheme: dict[str, list[Authenticator]] = {}
        for one in authenticators:
            self._by_scheme.setdefault(one.scheme.lower(), []).append(one)
        self.schemes = tuple(dict.fromkeys(one.scheme for one in authenticators)) or ("Bearer",)

    async def identify(self, headers: Sequence[str], scope: str | None) -> Identity:
        """Say who asks, and let only those pass who may.

        Args:
            headers: every `Authorization` of the request.
            scope: that the route asks for; None lets everyone pass, but a credential that is
                shown must still be valid.

        Raises:
            NotAuthenticated, OutOfScope: with the challenge of RFC 6750, section 3.
            Malformed: more than one `Authorization`.
        """
        if len(headers) > 1:
            raise Malformed("there is more than one header Authorization")
        if not headers:
            if scope is None:
                return Identity(ANYONE)
            raise self._refuse("send an API token as `Authorization: Bearer …`")
        identity = await self._check(headers[0])
        if scope is not None and not identity.caller.may(scope):
            challenge = f'Bearer realm="isaax", error="insufficient_scope", scope="{scope}"'
            raise OutOfScope(
                f"this credential lacks the scope {scope}", headers={"WWW-Authenticate": challenge}
            )
        return identity

    async def _check(self, header: str) -> Identity:
        match = _CREDENTIALS.fullmatch(header.strip())
        if match:
            for one in self._by_scheme.get(match["scheme"].lower(), ()):
                caller = await one.authenticate(match["credential"], self._bus)
                if caller is not None:
                    return Identity(caller, match["credential"])
        raise self._refuse("this credential is not valid", ', error="invalid_token"')

    def _refuse(self, detail: str, parameters: str = "") -> NotAuthenticated:
        challenge = ", ".join(f'{scheme} realm="isaax"{parameters}' for scheme in self.schemes)
        return NotAuthenticated(detail, headers={"WWW-Authenticate": challenge})
