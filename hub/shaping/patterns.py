"""Users' regular expressions, searched in many lines at once.

RE2 (https://github.com/google/re2/wiki/Syntax) never backtracks: its time is linear in the text,
whatever the pattern. What calling it costs is more than what searching costs, so the messages of a
chunk are searched as one text, and one by one only where that cannot give the same answer.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias

import re2

from hub.errors import FieldError, Invalid

MAX_PROGRAM: Final = 2_500
"""Instructions that a pattern may compile to: what bounds its time per byte of text."""

MAX_MEMORY: Final = 1 << 20
"""Bytes that one compiled pattern may take, its states included (RE2's `max_mem`)."""

# What makes a line's beginning or end differ from that of a text of many lines.
_BOUND_TO_THE_TEXT: Final = re.compile(r"\\[AzQ]|\(\?[a-zA-Z]*-[a-zA-Z]*m")

_SPECIAL: Final = re.compile(r"[\\^$.|?*+()\[\]{}]")

_HINTS: Final = (
    ("missing )", "close every bracket, or write \\( for a bracket itself"),
    ("unexpected )", "open every bracket, or write \\) for a bracket itself"),
    ("missing ]", "close every [, or write \\[ for the character itself"),
    ("invalid perl operator", "RE2 has no look-ahead and no look-behind; say it without"),
    ("invalid escape sequence", "RE2 has no back-references; double a backslash that you mean"),
    ("invalid repetition size", "repeat at most 1,000 times, also when repetitions are nested"),
    ("no argument for repetition", "put something before it, or a backslash if you mean itself"),
    ("bad repetition operator", "one repetition is enough"),
    ("invalid character class", "see the classes at https://github.com/google/re2/wiki/Syntax"),
    ("pattern too large", "repeat less, or split it into several conditions"),
    ("trailing \\", "double the backslash"),
)
Regex: TypeAlias = Any
"""A compiled pattern; google-re2 has no types."""

_HINT: Final = "see https://github.com/google/re2/wiki/Syntax"


class Texts:
    """The messages of a chunk as one text, made when it is first asked for."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = messages

    @cached_property
    def joined(self) -> str:
        """All of them, with a newline between."""
        return "\n".join(self.messages)

    @cached_property
    def encoded(self) -> bytes:
        """`joined` in UTF-8; what cannot be written in it becomes a question mark."""
        return to_bytes(self.joined)

    @cached_property
    def plain(self) -> bool:
        """No message holds a newline, so that those of `joined` say where messages end."""
        return self.joined.count("\n") == len(self.messages) - 1


class Pattern:
    """One compiled pattern.

    Args:
        source: RE2 syntax.
        pointer: where it stands in the shape, for the error.
        every_line: `^` and `$` also mean the beginning and end of a line within a message.

    Raises:
        Invalid: RE2 refuses it, or it is too large.
    """

    def __init__(self, source: str, pointer: str, *, every_line: bool = False) -> None:
        self._one = _compile(f"(?m){source}" if every_line else source, pointer)
        self._literal = not _SPECIAL.search(source)
        self._groups = range(1, self._one.groups + 1)
        self.source = source
        self.joinable = not _BOUND_TO_THE_TEXT.search(source)
        # Never across a newline: what it finds is what it finds in each message by itself.
        self._many = _compile_many(source) if self.joinable else None

    def found(self, message: str) -> bool:
        """Say whether it is somewhere in a message."""
        if self._literal:
            return self.source in message
        return self._one.search(to_bytes(message)) is not None

    def anywhere(self, texts: Texts) -> bool:
        """Say whether it is found in any message."""
        if self._many is not None and texts.plain:
            return self._many.search(texts.encoded) is not None
        return any(map(self.found, texts.messages))

    def where(self, texts: Texts) -> list[bool] | None:
        """Say of each message whether it is found there; None when it is in none."""
        if self._literal and self.source not in texts.joined:
            return None
        if self._many is not None and texts.plain and not self._literal:
            return _where(self._many, texts)
        each = [self.found(message) for message in texts.messages]
        return each if True in each else None

    def spans(self, message: bytes, *, groups: bool = False) -> Iterator[tuple[int, int]]:
        """Give where it is found in a message in UTF-8; never an empty place.

        Args:
            groups: where its groups are found instead, if it has any.
        """
        wanted = (groups and self._groups) or (0,)
        for match in self._one.finditer(message):
            for group in wanted:
                start, end = match.span(group)
                if start < end:
                    yield start, end


class AnyOf:
    """Several patterns, searched as one wherever they can be."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        together = [one for one in patterns if one.joinable]
        self._apart = [one for one in patterns if not one.joinable]
        self._many: Regex | None = None
        try:
            if together:
                union = "|".join(f"(?:{one.source})" for one in together)
                self._many = _compile_many(union, memory=8 * MAX_MEMORY)
        except re2.error:  # too large together, or two groups of one name
            self._apart = list(patterns)

    def where(self, texts: Texts) -> list[bool] | None:
        """Say of each message whether any is found there; None when none is in any."""
        if not texts.plain:
            return [True] * len(texts.messages)
        found = None if self._many is None else _where(self._many, texts)
        for pattern in self._apart:
            also = pattern.where(texts)
            if found is None or also is None:
                found = found or also
            else:
                found = [a or b for a, b in zip(found, also, strict=True)]
        return found


def to_bytes(text: str) -> bytes:
    """Encode any text; half a surrogate pair, which UTF-8 does not have, becomes `?`."""
    return text.encode("utf-8", "replace")


def _where(regex: Regex, texts: Texts) -> list[bool] | None:
    data = texts.encoded
    hits: list[bool] | None = None
    line = at = 0
    for match in regex.finditer(data):
        start = match.start()
        line += data.count(b"\n", at, start)
        at = start
        if hits is None:
            hits = [False] * len(texts.messages)
        hits[line] = True
    return hits


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return options


def _compile_many(source: str, memory: int = MAX_MEMORY) -> Regex:
    options = _options()
    options.max_mem = memory
    options.never_nl = options.never_capture = True
    # To the end of the line: it is enough to find it once in each.
    return re2.compile(f"(?m)(?:{source}).*", options)


def _compile(source: str, pointer: str) -> Regex:
    try:
        regex = re2.compile(source, _options())
    except re2.error as error:
        words = error.args[0]
        raise _refused(words.decode() if isinstance(words, bytes) else words, pointer) from None
    except UnicodeEncodeError:
        raise _refused("it is not valid Unicode text", pointer) from None
    size = max(regex.programsize, regex.reverseprogramsize)
    if size > MAX_PROGRAM:
        detail = f"pattern too large: it compiles to {size:,} instructions of {MAX_PROGRAM:,}"
        raise _refused(detail, pointer)
    return regex


def _refused(words: str, pointer: str) -> Invalid:
    hint = next((hint for start, hint in _HINTS if words.startswith(start)), _HINT)
    detail = f"not a regular expression that can be used: {words}; {hint}"
    return Invalid(detail, errors=[FieldError(pointer, detail)])
