"""Lines of sources that are no devices: stored, counted, bounded, and waited for."""

import asyncio
import json
import random
from typing import cast

import pytest

from hub.contracts import Bus
from hub.errors import Invalid, LimitReached, Unavailable
from hub.protocol import MAX_MESSAGE_BYTES, Lines, Mark, decode_header, decode_lines
from hub.relay.admission import Rates
from hub.relay.contracts import TokenDigest, TokenOwner
from hub.relay.counts import LineCounts
from hub.relay.ingest import Ingest, device_id
from hub.relay.marks import MarkTable
from hub.secret import Secret
from tests.fixtures.relay import PROJECT, Bench, make_lines, until

HOST = "router-1"
ROUTER = device_id(PROJECT, "syslog", HOST)


def ingest_of(bench: Bench, **changes: int) -> Ingest:
    return Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory), **changes)


async def stored(bench: Bench) -> list[tuple[str, dict[str, str], bytes]]:
    js = bench.nats.jetstream()
    last = (await js.stream_info("RELAY_0")).state.last_seq
    messages = [await js.get_msg("RELAY_0", n) for n in range(1, last + 1)]
    return [(m.subject or "", m.headers or {}, m.data or b"") for m in messages]


async def texts(bench: Bench) -> list[str]:
    return [text for _, _, data in await stored(bench) for text in decode_lines(data).messages]


async def test_lines_are_stored_when_submit_returns(bench: Bench) -> None:
    ingest = ingest_of(bench)
    await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 3))
    await ingest.submit(PROJECT, "syslog", HOST, make_lines(4, 2))
    await ingest.submit(PROJECT, "syslog", "router-2", make_lines(1, 1), stream="app")
    first, second, third = await stored(bench)
    assert ROUTER.startswith("src_")
    assert len(ROUTER) == 24
    assert first[0] == f"relay.0.{PROJECT}.log.sys"
    assert third[0] == f"relay.0.{PROJECT}.log.app"
    assert first[1]["Isaax-Host"] == HOST
    assert [headers["Isaax-Line"] for _, headers, _ in (first, second, third)] == ["0", "3", "5"]
    one, two = decode_header(first[2]), decode_header(second[2])
    assert (one.first, two.first, one.boot) == (1, 4, two.boot)
    assert first[1]["Nats-Msg-Id"] == f"{ROUTER}:sys:{one.boot}:1:3"
    assert bench.marks.of_device(PROJECT, ROUTER) == {"sys": Mark(one.boot, 5)}
    assert decode_lines(first[2]).messages == ["line 1", "line 2", "line 3"]


async def test_nothing_is_stored_of_nothing(bench: Bench) -> None:
    await ingest_of(bench).submit(PROJECT, "syslog", HOST, Lines([], 14, "app", []))
    assert await stored(bench) == []


async def test_many_lines_are_several_batches_in_order(bench: Bench) -> None:
    await ingest_of(bench).submit(PROJECT, "syslog", HOST, make_lines(1, 2_500))
    assert await texts(bench) == make_lines(1, 2_500).messages
    firsts = [decode_header(data).first for _, _, data in await stored(bench)]
    assert firsts == [1, 1_001, 2_001]


async def test_large_lines_are_batches_that_every_reader_takes(bench: Bench) -> None:
    characters = random.Random(5)
    messages = [
        "".join(chr(characters.randrange(0x4E00, 0x9E00)) for _ in range(20_000)) for _ in range(40)
    ]
    lines = Lines([1] * 40, 14, "app", messages)
    await ingest_of(bench).submit(PROJECT, "syslog", HOST, lines)
    assert await texts(bench) == messages


