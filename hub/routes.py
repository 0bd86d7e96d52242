"""What a service declares to be reachable over HTTP: typed routes, once, for everything."""

import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec

from hub.contracts import Bus
from hub.errors import IsaaxError
from hub.permissions import SIGNED_IN, Role

B = TypeVar("B")
Q = TypeVar("Q")


class Caller(msgspec.Struct, frozen=True):
    """Who asks.

    Args:
        account: every query is scoped to it; "" for a person without one.
        actor: id of the token or session, for the logs.
        scopes: what these credentials may be used for, by the names of permissions:
            `projects:read`, …; `*` for all that the role allows.
        user: id of the person; "" where a token stands for the account itself.
        role: of that person in the account.
        narrowed: projects in which the role is another, narrower one.
        interactive: it is a person's own session, not a token that a program holds.
        closing: the account is being deleted, or the person is: it can be looked at, and nothing
            in it changed.
        needs_factor: the account wants its members to have a second factor, and this one has none:
            what concerns them alone is all that they may do.
    """

    account: str
    actor: str
    scopes: tuple[str, ...] = ("*",)
    user: str = ""
    role: Role = Role.OWNER
    narrowed: dict[str, Role] = {}
    interactive: bool = False
    closing: bool = False
    needs_factor: bool = False

    def may(self, permission: str) -> bool:
        """Say whether these credentials may be used for this, whatever the role."""
        return "*" in self.scopes or permission in self.scopes or permission == SIGNED_IN.name


class Client(msgspec.Struct, frozen=True):
    """Where a request came from.

    Args:
        address: of the client, as far as it can be known: see the setting `http.trusted_proxies`.
        agent: what it calls itself (`User-Agent`), cut.
        secure: it came over TLS, to us or to a proxy that we trust.
    """

    address: str = ""
    agent: str = ""
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that an answer sets (RFC 6265bis); it is never readable by scripts.

    Args:
        name: over TLS with the prefix `__Host-`, which the gateway adds.
        value: "" takes the cookie away.
        max_age: seconds; None: until the browser ends.
    """

    name: str
    value: str
    max_age: int | None = None


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A route without query parameters."""


