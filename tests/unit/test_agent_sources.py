"""What the sources make of bytes: lines, syslog messages, journal entries, followed files."""

import asyncio
import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal import Journal
from agent.journal import parse as parse_journal
from agent.linequeue import LineQueue, Missing
from agent.lines import Line, Splitter, program_of, text_of
from agent.syslog import SyslogSocket, parse
from agent.tail import Tail
from hub.protocol import MAX_MESSAGE_BYTES
from tests.deadline import until


def queue(**limits: int) -> LineQueue:
    return LineQueue(lambda: None, **limits)


def texts(lines: LineQueue) -> list[str]:
    return [item.message if isinstance(item, Line) else str(item) for item in lines.take()]


# ── bytes to lines ────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b)), st.data())
def test_lines_are_the_same_however_they_are_read(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    splitter, found = Splitter(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += splitter.feed(stream[:size])
        stream = stream[size:]
    found += splitter.finish()
    assert found == [text_of(line.removesuffix(b"\r")) for line in lines]


def test_an_unended_line_comes_at_the_end() -> None:
    splitter = Splitter()
    assert splitter.feed(b"a\nb") == ["a"]
    assert splitter.finish() == ["b"]
    assert splitter.finish() == []


@pytest.mark.parametrize("piece", [1000, 70_000, 500_000])
def test_a_line_that_is_too_long_is_cut_and_says_so(piece: int) -> None:
    splitter, found = Splitter(), []
    data = b"x" * 300_000 + b"\nshort\n"
    for at in range(0, len(data), piece):
        found += splitter.feed(data[at : at + piece])
    long, short = found
    assert short == "short"
    head, mark = long.split(" …")
    assert mark == f"[{300_000 - len(head)} bytes cut]"
    assert MAX_MESSAGE_BYTES - 100 < len(long.encode()) <= MAX_MESSAGE_BYTES


@given(st.binary(max_size=200), st.integers(0, 3))
def test_text_is_always_utf8_and_short_enough(raw: bytes, times: int) -> None:
    text = text_of(raw * 1000 ** min(times, 1) if raw else raw)
    assert len(text.encode()) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES // 3, MAX_MESSAGE_BYTES - 1, MAX_MESSAGE_BYTES])
def test_bytes_that_are_no_utf8_show(size: int) -> None:
    assert text_of(b"\xff" + b"a" * 3) == "\ufffdaaa"
    assert len(text_of(b"\xff" * size).encode()) <= MAX_MESSAGE_BYTES


def test_programs_fit_rfc_5424() -> None:
    assert program_of("my prog\n") == "my_prog_"
    assert program_of("é" * 90) == "_" * 48
    assert program_of("") == "-"


# ── the queue ─────────────────────────────────────────────────────────────────────────────────


def line(text: str) -> Line:
    return Line(1, 14, "app", text)


def test_a_full_queue_drops_what_is_new_and_counts_it_in_its_place() -> None:
    lines = queue(max_lines=2)
    lines.put([line("a"), line("b"), line("c")])
    lines.put([line("d")])
    assert lines.dropped == 2
    assert lines.take() == [line("a"), line("b"), Missing(2)]
    lines.put([line("e")])
    assert texts(lines) == ["e"]


def test_a_patient_source_is_told_to_wait() -> None:
    lines = queue(max_bytes=1)
    assert lines.offer([line("a"), line("b")])
    assert not lines.offer([line("c")])
    assert texts(lines) == ["a", "b"]
    assert lines.offer([line("c")])
    assert lines.dropped == 0


def test_a_stream_that_is_off_takes_nothing() -> None:
    lines = LineQueue(lambda: None, enabled=False)
    lines.put([line("a")])
    assert lines.offer([line("b")])
    assert lines.take() == []


# ── syslog ────────────────────────────────────────────────────────────────────────────────────

AT = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("data", "priority", "program", "message"),
    [
        ("<38>Nov 23 10:00:00 sshd[77]: hello: you", 38, "sshd", "hello: you"),
        ("<38>Nov  3 10:00:00 box sshd[77]: hello", 38, "sshd", "hello"),
        ("<38>Nov  3 10:00:00 other sshd[77]: hello", 38, "-", "other sshd[77]: hello"),
        ("<13>no tag here", 13, "-", "no tag here"),
        ("<14>app: from Python's SysLogHandler\0", 14, "app", "from Python's SysLogHandler"),
        ("<0>kernel: oops", 0, "kernel", "oops"),
        ("<192>x", 13, "-", "<192>x"),
        ("<>x", 13, "-", "<>x"),
        ("<13", 13, "-", "<13"),
        ("", 13, "-", ""),
        ("just: text", 13, "-", "just: text"),
        ("<165>1 2023-11-14T22:13:21Z h evntslog 1 ID47 - hi", 165, "evntslog", "hi"),
        ("<165>1 - - - - - -", 165, "-", ""),
        ('<165>1 - h a - - [x@1 a="]\\"" b="2"][y] \ufeffhi', 165, "a", "hi"),
        (
            '<165>1 - h a - - [x@1 a="never closed hi',
            165,
            "-",
            '1 - h a - - [x@1 a="never closed hi',
        ),
        ("<13>two\nlines\n", 13, "-", "two\nlines"),
    ],
)
def test_syslog_messages(data: str, priority: int, program: str, message: str) -> None:
    found = parse(data.encode(), at=AT, host="box")
    assert (found.priority, found.program, found.message) == (priority, program, message)


def test_the_time_of_a_syslog_message() -> None:
    def at(stamp: str) -> int:
        return parse(f"<165>1 {stamp} h a - - - m".encode(), at=AT).time

    assert at("2023-11-14T22:13:21.000003Z") == 1_700_000_001_000_003
    assert at("2023-11-14T23:13:21+01:00") == 1_700_000_001_000_000
    assert at("-") == at("2023-11-14T22:13:21") == at("not-a-time") == AT


@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda t: f"<1>1 {t}".encode()))
)
def test_anything_is_a_syslog_message(data: bytes) -> None:
    found = parse(data, at=AT)
    assert 0 <= found.priority <= 191
    assert len(found.message.encode()) <= MAX_MESSAGE_BYTES


