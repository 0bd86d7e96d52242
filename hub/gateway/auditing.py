"""Every change that is asked for over HTTP is in the audit log, whatever its handler does.

That it is about to be done is on disk before the handler runs; how it ended follows. What was
before is what the GET of the same path answers (`before.py`), what was after is the reply itself,
both as the API shows them. The request's body, its query and its credential are not recorded.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from hub import ids
from hub.audit.deeds import HUB, Actor, Deed, Outcome
from hub.audit.journal import Begun
from hub.audit.log import Recorder
from hub.errors import DeadlineExceeded, Forbidden, IsaaxError, Unauthenticated
from hub.gateway.authentication import ANYONE
from hub.gateway.before import Before, Change, Handle, Seen
from hub.gateway.exchange import Exchange
from hub.gateway.routing import AnyRoute, Table, is_list
from hub.permissions import SIGNED_IN
from hub.routes import Call, Caller, Download, EventStream, Reply
from hub.secret import Secret


class _Cut(IsaaxError):  # noqa: N818 - an outcome
    """The handler was cut off: the hub ends."""

    status = 0
    code = "cut-off"


_UNKNOWN: Final = (DeadlineExceeded, _Cut)
"""It may have been done all the same."""

_HARMLESS: Final = re.compile(rf"{ids.PATTERN.pattern}|[a-z][a-z-]{{0,15}}")
"""An id of ours, or a word."""


class Auditing:
    """Makes the witness of each route.

    Args:
        table: of all routes: what a thing was before is read by its GET.
    """

    def __init__(self, table: Table, recorder: Recorder) -> None:
        self._table = table
        self._recorder = recorder

    def of(self, route: AnyRoute) -> "Witness":
        """Make the witness of a route."""
        return Witness(route, Before.of(route, self._table), self._recorder)


class Witness:
    """Records what is done by one route, and who was not let do it.

    Args:
        before: reads what the route changes.
    """

    def __init__(self, route: AnyRoute, before: Before, recorder: Recorder) -> None:
        self._route = route
        self._before = before
        self._recorder = recorder
        self._action = f"{route.method} {route.path}"
        self._records = route.audited if route.method == "GET" else not route.unaudited
        self._shows = route.method != "GET" and not is_list(route)

    async def watch(
        self, exchange: Exchange, call: Call[Any, Any], handle: Handle
    ) -> Reply | EventStream | Download:
        """Have a call handled, and recorded.

        Raises:
            Unavailable: it could not be recorded, so nothing was done.
        """
        if not self._records:
            try:
                return await handle(call)
            except Forbidden as error:
                self.refused(exchange, call.path, error)
                raise
        change = Change(self._before, call, await self._before.read(call))
        deed = _about(_of(self._deed(exchange, call.path), change.seen))
        begun = await self._recorder.journal.begin(deed)
        try:
            reply = await change.make(handle)
        except BaseException as error:
            self._end_badly(exchange, begun, _failed(_of(deed, change.seen), error))
            raise
        self._recorder.journal.end(begun, self._done(_of(deed, change.seen), reply))
        return reply

    def _end_badly(self, exchange: Exchange, begun: Begun, deed: Deed) -> None:
        """Record how it ended; what nobody in particular tried in vain is counted."""
        if exchange.caller is ANYONE and deed.outcome != "unknown":
            self._recorder.journal.drop(begun)
            self._recorder.refusals.add(deed)
        else:
            self._recorder.journal.end(begun, deed)

    def replayed(self, exchange: Exchange, path: Mapping[str, str], status: int) -> None:
        """Record that the answer to an earlier request was given again."""
        if self._records:
            ended = _ended(self._deed(exchange, path), status)
            self._recorder.journal.note(msgspec.structs.replace(ended, replayed=True))

    def refused(self, exchange: Exchange, path: Mapping[str, str], error: IsaaxError) -> None:
        """Record that somebody was not let do this."""
        self._recorder.refusals.add(_failed(self._deed(exchange, path), error))

    def _deed(self, exchange: Exchange, path: Mapping[str, str]) -> Deed:
        return Deed(
            action=self._action,
            summary=self._route.summary,
            account=exchange.caller.account or HUB,
            project=path.get("project", ""),
            object={name: self._named(value) for name, value in path.items()},
            actor=_actor_of(exchange.caller),
            client=exchange.client,
            request=exchange.id,
        )

    def _named(self, value: str) -> str:
        """Give a part of the path, unless it may itself be what lets somebody in: a link's token.

        A route that asks for a permission has its credential elsewhere.
        """
        route = self._route
        may_let_in = route.secret_path or route.permission in {None, SIGNED_IN.name}
        return Secret.MASK if may_let_in and not _HARMLESS.fullmatch(value) else value

    def _done(self, deed: Deed, reply: Reply | EventStream | Download) -> Deed:
        status = self._route.status
        if isinstance(reply, EventStream | Download):
            return _ended(deed, status)
        if reply.body is None and reply.text is None and status == HTTPStatus.OK:
            status = HTTPStatus.NO_CONTENT
        after = reply.body if self._shows else None
        done = _ended(deed, reply.status or status)
        return _about(msgspec.structs.replace(done, after=after))


def _of(deed: Deed, seen: Seen) -> Deed:
    """Say what the thing was before."""
    return msgspec.structs.replace(deed, before=seen.body, notes=seen.notes)


def _about(deed: Deed) -> Deed:
    """Say which thing a deed is about, and in which project, as far as the thing itself says so.

    Who belongs to no account may have made one, or joined it: it is in the log of that then.
    """
    thing = deed.before if deed.after is None else deed.after
    own, project, account = (
        str(getattr(thing, name, "") or "") for name in ("id", "project", "account")
    )
    if deed.account == HUB:
        accounts = (one for one in (account, own) if ids.is_valid(one, "acc"))
        deed = msgspec.structs.replace(deed, account=next(accounts, HUB))
    named = dict(deed.object)
    if own and own not in named.values():
        named["id"] = own
    if not project and ids.is_valid(own, "prj"):
        project = own
    return msgspec.structs.replace(deed, object=named, project=deed.project or project)


def _actor_of(caller: Caller) -> Actor:
    if not caller.account and not caller.user:
        return Actor("anonymous", "")
    return Actor(
        "person" if caller.interactive else "token", caller.actor, caller.user, str(caller.role)
    )


def _failed(deed: Deed, error: BaseException) -> Deed:
    """Say how something ended that did not end well."""
    if not isinstance(error, IsaaxError):
        error = IsaaxError() if isinstance(error, Exception) else _Cut()
    ended = msgspec.structs.replace(_ended(deed, error.status), code=error.code)
    if isinstance(error, _UNKNOWN):
        return msgspec.structs.replace(ended, outcome="unknown")
    return ended


def _ended(deed: Deed, status: int) -> Deed:
    return msgspec.structs.replace(deed, outcome=_outcome_of(status), status=int(status))


def _outcome_of(status: int) -> Outcome:
    if status < HTTPStatus.BAD_REQUEST:
        return "done"
    if status in {Unauthenticated.status, Forbidden.status}:
        return "refused"
    # What the hub itself did wrong may have been done all the same.
    return "unknown" if status == IsaaxError.status else "failed"
