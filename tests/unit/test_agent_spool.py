"""The spool keeps its promises whatever the order of appends, acks, crashes and rot."""

import errno
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.batcher import Batch, Entry, Gap
from agent.lines import missing_text
from agent.segment import Writer
from agent.spool import PROGRAM, Spool
from hub.protocol import Lines, decode_header, decode_lines

SMALL = 256 * 1024
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # fsync costs nothing there


def batch(*texts: str, **positions: str) -> Batch:
    return Batch(Lines([1] * len(texts), 14, "app", list(texts)), positions)


def bulk(name: str, size: int = 20_000) -> Batch:
    """One line that takes about `size` bytes of disk."""
    return batch(f"{name} {random.Random(name).randbytes(size // 2).hex()}")


class Seen:
    """What a hub would see of a spool: one text for each sequence number."""

    def __init__(self, spool: Spool) -> None:
        self.texts: dict[int, str] = {}
        self.missing: set[int] = set()
        after = spool.acked
        while (stored := spool.next(after)) is not None:
            header = decode_header(stored.wire)
            assert (header.first, header.last) == (stored.first, stored.last)
            assert stored.first <= after + 1 <= stored.last, "contiguous"
            lines = decode_lines(stored.wire)
            if lines.programs == PROGRAM:
                assert lines.messages == [missing_text(header.span)]
                self.missing |= set(range(header.first, header.last + 1))
            else:
                self.texts |= dict(zip(range(header.first, header.last + 1), lines.messages))  # noqa: B905
            after = stored.last
        assert after == spool.last
        self.texts = {n: text for n, text in self.texts.items() if n > spool.acked}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as home:
        yield Path(home) / "spool"


@pytest.fixture
def open_spool(folder: Path) -> Iterator[Callable[..., Spool]]:
    made: list[Spool] = []

    def make(max_bytes: int = SMALL) -> Spool:
        for spool in made:
            spool.close()
        made.append(Spool.open(folder, max_bytes=max_bytes))
        return made[-1]

    yield make
    for spool in made:
        spool.close()


OpenSpool = Callable[..., Spool]


def test_a_new_spool_is_empty(open_spool: OpenSpool) -> None:
    spool = open_spool()
    assert (spool.last, spool.acked, spool.next(0)) == (0, 0, None)


