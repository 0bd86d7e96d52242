"""On which line of a TOML text each of its keys stands: tomllib does not tell.

The text has been read by tomllib before, so this only has to find its way through a valid one
(https://toml.io/en/v1.0.0).
"""

import re
import tomllib

Path = tuple[str | int, ...]
"""Where a value is: names of keys, and indexes into arrays."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY_PART = re.compile(r"""[ \t]*(?P<part>"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
# A string of three quotes may end in up to five: the last three close it.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:""?)?|' r"'''.*?'''(?:''?)?|" r'"(?:[^"\\]|\\.)*"|' r"'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[Path, int]:
    """Give the line, from 1, of every key, table and array item of a valid TOML text.

    The first line counts for a table that is declared in parts.
    """
    return _Scanner(text).document()


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._counted = (0, 1)  # a position, and the line that it is on
        self._tables: dict[Path, int] = {}  # how many items an array of tables has so far

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._blank()
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._blank()
        return self._lines

    def _header(self) -> Path:
        """Read `[a.b]` or `[[a.b]]`, and give the path of the table that it opens."""
        line, brackets = self._line(), 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        table: Path = ()
        for part in self._key():
            table = (*self._last_item(table), part)
            self._note(table, line)
        self._at += brackets
        if brackets == 2:
            self._tables[table] = self._tables.get(table, 0) + 1
        table = self._last_item(table)
        self._note(table, line)
        return table

    def _last_item(self, table: Path) -> Path:
        """Step into the newest item when this is an array of tables."""
        return (*table, self._tables[table] - 1) if table in self._tables else table

    def _pair(self, table: Path) -> None:
        """Read `a.b = value`."""
        line = self._line()
        for part in self._key():
            table = (*table, part)
            self._note(table, line)
        self._at += 1  # the "="
        self._value(table)

    def _key(self) -> list[str]:
        parts: list[str] = []
        while match := _KEY_PART.match(self._text, self._at):
            part = match["part"]
            quoted = part[0] in "\"'"
            parts.append(next(iter(tomllib.loads(f"{part} = 0"))) if quoted else part)
            self._at = match.end()
            if not self._text.startswith(".", self._at):
                break
            self._at += 1
        return parts

    def _value(self, path: Path) -> None:
        self._blank()
        if match := _STRING.match(self._text, self._at):
            self._at = match.end()
        elif self._text.startswith("[", self._at):
            self._array(path)
        elif self._text.startswith("{", self._at):
            self._inline_table(path)
        elif match := _SCALAR.match(self._text, self._at):
            self._at = match.end()

    def _array(self, path: Path) -> None:
        index = 0
        while self._next_inside("]"):
            self._note((*path, index), self._line())
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        while self._next_inside("}"):
            self._pair(path)

    def _next_inside(self, end: str) -> bool:
        """Step over the opening bracket or a comma; say whether an item follows."""
        self._blank()
        if self._text[self._at : self._at + 1] in {"[", "{", ","}:
            self._at += 1
            self._blank()
        if self._text.startswith(end, self._at):
            self._at += 1
            return False
        return self._at < len(self._text)

    def _blank(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _note(self, path: Path, line: int) -> None:
        self._lines.setdefault(path, line)

    def _line(self) -> int:
        position, line = self._counted
        line += self._text.count("\n", position, self._at)
        self._counted = (self._at, line)
        return line
