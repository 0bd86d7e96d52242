"""`isaax logs`: the lines of a project, those that there are and those to come."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
import typer

from hub.client.commands import completing, moments, output
from hub.client.commands.connection import opened
from hub.client.commands.options import AsJson, HubName, ProjectName
from hub.times import rfc3339

if TYPE_CHECKING:
    from rich.console import Console

    from hub.client.answers import Pages
    from hub.client.errors import ClientError
    from hub.client.structs import LogLine

PAGE: Final = 1_000
"""Lines that the API gives at once, at most."""
SHOWN: Final = 100
SHOWN_BEFORE: Final = 10

_STYLES: Final = {
    "emerg": "bold red", "alert": "bold red", "crit": "bold red", "err": "red",
    "warning": "yellow", "debug": "dim",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A line, and as it came."""

    line: "LogLine"
    raw: bytes


def logs(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with lines as they come, until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines",
            "-n",
            min=0,
            show_default=False,
            help=f"How many of the newest; by default {SHOWN}, before --follow {SHOWN_BEFORE},"
            " and with --since all.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only lines that came since then: 10m, 2h, 7d, or 2026-11-23T15:04:05Z.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="Only of this device, by label or id.",
            show_default=False,
            autocompletion=completing.devices,
        ),
    ] = None,
    stream: Annotated[
        Literal["app", "sys", "agent"] | None,
        typer.Option(help="Only of this stream.", show_default=False),
    ] = None,
    project: ProjectName = None,
    hub: HubName = None,
    as_json: AsJson = False,
) -> None:
    """Show a project's log.

    With --json it is one array of lines; with --follow as well, one line of JSON for each line.
    """
    start = rfc3339(moments.past(since, time.time(), "--since")) if since else ""
    wanted = lines
    if lines is None and not since:
        wanted = SHOWN_BEFORE if follow else SHOWN
    printer = _Printer(as_json=as_json)
    with opened(hub) as session:
        within = session.project(project)
        only: dict[str, Any] = {
            "device": session.device(device, within) if device else None, "stream": stream,
        }  # fmt: skip
        stored = session.hub.read_logs(within, limit=min(wanted or PAGE, PAGE), **only)
        if not follow:
            printer.all(_newest(stored, wanted, start))
            return
        coming = session.hub.follow_logs(within, **only)
        coming.on_break = _told_once()
        coming.begin()  # before the stored ones are read, so that none falls between the two
        seen = set()
        for shown in _newest(stored, wanted, start):
            printer.one(shown)
            seen.add(shown.line.id)
        for event in coming:
            if event.value.missed:
                output.note(f"… {event.value.missed} lines are left out: this is too slow for them")
            if event.value.line.id not in seen:
                printer.one(Shown(event.value.line, _raw_line(event.data)))


def _newest(stored: "Pages[LogLine]", wanted: int | None, start: str) -> list[Shown]:
    """Give the newest lines, oldest first.

    Args:
        wanted: how many at most; None for all.
        start: of those that came since then; "" for whenever.
    """
    if wanted == 0:
        return []
    found: list[Shown] = []  # newest first
    for page in stored.answers():
        items = msgspec.json.decode(page.body, type=list[msgspec.Raw])
        shown = [Shown(line, bytes(raw)) for line, raw in zip(page.value, items, strict=True)]
        found += [one for one in reversed(shown) if one.line.received >= start]
        reached = bool(shown) and shown[0].line.received < start
        if reached or (wanted is not None and len(found) >= wanted):
            break
    return found[:wanted][::-1]


def _raw_line(data: str) -> bytes:
    """Give the line of an event, as it came."""
    return bytes(msgspec.json.decode(data, type=dict[str, msgspec.Raw])["line"])


def _told_once() -> Any:
    """Give what tells of a break, once for each; a stream that is away for long is tried often."""
    told: list[str] = []

    def tell(error: "ClientError") -> None:
        if told[-1:] != [error.detail]:
            told.append(error.detail)
            output.note(f"… {error.title.lower()} ({error.detail}); it is tried again")

    return tell


class _Printer:
    """Prints lines as they come."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console: Console = output.console()

    def all(self, lines: list[Shown]) -> None:
        """Print lines that there are."""
        if self._as_json:
            output.write_json(b"[" + b",".join(one.raw for one in lines) + b"]")
            return
        for one in lines:
            self.one(one)

    def one(self, shown: Shown) -> None:
        """Print a line."""
        if self._as_json:
            output.write_json(shown.raw)
            return
        for text in _rows(shown.line):
            if self._console.is_terminal:
                self._console.print(text, soft_wrap=True)
            else:
                sys.stdout.write(f"{text.plain}\n")
        sys.stdout.flush()


def _rows(line: "LogLine") -> Iterator[Any]:
    """Give what is shown of a line: one row, and more for a message of several."""
    from rich.text import Text

    first, *others = output.without_colours(line.message).split("\n")
    head = f"{line.time[:23]}Z"
    source = f"{output.clean(line.host)} {output.clean(line.program) or line.stream}:"
    style = _STYLES.get(line.severity, "")
    yield Text.assemble(
        (head, "dim"), " ", (source, "cyan"), " ", (output.clean(first, tabs=True), style)
    )
    for other in others:
        yield Text.assemble("    ", (output.clean(other, tabs=True), style))
