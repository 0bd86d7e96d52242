"""What the service `accounts` answers on the bus about people and their credentials.

Tokens are made and digested at the edge: only their SHA-256 (hex) travels.
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from hub import Client, Contract, Nothing, Page, Role, Secret

Locale = Literal["en", "ja"]
LinkKind = Literal["verify", "reset", "unlock", "email"]
FactorKind = Literal["totp", "passkey", "recovery_code"]

HASHING: Final = 15.0
"""Seconds for what hashes a password: those who log in give way to everybody else."""


# ── sessions ──


class NewSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session that is to begin.

    Args:
        client: where it is asked from.
        digest: of the new session's token.
        device: digest of the cookie that names a known device, "" without one.
        new_device: digest of the one that is to be set if that is not known.
        replaces: digest of the session that was there before, which ends; "" if there was none.
    """

    client: Client
    digest: str
    device: str
    new_device: str
    replaces: str


class LogIn(NewSession, frozen=True, kw_only=True):
    """Begin a session, or ask for a second factor first.

    Args:
        challenge: digest of the token that the second step is to show.
        bound: digest of the cookie that it is to come with; "" without one.
    """

    email: str
    password: Secret
    challenge: str
    bound: str


class Session(msgspec.Struct, frozen=True):
    """A session; `seen_at` is exact to a minute, `ends_at` is the latest end."""

    id: str
    user: str
    number: int
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime


class LoggedIn(msgspec.Struct, frozen=True, tag="session"):
    """A session has begun; `known`: from a device that was known before."""

    session: Session
    known: bool


class Challenged(msgspec.Struct, frozen=True, tag="challenge"):
    """The password was right, and a second factor is to be shown.

    Args:
        kinds: that will do.
        passkey_options: what a browser is to ask for a passkey with; None where there is none.
    """

    kinds: tuple[FactorKind, ...]
    passkey_options: dict[str, Any] | None
    expires_at: datetime


class Outcome(msgspec.Struct, frozen=True):
    """What came of a password."""

    of: LoggedIn | Challenged


class AuthenticateSession(msgspec.Struct, frozen=True):
    """Ask whose session this is, in one account, or ("") in the one that they joined first."""

    digest: str
    account: str = ""


class AuthenticatedSession(msgspec.Struct, frozen=True):
    """Who a session stands for; see `Caller`."""

    id: str
    account: str
    user: str
    role: Role
    narrowed: dict[str, Role]
    closing: bool
    needs_factor: bool


class ListSessions(msgspec.Struct, frozen=True):
    """A page of a person's sessions after `after`."""

    user: str
    limit: int
    after: int = 0


class Sessions(Page[Session], frozen=True):
    """One page of them."""


class OneSession(msgspec.Struct, frozen=True):
    """One session of a person."""

    user: str
    session: str


LOG_IN: Final = Contract("accounts.sessions.begin", LogIn, Outcome, timeout=HASHING)
SESSION: Final = Contract(
    "accounts.sessions.authenticate", AuthenticateSession, AuthenticatedSession
)
LIST_SESSIONS: Final = Contract("accounts.sessions.list", ListSessions, Sessions)
GET_SESSION: Final = Contract("accounts.sessions.get", OneSession, Session)
END_SESSION: Final = Contract("accounts.sessions.end", OneSession, Nothing)


# ── people ──


class SignUp(msgspec.Struct, frozen=True):
    """Ask for an account of one's own; what comes of it, the mail says."""

    email: str
    password: Secret
    name: str
    locale: Locale
    client: Client


class OneUser(msgspec.Struct, frozen=True):
    """One person."""

    user: str


class User(msgspec.Struct, frozen=True):
    """A person; `version` makes the ETag."""

    id: str
    email: str
    name: str
    locale: Locale
    version: int
    created_at: datetime
    updated_at: datetime


class ChangeUser(msgspec.Struct, frozen=True):
    """Change what a person is called and reads; `versions`, when given, are those they saw."""

    user: str
    name: str
    locale: Locale
    versions: tuple[str, ...] | None = None


class ChangePassword(msgspec.Struct, frozen=True):
    """Set a new password, by the old one.

    Args:
        session: that stays; all others of the person end.
        device: digest of the cookie of the device that stays known.
    """

    user: str
    current: Secret
    new: Secret
    session: str
    device: str


class ChangeEmail(msgspec.Struct, frozen=True):
    """Ask for another address, by the password; the mail to it has the link that does it."""

    user: str
    email: str
    password: Secret


SIGN_UP: Final = Contract("accounts.users.sign-up", SignUp, Nothing, timeout=HASHING)
GET_USER: Final = Contract("accounts.users.get", OneUser, User)
CHANGE_USER: Final = Contract("accounts.users.change", ChangeUser, User)
CHANGE_PASSWORD: Final = Contract(
    "accounts.users.change-password", ChangePassword, Nothing, timeout=HASHING
)
CHANGE_EMAIL: Final = Contract("accounts.users.change-email", ChangeEmail, Nothing, timeout=HASHING)


# ── links ──


class AskReset(msgspec.Struct, frozen=True):
    """Ask for a link to set a new password."""

    email: str
    client: Client


class OneLink(msgspec.Struct, frozen=True):
    """One link, by the digest of its token."""

    kind: LinkKind
    digest: str


class Link(msgspec.Struct, frozen=True):
    """A link that is good; `email` is the address that it is about."""

    kind: LinkKind
    email: str


class UseLink(msgspec.Struct, frozen=True):
    """Do what a link is for, once; `password` is the new one of a reset."""

    kind: LinkKind
    digest: str
    password: Secret = Secret("")


ASK_RESET: Final = Contract("accounts.links.ask-reset", AskReset, Nothing)
GET_LINK: Final = Contract("accounts.links.get", OneLink, Link)
USE_LINK: Final = Contract("accounts.links.use", UseLink, Link, timeout=HASHING)


# ── API tokens ──


class ApiToken(msgspec.Struct, frozen=True):
    """An API token, without the token itself; `user` is "" where it acts for the account."""

    id: str
    number: int
    user: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class Maker(msgspec.Struct, frozen=True):
    """Who asks about API tokens.

    Args:
        scopes: of the credential itself; actor: its id.
        all: it may see and revoke the tokens of everybody in the account.
    """

    account: str
    user: str
    role: Role
    scopes: tuple[str, ...]
    actor: str
    all: bool


class ListApiTokens(msgspec.Struct, frozen=True):
    """A page of API tokens after `after`."""

    maker: Maker
    limit: int
    after: int = 0


class ApiTokens(Page[ApiToken], frozen=True):
    """One page of them."""


class OneApiToken(msgspec.Struct, frozen=True):
    """One API token."""

    maker: Maker
    token: str


class CreateApiToken(msgspec.Struct, frozen=True):
    """Make an API token that acts for its maker.

    Args:
        prefix: as much of it as may be shown.
    """

    maker: Maker
    name: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    prefix: str
    digest: str


LIST_API_TOKENS: Final = Contract("accounts.api-tokens.list", ListApiTokens, ApiTokens)
GET_API_TOKEN: Final = Contract("accounts.api-tokens.get", OneApiToken, ApiToken)
CREATE_API_TOKEN: Final = Contract("accounts.api-tokens.create", CreateApiToken, ApiToken)
REVOKE_API_TOKEN: Final = Contract("accounts.api-tokens.revoke", OneApiToken, Nothing)
