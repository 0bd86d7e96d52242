"""Sessions over HTTP: log in, see where one is logged in, log out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from hub import (
    SHOWN_ONCE,
    SIGNED_IN,
    Call,
    Cookie,
    MailAddress,
    NoQuery,
    NotFound,
    PageQuery,
    Reply,
    Route,
    Secret,
    csrf_token,
    cursor_after,
    position_of,
)
from services.accounts.identity import contracts as c
from services.accounts.identity.authenticators import COOKIE
from services.accounts.identity.errors import (
    Locked,
    Suspended,
    TooManyAttempts,
    Unverified,
    WrongCredentials,
)
from services.accounts.second_factors.fresh import FreshChallenge, digest_of_cookie
from services.accounts.tokens import SESSION, digest_of, new_token

KNOWN: Final = "known"
"""The cookie of a device that somebody has logged in from."""
_KNOWN_FOR: Final = 365 * 86_400


class LoginBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who logs in.

    Args:
        cookie: keep the session in a cookie that scripts cannot read, and leave out its token: for
            a browser.
    """

    email: MailAddress
    password: Secret
    cookie: bool = False


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session as the API shows it.

    Args:
        address, agent: where it was begun from.
        seen_at: when it was last used, exact to a minute.
        ends_at: when it ends at the latest.
        current: it is the one that asks.
        csrf_token: of the current one: what a page sends as `X-CSRF-Token` with each change.
    """

    id: str
    address: str
    agent: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    current: bool
    csrf_token: str | None = None


class NewSessionView(SessionView, frozen=True, kw_only=True):
    """A session that has just begun; its token is shown this once, null where a cookie has it."""

    token: Annotated[str | None, SHOWN_ONCE]


class SecondFactorView(msgspec.Struct, frozen=True):
    """The password was right, and a second factor is to be shown at `/sessions/second-factor`.

    Args:
        challenge: goes with the answer; it is good once, for five minutes.
        kinds: that will do.
        passkey_options: for `PublicKeyCredential.parseRequestOptionsFromJSON`; null where one
            has no passkey.
    """

    challenge: Annotated[str, SHOWN_ONCE]
    kinds: tuple[c.FactorKind, ...]
    passkey_options: dict[str, Any] | None
    expires_at: datetime


def _view(session: c.Session, call: Call[Any, Any]) -> SessionView:
    current = session.id == call.caller.actor
    return SessionView(
        **_shown(session),
        current=current,
        csrf_token=csrf_token(call.credential) if current else None,
    )


def _shown(session: c.Session) -> dict[str, Any]:
    names = ("id", "address", "agent", "created_at", "seen_at", "ends_at")
    return {name: getattr(session, name) for name in names}


@dataclass(frozen=True, slots=True, repr=False)
class Fresh:
    """The tokens of a session that is to begin: made here, and digested before they go on.

    Args:
        device: of the cookie that makes the device a known one.
    """

    token: str
    device: str

    @classmethod
    def make(cls) -> "Fresh":
        """Make them."""
        return cls(new_token(SESSION), new_token("isd_"))

    def asked_by(self, call: Call[Any, Any]) -> dict[str, Any]:
        """Give the fields of a `NewSession`."""
        return {
            "client": call.client,
            "digest": digest_of(self.token).hex(),
            "device": digest_of_cookie(call, KNOWN),
            "new_device": digest_of(self.device).hex(),
            "replaces": digest_of_cookie(call, COOKIE),
        }

    def reply(self, logged_in: c.LoggedIn, *, cookie: bool, also: tuple[Cookie, ...] = ()) -> Reply:
        """Answer with the session that has begun.

        Args:
            cookie: it is kept in one.
            also: other cookies to set.
        """
        session, cookies = logged_in.session, also
        if not logged_in.known:
            cookies = (*cookies, Cookie(KNOWN, self.device, _KNOWN_FOR))
        if cookie:
            lasts = int((session.ends_at - session.created_at).total_seconds())
            cookies = (*cookies, Cookie(COOKIE, self.token, lasts))
        view = NewSessionView(
            **_shown(session),
            current=True,
            csrf_token=csrf_token(self.token),
            token=None if cookie else self.token,
        )
        return Reply(view, location=f"{SESSIONS}/{session.id}", cookies=cookies)


async def log_in(call: Call[LoginBody, NoQuery]) -> Reply:
    """Answer `POST /sessions`."""
    body, fresh, asked = call.body, Fresh.make(), FreshChallenge.make(bound=call.body.cookie)
    outcome = await call.bus.request(
        c.LOG_IN,
        c.LogIn(
            email=body.email,
            password=body.password,
            challenge=asked.digest,
            bound=asked.bound_digest,
            **fresh.asked_by(call),
        ),
    )
    match outcome.of:
        case c.LoggedIn() as logged_in:
            return fresh.reply(logged_in, cookie=body.cookie)
        case c.Challenged() as challenged:
            view = SecondFactorView(
                asked.token, challenged.kinds, challenged.passkey_options, challenged.expires_at
            )
            return Reply(view, status=202, cookies=asked.cookies)


async def list_sessions(call: Call[None, PageQuery]) -> Reply:
    """Answer `GET /sessions`."""
    page = await call.bus.request(
        c.LIST_SESSIONS,
        c.ListSessions(call.caller.user, call.query.limit, position_of(call.query.cursor)),
    )
    following = cursor_after(page.items, more=page.more)
    return Reply([_view(item, call) for item in page.items], next=following)


async def get_session(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /sessions/{session}`."""
    found = await call.bus.request(c.GET_SESSION, _which(call))
    return Reply(_view(found, call), live=True)


