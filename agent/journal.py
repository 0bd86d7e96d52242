"""Reads systemd's journal through `journalctl -o json -f`, and goes on where it stopped."""

import asyncio
import contextlib
import logging
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from agent.linequeue import LineQueue
from agent.lines import USER_INFO, Line, now, program_of, text_of
from hub.protocol import UNDECODABLE

log = logging.getLogger(__name__)

SOURCE: Final = "journald"
FIRST_LINES: Final = 1000  # of this boot, when the journal is read for the first time
SLOWEST_SECONDS: Final = 60.0
_LONGEST: Final = 8 * 1024 * 1024  # bytes of one entry as JSON


class _Entry(msgspec.Struct, frozen=True):
    """The fields of an entry that are used (systemd.journal-fields(7)); all of them are strings.

    A field that is not UTF-8 is an array of bytes, and null when it is too long
    (journalctl(1), "-o json"); one that was set twice is an array of values.
    """

    message: object = msgspec.field(name="MESSAGE", default=None)
    priority: object = msgspec.field(name="PRIORITY", default=None)
    facility: object = msgspec.field(name="SYSLOG_FACILITY", default=None)
    identifier: object = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    command: object = msgspec.field(name="_COMM", default=None)
    pid: object = msgspec.field(name="_PID", default=None)
    realtime: object = msgspec.field(name="__REALTIME_TIMESTAMP", default=None)
    cursor: str = msgspec.field(name="__CURSOR", default="")


_decoder: Final = msgspec.json.Decoder(_Entry)


def is_running() -> bool:
    """Say whether this system has a journal."""
    return Path("/run/systemd/journal/socket").exists() and shutil.which("journalctl") is not None


def parse(data: bytes, *, own_pid: int) -> Line | None:
    """Make a line of an entry; None for one that the agent wrote itself."""
    try:
        entry = _decoder.decode(data)
    except UNDECODABLE:
        return Line(now(), USER_INFO, "journald", text_of(data))
    if entry.pid == str(own_pid):  # it has them in its own stream
        return None
    severity = _number(entry.priority, 6, most=7)
    facility = _number(entry.facility, 1, most=23)
    program = _bytes(entry.identifier) or _bytes(entry.command) or b"-"
    return Line(
        _number(entry.realtime, now(), most=1 << 62),
        facility * 8 + severity,
        program_of(program.decode("utf-8", "replace")),
        text_of(_bytes(entry.message) or b""),
        SOURCE if entry.cursor else "",
        entry.cursor,
    )


def _bytes(value: object) -> bytes | None:
    match value:
        case str():
            return value.encode("utf-8", "replace")
        case [int(), *_]:
            return bytes(b for b in value if isinstance(b, int) and 0 <= b < 256)
        case [first, *_]:
            return _bytes(first)
    return None


def _number(value: object, otherwise: int, *, most: int) -> int:
    if isinstance(value, str) and value.isdecimal() and int(value) <= most:
        return int(value)
    return otherwise


class Journal:
    """Follows the journal.

    Args:
        cursor: from the spool, where it stood; "" to begin.
        command: what to run; its arguments are added.
    """

    def __init__(self, queue: LineQueue, cursor: str, *, command: str = "journalctl") -> None:
        self._queue = queue
        self._cursor = cursor
        self._command = command

    async def run(self) -> None:
        """Follow the journal until cancelled; start journalctl again when it ends."""
        delay = 1.0
        while True:
            try:
                if await self._follow():
                    delay = 1.0
            except OSError as error:
                log.warning("the journal cannot be read: %s", error)
            await asyncio.sleep(delay)
            delay = min(SLOWEST_SECONDS, delay * 2)

    async def _follow(self) -> bool:
        """Run journalctl to its end; True when it gave anything."""
        start = [f"--after-cursor={self._cursor}"] if self._cursor else [
            "--boot", f"--lines={FIRST_LINES}",
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            self._command, "--follow", "--all", "--output=json", "--quiet", *start,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        errors = asyncio.create_task(process.stderr.read(1024))
        try:
            gave = await self._relay(process.stdout)
            code = await process.wait()
            log.warning("journalctl ended with %d: %s", code, text_of(await errors).strip())
            return gave
        finally:
            errors.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _relay(self, stream: asyncio.StreamReader) -> bool:
        gave = False
        own_pid = os.getpid()
        while data := await self._line(stream):
            line = parse(data, own_pid=own_pid)
            if line is None:
                continue
            while not self._queue.offer([line]):  # noqa: ASYNC110 - the spooler is a thread
                await asyncio.sleep(0.1)  # the journal keeps what follows
            self._cursor = line.position or self._cursor
            gave = True
        return gave

    @staticmethod
    async def _line(stream: asyncio.StreamReader) -> bytes:
        try:
            return await stream.readline()
        except ValueError:  # what is left of the entry follows, and shows as it is
            return b"an entry of the journal was too long\n"
