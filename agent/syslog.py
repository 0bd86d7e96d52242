"""The syslog socket: what programs of the device write with syslog(3), logger(1) and the like."""

import asyncio
import re
import socket
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from agent.linequeue import LineQueue
from agent.lines import USER_NOTICE, Line, now, program_of, text_of
from agent.system import host_name
from hub.protocol import MAX_MESSAGE_BYTES

MAX_DATAGRAM: Final = 2 * MAX_MESSAGE_BYTES
RECEIVE_BUFFER: Final = 1024 * 1024  # bytes, so that a burst waits here and not in its writers
_BURST: Final = 256  # datagrams taken at once

_PRI: Final = re.compile(r"<(\d{1,3})>")
# RFC 5424, 6: VERSION TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]
_NEW: Final = re.compile(
    r"1 (\S+) \S+ (\S+) \S+ \S+ (?:-|(?:\[(?:[^\"\]]|\"(?:[^\"\\]|\\.)*\")*\])+)(?: \ufeff?|$)"
)
# RFC 3164, 4.1.2: Mmm dd hh:mm:ss; syslog(3) leaves the host name out
_OLD_TIME: Final = re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ")
_TAG: Final = re.compile(r"([\w./@-]{1,64})(?:\[[^\]\s]{0,32}\])?: ?")


def parse(data: bytes, *, at: int, host: str = "") -> Line:
    """Take a message apart; what cannot be recognised stays in the text.

    Args:
        data: one datagram: RFC 5424, RFC 3164, or what syslog(3) makes of it.
        at: microseconds since the Unix epoch, when it arrived.
        host: name of this device, which some programs put before their own.
    """
    text = text_of(data[:MAX_MESSAGE_BYTES], beyond=max(0, len(data) - MAX_MESSAGE_BYTES))
    text = text.rstrip("\0\r\n")
    priority = USER_NOTICE  # RFC 3164, 4.3.3: what has no PRI is user.notice
    head = _PRI.match(text)
    if head and int(head[1]) <= 191:
        priority = int(head[1])
        text = text[head.end() :]
    new = _NEW.match(text)
    if new:
        program = "-" if new[2] == "-" else program_of(new[2])
        return Line(_time(new[1], at), priority, program, text[new.end() :])
    old = _OLD_TIME.match(text)
    rest = text[old.end() :].removeprefix(f"{host} ") if old else text
    tag = _TAG.match(rest) if old or head else None
    if tag:
        return Line(at, priority, program_of(tag[1]), rest[tag.end() :])
    return Line(at, priority, "-", rest)


def _time(stamp: str, at: int) -> int:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:  # "-", or not a time
        return at
    if moment.tzinfo is None:
        return at
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


class SyslogSocket:
    """Serves a Unix datagram socket."""

    def __init__(self, path: Path, queue: LineQueue) -> None:
        self._path = path
        self._queue = queue
        self._host = host_name()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Make the socket, for everyone to write to, and read it from now on.

        Raises:
            OSError: the path cannot be used.
        """
        if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
            self._path.unlink()  # of an agent that was killed
        self._path.parent.mkdir(parents=True, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind(str(self._path))
        self._path.chmod(0o666)
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self.read)

    def read(self) -> int:
        """Take what has arrived; give how many messages that were."""
        assert self._socket is not None
        at = now()
        lines = []
        for _ in range(_BURST):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
            except BlockingIOError:
                break
            lines.append(parse(data, at=at, host=self._host))
        self._queue.put(lines)
        return len(lines)

    def close(self) -> None:
        """Take the last messages and remove the socket."""
        if self._socket is not None:
            while self.read():
                pass
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._path.unlink(missing_ok=True)
            self._socket = None
