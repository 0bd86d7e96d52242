"""One route's way from an HTTP request to its handler and back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web

from hub.contracts import Bus
from hub.errors import DeadlineExceeded, Forbidden, IsaaxError, Unauthenticated
from hub.gateway import answers, decoding, deprecation, downloads, media, preferences
from hub.gateway.answers import Answer
from hub.gateway.auditing import Auditing
from hub.gateway.authentication import ANYONE, Authentication, Forged, Identity
from hub.gateway.conditional import ChangeConditions, Conditions
from hub.gateway.connection import connection_of
from hub.gateway.exchange import Exchange, exchange_of, to_response
from hub.gateway.idempotency import HEADER as IDEMPOTENCY_KEY
from hub.gateway.idempotency import REPLAYED, Idempotency, Keyed
from hub.gateway.intake import read_body, refuse_body
from hub.gateway.locality import is_local, is_to_this_machine
from hub.gateway.problems import KeyRequired, LocalOnly, NoSuchPath
from hub.gateway.quotas import Quotas, network_of
from hub.gateway.routing import AnyRoute, body_media
from hub.gateway.sse import Streams, last_event_id
from hub.gateway.standing import Standing
from hub.gateway.turns import Turns
from hub.routes import Call, Download, EventStream, Reply
from hub.scope import hiding

DEADLINE: Final = 30.0
"""Seconds that a handler may take (an event stream: to begin)."""

GONE: Final = 499
"""Status, in the log, of a request whose client did not wait for the answer (as nginx has it)."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What every route is served with.

    Args:
        turns: of accounts, at what they ask for; lookups: of networks, at being told who asks.
        deadline: seconds; see `DEADLINE`.
    """

    bus: Bus
    authentication: Authentication
    idempotency: Idempotency
    streams: Streams
    standing: Standing
    quotas: Quotas
    turns: Turns
    lookups: Turns
    auditing: Auditing
    deadline: float = DEADLINE


class Dispatcher:
    """Serves one route.

    The order is fixed: who asks, what is accepted, is it well formed, may it go on, do it.
    """

    def __init__(self, route: AnyRoute, parts: Parts) -> None:
        self._route = route
        self._parts = parts
        self._witness = parts.auditing.of(route)
        self._query = decoding.QueryDecoder(route.query)
        self._no_body = decoding.of_nothing(route)
        self._body = _body_decoder(route)
        self._name = f"{route.method} {route.path}"
        self._texts = {text.partition(";")[0]: text for text in route.texts}
        offers = [media.JSON] if route.response is not None else []
        offers += [route.download] if route.download else []
        self._offers = [*offers, *self._texts] + [media.EVENTS] * (route.stream is not None)
        self._notices = deprecation.headers_of(route.deprecated)
        self._may_be_minimal = preferences.apply_to(route)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request.

        Raises:
            IsaaxError: what the middleware turns into a problem.
        """
        exchange, route = exchange_of(request), self._route
        exchange.headers.update(self._notices)
        if route.local and not (is_local(request) and is_to_this_machine(request)):
            raise LocalOnly("ask from there, by the name localhost, past any proxy")
        shown = await self._identify(request, exchange)
        try:
            identity = self._parts.authentication.let_in(
                shown,
                route.permission,
                project=request.match_info.get("project", ""),
                interactive=route.interactive,
                changes=route.method != "GET",
            )
        except Forbidden as error:
            self._witness.refused(exchange, request.match_info, error)
            raise
        with hiding(identity.hidden):
            return await self._serve(request, identity)

    async def _identify(self, request: web.Request, exchange: Exchange) -> Identity:
        """Say who asks, and count it."""
        quotas, address = self._parts.quotas, exchange.client.address
        authentication = self._parts.authentication
        try:
            if self._route.anonymous:
                shown = authentication.nobody(request)
            else:
                # Nobody knows yet whose it is: by network, so that none takes it from the others.
                async with self._parts.lookups.turn(network_of(address)):
                    shown = await authentication.identify(request)
        except (Unauthenticated, Forbidden) as error:
            exchange.caller = error.caller if isinstance(error, Forged) else ANYONE
            self._witness.refused(exchange, request.match_info, error)
            if isinstance(error, Unauthenticated):
                quotas.of_unauthenticated(address, exchange.headers)
            raise
        exchange.caller = shown.caller
        if shown.caller is ANYONE:
            quotas.of_unauthenticated(address, exchange.headers)
        else:
            quotas.of_token(shown.caller.actor, exchange.headers)
        return shown

    async def _serve(self, request: web.Request, identity: Identity) -> web.StreamResponse:
        read = self._route.method == "GET"
        conditions = Conditions.of(request.headers) if read else None
        call, body = await self._read(request, identity)
        caller = identity.caller
        whose = caller.account or caller.user or network_of(identity.client.address)
        gone = connection_of(request).gone
        async with self._parts.turns.turn(whose):
            if gone.done():
                return web.Response(status=GONE)
            answer = await self._do(request, identity, call, conditions, body)
            if isinstance(answer, Download):
                return await downloads.send(request, answer)
        if isinstance(answer, EventStream):
            return await self._parts.streams.send(
                request,
                answer,
                account=whose,
                request_id=exchange_of(request).id,
                lost=partial(self._parts.standing.lost, request, self._route, identity),
            )
        return to_response(self._preferred(request, answer))

    async def _do(
        self,
        request: web.Request,
        identity: Identity,
        call: Call[Any, Any],
        conditions: Conditions | None,
        body: bytes,
    ) -> Answer | EventStream | Download:
        key = request.headers.get(IDEMPOTENCY_KEY)
        if self._route.method == "POST" and key is not None and identity.credential:
            # The target has its length before it, so no two requests give the same bytes.
            target = request.raw_path.encode(errors="surrogateescape")
            content = b"%d:%b%b" % (len(target), target, body)
            keyed = Keyed.of(identity, self._name, key, content)
            answer = await self._parts.idempotency.once(keyed, self._worker(request, call))
            if REPLAYED in answer.headers:
                self._witness.replayed(exchange_of(request), call.path, answer.status)
            return answer
        if self._route.key_required and not key:
            raise KeyRequired("send a key of your own: a request that is repeated is done once")
        result = await self._handle(request, call)
        if isinstance(result, EventStream | Download):
            return result
        return self._answer(request, conditions, result, call)

    async def _read(self, request: web.Request, identity: Identity) -> tuple[Call[Any, Any], bytes]:
        """Decode everything that came; nothing is done yet."""
        route = self._route
        accept = ", ".join(request.headers.getall(hdrs.ACCEPT, [])) if self._offers else ""
        chosen = media.choose(accept, self._offers or [media.JSON])
        if not all(decoding.is_clean(value) for value in request.match_info.values()):
            raise NoSuchPath
        asked = ChangeConditions()
        if route.method != "GET":
            asked = ChangeConditions.of(
                request.headers,
                required=route.if_match,
                versioned=route.versioned,
                creates=route.creates,
            )
        call: Call[Any, Any] = Call(
            caller=identity.caller,
            bus=self._parts.bus,
            path=dict(request.match_info),
            query=self._query.decode(raw_query(request)),
            body=None,
            if_match=asked.if_match,
            if_absent=asked.if_absent,
            last_event_id=last_event_id(request.headers),
            wants_stream=chosen == media.EVENTS,
            media=self._texts.get(chosen, ""),
            client=identity.client,
            cookies=identity.cookies,
            credential=identity.credential,
        )
        if route.body is None:
            await refuse_body(request)
            return call, b""
        if self._no_body is not None and not request.body_exists:
            return replace(call, body=self._no_body), b""
        media.require(
            body_media(route),
            request.headers.get(hdrs.CONTENT_TYPE),
            request.headers.get(hdrs.CONTENT_ENCODING),
        )
        raw = await read_body(request)
        return replace(call, body=self._body(raw)), raw

    async def _handle(
        self, request: web.Request, call: Call[Any, Any]
    ) -> Reply | EventStream | Download:
        return await self._witness.watch(exchange_of(request), call, self._in_time)

    async def _in_time(self, call: Call[Any, Any]) -> Reply | EventStream | Download:
        try:
            async with asyncio.timeout(self._parts.deadline) as deadline:
                return await self._route.handler(call)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise DeadlineExceeded("it may or may not have been done") from None

    def _answer(
        self,
        request: web.Request,
        conditions: Conditions | None,
        reply: Reply,
        call: Call[Any, Any],
    ) -> Answer:
        answer = answers.of_reply(
            reply,
            self._route.status,
            media=call.media,
            path=request.rel_url.raw_path,
            query=raw_query(request),
            conditions=conditions,
            secure=call.client.secure,
        )
        if len(self._offers) > 1:
            answer.headers["Vary"] = "Accept"
        return answer

    def _preferred(self, request: web.Request, answer: Answer) -> Answer:
        """Leave the body out if that is preferred; what is kept for a retry has it."""
        if not self._may_be_minimal:
            return answer
        return preferences.applied(answer, preferences.wanted(request.headers.getall("Prefer", [])))

    def _worker(
        self, request: web.Request, call: Call[Any, Any]
    ) -> Callable[[], Awaitable[Answer]]:
        """Give what does the work once, and answers with a problem rather than raise it."""

        async def work() -> Answer:
            request_id = exchange_of(request).id
            try:
                result = await self._handle(request, call)
                if isinstance(result, EventStream | Download):
                    raise TypeError("only a GET can be answered by a stream or a file")
                return self._answer(request, None, result, call)
            except IsaaxError as error:
                return answers.of_error(error, request_id)
            except Exception:  # noqa: BLE001 - its effect is unknown, so its answer is kept too
                _log.exception("request failed")
                return answers.of_error(IsaaxError(), request_id)

        return work


def _body_decoder(route: AnyRoute) -> Callable[[bytes], Any]:
    if route.method == "PATCH":
        return decoding.decode_patch
    kind: type[Any] = route.body or msgspec.Struct
    if route.form:
        return decoding.FormDecoder(kind).decode_bytes
    return partial(decoding.decode_body, into=kind)


def raw_query(request: web.Request) -> str:
    """Give what is behind the `?`, as it was sent."""
    return request.raw_path.partition("?")[2].partition("#")[0]