async def test_the_socket_takes_over_from_a_killed_agent(tmp_path: Path) -> None:
    lines, path = queue(), tmp_path / "dev" / "log"
    first = SyslogSocket(path, lines)
    first.open()
    served = SyslogSocket(path, lines)
    served.open()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for n in range(600):
            sender.setblocking(False)
            await asyncio.get_running_loop().sock_sendto(sender, f"<13>{n}".encode(), str(path))
    served.close()
    assert texts(lines) == [str(n) for n in range(600)]
    assert not path.exists()
    first.close()


# ── the journal ───────────────────────────────────────────────────────────────────────────────


def entry(**fields: object) -> bytes:
    return json.dumps({"__CURSOR": "s=1", **fields}).encode()


def test_journal_entries() -> None:
    found = parse_journal(
        entry(
            MESSAGE="hi", PRIORITY="3", SYSLOG_FACILITY="4", SYSLOG_IDENTIFIER="sudo",
            __REALTIME_TIMESTAMP="1700000000000001", _PID="1",
        ),
        own_pid=2,
    )  # fmt: skip
    assert found == Line(AT + 1, 35, "sudo", "hi", "journald", "s=1")


@pytest.mark.parametrize(
    ("message", "text"),
    [([104, 255], "h\ufffd"), (None, ""), (["one", "two"], "one"), (7, ""), ([[104], [105]], "h")],
)
def test_odd_texts_of_the_journal(message: object, text: str) -> None:
    found = parse_journal(entry(MESSAGE=message, PRIORITY="99", _COMM="cron"), own_pid=2)
    assert found is not None
    assert (found.message, found.program, found.priority) == (text, "cron", 14)


def test_the_agents_own_entries_and_what_is_no_entry() -> None:
    assert parse_journal(entry(MESSAGE="hi", _PID="2"), own_pid=2) is None
    broken = parse_journal(b'{"MESSAGE": "', own_pid=2)
    assert broken is not None
    assert broken.message == '{"MESSAGE": "'