async def get_current_session(call: Call[None, NoQuery]) -> Reply:
    """Answer `GET /sessions/current`."""
    return await get_session(call)


async def end_session(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /sessions/{session}`."""
    which = _which(call)
    await call.bus.request(c.END_SESSION, which)
    gone = (Cookie(COOKIE, ""),) if which.session == call.caller.actor else ()
    return Reply(cookies=gone)


async def log_out(call: Call[None, NoQuery]) -> Reply:
    """Answer `DELETE /sessions/current`."""
    return await end_session(call)


def _which(call: Call[None, NoQuery]) -> c.OneSession:
    """Give the session of the path; without one there, it is the current one."""
    return c.OneSession(call.caller.user, call.path.get("session", call.caller.actor))


SESSIONS: Final = "/api/v1/sessions"
SESSION_PATH: Final = f"{SESSIONS}/{{session}}"
CURRENT: Final = f"{SESSIONS}/current"
_OWN: Final = SIGNED_IN.name


def routes() -> list[Route[Any, Any]]:
    """Give the routes of sessions."""
    return [
        Route(
            method="POST", path=SESSIONS, summary="Log in", tag="sessions", handler=log_in,
            permission=None, anonymous=True, body=LoginBody, response=NewSessionView, status=201,
            accepted=SecondFactorView, once=True,
            errors=(WrongCredentials, TooManyAttempts, Locked, Unverified, Suspended),
            examples=(
                {"email": "ada@example.com", "password": "correct horse battery staple"},
            ),
            description="Answers with a token to send as `Authorization: Bearer …`, or sets a "
            "cookie. It says the same for an address that has no account as for a wrong password; "
            "after five of those each next one has to wait, and the tenth locks the address for "
            "an hour. Of somebody with a second factor a right password begins no session yet: the "
            "answer is 202, with a challenge.",
        ),
        Route(
            method="GET", path=SESSIONS, summary="List one's sessions", tag="sessions",
            handler=list_sessions, permission=_OWN, interactive=True, query=PageQuery,
            response=list[SessionView],
        ),
        Route(
            method="GET", path=CURRENT, summary="Read the session that asks", tag="sessions",
            handler=get_current_session, permission=_OWN, interactive=True, response=SessionView,
        ),
        Route(
            method="DELETE", path=CURRENT, summary="Log out", tag="sessions",
            handler=log_out, permission=_OWN, interactive=True, status=204, versioned=False,
        ),
        Route(
            method="GET", path=SESSION_PATH, summary="Read one of one's sessions",
            tag="sessions", handler=get_session, permission=_OWN, interactive=True,
            response=SessionView, errors=(NotFound,),
        ),
        Route(
            method="DELETE", path=SESSION_PATH, summary="End one of one's sessions",
            tag="sessions", handler=end_session, permission=_OWN, interactive=True, status=204,
            errors=(NotFound,), versioned=False,
        ),
    ]  # fmt: skip
