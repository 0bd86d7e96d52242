"""How the stack traces of common languages go on, line by line.

Most lines of a trace say by themselves that they continue one: they are indented, or begin with
`Caused by:` and the like. Some do so only where they stand: the last line of Python's, the names of
functions in Go's, the error below Node's caret. For those it is remembered what was begun.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from hub.shaping.patterns import Pattern, Texts


class Begun(Enum):
    """What the lines before were, and so what may come next."""

    NOTHING = auto()
    PYTHON = auto()  # after `Traceback …:`, until a line that is not indented
    PYTHON_CHAINED = auto()  # after `During handling of …`: another traceback follows
    GO = auto()  # after `panic: …` or `goroutine 1 [running]:`
    NODE = auto()  # after `/app/x.js:3`: the source line follows
    NODE_SOURCE = auto()  # after that: a caret follows
    NODE_CARET = auto()  # after the caret: the error follows an empty line
    RUST = auto()  # after `thread 'main' panicked at …:`: the message follows
    ENDED = auto()  # what follows an empty line may still belong to it


_PYTHON: Final = r"^(?:Exception Group )?Traceback \(most recent call last\):"
_CHAINED: Final = (
    r"^(?:During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:)"
)
_PHP: Final = r"^#\d+ "  # a frame; `Next …` may follow the last one after an empty line
_GO: Final = r"^(?:panic: |fatal error: |goroutine \d+ [^\[\n]*\[[^\]\n]*\]:$)"
_NODE: Final = r"^(?:file://|node:|/|[A-Za-z]:\\)\S*:\d+$"
_RUST: Final = r"^thread '[^']*' (?:\(\d+\) )?panicked at .*:$"

_CONTINUES: Final = "|".join(
    (
        r"^[ \t]+\S",  # Java's `\tat`, Node's `    at`, Ruby's `\tfrom`, .NET's `   at`, …
        r"^Caused by: |^Suppressed: |^\.\.\. \d+ (?:more|common frames omitted)",  # Java
        r"^(?:---> |--- End of )",  # .NET
        r"^(?:PHP )?Stack trace:$|^PHP +\d+\. |^Next [\w\\]+: ",  # PHP
        _PHP,
        r"^\S+:\d+:in [`'\"].*['\"]$",  # Ruby, where frames are not indented
        r"^[}\])]+[,;]?$|^Node\.js v\d",  # Node: the end of an error's own fields
        r"^stack backtrace:$|^note: (?:run with|Some details)",  # Rust
        _CHAINED,
    )
)

_traceback: Final = re.compile(_PYTHON)
_chained: Final = re.compile(_CHAINED)
_php: Final = re.compile(_PHP)
_go: Final = re.compile(_GO)
_go_continues: Final = re.compile(
    r"\s*$|[ \t]+\S|goroutine \d+ [^\[\n]*\[|created by |\[signal |exit status \d|r\w{1,5} +0x"
    r"|panic: |\.\.\.\s?(?:\d+ )?(?:additional )?frames elided|[^\s(]+\(.*\)$"
)
_node: Final = re.compile(_NODE)
_caret: Final = re.compile(r"\s*\^+\s*$")
_rust: Final = re.compile(_RUST)
_continues: Final = re.compile(_CONTINUES)


_NOTABLE: Final = "|".join((_CONTINUES, _PYTHON, _GO, _NODE, _RUST))
_notable: Final = re.compile(_NOTABLE)


class StackTraces:
    """The rule of a `Join` that names none: what continues a stack trace."""

    def __init__(self) -> None:
        self._notable = Pattern(_NOTABLE, "/join")

    def notable(self, texts: Texts) -> Sequence[bool] | None:
        """Say which lines continue or begin a trace by themselves; None for no line at all."""
        if not self._notable.anywhere(texts):
            return None
        match = _notable.match
        return [match(message) is not None for message in texts.messages]

    def step(self, begun: Begun, message: str) -> tuple[bool, Begun]:
        """Say whether a line continues the one before it, and what is begun after it."""
        after = _after(begun, message)
        if after is not None:
            return True, after
        if _chained.match(message):
            return True, Begun.PYTHON_CHAINED
        if _php.match(message):
            return True, Begun.ENDED
        if _continues.match(message):
            return True, begun
        return False, _begins(message)


def _after(begun: Begun, message: str) -> Begun | None:  # noqa: PLR0911 - one for each state
    """Say what is begun after a line that is expected where it stands; None if it is not."""
    empty = not message or message.isspace()
    match begun:
        case Begun.PYTHON:
            return begun if empty or message[0] in " \t" else Begun.ENDED
        case Begun.PYTHON_CHAINED if _traceback.match(message):
            return Begun.PYTHON
        case Begun.GO if _go_continues.match(message):
            return begun
        case Begun.NODE:
            return Begun.NODE_SOURCE
        case Begun.NODE_SOURCE if _caret.match(message):
            return Begun.NODE_CARET
        case Begun.NODE_CARET:
            return begun if empty else Begun.ENDED
        case Begun.RUST:
            return Begun.ENDED
        case Begun.PYTHON_CHAINED | Begun.ENDED if empty:
            return begun
    return None


def _begins(message: str) -> Begun:
    """Say what a line begins that continues nothing."""
    for pattern, begun in _BEGINNINGS:
        if pattern.match(message):
            return begun
    return Begun.NOTHING


_BEGINNINGS: Final = (
    (_traceback, Begun.PYTHON),
    (_go, Begun.GO),
    (_node, Begun.NODE),
    (_rust, Begun.RUST),
)
