"""The text that is sent instead of a message, out of a user's template."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

from jinja2 import Template, TemplateError, Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hub.batches import Chunk
from hub.errors import FieldError, Invalid
from hub.protocol import Lines
from hub.shaping.rules import FACILITIES, SEVERITIES
from hub.shaping.template_rules import FILTERS, Refusal, check_template
from hub.times import rfc3339

MAX_OUTPUT: Final = 64 * 1024
"""Characters that a line may become."""

MAX_SECONDS: Final = 1.0
"""For one chunk: what is left of it then is sent as it is."""

# What filters raise for values that they are not made for.
_FAILURES: Final = (TemplateError, ArithmeticError, TypeError, ValueError, LookupError)
# What jinja2, and Python's compiler after it, raise for what is nested too deeply or not known.
_NOT_COMPILED: Final = (RecursionError, SyntaxError, MemoryError, *_FAILURES)


class _Labels(dict[str, str]):
    """Labels as a template sees them: one that is not there is nothing, as `default` expects."""

    def __missing__(self, name: str) -> Undefined:
        return Undefined(name=name)


class _Sandbox(ImmutableSandboxedEnvironment):
    """The sandbox, in which a part of the labels is a label, and never a method of theirs."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return obj[attribute]

    def getitem(self, obj: Any, argument: Any) -> Any:
        return obj[argument]


class LineTemplate:
    """A template, compiled.

    Args:
        clock: monotonic seconds.

    Raises:
        Invalid: it is wrong, or has what it may not have.
    """

    def __init__(self, source: str, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._template, self._used = _compile(source)
        names = dict.fromkeys(self._used, "")
        try:
            self._render(self._context(names | {"labels": _Labels()}))
        except _FAILURES as error:
            raise _refused(str(error), 1) from None

    def apply(self, chunk: Chunk) -> tuple[Chunk, int]:
        """Give the chunk with its new messages, and how many stayed as they were."""
        lines = chunk.lines
        messages, failed = list(lines.messages), 0
        values: dict[str, Any] = {
            "host": chunk.host,
            "device": chunk.device,
            "stream": chunk.stream,
            "labels": _Labels(chunk.labels),
        }
        context = self._context(values)
        until = self._clock() + MAX_SECONDS
        for index, row in enumerate(self._rows(chunk)):
            if self._clock() > until:
                failed += len(messages) - index
                break
            values |= row
            try:
                messages[index] = self._render(context)
            except (*_FAILURES, _TooLong):
                failed += 1
        new = Lines(lines.times, lines.priorities, lines.programs, messages)
        return replace(chunk, lines=new), failed

    def _context(self, values: dict[str, Any]) -> Context:
        """Give what a template is rendered with; it sees later changes of `values`."""
        return self._template.new_context(values, shared=True)

    def _render(self, context: Context) -> str:
        pieces, left = list[str](), MAX_OUTPUT
        for piece in self._template.root_render_func(context):
            left -= len(piece)
            if left < 0:
                raise _TooLong
            pieces.append(piece)
        text = "".join(pieces)
        if not text.isascii():
            text.encode()  # half of a surrogate pair, which no format can hold, fails here
        return text

    def _rows(self, chunk: Chunk) -> Iterator[dict[str, str]]:
        """Give what the template uses of each line."""
        lines = chunk.lines
        columns: dict[str, Callable[[], Sequence[str]]] = {
            "message": lambda: lines.messages,
            "program": lines.program_column,
            "severity": lambda: [SEVERITIES[p & 7] for p in lines.priority_column()],
            "facility": lambda: [_facility(p) for p in lines.priority_column()],
            "time": lambda: [rfc3339(time) for time in lines.times],
            "id": chunk.ids,
        }
        names = [name for name in columns if name in self._used]
        if not names:
            return repeat(dict[str, str](), len(chunk))
        rows = zip(*(columns[name]() for name in names), strict=True)
        return (dict(zip(names, row, strict=True)) for row in rows)


class _TooLong(Exception):  # noqa: N818
    """A line became longer than it may."""


def _facility(priority: int) -> str:
    facility = priority >> 3
    return FACILITIES[facility] if facility < len(FACILITIES) else str(facility)


def _compile(source: str) -> tuple[Template, frozenset[str]]:
    environment = _Sandbox(autoescape=False, cache_size=0)
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.globals.clear()
    try:
        tree = environment.parse(source)
        used = check_template(tree)
        code = environment.compile(tree)
    except Refusal as refusal:
        raise _refused(refusal.reason, refusal.line) from None
    except _NOT_COMPILED as error:
        line = getattr(error, "lineno", None)
        words = getattr(error, "message", None) or "too much is within one another"
        raise _refused(words, line or 1) from None
    return Template.from_code(environment, code, {}), used


def _refused(reason: str, line: int) -> Invalid:
    detail = f"line {line}: {reason}"
    return Invalid(detail, errors=[FieldError("/template", detail)])
