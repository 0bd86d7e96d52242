"""The newest lines of a spool, read beside whoever writes it."""

from pathlib import Path

import pytest

from agent.batcher import Batch, Gap
from agent.recent import Recent
from agent.spool import Spool
from hub.protocol import Lines

SMALL = 256 * 1024


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "app"


def batch(first: int, count: int, size: int = 0) -> Batch:
    texts = [f"{number}" + "." * size for number in range(first, first + count)]
    return Batch(Lines([1_700_000_000_123_000] * count, 14, "web", texts), {})


def numbers(lines: list[str]) -> list[str]:
    return [line.split("web: ")[-1].rstrip(".") for line in lines]


def test_lines_show_their_time_and_program(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    spool.append([batch(1, 1)])
    (line,) = Recent(folder).last(10)
    assert line[10] == " "
    assert line[16:].endswith(":20.123 web: 1")


def test_what_is_acknowledged_can_be_read_through_several_segments(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    last = 0
    for _ in range(40):
        entry = batch(last + 1, 10, 7_000)
        spool.append([Batch(entry.lines, {"file:/x": "p" * 4_000})])  # which is not compressed
        last += 10
        spool.ack(last)
        assert numbers(Recent(folder).last(5)) == [str(n) for n in range(last - 4, last + 1)]
    assert len(list(folder.glob("*.spool"))) == 1
    assert spool.size <= SMALL


def test_what_comes_is_given_once_whatever_happens_to_the_segments(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    recent, seen, last = Recent(folder), [], 0
    assert list(recent.more()) == []
    for turn in range(60):
        spool.append([Batch(batch(last + 1, 3).lines, {"file:/x": "p" * 5_000})])
        last += 3
        if turn % 2:
            spool.ack(last)
        seen += numbers(list(recent.more()))
    assert seen == [str(n) for n in range(1, last + 1)]


def test_missing_lines_show(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    spool.append([batch(1, 2), Gap(4, 1), batch(7, 1)])
    assert [line[-16:] for line in Recent(folder).last(9)][2] == "… 4 lines missing"[-16:]


def test_a_torn_end_is_read_once_it_is_whole(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    spool.append([batch(1, 1)])
    (path,) = folder.glob("*.spool")
    before = path.read_bytes()
    spool.append([batch(2, 1)])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(before) + 20])
    recent = Recent(folder)
    assert numbers(list(recent.more())) == ["1"]
    path.write_bytes(whole)
    assert numbers(list(recent.more())) == ["2"]


def test_a_stream_that_never_was_has_no_lines(folder: Path) -> None:
    assert Recent(folder).last(10) == []
