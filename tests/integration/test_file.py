"""The file destination on a real disk: rotation, half lines, and a disk that takes no more."""

import asyncio
import errno
import fcntl
import gzip
import os
import resource
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub import structs
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Retry
from hub.testing import eventually, make_batch
from plugins.file import isaax_destinations
from plugins.file.config import FileConfig
from plugins.file.destination import File
from plugins.file.logfile import LogFile

START = 1_795_446_245_123_456  # 2026-11-23T15:04:05Z
DAY = 86_400


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START / 1e6

    def __call__(self) -> float:
        """Give the time."""
        return self.now


@asynccontextmanager
async def writing(
    folder: Path | None, clock: Clock | None = None, **config: Any
) -> AsyncIterator[File]:
    """Give a destination that writes there."""
    async with tools_for("int_x", private_hosts=True, folder=folder) as tools:
        decoded = structs.decode(FileConfig, config)
        destination = File(decoded, tools, clock=clock or Clock())
        try:
            yield destination
        finally:
            await destination.close()


def messages(path: Path) -> list[str]:
    """Give the messages of a file of JSON lines."""
    data = path.read_bytes()
    plain = gzip.decompress(data) if path.suffix == ".gz" else data
    assert plain.endswith(b"\n")
    return [msgspec.json.decode(line)["message"] for line in plain.splitlines()]


def rotated(folder: Path) -> list[Path]:
    """Give what was rotated, oldest first."""
    return sorted(path for path in folder.iterdir() if path.name.count(".") > 1)


async def test_a_json_line_has_all_that_is_known_and_a_stable_id(tmp_path: Path) -> None:
    """Whatever the message holds, a line is a line."""
    async with writing(tmp_path / "a" / "b") as to:
        await to.send(make_batch("two\nlines", time_us=START, first=41))
    (line,) = (tmp_path / "a" / "b" / "lines.log").read_bytes().splitlines()
    assert msgspec.json.decode(line) == {
        "id": "dev_aaaaaaaaaaaaaaaaaaaa-app-1-41",
        "time": "2026-11-23T15:04:05.123456Z",
        "device": "dev_aaaaaaaaaaaaaaaaaaaa",
        "host": "pump-1",
        "stream": "app",
        "facility": 1,
        "severity": 6,
        "program": "demo",
        "message": "two\nlines",
    }


async def test_text_forms_hold_one_line_for_each(tmp_path: Path) -> None:
    """RFC 5424 carries the id; the text form is the message alone."""
    async with writing(tmp_path, name="syslog", format="rfc5424") as to:
        await to.send(make_batch("a\nb", time_us=START, first=41))
    assert (tmp_path / "syslog.log").read_text() == (
        '<14>1 2026-11-23T15:04:05.123456Z pump-1 demo app-1 - [meta sequenceId="41"] a#012b\n'
    )
    async with writing(tmp_path, name="plain", format="text") as to:
        await to.send(make_batch("a\r\nb\0c", "", "größer"))
    assert (tmp_path / "plain.log").read_text() == "a#015#012b#000c\n\ngrößer\n"


async def test_a_file_is_rotated_by_size_compressed_and_pruned(tmp_path: Path) -> None:
    """No line is lost on the way, and only so many files are kept."""
    clock = Clock()
    async with writing(tmp_path, clock, max_bytes=4096, keep=3) as to:
        for number in range(30):
            clock.now += 1
            await to.send(make_batch(f"{number} {'x' * 1500}"))
        await eventually(
            lambda: [path.suffix for path in rotated(tmp_path)] == [".gz"] * 3, "it was tidied up"
        )
    kept = [text for path in rotated(tmp_path) for text in messages(path)]
    kept += messages(tmp_path / "lines.log")
    assert [int(text.split()[0]) for text in kept] == list(range(30 - len(kept), 30))
    assert {path.suffix for path in rotated(tmp_path)} == {".gz"}
    assert (tmp_path / "lines.log").stat().st_size <= 4096


async def test_a_file_is_rotated_when_its_day_is_over_also_after_a_restart(tmp_path: Path) -> None:
    """By when it was last written to, which is on the disk."""
    clock = Clock()
    async with writing(tmp_path, clock, gzip=False) as to:
        await to.send(make_batch("monday"))
        await to.send(make_batch("monday, later"))
    os.utime(tmp_path / "lines.log", (clock.now, clock.now))
    clock.now += DAY
    async with writing(tmp_path, clock, gzip=False) as to:
        await to.send(make_batch("tuesday"))
    (monday,) = rotated(tmp_path)
    assert monday.name == "lines.20261124T150405123456.log"
    assert messages(monday) == ["monday", "monday, later"]
    assert messages(tmp_path / "lines.log") == ["tuesday"]


async def test_two_writers_of_one_folder_mix_up_no_line(tmp_path: Path) -> None:
    """The hub delivers, replays and tests by objects of their own."""
    async with (
        writing(tmp_path, max_bytes=20_000, keep=1000) as one,
        writing(tmp_path, max_bytes=20_000, keep=1000) as two,
    ):

        async def fill(to: File, name: str) -> None:
            for number in range(40):
                await to.send(make_batch(f"{name} {number} {'x' * 500}", f"{name} {number} again"))

        await asyncio.gather(fill(one, "one"), fill(two, "two"))
    everything = [
        text for path in [*rotated(tmp_path), tmp_path / "lines.log"] for text in messages(path)
    ]
    for name in ("one", "two"):
        mine = [int(text.split()[1]) for text in everything if text.startswith(name)]
        assert mine == [number for number in range(40) for _ in range(2)]
    assert len(everything) == 160


