"""The relay's small rules: cutting batches, retry, the unconfirmed window, host names."""

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.batches import Batch
from hub.contracts import Bus
from hub.destinations import Window
from hub.errors import Unavailable
from hub.outcomes import Partial
from hub.protocol import Lines
from hub.relay.admission import Rates
from hub.relay.contracts import ApplyIntegration, DescribeDevices, DeviceHosts, ProjectLimits
from hub.relay.counts import CountKey
from hub.relay.crew import Member
from hub.relay.cutting import fitting, subset, text_bytes
from hub.relay.dead_letters import header_text
from hub.relay.hosts import HostNames
from hub.relay.integrations import Integrations
from hub.relay.ledger import Entry
from hub.relay.letter_box import letters_in
from hub.relay.limits import Gate
from hub.relay.push import Failed, push
from hub.relay.reader import StoredMessage
from hub.relay.retry import Backoff, Breaker, Circuit
from hub.relay.share import Share, part_of
from hub.relay.stored import BatchId
from hub.relay.window import Unconfirmed
from hub.testing import make_batch
from tests.fixtures.relay import PROJECT, Directory, until


def message(sequence: int) -> StoredMessage:
    return StoredMessage("relay.0.p.log.app", b"", {}, sequence, 0, 0, f"reply {sequence}")


# ── cutting ───────────────────────────────────────────────────────────────────────────────────


@given(
    st.lists(st.text(max_size=8), min_size=1, max_size=20),
    st.integers(1, 25),
    st.integers(0, 60),
)
def test_as_many_lines_as_fit_and_not_one_more(
    messages: list[str], max_lines: int, max_bytes: int
) -> None:
    count, size = fitting(messages, max_lines, max_bytes)
    assert count <= max_lines
    assert size == text_bytes(messages[:count]) <= max_bytes
    if count < min(len(messages), max_lines):
        assert text_bytes(messages[: count + 1]) > max_bytes


@given(st.lists(st.integers(-2, 12)))
def test_a_subset_has_the_lines_that_were_asked_for(indexes: list[int]) -> None:
    first, second = make_batch("a", "b", "c"), make_batch("d", "e", "f", "g")
    batch = Batch("x", (*first.chunks, *second.chunks))
    wanted = sorted({index for index in indexes if 0 <= index < 7})
    part = subset(batch, indexes)
    assert [line.message for line in part] == ["abcdefg"[index] for index in wanted]
    ids = [line.id for line in batch]
    assert [line.id for line in part] == [ids[index] for index in wanted]
    assert all(isinstance(chunk.lines, Lines) for chunk in part.chunks)
    assert len(part.chunks) <= len(batch.chunks)


def test_batch_ids_come_back() -> None:
    batch = BatchId("dev_a", "metric.cpu", 3, 17, 5)
    assert BatchId.parse(str(batch)) == batch
    assert batch.last == 21


@pytest.mark.parametrize("text", ["", "a:b", "a:b:c:d:e", "a:b:1:2:3:4"])
def test_what_is_no_batch_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unpack|int"):
        BatchId.parse(text)


def test_a_header_holds_no_newline() -> None:
    assert header_text("no\r\nNats-Msg-Id: x\x00") == "no  Nats-Msg-Id: x"


def test_a_header_is_bounded_in_bytes() -> None:
    assert header_text("é" * 2_000) == "é" * 500


# ── retry ─────────────────────────────────────────────────────────────────────────────────────


def test_waits_grow_to_the_cap_and_vary() -> None:
    backoff = Backoff(base=1.0, cap=8.0)
    for limit in (1, 2, 4, 8, 8, 8):
        assert 0 <= backoff.next() <= limit
    assert len({Backoff(base=1.0, cap=8.0).next() for _ in range(10)}) > 1
    for _ in range(5_000):
        assert backoff.next() <= 8


def test_the_breaker_opens_and_closes() -> None:
    breaker = Breaker(base=0.1, cap=10.0, threshold=3)
    for _ in range(2):
        breaker.failed()
    assert breaker.circuit is Circuit.CLOSED
    assert 5 <= breaker.failed() <= 10
    assert breaker.circuit is Circuit.OPEN
    breaker.succeeded()
    assert breaker.circuit is Circuit.CLOSED


