# ruff: noqa: N818 - an error reads as the outcome it names: `raise NotAcceptable(...)`
"""`Authorization: <scheme> <credential>`, or a cookie, becomes a caller who may do this."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from hub.contracts import Bus
from hub.errors import Forbidden, Unauthenticated
from hub.gateway import forgery
from hub.gateway.peer import Peers
from hub.gateway.problems import HttpError, Malformed
from hub.permissions import SIGNED_IN, Permissions
from hub.routes import Authenticator, Caller, Client

ANYONE: Final = Caller(account="", actor="anonymous", scopes=())
"""The caller on a route that is open to everyone, when it shows no credential."""

ACCOUNT: Final = "Isaax-Account"
"""Header by which a person who is in several accounts says which one is meant."""

HOST_PREFIX: Final = "__Host-"
"""A cookie of this name belongs to this host alone, and to HTTPS (RFC 6265bis, section 4.1.3.2)."""

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


class Closing(HttpError, Forbidden):
    """This account is being deleted, or you are yourself: nothing in it changes any more.

    An owner can undo that, until the day that `GET /api/v1/accounts/{account}/deletion` tells; of
    yourself you can, by `DELETE /api/v1/users/me/deletion`.
    """

    status = Forbidden.status
    code = "account-closing"


class FactorRequired(HttpError, Forbidden):
    """This account wants its members to have a second factor, and you have none.

    Add an authenticator app (`POST /api/v1/users/me/totp`) or a passkey
    (`POST /api/v1/users/me/passkeys/options`), logged in as you are: then everything goes on.
    """

    status = Forbidden.status
    code = "second-factor-required"


class Forged(HttpError, Forbidden):
    """This change was not asked for by a page of ours.

    A request that shows a cookie and changes something needs the header X-CSRF-Token, and must
    come from the hub's own origin. A program uses `Authorization` instead.

    Args:
        caller: whose cookie it came with.
    """

    status = Forbidden.status
    code = "forged"

    def __init__(self, detail: str = "", caller: Caller = ANYONE) -> None:
        super().__init__(detail)
        self.caller = caller


class Identity(msgspec.Struct, frozen=True):
    """A caller, and the credential that it showed: that one is for deriving keys, never kept.

    Args:
        client: where it asks from.
        cookies: that it sent, by their names without `__Host-`.
        hidden: projects in which the caller may not do this, and which are not there for it.
    """

    caller: Caller
    credential: str = ""
    client: Client = Client()
    cookies: dict[str, str] = {}
    hidden: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Identity({self.caller!r})"


class Authentication:
    """Knows every way to authenticate, and every permission, that plugins declared."""

    def __init__(
        self,
        authenticators: Sequence[Authenticator],
        permissions: Permissions,
        bus: Bus,
        peers: Peers | None = None,
    ) -> None:
        self._bus = bus
        self._permissions = permissions
        self._peers = peers or Peers()
        self._by_scheme: dict[str, list[Authenticator]] = {}
        self._by_cookie = [one for one in authenticators if one.cookie]
        for one in authenticators:
            self._by_scheme.setdefault(one.scheme.lower(), []).append(one)
        self.cookies = tuple(dict.fromkeys(one.cookie for one in self._by_cookie))
        self.schemes = tuple(dict.fromkeys(one.scheme for one in authenticators)) or ("Bearer",)

    async def identify(self, request: web.Request) -> Identity:
        """Say who asks: `ANYONE` without a credential.

        Raises:
            NotAuthenticated: the credential is not valid; with the challenge of RFC 6750.
            Forged: a change by a cookie, from elsewhere.
            NotFound: there is no such account as the header `Isaax-Account` names.
            Malformed: more than one `Authorization`.
        """
        nobody = self.nobody(request)
        account = _only(request, ACCOUNT) or ""
        header = _only(request, hdrs.AUTHORIZATION)
        # A path names an account as well as the header does.
        meant = account or request.match_info.get("account", "")
        if header is not None:
            caller, credential = await self._check(header, account, meant)
            return msgspec.structs.replace(nobody, caller=caller, credential=credential)
        for one in self._by_cookie:
            if credential := nobody.cookies.get(one.cookie, ""):
                caller_of_cookie = await self._ask(one, credential, account, meant)
                if caller_of_cookie is not None:
                    shown = msgspec.structs.replace(
                        nobody, caller=caller_of_cookie, credential=credential
                    )
                    _refuse_forged(request, shown)
                    return shown
        return nobody

    def nobody(self, request: web.BaseRequest) -> Identity:
        """Say where a request comes from, without asking who sends it."""
        client = self._peers.client(request)
        return Identity(ANYONE, "", client, _cookies_of(request.cookies, secure=client.secure))

    def let_in(
        self,
        shown: Identity,
        permission: str | None,
        *,
        project: str = "",
        interactive: bool = False,
        changes: bool = False,
    ) -> Identity:
        """Let only those pass who may.

        Args:
            permission: that the route asks for; None lets everyone pass.
            project: that the path names.
            interactive: only a person's own session may pass.
            changes: something, so that an account that is being deleted is in the way.

        Raises:
            NotAuthenticated, OutOfScope: with the challenge of RFC 6750, section 3.
            FactorRequired: the caller is to have a second factor, and has none.
            Closing: the account is being deleted, or the caller is.
        """
        if permission is None:
            return shown
        if shown.caller is ANYONE:
            raise self._refuse("send an API token as `Authorization: Bearer …`")
        if shown.caller.needs_factor and permission != SIGNED_IN.name:
            raise FactorRequired("add an authenticator app or a passkey")
        self._let_in(shown.caller, permission, interactive=interactive)
        stays = self._permissions.hold_while_closing(permission)
        if shown.caller.closing and changes and not stays:
            raise Closing("whoever asked for it can undo that")
        hidden = self._permissions.without(permission, shown.caller.narrowed)
        self._look_at_project(project, permission, shown, hidden)
        return msgspec.structs.replace(shown, hidden=hidden)

    async def _check(self, header: str, account: str, meant: str) -> tuple[Caller, str]:
        match = _CREDENTIALS.fullmatch(header.strip())
        if match:
            for one in self._by_scheme.get(match["scheme"].lower(), ()):
                caller = await self._ask(one, match["credential"], account, meant)
                if caller is not None:
                    return caller, match["credential"]
        raise self._refuse("this credential is not valid", ', error="invalid_token"')

    async def _ask(
        self, one: Authenticator, credential: str, account: str, meant: str
    ) -> Caller | None:
        """Ask one authenticator who shows this, in which account.

        Args:
            account: that the header names; meant: that one, or the path does.
        """
        if meant and one.in_account is not None:
            return await one.in_account(credential, meant, self._bus)
        caller = await one.authenticate(credential, self._bus)
        if caller is not None and account not in {"", caller.account}:
            raise OutOfScope(f"this credential is for one account alone: leave out {ACCOUNT}")
        return caller

    def _let_in(self, caller: Caller, permission: str, *, interactive: bool) -> None:
        if not caller.account and permission != SIGNED_IN.name:
            raise out_of_scope("you are a member of no account", permission)
        if not caller.may(permission):
            raise out_of_scope(f"this credential lacks the scope {permission}", permission)
        if not self._permissions.allows(caller.role, permission):
            raise out_of_scope(
                f"your role here, {caller.role}, lacks the permission {permission}: ask an owner "
                "of the account",
                permission,
            )
        if interactive and not caller.interactive:
            raise out_of_scope("only a person who is logged in may do this, no token", permission)

    def _look_at_project(
        self, project: str, permission: str, shown: Identity, hidden: frozenset[str]
    ) -> None:
        """Say of a project that the caller may see, but not use so, what is missing."""
        if project not in hidden:
            return
        role = shown.caller.narrowed[project]
        if self._permissions.allows(role, "projects:read"):
            raise out_of_scope(
                f"your role in this project, {role}, lacks the permission {permission}", permission
            )

    def _refuse(self, detail: str, parameters: str = "") -> NotAuthenticated:
        challenge = ", ".join(f'{scheme} realm="isaax"{parameters}' for scheme in self.schemes)
        return NotAuthenticated(detail, headers={"WWW-Authenticate": challenge})


def out_of_scope(detail: str, permission: str) -> OutOfScope:
    """Make the refusal of somebody who lacks a permission (RFC 6750, section 3.1)."""
    challenge = f'Bearer realm="isaax", error="insufficient_scope", scope="{permission}"'
    return OutOfScope(detail, headers={"WWW-Authenticate": challenge})


def _only(request: web.BaseRequest, name: str) -> str | None:
    """Give a header that can be there once; None where it is not."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise Malformed(f"there is more than one header {name}")
    return values[0] if values else None


def _refuse_forged(request: web.BaseRequest, shown: Identity) -> None:
    if request.method in forgery.SAFE:
        return
    origin = f"{'https' if shown.client.secure else 'http'}://{request.host}"
    if not forgery.is_of_our_own(request.headers, origin):
        raise Forged("a cookie counts only for requests from the hub's own pages", shown.caller)
    if not forgery.shows_token(shown.credential, request.headers.get(forgery.HEADER, "")):
        missing = f"the header {forgery.HEADER} is missing, or is another session's"
        raise Forged(missing, shown.caller)


def _cookies_of(sent: Mapping[str, str], *, secure: bool) -> dict[str, str]:
    """Give cookies by their names; over TLS only those that no other host can have set."""
    prefix = HOST_PREFIX if secure else ""
    return {
        name.removeprefix(prefix): value for name, value in sent.items() if name.startswith(prefix)
    }
