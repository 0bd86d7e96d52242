"""Sends requests to one hub: again where that is safe, and decoded where it succeeds."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import httpx

from hub.client.answers import Answer, Pages
from hub.client.asking import Ask
from hub.client.errors import NotThere, NotUnderstood, Unreachable
from hub.client.events import Events
from hub.client.patience import Patience, Waits
from hub.client.transport import foreign, refusal, trouble
from hub.errors import Invalid
from hub.structs import decode

T = TypeVar("T")
A = TypeVar("A")

ACCEPTED: Final = 202

CONNECT: Final = 5.0
"""Seconds that a connection may take to be made."""
ANSWER: Final = 40.0
"""Seconds that an answer may take to come: longer than the gateway gives its handlers."""
SILENCE: Final = 45.0
"""Seconds that a stream may be silent: three of the gateway's heartbeats."""

_UNDONE: Final = frozenset({409, 429, 503})
"""With `Retry-After` these say that nothing was done yet."""


class Calls:
    """Requests to one hub."""

    def __init__(self, http: httpx.Client, url: str, patience: Patience) -> None:
        self._http = http
        self._url = url
        self._patience = patience

    # ── typed ─────────────────────────────────────────────────────────────────────────────────

    def answer(self, ask: Ask, into: type[T]) -> Answer[T]:
        """Ask for something of this type.

        Raises:
            ClientError: it cannot be had.
        """
        return self._read(ask, self._send(ask), into)

    def either(self, ask: Ask, into: type[T], accepted: type[A]) -> Answer[T | A]:
        """Ask for something of one type, or of the other where it is only accepted (202)."""
        response = self._send(ask)
        kind: type[T | A] = accepted if response.status_code == ACCEPTED else into
        return self._read(ask, response, kind)

    def pages(self, ask: Ask, item: type[T]) -> Pages[T]:
        """Give a list; nothing is asked before it is looked at."""
        into: Any = list.__class_getitem__(item)

        def fetch(link: str) -> Answer[list[T]]:
            return self.answer(Ask("GET", self._here(link)) if link else ask, into)

        return Pages(fetch)

    def text(self, ask: Ask) -> Answer[str]:
        """Ask for text, of whatever media type it is."""
        response = self._send(replace(ask, headers={**ask.headers, "Accept": "*/*"}))
        return _answer(response.text, response)

    @contextmanager
    def file(self, ask: Ask) -> Iterator[Iterator[bytes]]:
        """Ask for a file, and give it piece by piece.

        Raises:
            ClientError: it is refused, or breaks off, also later.
        """
        with self._opened(ask, {"Accept": "*/*"}, silence=ANSWER) as response:
            yield response.iter_bytes()

    def nothing(self, ask: Ask) -> Answer[None]:
        """Ask for something to be done that has no answer."""
        return _answer(None, self._send(ask, gone=True))

    def events(self, ask: Ask, into: type[T], *, after: str = "") -> Events[T]:
        """Follow a stream; nothing is asked before it is looked at."""
        return Events(self.stream, ask, into, after=after, patience=self._patience)

    def _read(self, ask: Ask, response: httpx.Response, into: type[T]) -> Answer[T]:
        if response.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise foreign(self._url)
        try:
            value = decode(into, response.content)
        except Invalid as error:
            place = "".join(one.pointer for one in error.errors)
            raise NotUnderstood(
                f"{ask.method} {ask.path}: {place} {error.detail}; is the hub of another version?"
            ) from None
        return _answer(value, response)

    # ── as it comes ───────────────────────────────────────────────────────────────────────────

    def exchange(self, ask: Ask, more: Mapping[str, str] = {}) -> httpx.Response:
        """Send one request once, and give the answer, whatever it is.

        Args:
            more: headers.

        Raises:
            httpx.TransportError: there is none.
        """
        return self._http.send(self._request(ask, more))

    @contextmanager
    def stream(self, ask: Ask, more: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Open an event stream.

        Raises:
            ClientError: it is refused, or breaks off, also later.
        """
        headers = {"Accept": "text/event-stream", **more}
        with self._opened(ask, headers, silence=SILENCE) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise foreign(self._url)
            yield response

    @contextmanager
    def _opened(
        self, ask: Ask, more: Mapping[str, str], *, silence: float
    ) -> Iterator[httpx.Response]:
        """Open an answer that is read as it comes.

        Args:
            silence: seconds between its pieces.
        """
        request = self._request(ask, more)
        request.extensions["timeout"] = httpx.Timeout(
            ANSWER, connect=CONNECT, read=silence
        ).as_dict()
        try:
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise refusal(response, self._url)
                yield response
            finally:
                response.close()
        except httpx.TransportError as error:
            raise trouble(error, self._url) from error

    def _request(self, ask: Ask, more: Mapping[str, str]) -> httpx.Request:
        headers = {**ask.headers, **more}
        if ask.body is not None:
            headers["Content-Type"] = (
                "application/merge-patch+json" if ask.merge else "application/json"
            )
        if ask.if_match is not None:
            headers["If-Match"] = ask.if_match
        if ask.if_absent:
            headers["If-None-Match"] = "*"
        return self._http.build_request(
            ask.method, ask.path, params=ask.parameters() or None, content=ask.content(),
            headers=headers,
        )  # fmt: skip

    def _send(self, ask: Ask, *, gone: bool = False) -> httpx.Response:
        """Send a request until it succeeds, or is refused, or may not be sent again.

        Args:
            gone: that it is not there any more is success, too, for a DELETE that was sent again.
        """
        more = {"Idempotency-Key": str(uuid.uuid4())} if ask.keyed else {}
        waits = Waits(self._patience)
        reached = unsure = False
        while True:
            told: float | None = None
            try:
                response = self.exchange(ask, more)
            except httpx.TransportError as error:
                failure = trouble(error, self._url)
                never_sent = isinstance(failure, Unreachable)
                # Who is not there at first is told at once; who was there may be back in a moment.
                again = reached if never_sent else ask.repeatable
                unsure |= not never_sent
            else:
                if response.is_success:
                    return response
                failure = refusal(response, self._url)
                if gone and unsure and ask.method == "DELETE" and isinstance(failure, NotThere):
                    return response
                told = failure.again_after
                again = told is not None and response.status_code in _UNDONE
            reached = True
            if not (again and waits.pause(told)):
                raise failure

    def _here(self, link: str) -> str:
        """Make sure that a link leads to this very hub: the token goes there."""
        if not link.startswith("/") or link.startswith("//"):
            raise foreign(self._url)
        return link


def _answer(value: T, response: httpx.Response) -> Answer[T]:
    return Answer(value, response.content, dict(response.headers))