async def test_the_journal_goes_on_at_its_cursor(tmp_path: Path) -> None:
    program, calls = tmp_path / "journalctl", tmp_path / "calls"
    entries = "".join(entry(MESSAGE=f"m{n}", __CURSOR=f"c{n}").decode() + "\n" for n in range(3))
    (tmp_path / "entries").write_text(entries)
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {calls}\ncat {tmp_path}/entries\n'
        f"[ $(wc -l < {calls}) = 1 ] || exec sleep 600\n"
    )
    program.chmod(0o755)
    lines = queue()
    reading = asyncio.create_task(Journal(lines, "", command=str(program)).run())
    await until(lambda: calls.exists() and calls.read_text().count("\n") == 2)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    first, second = calls.read_text().splitlines()
    assert "--boot --lines=1000" in first
    assert second.endswith("--after-cursor=c2")
    assert texts(lines)[:3] == ["m0", "m1", "m2"]


# ── followed files ────────────────────────────────────────────────────────────────────────────


class Followed:
    """A file, and a tail of it that can be restarted at its last position."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.queue = queue()
        self.position = ""
        self.tail = Tail(path, self.queue, "")

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def read(self) -> list[str]:
        for _ in range(20):
            self.tail.poll()
        items = [item for item in self.queue.take() if isinstance(item, Line)]
        if items:
            self.position = items[-1].position
        return [item.message for item in items]

    def restart(self) -> None:
        self.tail.close()
        self.tail = Tail(self.path, self.queue, self.position)


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "some.log")


def test_a_file_is_followed_from_its_end(followed: Followed) -> None:
    followed.write("old\n")
    assert followed.read() == []
    followed.write("new\nhalf")
    assert followed.read() == ["new"]
    followed.write(" a line\r\n")
    assert followed.read() == ["half a line"]
    followed.tail.close()


def test_a_file_that_appears_is_read_from_its_start(followed: Followed) -> None:
    assert followed.read() == []
    followed.write("first\n")
    assert followed.read() == ["first"]
    followed.tail.close()


def test_rotation_by_renaming_loses_nothing(followed: Followed) -> None:
    followed.read()
    followed.write("1\n")
    followed.read()
    followed.path.rename(f"{followed.path}.1")
    with Path(f"{followed.path}.1").open("a") as late:
        late.write("2 late\n3 without end")
    assert followed.read() == ["2 late"]
    followed.write("4\n")
    assert followed.read() == ["3 without end", "4"]
    followed.tail.close()


def test_rotation_while_the_agent_was_away(followed: Followed) -> None:
    followed.read()
    followed.write("1\n")
    followed.read()
    followed.write("2\n")
    followed.path.rename(f"{followed.path}.1")
    followed.write("3\n")
    followed.restart()
    assert followed.read() == ["2", "3"]
    followed.tail.close()


def test_truncation(followed: Followed) -> None:
    followed.read()
    followed.write("one\ntwo\n")
    assert followed.read() == ["one", "two"]
    os.truncate(followed.path, 0)
    followed.write("three\n")
    assert followed.read() == ["three"]
    os.truncate(followed.path, 0)
    followed.write("four, and it is longer than before\n")
    assert followed.read() == ["four, and it is longer than before"]
    followed.tail.close()


def test_another_file_in_the_place_of_the_old_one(followed: Followed) -> None:
    followed.read()
    followed.write("one\ntwo\n")
    followed.read()
    os.truncate(followed.path, 0)
    followed.write("something else that is longer\n")
    followed.restart()
    assert followed.read() == ["something else that is longer"]
    followed.tail.close()


def test_a_restart_goes_on_where_it_stopped(followed: Followed) -> None:
    followed.read()
    followed.write("1\n2\n")
    followed.read()
    followed.write("3\n")
    followed.restart()
    assert followed.read() == ["3"]
    followed.restart()
    assert followed.read() == []
    followed.tail.close()


def test_a_full_queue_makes_the_tail_wait(followed: Followed) -> None:
    followed.queue = queue(max_lines=1)
    followed.tail = Tail(followed.path, followed.queue, "")
    followed.read()
    followed.write("1\n2\n")
    followed.tail.poll()
    followed.write("3\n")
    for _ in range(5):
        followed.tail.poll()
    assert followed.read() + followed.read() == ["1", "2", "3"]
    assert followed.queue.dropped == 0
    followed.tail.close()


def test_a_line_without_end_does_not_fill_the_memory(followed: Followed) -> None:
    followed.read()
    followed.write("x" * (MAX_MESSAGE_BYTES + 10))
    assert followed.read() == ["x" * MAX_MESSAGE_BYTES]
    followed.tail.close()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    tail = Tail(tmp_path, queue(), "")
    assert not tail.poll()