@pytest.mark.parametrize(
    ("after", "least"), [(7.0, 7.0), (1e9, 3600.0), (-5.0, 0.0), (float("inf"), 3600.0)]
)
def test_what_the_destination_asks_for_is_waited_within_reason(after: float, least: float) -> None:
    assert least <= Breaker().failed(after) <= least + 1


# ── the window ────────────────────────────────────────────────────────────────────────────────


def entry(sequence: int) -> Entry:
    return Entry(message(sequence), -1, 0)


def test_bytes_written_after_it_confirm_what_was_written() -> None:
    window = Unconfirmed(Window(size=100, age=60.0))
    entries = [entry(sequence) for sequence in (1, 2, 3)]
    for one in entries:
        window.add([(one, 5)], 60, now=0.0)
    assert window.confirmed(now=1.0) == [(entries[0], 5)]
    assert len(window) == 2


def test_age_confirms_over_several_connections() -> None:
    window = Unconfirmed(Window(size=100, age=60.0))
    one = entry(1)
    window.add([(one, 5)], 10, now=0.0)
    assert window.due() == 60.0
    window.lost(now=40.0)
    assert len(window) == 0
    window.add([(one, 5)], 10, now=50.0)
    assert window.confirmed(now=69.0) == []
    assert window.confirmed(now=70.0) == [(one, 5)]


def test_age_confirms_nothing_that_has_not_left() -> None:
    window = Unconfirmed(Window(size=1_000, age=60.0))
    entries = [entry(sequence) for sequence in (1, 2)]
    for one in entries:
        window.add([(one, 5)], 10, now=0.0)
    window.arrived_but(8)
    assert window.confirmed(now=100.0) == [(entries[0], 5)]
    assert window.due() is None
    window.lost(now=100.0)
    window.add([(entries[1], 5)], 10, now=200.0)
    window.arrived_but(0)
    assert window.due() == 260.0, "what waited in a buffer grew no older there"
    assert window.confirmed(now=260.0) == [(entries[1], 5)]


def test_what_closed_well_is_confirmed_whole() -> None:
    window = Unconfirmed(Window(size=100, age=60.0))
    first, second = entry(3), entry(4)
    window.add([(first, 1)], 10, now=0.0)
    window.add([(first, 5), (second, 2)], 10, now=0.0)
    assert window.all_confirmed() == [(first, 1), (first, 5), (second, 2)]
    assert window.due() is None


# ── host names ────────────────────────────────────────────────────────────────────────────────


async def test_names_are_asked_for_once_and_again_after_a_change() -> None:
    directory = Directory()
    directory.hosts = {"dev_a": "kitchen"}
    hosts = HostNames(cast("Bus", directory))
    assert await hosts.look_up(PROJECT, ["dev_a", "dev_b"]) == {
        "dev_a": "kitchen",
        "dev_b": "dev_b",
    }
    assert hosts.known(PROJECT, "dev_a") == "kitchen"
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "kitchen"}
    assert directory.asked == 1
    directory.hosts = {"dev_a": "cellar"}
    hosts.forget(PROJECT, "dev_a")
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "cellar"}


async def test_a_directory_that_is_away_costs_the_name_and_nothing_else() -> None:
    now = 0.0
    directory = Directory()
    hosts = HostNames(cast("Bus", directory), clock=lambda: now)
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "dev_a"}
    directory.hosts = {"dev_a": "kitchen"}
    assert hosts.known(PROJECT, "dev_a") == "dev_a"
    now = 6.0
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "kitchen"}
    directory.groups = {"dev_a": "pumps"}
    hosts.forget(PROJECT, "dev_a")
    assert await hosts.group(PROJECT, "dev_a") == "pumps"
    assert await hosts.group(PROJECT, "dev_b") == "default"
    directory.hosts = None
    now = 700.0
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "kitchen"}, "the old one is best"
    assert await hosts.group(PROJECT, "dev_a") == "pumps"


async def test_a_group_that_nobody_ever_knew_is_not_guessed() -> None:
    hosts = HostNames(cast("Bus", Directory()))
    with pytest.raises(Unavailable, match="groups"):
        await hosts.group(PROJECT, "dev_a")


class HangingDirectory:
    """Answers nothing until it is told to."""

    def __init__(self) -> None:
        self.asked: list[DescribeDevices] = []
        self.mended = asyncio.Event()

    async def request(
        self, _contract: object, request: DescribeDevices, *, timeout: float | None = None
    ) -> DeviceHosts:
        self.asked.append(request)
        await self.mended.wait()
        return DeviceHosts({device: f"host of {device}" for device in request.devices})


