# ruff: noqa: N818 - an error reads as the outcome it names: `raise NoProject(...)`
"""Things are named by what people call them, or by id."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hub import ids
from hub.client.errors import ClientError


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> str:
        """It."""
        ...


T = TypeVar("T", bound=Identified)


@dataclass(frozen=True, slots=True)
class Known:
    """What is called otherwise by the API than most: its id, and what people call it."""

    id: str
    name: str


class NoSuchName(ClientError):
    """There is nothing of this name."""

    @classmethod
    def near(cls, kind: str, given: str, known: Iterable[str]) -> "NoSuchName":
        """Say which names are the nearest, or which there are.

        Args:
            kind: of thing.
            known: names of those that there are.
        """
        names = sorted({*known} - {""})
        close = difflib.get_close_matches(given, names, 3) or names[:5]
        there_is = f"; there is {', '.join(close)}" if close else f": there are no {kind}s yet"
        return cls(f"there is no {kind} {given}{there_is}")


class Ambiguous(ClientError):
    """More than one thing has this name."""


class NoAccount(ClientError):
    """You are in no account."""


class NoProject(ClientError):
    """It is not said which project is meant."""

    exit_code = 2

    def __init__(self, there_are: Sequence[str]) -> None:
        known = f"there are: {', '.join(there_are)}" if there_are else "there is none yet"
        super().__init__(
            f"name one by --project, or one for all commands by isaax projects use NAME ({known})"
        )


def find(kind: str, given: str, items: Iterable[T], name: Callable[[T], str]) -> str:
    """Give the id of what is meant.

    Args:
        kind: of thing, for the message.
        given: its name or id; an id is not looked up.
        items: to look for the name in.

    Raises:
        NoSuchName, Ambiguous: none has this name, or more than one.
    """
    if ids.PATTERN.fullmatch(given):
        return given
    everything = list(items)
    found = [one.id for one in everything if name(one) == given]
    if len(found) == 1:
        return found[0]
    if found:
        raise Ambiguous(
            f"{len(found)} {kind}s are called {given}: give the id, {' or '.join(found)}"
        )
    raise NoSuchName.near(kind, given, (name(one) for one in everything))
