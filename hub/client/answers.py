"""What the hub answered: typed, and as it came."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="next"')


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """One answer.

    Args:
        body: of the answer, as it came.
        headers: by name in lower case.
    """

    value: T
    body: bytes
    headers: Mapping[str, str]

    @property
    def etag(self) -> str | None:
        """The version of what was answered, for `if_match`; None where there are no versions."""
        return self.headers.get("etag")

    @property
    def next(self) -> str:
        """The path of the next page (RFC 8288); "" when there is none."""
        found = _NEXT.search(self.headers.get("link", ""))
        return found[1] if found else ""


class Pages(Generic[T]):
    """A list: iterating gives the items of all pages, each page fetched when it is needed."""

    def __init__(self, fetch: Callable[[str], Answer[list[T]]]) -> None:
        """Make it of what fetches the page at a path; "" is the first one."""
        self._fetch = fetch

    def __iter__(self) -> Iterator[T]:
        for answer in self.answers():
            yield from answer.value

    def first(self) -> Answer[list[T]]:
        """Give the first page."""
        return self._fetch("")

    def answers(self) -> Iterator[Answer[list[T]]]:
        """Give page by page."""
        answer = self._fetch("")
        yield answer
        while answer.next:
            answer = self._fetch(answer.next)
            yield answer
