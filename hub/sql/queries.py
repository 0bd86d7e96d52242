"""Named SQL: `-- name: get_project` blocks in a `.sql` file, with `:name` parameters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

_HEADING: Final = re.compile(r"--[ \t]*name[ \t]*:[ \t]*(?P<name>.*?)[ \t]*")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

# PostgreSQL's lexical structure, as far as it hides a colon (manual, section 4.1). Block comments
# do not nest here.
_TOKEN: Final = re.compile(
    r"""
      \b[eE]'(?:[^'\\]|\\.|'')*'                 # escape string
    | '(?:[^']|'')*'                             # string
    | "(?:[^"]|"")*"                             # quoted identifier
    | --[^\n]*                                   # comment to the end of the line
    | /\*.*?\*/                                  # block comment
    | (?P<dollar>\$(?:[A-Za-z_]\w*)?\$).*?(?P=dollar)   # dollar-quoted string
    | ::                                         # cast
    | :(?P<parameter>[A-Za-z_]\w*)
    | (?P<positional>\$\d+)
    | (?P<open>'|"|/\*)                          # a quote or comment that never ends
    """,
    re.VERBOSE | re.DOTALL,
)


class QueryError(RuntimeError):
    """A query and the code that uses it do not fit together: a mistake of ours, not a user's.

    Deliberately no `IsaaxError`: its text names SQL, so it must not travel to a caller.
    """


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, ready for the server.

    Args:
        name: as in its heading.
        sql: with `$1`, `$2`, … in the place of its parameters.
        parameters: their names, in that order.
        source: `<file>:<line>` of its heading.
    """

    name: str
    sql: str
    parameters: tuple[str, ...]
    source: str

    @classmethod
    def parse(cls, name: str, sql: str, source: str = "inline", line: int = 0) -> "Query":
        """Make a query from SQL with `:name` parameters.

        Args:
            source: what errors call its file.
            line: number of its first line there, less one.

        Raises:
            QueryError: a quote or comment is left open, or it uses `$1` itself.
        """
        order: dict[str, int] = {}

        def place(match: re.Match[str]) -> str:
            where = f"{source}:{line + 1 + sql.count(chr(10), 0, match.start())}"
            if match["open"]:
                raise QueryError(f"{where}: {match['open']} is opened and never closed in {name}")
            if match["positional"]:
                raise QueryError(f"{where}: {name} uses {match[0]}; write :name instead")
            if match["parameter"] is None:
                return match[0]
            return f"${order.setdefault(match['parameter'], len(order) + 1)}"

        text = _TOKEN.sub(place, sql).strip().removesuffix(";").rstrip()
        return cls(name, text, tuple(order), f"{source}:{line or 1}")

    def bind(self, values: Mapping[str, object]) -> list[object]:
        """Put named values into the order of the placeholders.

        Raises:
            QueryError: one is missing, or one is not used by the query.
        """
        if values.keys() != set(self.parameters):
            missing = sorted(set(self.parameters) - values.keys())
            unused = sorted(values.keys() - set(self.parameters))
            raise QueryError(
                f"{self}: "
                + "; ".join(
                    f"{word} {', '.join(names)}"
                    for word, names in (("it needs also", missing), ("it does not use", unused))
                    if names
                )
            )
        return [values[name] for name in self.parameters]

    def __str__(self) -> str:
        return f"{self.name} ({self.source})"


class Queries:
    """The statements of one file, by name."""

    def __init__(self, queries: Mapping[str, Query], source: str) -> None:
        self._queries = dict(queries)
        self._source = source

    @classmethod
    def load(cls, package: str, file: str = "store.sql") -> "Queries":
        """Read a file that lies in an importable package.

        Raises:
            QueryError: names file and line of what is wrong there.
        """
        source = f"{package.replace('.', '/')}/{file}"
        try:
            text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise QueryError(f"{source}: there is no such file") from None
        return cls.parse(text, source)

    @classmethod
    def parse(cls, text: str, source: str = "inline") -> "Queries":
        """Take a text of `-- name:` blocks apart.

        Raises:
            QueryError: names `source` and line of what is wrong there.
        """
        queries: dict[str, Query] = {}
        for name, line, sql in _blocks(text, source):
            if not sql.strip():
                raise QueryError(f"{source}:{line}: {name} is empty")
            if name in queries:
                raise QueryError(f"{source}:{line}: {name} is already at {queries[name].source}")
            queries[name] = Query.parse(name, sql, source, line)
        return cls(queries, source)

    def __getitem__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise QueryError(f"{self._source} has no query named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)


def _blocks(text: str, source: str) -> Iterator[tuple[str, int, str]]:
    """Give name, line of the heading, and SQL of each block."""
    name, start = "", 0
    body: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        heading = _HEADING.fullmatch(line)
        if heading is None:
            if not name and line.strip() and not line.lstrip().startswith("--"):
                raise QueryError(f"{source}:{number}: SQL before the first `-- name:`")
            body.append(line)
            continue
        if name:
            yield name, start, "\n".join(body)
        name, start, body = heading["name"], number, []
        if not _NAME.fullmatch(name):
            raise QueryError(f"{source}:{number}: a name is lower-case letters, digits and _")
    if name:
        yield name, start, "\n".join(body)