async def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    """However long it is."""
    whole = b'{"message":"whole"}\n'
    for rest in (b"", b'{"mess', b"x" * 200_000):
        (tmp_path / "lines.log").write_bytes(whole + rest)
        async with writing(tmp_path) as to:
            await to.send(make_batch("next"))
        assert messages(tmp_path / "lines.log") == ["whole", "next"]
    (tmp_path / "lines.log").write_bytes(b"no end")
    async with writing(tmp_path) as to:
        await to.send(make_batch("next"))
    assert messages(tmp_path / "lines.log") == ["next"]


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """Let no file grow beyond this: a write is taken in part, and the next one not at all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_leaves_no_half_line_and_is_told_in_words(tmp_path: Path) -> None:
    """The batch comes again as a whole."""
    async with writing(tmp_path) as to:
        await to.send(make_batch("before"))
        with full_at(100_000), pytest.raises(Retry, match=r"lines\.log cannot be written: File"):
            await to.send(make_batch(*["x" * 1000] * 300))
        assert messages(tmp_path / "lines.log") == ["before"]
        await to.send(make_batch("after"))
    assert messages(tmp_path / "lines.log") == ["before", "after"]


async def test_the_folder_may_be_deleted_and_the_file_moved_away(tmp_path: Path) -> None:
    """The next batch makes them anew."""
    folder = tmp_path / "own"
    async with writing(folder) as to:
        await to.send(make_batch("one"))
        (folder / "lines.log").rename(tmp_path / "moved.log")
        await to.send(make_batch("two"))
        assert messages(folder / "lines.log") == ["two"]
        shutil.rmtree(folder)
        await to.send(make_batch("three"))
    assert messages(tmp_path / "moved.log") == ["one"]
    assert messages(folder / "lines.log") == ["three"]


async def test_without_a_folder_it_says_what_is_missing() -> None:
    """The operator's setting, by name."""
    async with writing(None) as to:
        with pytest.raises(Retry, match=r"relay\.files"):
            await to.send(make_batch("one"))


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
async def test_it_writes_to_nothing_but_a_file_of_its_own(tmp_path: Path, kind: str) -> None:
    """A link, a pipe or a folder in its place is neither followed nor waited for."""
    folder, elsewhere = tmp_path / "own", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.write_bytes(b"")
    match kind:
        case "link":
            (folder / "lines.log").symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(folder / "lines.log")
        case "folder":
            (folder / "lines.log").mkdir()
    async with writing(folder) as to:
        with pytest.raises(Retry, match=r"lines\.log cannot be written: "):
            await to.send(make_batch("one"))
    assert elsewhere.read_bytes() == b""


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 64, "ü", "a\n"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    """At once, and with its place."""
    with pytest.raises(Invalid) as refused:
        structs.decode(isaax_destinations()[0].config, {"name": name})
    assert refused.value.errors[0].pointer == "/name"


async def test_a_send_that_is_given_up_while_it_writes_leaves_whole_lines(tmp_path: Path) -> None:
    """The thread goes on to its end, and the next send waits for that."""
    async with writing(tmp_path) as to:
        for number in range(20):
            giving_up = asyncio.create_task(to.send(make_batch(*[f"{number}"] * 200)))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            giving_up.cancel()
            await asyncio.wait({giving_up})
        await to.send(make_batch("last"))
    found = messages(tmp_path / "lines.log")
    assert found[-1] == "last"
    assert all(found.count(str(number)) in {0, 200} for number in range(20))


def test_compressing_is_left_off_when_told_to_and_taken_up_again(tmp_path: Path) -> None:
    """A file is either as it was, or compressed."""
    config = FileConfig()
    log = LogFile(tmp_path, config)
    old = tmp_path / "lines.20261123T150405123456.log"
    old.write_bytes(b"x" * 3_000_000)
    stop = threading.Event()
    stop.set()
    log.tidy(stop)
    assert log.rotated() == [old]
    (tmp_path / f"{old.name}.gz.part").write_bytes(b"of a crash")
    log.tidy(threading.Event())
    (packed,) = log.rotated()
    assert gzip.decompress(packed.read_bytes()) == b"x" * 3_000_000
    assert list(tmp_path.iterdir()) == [packed]


def test_a_file_that_somebody_else_compresses_is_left_to_them(tmp_path: Path) -> None:
    """Two writers tidy up at the same time."""
    old = tmp_path / "lines.20261123T150405123456.log"
    old.write_bytes(b"x")
    log = LogFile(tmp_path, FileConfig())
    with old.open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        log.tidy(threading.Event())
        assert log.rotated() == [old]
    log.tidy(threading.Event())
    assert [path.suffix for path in log.rotated()] == [".gz"]


def test_a_failure_to_sync_takes_the_lines_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may not be on the disk is not left in the file to come twice."""
    log = LogFile(tmp_path, FileConfig())
    log.append(b"one\n")

    def fail(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output error"):
            log.append(b"two\n")
    log.append(b"three\n")
    log.close()
    assert (tmp_path / "lines.log").read_bytes() == b"one\nthree\n"
