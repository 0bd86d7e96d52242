"""Follows an event stream: over breaks, and with no event lost or twice."""

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent

from hub.client.asking import Ask
from hub.client.errors import (
    Away,
    ClientError,
    Lost,
    NotUnderstood,
    Problem,
    Refused,
    TooMuch,
    Unreachable,
    refusal,
)
from hub.client.patience import Patience, Waits
from hub.errors import Invalid
from hub.structs import decode

T = TypeVar("T")
R = TypeVar("R")

Open = Callable[[Ask, Mapping[str, str]], AbstractContextManager[httpx.Response]]

_PASSES: Final = (Lost, Unreachable, Away, TooMuch)
"""What may be over in a moment."""


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """One event.

    Args:
        id: to go on after it.
        data: JSON, as it came.
    """

    id: str
    value: T
    data: str


class Events(Generic[T]):
    """The events of a stream.

    When the connection breaks it is made again, for as long as it takes, and goes on after the
    last event that came. What cannot be had at first, or is refused, is raised.
    """

    def __init__(
        self, open_: Open, ask: Ask, into: type[T], *, after: str = "", patience: Patience
    ) -> None:
        """Follow a stream.

        Args:
            open_: opens the stream that is asked for, with some headers more.
            after: id of an event that was had before; "" for those from now on.
        """
        self._open = open_
        self._ask = ask
        self._into = into
        self._last = after
        self._retry: float | None = None
        self._patience = replace(patience, seconds=float("inf"))
        self._held: list[Event[T] | None] = []
        self._source = self._events()
        self.on_break: Callable[[ClientError], None] = lambda _: None
        """Called when the connection broke, before it is made again."""

    def begin(self) -> None:
        """Connect, and wait until the hub has said where the stream begins.

        Nothing that comes after this is missed. It is for new streams that say so at once.

        Raises:
            ClientError: it cannot be followed.
        """
        self._held.append(next(self._source))

    def __iter__(self) -> Iterator[Event[T]]:
        for event in itertools.chain(self._held, self._source):
            if event is not None:
                yield event

    def close(self) -> None:
        """Let go of the connection."""
        self._source.close()

    def _events(self) -> Generator[Event[T] | None, None, None]:
        """Give events; and None where the hub only says where the stream begins."""
        connected = False
        waits = Waits(self._patience)
        while True:
            try:
                headers = {"Last-Event-ID": self._last} if self._last else {}
                with self._open(self._ask, headers) as response:
                    connected = True
                    for event in EventSource(response).iter_sse():
                        waits = Waits(self._patience)
                        yield from self._take(event)
                failure: ClientError = Lost("the hub ended the stream")
            except ClientError as error:
                if not (connected and isinstance(error, _PASSES)):
                    raise
                failure = error
            self.on_break(failure)
            waits.pause(self._told(failure))

    def _take(self, event: ServerSentEvent) -> Iterator[Event[T] | None]:
        if event.retry is not None:
            self._retry = max(event.retry / 1000, self._patience.first)
        if event.event == "problem":
            raise refusal(self._read(event.data, Problem))
        if event.data:
            value = self._read(event.data, self._into)
            self._last = event.id
            yield Event(event.id, value, event.data)
        elif event.id:
            self._last = event.id
            yield None

    def _read(self, data: str, into: type[R]) -> R:
        try:
            return decode(into, data.encode())
        except Invalid as error:
            raise NotUnderstood(
                f"an event of {self._ask.path}: {error.detail}; is the hub of another version?"
            ) from None

    def _told(self, failure: ClientError) -> float | None:
        """Give the seconds that the hub asked for, once: who is still away gets more time."""
        told, self._retry = self._retry, None
        return failure.again_after if isinstance(failure, Refused) else told