Cursor = Annotated[
    str, msgspec.Meta(description='Where the page begins: as `Link: rel="next"` has it.')
]


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a list: `limit` items (1 to 200) after `cursor` (from `Link: rel="next"`)."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=200, description="Items of a page at most.")] = 50
    cursor: Cursor = ""


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One request, decoded and authorised.

    Args:
        path: the parameters of the path.
        query: decoded query string.
        body: decoded body; None when the route has none. For a PATCH it is the raw merge patch
            (RFC 7396) as a dict of JSON values: see `merge_patch`.
        if_match: the versions (as in `Reply.version`) that `If-Match` names, or ("*",); None when
            there was none. See `versions`.
        if_absent: on a PUT that `creates`: go on only if there is no such thing yet.
        last_event_id: for an event stream, where the client left off ("" at first).
        wants_stream: the client prefers the route's events to a page: answer an `EventStream`.
        media: which of the route's `texts` the client prefers; "" where it has none.
        client: where it came from.
        cookies: those that the gateway set, by their names without `__Host-`.
        credential: what the caller showed, for what is derived from it; never keep it.
    """

    caller: Caller
    bus: Bus
    path: Mapping[str, str]
    query: Q
    body: B
    if_match: tuple[str, ...] | None = None
    if_absent: bool = False
    last_event_id: str = ""
    wants_stream: bool = False
    media: str = ""
    client: Client = field(default_factory=Client)
    cookies: Mapping[str, str] = field(default_factory=dict)
    credential: str = field(default="", repr=False)

    @property
    def versions(self) -> tuple[str, ...] | None:
        """The versions that `If-Match` names; None when any will do."""
        return None if self.if_match == ("*",) else self.if_match

    def replaces(self, current: str) -> tuple[str, ...]:
        """Give the versions that a change of what was just read may replace.

        Args:
            current: of what was read; it counts where `If-Match` does not say which.
        """
        return (current,) if self.versions is None else self.versions


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers.

    Args:
        body: a Struct, a list of Structs, or None (204).
        location: path of what was created, for 201.
        version: opaque version of the thing; becomes its strong ETag.
        next: cursor of the next page; becomes `Link: rel="next"`.
        text: answered as it is, instead of a body, as the `Call.media` that was chosen.
        live: the body also tells what changes without the version, such as how something fares:
            `If-None-Match` never spares a reader that.
        headers: besides the gateway's own, or in place of them, such as a page's own
            `Content-Security-Policy`.
        cookies: to set.
        status: another than the route's: of a page that tells of a problem, or 202 of a route that
            has `accepted`.
    """

    body: Any = None
    location: str | None = None
    version: str | None = None
    next: str | None = None
    text: str | None = None
    live: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[Cookie, ...] = ()
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event; `data` is a Struct, sent as JSON; `id` comes back on reconnect.

    With None as `data` it is no event: the client only notes the id, to go on from there.
    """

    data: Any
    id: str = ""
    event: str = ""


@dataclass(frozen=True, slots=True)
class EventStream:
    """An answer of `text/event-stream`; the gateway sends heartbeats and closes the iterator."""

    events: AsyncIterator[ServerEvent]


@dataclass(frozen=True, slots=True)
class Download:
    """A file as an answer; the gateway sends it as it comes, and closes the generator.

    Args:
        media: its type, as the route's `download` says.
        name: that a browser keeps it under.
    """

    media: str
    name: str
    chunks: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Deprecated:
    """A route that is better not used any more (RFC 9745), and when it ends (RFC 8594).

    Args:
        since: the day (UTC) from which on it is deprecated; it may be still to come.
        sunset: the day on which it may stop to answer; None while that is not known.
        instead: what to use, for the reference: a path, or a few words.
    """

    since: dt.date
    sunset: dt.date | None = None
    instead: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[B, Q]):
    """One method on one path.

    Args:
        method, path: `GET`, `/api/v1/projects/{project}`.
        summary: one line for the reference; `tag` groups it there.
        handler: answers; raises the errors of `hub.errors`.
        permission: that the caller must have (`isaax_permissions`); `SIGNED_IN.name` lets every
            caller in, None everyone.
        interactive: only a person's own session is let in, no token.
        anonymous: nobody is asked who they are, and no credential that is shown is looked at; for
            routes without a permission, such as the one to log in.
        form: the body is what a page's form sends (`application/x-www-form-urlencoded`).
        secret_path: a parameter of the path is a secret: the log does not show it.
        body, query: decoded into these before the handler runs. For a PATCH `body` is what the
            patched thing must be; the handler gets the patch itself.
        response: of the body that is answered (`list[X]` for a page); None for 204.
        status: of success.
        accepted: of the body of a 202, which the handler may answer instead of `status` (see
            `Reply.status`): there is more to do before it is done.
        download: media type of the file that a GET answers; the handler gives a `Download`.
        stream: Struct of the events, when `Accept: text/event-stream` may be asked for.
        texts: media types, with their parameters, that the route answers as text instead of JSON;
            the preferred one first. Of a GET, or of a form.
        errors: that the handler may raise, besides those that every route has.
        if_match: True: the header is required (428 without).
        local: True: only requests from this very machine are served, that no proxy has passed on
            and that name it `localhost` or by a loopback address (403 for others).
        versioned: what a PUT, PATCH or DELETE changes has a version (see `Reply.version`), which
            the handler compares with `Call.versions`; False: no `If-Match` can fit it (412).
        creates: a PUT that makes the thing where there is none; see `Call.if_absent`.
        once: the answer tells what cannot be read again, such as a new token, so
            `Prefer: return=minimal` does not apply to it.
        key_required: a POST that is refused without an `Idempotency-Key`.
        deprecated: it is better not used any more.
        audited: a GET is recorded in the audit log, as every other method is.
        unaudited: why another method is not; docs/audit.md lists these.
        examples: of the body.
    """

    method: str
    path: str
    summary: str
    tag: str
    handler: Callable[[Call[B, Q]], Awaitable[Reply | EventStream | Download]]
    permission: str | None
    interactive: bool = False
    anonymous: bool = False
    form: bool = False
    secret_path: bool = False
    body: type[B] | type[msgspec.Struct] | None = None
    query: type[Q] | type[NoQuery] = NoQuery
    response: Any = None
    status: int = 200
    accepted: Any = None
    download: str = ""
    stream: type | None = None
    texts: tuple[str, ...] = ()
    errors: tuple[type[IsaaxError], ...] = ()
    if_match: bool = False
    local: bool = False
    versioned: bool = True
    creates: bool = False
    once: bool = False
    key_required: bool = False
    deprecated: Deprecated | None = None
    audited: bool = False
    unaudited: str = ""
    description: str = ""
    examples: tuple[Any, ...] = field(default=())


class Authenticate(Protocol):
    """Turns a credential into a caller."""

    async def __call__(self, credential: str, bus: Bus, /) -> Caller | None:
        """Give the caller, or None when this credential is not valid."""
        ...


class AuthenticateIn(Protocol):
    """Turns a credential into a caller in one of several accounts."""

    async def __call__(self, credential: str, account: str, bus: Bus, /) -> Caller | None:
        """Give the caller in this account, or None when this credential is not valid.

        Raises:
            NotFound: it opens no such account.
        """
        ...


@dataclass(frozen=True, slots=True)
class Authenticator:
    """A way to authenticate: `Authorization: <scheme> <credential>`, or a cookie.

    Args:
        cookie: name of the cookie that may hold the credential instead (see `Cookie`). A change
            that is asked for with it must come from our own pages (`hub/gateway/forgery.py`).
        in_account: asked instead of `authenticate` when the header `Isaax-Account` names an
            account. Without it, that header must name the one account of the credential.
    """

    name: str
    scheme: str
    authenticate: Authenticate
    cookie: str = ""
    in_account: AuthenticateIn | None = None


def merge_patch(current: Any, patch: Any) -> Any:
    """Apply a JSON merge patch to JSON values (RFC 7396, section 2)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
