"""The agent's own log: to stderr, and into the `agent` stream."""

import logging
import sys
from typing import Final

from agent.linequeue import LineQueue
from agent.lines import DAEMON, Line, text_of
from agent.spool import PROGRAM

# RFC 5424, 6.2.1: severities
_SEVERITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)


class StreamHandler(logging.Handler):
    """Puts records into the `agent` stream.

    A record that is marked `local` (`extra={"local": True}`) stays out of it: what the agent says
    about relaying this very stream would make a line for each line.
    """

    def __init__(self, queue: LineQueue) -> None:
        super().__init__()
        self._queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        if getattr(record, "local", False):
            return
        at = int(record.created * 1_000_000)
        text = self.format(record).encode("utf-8", "replace")
        lines = [
            Line(at, DAEMON + _severity(record.levelno), PROGRAM, text_of(part))
            for part in text.split(b"\n")
        ]
        self._queue.put(lines)


def configure(queue: LineQueue) -> None:
    """Send the log of the package `agent` to stderr and to its stream."""
    logger = logging.getLogger("agent")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("isaax-agent: %(levelname)s: %(message)s"))
    stream = StreamHandler(queue)
    stream.setFormatter(logging.Formatter("%(message)s"))
    logger.handlers[:] = [console, stream]


def _severity(level: int) -> int:
    return next((severity for least, severity in _SEVERITIES if level >= least), 7)