async def test_a_text_longer_than_a_line_is_cut(bench: Bench) -> None:
    messages = ["é" * 50_000, "x" * MAX_MESSAGE_BYTES, "short"]
    await ingest_of(bench).submit(PROJECT, "syslog", HOST, Lines([1] * 3, 14, "a", messages))
    cut, whole, short = await texts(bench)
    assert len(cut.encode()) <= MAX_MESSAGE_BYTES
    assert cut.endswith("é [cut here]")
    assert (whole, short) == (messages[1], "short")


@pytest.mark.parametrize(
    "lines",
    [
        Lines([1], 14, "app", ["a", "b"]),
        Lines([1], 192, "app", ["a"]),
        Lines([1 << 70], 14, "app", ["a"]),
        Lines([1], 14, "app", ["\ud800"]),
    ],
    ids=["columns", "priority", "time", "surrogate"],
)
async def test_lines_that_are_none_are_refused(bench: Bench, lines: Lines) -> None:
    with pytest.raises(Invalid):
        await ingest_of(bench).submit(PROJECT, "syslog", HOST, lines)
    with pytest.raises(Invalid):
        await ingest_of(bench).submit(PROJECT, "syslog", HOST, make_lines(1, 1), stream="cpu")
    assert await stored(bench) == []


async def test_over_its_limit_a_project_is_told_when_to_come_again(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=1))
    bench.start(bench.writer.run())
    ingest = ingest_of(bench)
    await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 50))
    with pytest.raises(LimitReached) as caught:
        await ingest.submit(PROJECT, "http", HOST, make_lines(1, 1))
    assert 40 < caught.value.retry_after < 50
    await ingest.submit("prj_other", "syslog", HOST, make_lines(1, 1))


async def test_a_limit_can_be_overdrawn_and_counts_all_the_same(bench: Bench) -> None:
    """What was read already, and would be lost."""
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=1))
    bench.start(bench.writer.run())
    ingest = ingest_of(bench)
    assert ingest.wait(PROJECT) == 0
    await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 50))
    before = ingest.wait(PROJECT)
    await ingest.submit(PROJECT, "syslog", HOST, make_lines(51, 100), overdraw=True)
    assert 40 < before < 50
    assert 140 < ingest.wait(PROJECT) < 150
    assert len(await texts(bench)) == 150
    assert ingest.wait("prj_other") == 0


async def test_who_asks_is_told_to_wait_while_there_is_no_room(bench: Bench) -> None:
    """Before lines are made of what came."""
    bench.begin(MarkTable(), LineCounts(), {})  # and nobody writes
    ingest = ingest_of(bench, patience=0, most_waiting=228)
    assert ingest.wait(PROJECT) == 0
    with pytest.raises(Unavailable, match="in time"):
        await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 1))
    with pytest.raises(Unavailable, match="more waits"):
        await ingest.submit(PROJECT, "syslog", HOST, make_lines(2, 1))
    assert ingest.wait(PROJECT) > 0
    assert ingest.wait("prj_other") == 0


async def test_what_is_not_stored_in_time_is_unavailable(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {})  # and nobody writes
    ingest = ingest_of(bench, patience=0, most_waiting=1_000)
    with pytest.raises(Unavailable, match="in time"):
        await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 1))
    with pytest.raises(Unavailable, match="more waits"):
        await ingest.submit(PROJECT, "syslog", HOST, make_lines(2, 2_000))
    bench.start(bench.writer.run())
    await until(lambda: not ingest._waiting)
    assert "line 1" in await texts(bench)


async def test_what_one_project_has_waiting_leaves_room_for_others(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {})  # and nobody writes
    ingest = ingest_of(bench, patience=0, most_waiting=4_000)
    outcomes = []
    for _ in range(50):
        with pytest.raises(Unavailable) as caught:
            await ingest.submit(PROJECT, "syslog", HOST, make_lines(1, 1))
        outcomes.append("more waits" in str(caught.value))
    assert outcomes == sorted(outcomes)
    assert outcomes[0] is False
    assert outcomes[-1] is True
    with pytest.raises(Unavailable, match="in time"):
        await ingest.submit("prj_other", "syslog", HOST, make_lines(1, 1))