async def test_a_directory_that_hangs_is_waited_for_once_for_all_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hub.relay.hosts._PATIENCE", 0.01)
    now = 0.0
    directory = HangingDirectory()
    hosts = HostNames(cast("Bus", directory), clock=lambda: now)
    for number in range(50):
        device = f"dev_{number}"
        assert await hosts.look_up(f"prj_{number % 3}", [device]) == {device: device}
    with pytest.raises(Unavailable, match="groups"):
        await hosts.group(PROJECT, "dev_a")
    assert len(directory.asked) == 1
    now = 5.5
    assert await hosts.look_up(PROJECT, ["dev_x"]) == {"dev_x": "dev_x"}
    await until(lambda: len(directory.asked) == 2)
    directory.mended.set()
    await until(lambda: hosts.known(PROJECT, "dev_x") == "host of dev_x")
    assert hosts.known("prj_0", "dev_0") == "host of dev_0", "late is better than never"
    assert await hosts.look_up(PROJECT, ["dev_y"]) == {"dev_y": "host of dev_y"}
    await hosts.close()


async def test_what_changes_while_it_is_asked_for_is_used_and_asked_for_again() -> None:
    directory = HangingDirectory()
    hosts = HostNames(cast("Bus", directory))
    asking = asyncio.ensure_future(hosts.look_up(PROJECT, ["dev_a", "dev_b"]))
    await until(lambda: len(directory.asked) == 1)
    hosts.forget(PROJECT, "dev_a")
    directory.mended.set()
    assert await asking == {"dev_a": "host of dev_a", "dev_b": "host of dev_b"}
    assert hosts.known(PROJECT, "dev_b") == "host of dev_b"
    assert hosts.known(PROJECT, "dev_a") is None, "the answer may be older than the change"
    assert await hosts.look_up(PROJECT, ["dev_a"]) == {"dev_a": "host of dev_a"}
    assert hosts.known(PROJECT, "dev_a") == "host of dev_a"
    assert len(directory.asked) == 2
    await hosts.close()


# ── plugins, clocks and processes that are not as they should be ──────────────────────────────


@pytest.mark.parametrize(
    "partial",
    [
        Partial(rejected=[3]),  # type: ignore[list-item]
        Partial(rejected=[("3", "no")]),  # type: ignore[list-item]
        Partial(retry=[1.5]),  # type: ignore[list-item]
        Partial(retry=["1"]),
    ],
)
async def test_a_partial_that_nobody_understands_is_a_failure(partial: Partial) -> None:
    class Confused:
        async def send(self, batch: Batch) -> None:
            raise partial

        async def close(self) -> None: ...

    outcome = await push(Confused(), Batch("", ()), 1.0)
    assert outcome == Failed("unexpected Partial", broken=True)


def test_a_fixed_letter_counts_for_its_source() -> None:
    counts = {"dead.p.int_a": 3, "dead.p.int_a.fixed.7": 2, "dead.q.intake": 1}
    assert letters_in(counts) == {"int_a": 4, "intake": 1}


async def test_limits_are_asked_for_again_though_the_clock_went_back() -> None:
    class Projects:
        asked = 0

        async def request(self, *_: object, timeout: float) -> ProjectLimits:
            self.asked += 1
            return ProjectLimits()

    now = [2e9]
    bus = Projects()
    gate = Gate(cast("Bus", bus), Rates(), clock=lambda: now[0])
    key = CountKey("log", "prj_one")
    for moment, asked in ((2e9, 1), (2e9 + 1, 1), (1.8e9, 2), (1.8e9 + 1, 2), (1.8e9 + 61, 3)):
        now[0] = moment
        gate.ask(key, 1, 1)
        for _ in range(5):
            await asyncio.sleep(0)
        assert bus.asked == asked
    await gate.close()


async def test_what_another_process_delivers_is_not_begun() -> None:
    """As when the processes of a hub were started with different numbers of parts."""
    other = next(n for n in map(str, range(9)) if part_of(n, 2) == 0)
    member = Member(Share(1, 2), cast("Integrations", None), cast("HostNames", None))
    with pytest.raises(Unavailable, match="part 1 of 2"):
        await member.apply(ApplyIntegration(None, other))
