"""What commands print: tables that fit a terminal, the API's own JSON, and notes beside it."""

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hub.client.answers import Answer, Pages

T = TypeVar("T")

Columns = Mapping[str, Callable[[T], object]]
"""What each column shows of a thing, by heading."""

NONE: Final = "–"
STYLES: Final = {
    "delivering": "green", "waiting": "green", "taken": "green", "written": "green",
    "active": "green", "online": "green", "retrying": "yellow", "starting": "yellow",
    "pending": "yellow", "open": "red", "broken": "red", "rejected": "red", "failed": "red",
    "revoked": "red", "quarantined": "red", "done": "green", "running": "yellow", "later": "yellow",
    "timeout": "red", "refused": "red", "interrupted": "red", "expired": "red", "lost": "red",
    "paused": "dim", "offline": "dim", "cancelled": "dim",
}  # fmt: skip
"""How states are shown, wherever they stand."""

_WIDE: Final = 10_000
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


def console(*, stderr: bool = False) -> "Console":
    """Give a console: colours only on a terminal, and not where NO_COLOR is set.

    Elsewhere than on a terminal it is so wide that no line is broken.
    """
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    return Console(
        file=stream,
        color_system=None if plain else "auto",
        width=None if stream.isatty() else _WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )


def show_list(pages: "Pages[T]", columns: Columns[T], *, as_json: bool, empty: str) -> None:
    """Print a list, with all its pages.

    Args:
        empty: what to say when there is nothing in it.
    """
    if as_json:
        write_json(joined(answer.body for answer in pages.answers()))
        return
    rows = list(pages)
    if rows:
        show_table(rows, columns)
    else:
        note(empty)


def show_one(answer: "Answer[T]", fields: Columns[T], *, as_json: bool) -> None:
    """Print one thing, field by field."""
    if as_json:
        write_json(answer.body)
    else:
        show_fields({name: of(answer.value) for name, of in fields.items()})


def show_secret(
    answer: "Answer[Any]", secret: str, identifier: str, name: str, *, as_json: bool
) -> None:
    """Print what is shown this once; what it belongs to is said beside it."""
    if as_json:
        write_json(answer.body)
        return
    typer.echo(secret)
    note(f"{identifier} ({clean(name)}): it is shown this once.")


def show_table(rows: Iterable[T], columns: Columns[T]) -> None:
    """Print a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        whole = heading == "id"  # to be copied
        table.add_column(heading, overflow="fold", no_wrap=whole, min_width=24 if whole else None)
    for row in rows:
        table.add_row(*(_cell(of(row)) for of in columns.values()))
    _print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one below the other; what says nothing is left out."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        if value not in (None, ""):
            table.add_row(name, _cell(value))
    _print(table)


def write_json(body: bytes) -> None:
    """Print JSON as it came, on one line of its own."""
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.flush()


def joined(bodies: Iterable[bytes]) -> bytes:
    """Give the arrays of several pages as one; each item stays as it came."""
    items = [item for body in bodies for item in msgspec.json.decode(body, type=list[msgspec.Raw])]
    return b"[" + b",".join(bytes(item) for item in items) + b"]"


def values_of(body: bytes) -> dict[str, Any]:
    """Give the object of an answer as it came."""
    return msgspec.json.decode(body, type=dict[str, Any])


def note(text: str) -> None:
    """Say something to whoever looks on, and not to what reads the output."""
    console(stderr=True).print(text, style="dim", soft_wrap=True)


def confirmed(question: str, *, yes: bool) -> None:
    """Ask before something that cannot be undone.

    Raises:
        typer.Exit: the answer is no.
        typer.BadParameter: nobody can be asked.
    """
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter("nobody can be asked here: give --yes", param_hint="--yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def clean(text: str, *, tabs: bool = False) -> str:
    """Make text from elsewhere harmless on a terminal: what moves its cursor is shown escaped.

    Args:
        tabs: leave them as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or unicodedata.category(char) == "Zs" or (tabs and char == "\t")
        else ascii(char)[1:-1]
        for char in text
    )


def without_colours(text: str) -> str:
    """Leave out the colours that an app gave its output."""
    return _COLOURS.sub("", text)


def flat(value: object, name: str = "") -> dict[str, object]:
    """Give nested JSON values as dotted names, without those that say nothing."""
    if isinstance(value, dict) and value:
        found: dict[str, object] = {}
        for key, item in value.items():
            found |= flat(item, f"{name}.{key}" if name else str(key))
        return found
    return {} if value in (None, "", [], {}) else {name: value}


def _cell(value: object) -> Any:
    from rich.text import Text

    text = clean(_words(value))
    return Text(text, style=STYLES.get(text, ""))


def _words(value: object) -> str:
    match value:
        case None | "":
            words = NONE
        case bool():
            words = "yes" if value else "no"
        case datetime():
            words = f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        case float():
            words = f"{value:.10g}"
        case str():
            words = value
        case list() | tuple() if all(isinstance(one, str) for one in value):
            words = ", ".join(value)
        case _:
            words = msgspec.json.encode(value).decode()
    return words


def _print(table: Any) -> None:
    """Print without the blanks that fill up the last column where nobody sees them."""
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()