async def test_hosts_are_bounded_and_made_fit_for_a_header(bench: Bench) -> None:
    ingest = ingest_of(bench, most_hosts=2)
    for host in ("a", "b\r\nIsaax-Line: 9", "c", "a", "bücher", ""):
        await ingest.submit(PROJECT, "syslog", host, make_lines(1, 1))
    hosts = [headers["Isaax-Host"] for _, headers, _ in await stored(bench)]
    assert hosts == ["a", "b__Isaax-Line:_9", "other", "a", "other", "other"]
    await ingest.submit(PROJECT, "http", "bücher", make_lines(1, 1))
    assert (await stored(bench))[-1][1]["Isaax-Host"] == "b_cher"


async def test_a_later_process_numbers_beyond_an_earlier_one(bench: Bench) -> None:
    await ingest_of(bench).submit(PROJECT, "syslog", HOST, make_lines(1, 2))
    before = bench.marks.of_device(PROJECT, ROUTER)["sys"]
    late = Ingest(
        bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory),
        clock=lambda: 1_000.0,  # the clock went back
    )  # fmt: skip
    await late.submit(PROJECT, "syslog", HOST, make_lines(1, 1))
    assert bench.marks.of_device(PROJECT, ROUTER)["sys"] == Mark(before.boot + 1, 1)


async def test_sources_and_devices_share_one_count(bench: Bench) -> None:
    ingest = ingest_of(bench)
    work = [ingest.submit(PROJECT, "syslog", f"h{n}", make_lines(1, 3)) for n in range(50)]
    await asyncio.gather(*work, bench.store(1, 10), bench.store(1, 10, to=_sys()))
    before = 0
    for _, headers, data in await stored(bench):
        assert int(headers["Isaax-Line"]) == before
        before += len(decode_lines(data))
    assert before == 170


def _sys() -> str:
    return f"d/{PROJECT}/dev_two/{'0' * 32}/log/sys"


# ── tokens ────────────────────────────────────────────────────────────────────────────────────


class Keeper:
    """A bus on which somebody keeps tokens."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.asked: list[str] = []

    async def request(self, _contract: object, request: TokenDigest) -> TokenOwner:
        self.asked.append(request.digest)
        return TokenOwner(self.project)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("project", [PROJECT, ""])
async def test_the_project_of_a_token_is_asked_for_and_remembered(
    bench: Bench, project: str
) -> None:
    keeper, clock = Keeper(project), Clock()
    ingest = Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", keeper), clock=clock)
    token = Secret("isp_secret")
    assert await ingest.project_of(token) == (project or None)
    assert await ingest.project_of(token) == (project or None)
    assert len(keeper.asked) == 1
    assert "isp_secret" not in json.dumps(keeper.asked)
    assert "isp_secret" not in repr(ingest._tokens)
    keeper.project = "prj_new"
    clock.now += 16.0
    assert await ingest.project_of(token) == "prj_new"


async def test_a_token_may_be_any_bytes(bench: Bench) -> None:
    """A header may hold what is no UTF-8; it is no token then, and nothing fails."""
    keeper = Keeper("")
    ingest = Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", keeper))
    assert await ingest.project_of(Secret("isp_\udcff")) is None
    assert len(keeper.asked) == 1


async def test_tokens_that_somebody_makes_up_displace_none_that_is_good(bench: Bench) -> None:
    """Else whoever has no token could have each good one asked for every time."""
    keeper = Keeper(PROJECT)
    ingest = Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", keeper), clock=Clock())
    assert await ingest.project_of(Secret("isp_good")) == PROJECT
    keeper.project = ""
    for number in range(10_001):
        assert await ingest.project_of(Secret(f"isp_{number}")) is None
    asked = len(keeper.asked)
    assert await ingest.project_of(Secret("isp_good")) == PROJECT
    assert len(keeper.asked) == asked