def test_batches_come_back_as_they_were(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([batch("a", "b"), batch("c")])
    first, second = spool.next(0), spool.next(2)
    spool = open_spool()
    assert (spool.next(0), spool.next(2)) == (first, second)
    assert spool.next(1) == first, "a number within a batch gives the whole batch"
    assert spool.next(3) is None


def test_acknowledged_lines_are_gone_after_reopening(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([batch("a", "b"), batch("c")])
    spool.ack(2)
    assert open_spool().acked == 2
    assert Seen(open_spool()).texts == {3: "c"}


def test_numbers_go_on_when_everything_was_acknowledged(open_spool: OpenSpool) -> None:
    spool = open_spool()
    for n in range(30):
        spool.append([bulk(str(n))])
    spool.ack(30)
    assert spool.size < 2 * SMALL // 8
    spool = open_spool()
    assert (spool.last, spool.acked) == (30, 30)
    spool.append([batch("next")])
    assert Seen(spool).texts == {31: "next"}


def test_a_tail_that_is_torn_anywhere_leaves_what_is_whole(folder: Path) -> None:
    spool = Spool.open(folder, max_bytes=SMALL)
    texts = ("one", "two", "three")
    ends = []
    for text in texts:
        spool.append([batch(text, text)])
        ends.append(spool.size)
    spool.close()
    (path,) = folder.glob("*.spool")
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        for tail in (b"", b"\0" * 40, b"\xff" * 40):
            path.write_bytes(whole[:cut] + tail)
            spool = Spool.open(folder, max_bytes=SMALL)
            kept = [text for text, end in zip(texts, ends, strict=True) if end <= cut]
            assert spool.last == 2 * len(kept)
            spool.append([batch("new")])
            found = list(Seen(spool).texts.values())
            assert found == [*(text for text in kept for _ in range(2)), "new"]
            spool.close()


def test_when_it_is_full_the_oldest_lines_give_way_to_one_line(open_spool: OpenSpool) -> None:
    spool = open_spool()
    for n in range(1, 61):
        spool.append([bulk(str(n))])
        assert spool.size <= SMALL
    seen = Seen(spool)
    assert seen.missing == set(range(1, min(seen.texts)))
    assert set(seen.texts) | seen.missing == set(range(1, 61))
    assert spool.evicted == len(seen.missing) > 30
    stored = spool.next(0)
    assert stored is not None
    assert stored.last == max(seen.missing), "neighbours are one gap"
    again = Seen(open_spool())
    assert (again.texts, again.missing) == (seen.texts, seen.missing)


def test_a_gap_says_only_what_the_hub_does_not_have(open_spool: OpenSpool) -> None:
    spool = open_spool()
    for n in range(1, 41):
        spool.append([bulk(str(n))])
    gap = spool.next(0)
    assert gap is not None
    spool.ack(gap.last - 2)
    rest = spool.next(spool.acked)
    assert rest is not None
    assert (rest.first, rest.last) == (gap.last - 1, gap.last)
    assert decode_lines(rest.wire).messages == ["2 lines missing"]


def test_what_is_on_its_way_does_not_give_way(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([bulk("1"), bulk("2")])
    spool.append([bulk("3")])
    sent = spool.next(0)
    spool.pin(1)
    for n in range(4, 60):
        spool.append([bulk(str(n))])
    assert spool.next(0) == sent
    seen = Seen(spool)
    assert 1 in seen.texts
    assert len(seen.missing) > 30
    spool.pin(0)
    for n in range(60, 62):
        spool.append([bulk(str(n))])
    assert 1 in Seen(spool).missing


def test_a_gap_on_its_way_keeps_its_bytes(open_spool: OpenSpool) -> None:
    spool = open_spool()
    for n in range(1, 41):
        spool.append([bulk(str(n))])
    gap = spool.next(0)
    assert gap is not None
    spool.pin(gap.last)
    for n in range(41, 81):
        spool.append([bulk(str(n))])
    assert spool.next(0) == gap
    following = spool.next(gap.last)
    assert following is not None
    assert "missing" in decode_lines(following.wire).messages[0]


def test_lines_that_never_reached_the_spool_have_their_numbers(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([batch("a"), Gap(5, 77), batch("b")])
    seen = Seen(spool)
    assert (seen.texts, seen.missing) == ({1: "a", 7: "b"}, {2, 3, 4, 5, 6})
    gap = spool.next(1)
    assert gap is not None
    assert decode_lines(gap.wire).times == [77]


@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "remove"])
def test_a_rotten_segment_in_the_middle_is_a_gap(
    folder: Path, open_spool: OpenSpool, harm: str
) -> None:
    spool = open_spool(4 * SMALL)
    for n in range(1, 41):
        spool.append([bulk(str(n))])
    whole = Seen(spool)
    spool.close()
    victim = sorted(folder.glob("*.spool"))[2]
    data = bytearray(victim.read_bytes())
    match harm:
        case "flip":
            data[len(data) // 2] ^= 1
            victim.write_bytes(data)
        case "cut":
            victim.write_bytes(data[: len(data) // 2])
        case "empty":
            victim.write_bytes(b"")
        case "remove":
            victim.unlink()
    seen = Seen(open_spool(4 * SMALL))
    assert seen.missing
    assert set(seen.texts) | seen.missing == set(whole.texts)
    assert seen.texts.items() <= whole.texts.items()


def test_rot_under_a_running_spool_is_a_gap_and_new_lines_are_safe(
    folder: Path, open_spool: OpenSpool
) -> None:
    spool = open_spool()
    spool.append([batch("a")])
    spool.append([batch("b")])
    (path,) = folder.glob("*.spool")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    first = Seen(spool)
    assert (first.texts, first.missing) == ({1: "a"}, {2})
    spool.append([batch("c")])
    assert Seen(spool).texts == {1: "a", 3: "c"}
    assert Seen(open_spool()).missing == {2}


def test_positions_are_those_of_the_last_lines_on_disk(open_spool: OpenSpool) -> None:
    spool = open_spool()
    spool.append([batch("a", file="1"), batch("b", file="2", journald="x")])
    for n in range(40):
        spool.append([bulk(str(n))])
    spool.append([batch("c", journald="y")])
    spool.ack(spool.last)
    assert open_spool().positions == {"file": "2", "journald": "y"}


@pytest.mark.parametrize("fault", ["pwrite", "fdatasync"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_full_disk_leaves_the_spool_as_it_was(
    open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch, fault: str, *, fresh: bool
) -> None:
    spool = open_spool()
    if not fresh:
        spool.append([batch("a")])
    before = Seen(spool).texts

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"agent.segment.os.{fault}", fail)
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                spool.append([batch("b"), batch("c")])
        assert Seen(spool).texts == before
    spool.append([batch("b"), batch("c")])
    expected = [*before.values(), "b", "c"]
    assert list(Seen(spool).texts.values()) == expected
    assert list(Seen(open_spool()).texts.values()) == expected


def test_a_full_disk_does_not_harm_acknowledging(
    open_spool: OpenSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.append([batch("a"), batch("b")])

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Writer, "write", fail)
        spool.ack(1)
    assert spool.acked == 1
    spool.append([batch("c")])
    assert Seen(spool).texts == {2: "b", 3: "c"}
    assert Seen(open_spool()).texts.keys() >= {2, 3}


entries: st.SearchStrategy[Entry] = st.one_of(
    st.lists(st.text(max_size=20), min_size=1, max_size=4).map(lambda t: batch(*t)),
    st.integers(0, 10_000).map(lambda n: bulk(str(n), 9_000)),
    st.integers(1, 9).map(lambda n: Gap(n, 5)),
)


class SpoolMachine(RuleBasedStateMachine):
    """Any order of what can happen, compared with a model that is a dictionary.

    `lines` holds every line by its number, None for one that was lost before the spool.
    """

    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory(dir=MEMORY)
        self.folder = Path(self.home.name)
        self.spool = Spool.open(self.folder, max_bytes=SMALL)
        self.lines: dict[int, str | None] = {}
        self.gone: set[int] = set()
        self.acked = 0

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.home.cleanup()

    @rule(group=st.lists(entries, min_size=1, max_size=6))
    def append(self, group: list[Entry]) -> None:
        self.spool.append(group)
        for entry in group:
            texts: list[str | None] = (
                [None] * entry.span if isinstance(entry, Gap) else list(entry.lines.messages)
            )
            for text in texts:
                self.lines[len(self.lines) + 1] = text

    @rule(part=st.floats(0, 1))
    def ack(self, part: float) -> None:
        target = self.acked + int((len(self.lines) - self.acked) * part)
        self.spool.ack(target)
        self.acked = max(self.acked, target)

    @rule(part=st.floats(0, 1))
    def pin(self, part: float) -> None:
        self.spool.pin(self.acked + int((len(self.lines) - self.acked) * part))

    @rule()
    def reopen(self) -> None:
        self.spool.close()
        self.spool = Spool.open(self.folder, max_bytes=SMALL)
        assert self.spool.acked <= self.acked, "never more than was acknowledged"
        self.spool.ack(self.acked)  # as the hub's mark does

    @precondition(lambda self: self.lines)
    @rule(part=st.floats(0, 1))
    def tear(self, part: float) -> None:
        """Lose power: the newest file is cut anywhere; then only its last lines may be gone."""
        self.spool.close()
        newest = max(self.folder.glob("*.spool"))
        size = newest.stat().st_size
        cut = int(size * part)
        os.truncate(newest, cut)
        self.spool = Spool.open(self.folder, max_bytes=SMALL)
        last = self.spool.last
        assert int(newest.stem) - 1 <= last <= len(self.lines)
        if cut == size:
            assert last == len(self.lines)
        self.lines = {n: text for n, text in self.lines.items() if n <= last}
        self.gone = {n for n in self.gone if n <= last}
        self.acked = min(self.acked, last)
        self.spool.ack(self.acked)

    @invariant()
    def every_line_is_there_or_accounted_for(self) -> None:
        if not hasattr(self, "spool"):
            return
        seen = Seen(self.spool)
        assert self.spool.last == len(self.lines)
        assert self.spool.acked == self.acked
        assert set(seen.texts) | seen.missing == set(range(self.acked + 1, len(self.lines) + 1))
        for number, text in seen.texts.items():
            assert text == self.lines[number]
        self.gone |= {n for n in seen.missing if self.lines[n] is not None}
        assert not self.gone & set(seen.texts), "what gave way does not come back"


SpoolMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSpoolMachine = SpoolMachine.TestCase
