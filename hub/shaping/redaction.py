"""Hiding what should not leave the hub.

A chunk's text is searched once for all that is to be hidden; only the lines in which something is
found are looked at. There every pattern searches the original text, and what any of them finds is
hidden: what one replaces cannot keep another from finding its own.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar, cast

from hub.batches import Chunk, MetricChunk
from hub.protocol import Lines, Samples
from hub.shaping.checks import Problems
from hub.shaping.patterns import AnyOf, Pattern, Texts, to_bytes
from hub.shaping.rules import Redact
from hub.shaping.secret_forms import HIDDEN, NAMES, Secret, card_numbers, known_secrets
from hub.structs import pointer

Labels = TypeVar("Labels", Mapping[str, str], dict[str, str])

_BREAK: Final = re.compile(rb"[ \t\r]*\n[ \t\r]*")


@dataclass(frozen=True, slots=True, order=True)
class _Hidden:
    """A place in a text in UTF-8, and what stands there instead."""

    start: int
    end: int
    replacement: bytes


class _Rule:
    """One pattern, and what is hidden of what it finds."""

    def __init__(self, secret: Secret, at: str, *, user: bool = False) -> None:
        self.pattern = Pattern(secret.regex, at, every_line=user)
        self.wrapped = secret.wrapped
        self._replacement = to_bytes(secret.replacement)
        self._groups = not user
        self._needs = secret.needs
        self._luhn = secret.luhn

    def may_be_in(self, lower: bytes) -> bool:
        """Say whether it may find something in a text, given in lower case."""
        for need in self._needs:  # any() would take five times as long
            if need in lower:
                return True
        return not self._needs

    def hidden(self, data: bytes) -> Iterator[_Hidden]:
        """Give the places to hide in a text."""
        for start, end in self.pattern.spans(data, groups=self._groups):
            if not self._luhn:
                yield _Hidden(start, end, self._replacement)
                continue
            for first, last in card_numbers(data[start:end]):
                yield _Hidden(start + first, start + last, self._replacement)


class Redactor:
    """`Redact`, compiled."""

    def __init__(self, rule: Redact, problems: Problems) -> None:
        self._rules = [
            _Rule(secret, "/redact")
            for secret in known_secrets(tokens=rule.tokens, cards=rule.cards, emails=rule.emails)
        ]
        for index, own in enumerate(rule.patterns):
            with problems.gathered():
                secret = Secret(own.regex, own.replacement)
                at = pointer("redact", "patterns", index, "regex")
                self._rules.append(_Rule(secret, at, user=True))
        self._any = AnyOf([one.pattern for one in self._rules])
        self._names = Pattern(NAMES, "/redact/tokens") if rule.tokens else None

    def __bool__(self) -> bool:
        return bool(self._rules)

    def apply(self, chunk: Chunk, texts: Texts) -> tuple[Chunk, int]:
        """Give the chunk without what is to be hidden, and how many of its lines were changed."""
        lines, labels = chunk.lines, self._labels(chunk.labels)
        changed = self._changes(texts)
        programs, renamed = self._programs(lines.programs)
        if changed or renamed:
            messages = list(lines.messages)
            for index, message in changed.items():
                messages[index] = message
            lines = Lines(lines.times, lines.priorities, programs, messages)
        elif labels is chunk.labels:
            return chunk, 0
        return replace(chunk, lines=lines, labels=labels), len(renamed.union(changed))

    def apply_metrics(self, chunk: MetricChunk) -> tuple[MetricChunk, int]:
        """Do so with the labels of samples: they are all the text that a metric has."""
        samples, labels = chunk.samples, self._labels(chunk.labels)
        old = samples.labels
        if isinstance(old, list):
            new: dict[str, str] | list[dict[str, str]] = self._label_column(old)
            changed = sum(a is not b for a, b in zip(new, old, strict=True))
        else:
            new = self._labels(old)
            changed = 0 if new is old else len(samples)
        if changed:
            s = samples
            samples = Samples(s.times, s.names, s.values, new, s.counters)
        elif labels is chunk.labels:
            return chunk, 0
        return replace(chunk, samples=samples, labels=labels), changed

    def text(self, text: str) -> str:
        """Give a text without what is to be hidden; the same object when nothing is."""
        data = to_bytes(text)
        hidden = list(self._hidden(data))
        return _without(data, hidden).decode("utf-8", "replace") if hidden else text

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Do so with each of some texts."""
        changed = self._changes(Texts(list(texts)))
        return [changed.get(index, text) for index, text in enumerate(texts)]

    def _changes(self, texts: Texts) -> dict[int, str]:
        """Give the messages that are changed, by index."""
        changed = dict[int, str]()
        for index in self._suspects(texts):
            old = texts.messages[index]
            new = self.text(old)
            if new is not old:
                changed[index] = new
        return changed

    def _suspects(self, texts: Texts) -> list[int]:
        """Give the messages that may hold something: all those with a line break are looked at."""
        if texts.plain:
            return [index for index, hit in enumerate(self._any.where(texts) or ()) if hit]
        messages = texts.messages
        plain = [index for index, message in enumerate(messages) if "\n" not in message]
        hits = (
            self._any.where(Texts([messages[index] for index in plain])) if plain else None
        ) or ()
        broken = [index for index, message in enumerate(messages) if "\n" in message]
        return broken + [index for index, hit in zip(plain, hits, strict=False) if hit]

    def _programs(self, programs: str | list[str]) -> tuple[str | list[str], set[int]]:
        distinct = [programs] if isinstance(programs, str) else list(set(programs))
        new = {distinct[index]: text for index, text in self._changes(Texts(distinct)).items()}
        if not new:
            return programs, set()
        if isinstance(programs, str):
            return new[programs], set()
        changed = {index for index, program in enumerate(programs) if program in new}
        return [new.get(program, program) for program in programs], changed

    def _labels(self, labels: Labels) -> Labels:
        """Give the labels without secrets; one that is called like a secret is hidden whole."""
        if not labels:
            return labels
        names = list(labels)
        new = {
            names[index]: text
            for index, text in self._changes(Texts([labels[name] for name in names])).items()
        }
        if self._names is not None:
            called = self._names.where(Texts(names)) or ()
            new |= {name: HIDDEN for name, hit in zip(names, called, strict=False) if hit}
        return labels if not new else cast("Labels", {**labels, **new})

    def _label_column(self, column: list[dict[str, str]]) -> list[dict[str, str]]:
        """Do so with the labels of each sample; all of them are looked at at once first."""
        every = {text for labels in column for item in labels.items() for text in item}
        texts = Texts(list(every))
        clean = self._any.where(texts) is None
        if clean and (self._names is None or self._names.where(texts) is None):
            return column
        return [self._labels(labels) for labels in column]

    def _hidden(self, data: bytes) -> Iterator[_Hidden]:
        yield from self._hidden_by(self._rules, data)
        if b"\n" in data:
            yield from self._hidden_in_lines(data)
            yield from self._hidden_across(data)

    def _hidden_by(self, rules: Iterable[_Rule], data: bytes) -> Iterator[_Hidden]:
        lower = data.lower()
        for rule in rules:
            if rule.may_be_in(lower):
                yield from rule.hidden(data)

    def _hidden_in_lines(self, data: bytes) -> Iterator[_Hidden]:
        """Give what each line would hide by itself, were it not joined to others."""
        lines = data.split(b"\n")
        found = self._any.where(Texts([line.decode() for line in lines])) or ()
        start = 0
        for line, hit in zip(lines, found, strict=False):
            for one in self._hidden_by(self._rules, line) if hit else ():
                yield _Hidden(one.start + start, one.end + start, one.replacement)
            start += len(line) + 1

    def _hidden_across(self, data: bytes) -> Iterator[_Hidden]:
        """Give what is recognized only once line breaks, and the indents after them, are gone."""
        cuts, gone = list[int](), [0]  # where the breaks were, and how much the first n took
        for match in _BREAK.finditer(data):
            cuts.append(match.start() - gone[-1])
            gone.append(gone[-1] + match.end() - match.start())
        wrapped = (rule for rule in self._rules if rule.wrapped)
        for one in self._hidden_by(wrapped, _BREAK.sub(b"", data)):
            before, within = bisect_right(cuts, one.start), bisect_left(cuts, one.end)
            if before < within:
                yield _Hidden(one.start + gone[before], one.end + gone[within], one.replacement)


def _without(data: bytes, hidden: list[_Hidden]) -> bytes:
    """Replace places that may overlap: where they do, all of them is replaced, as the first is."""
    pieces, end = list[bytes](), 0
    for place in sorted(hidden):
        if place.start >= end:
            pieces += (data[end : place.start], place.replacement)
        end = max(end, place.end)
    pieces.append(data[end:])
    return b"".join(pieces)
