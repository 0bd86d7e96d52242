"""What the demo shows: lines as they arrive and a live counter, or plain lines in a pipe."""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hub.embedded.demo.tally import Message

SHOWN: Final = 12
COLOURS: Final = {"demo": "cyan", "demo-os": "magenta"}


class Counts(msgspec.Struct, frozen=True):
    """How far the lines are.

    Args:
        sent: by the app and to syslog; acknowledged: durable in the hub; delivered: at the
            receiver; lag: seconds between the writing and the arrival of the latest line.
    """

    sent: int = 0
    acknowledged: int = 0
    delivered: int = 0
    lag: float = 0.0

    def __str__(self) -> str:
        return (
            f"sent {self.sent}, acknowledged {self.acknowledged}, delivered {self.delivered},"
            f" lag {self.lag:.2f} s"
        )


class Screen(Protocol):
    """Where the demo is shown."""

    def say(self, text: str) -> None:
        """Show a line of our own."""
        ...

    def line(self, message: Message) -> None:
        """Show a line that arrived."""
        ...

    def counts(self, counts: Counts) -> None:
        """Show how far the lines are."""
        ...


@contextlib.contextmanager
def open_screen(console: Console) -> Iterator[Screen]:
    """Give the live screen on a terminal, plain lines elsewhere."""
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    screen = LiveScreen(console)
    with screen.live:
        yield screen


def _text(message: Message) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{message.time.astimezone():%H:%M:%S.%f} "[:-4] + " ", style="dim")
    text.append(f"{message.host} ", style="green")
    text.append(f"{message.program}: ", style=COLOURS.get(message.program, "yellow"))
    text.append("".join(char if char.isprintable() else "�" for char in message.text))
    return text


class PlainScreen:
    """For a pipe or a file: every line, and the counts every two seconds."""

    PAUSE: Final = 2.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def say(self, text: str) -> None:
        """Print it."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def line(self, message: Message) -> None:
        """Print it."""
        self.say(_text(message).plain)

    def counts(self, counts: Counts) -> None:
        """Print them, now and then."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.PAUSE
            self.say(f"--- {counts}")


class LiveScreen:
    """For a terminal: the latest lines in a frame, and the counters below it."""

    def __init__(self, console: Console) -> None:
        self._lines: deque[Text] = deque(maxlen=SHOWN)
        self._counts = Counts()
        self.live: Final = Live(
            get_renderable=self._render, console=console, refresh_per_second=8, transient=True
        )

    def say(self, text: str) -> None:
        """Print it above the frame."""
        self.live.console.print(text, markup=False, highlight=False)

    def line(self, message: Message) -> None:
        """Put it into the frame."""
        self._lines.append(_text(message))

    def counts(self, counts: Counts) -> None:
        """Put them below the frame."""
        self._counts = counts

    def _render(self) -> Group:
        lines = Text("\n").join(self._lines) if self._lines else Text("waiting …", style="dim")
        counts = self._counts
        table = Table.grid(padding=(0, 3))
        table.add_row(
            f"sent [bold]{counts.sent}[/]",
            f"acknowledged [bold yellow]{counts.acknowledged}[/]",
            f"delivered [bold green]{counts.delivered}[/]",
            f"lag [bold]{counts.lag:.2f} s[/]",
            "[dim]Ctrl-C ends it[/]",
        )
        frame = Panel(lines, title="lines at the receiver", height=SHOWN + 2, border_style="blue")
        return Group(frame, table)
