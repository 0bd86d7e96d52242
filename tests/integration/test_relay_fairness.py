"""Tenants beside each other at the intake: limits, shares, turns, and metrics beside logs."""

import json
from collections.abc import Callable

from hub.protocol import Samples, encode_samples
from hub.relay.admission import Rates
from hub.relay.counts import LineCounts
from hub.relay.marks import MarkTable
from hub.relay.stored import MSG_ID
from tests.fixtures.relay import DEVICE, PROJECT, Bench, Message, make_payload, topic, until

FLOOD = "prj_flood"


def flood_topic(stream: str = "app", device: str = "dev_flood") -> str:
    return topic(stream, project=FLOOD, device=device)


def said(bench: Bench, op: str) -> list[dict[str, object]]:
    every = (json.loads(payload) for payload in bench.answers.payloads)
    return [answer for answer in every if answer["op"] == op]


def all_acked(messages: list[Message]) -> Callable[[], bool]:
    return lambda: all(message.acked for message in messages)


async def stored_ids(bench: Bench, stream: str = "RELAY_0") -> list[str]:
    js = bench.nats.jetstream()
    last = (await js.stream_info(stream)).state.last_seq
    messages = [await js.get_msg(stream, n) for n in range(1, last + 1)]
    return [(message.headers or {})[MSG_ID] for message in messages]


async def test_a_quiet_project_does_not_wait_behind_a_flood(bench: Bench) -> None:
    """Eight megabytes fit one commit: sixteen of these, and there are a hundred."""
    large = make_payload(1, 1)
    payloads = [bytearray(make_payload(n, 1)) for n in range(1, 101)]
    flood = [
        bench.take(bytes(payload) + bytes(500_000 - len(large)), flood_topic())
        for payload in payloads
    ]
    quiet = [bench.take(make_payload(n, 1)) for n in range(1, 4)]
    await until(all_acked([*flood, *quiet]))
    ids = await stored_ids(bench)
    places = [ids.index(f"{DEVICE}:app:1:{n}:1") for n in range(1, 4)]
    assert places == sorted(places)
    assert places[-1] < 20, "in the first commit after the one that was under way"
    flooded = [text for text in ids if text.startswith("dev_flood")]
    assert flooded == [f"dev_flood:app:1:{n}:1" for n in range(1, 101)], "in order"


async def test_a_flood_has_a_quarter_of_the_window_while_others_come(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {}, window=40)
    quiet = bench.take(make_payload(1, 1))
    flood = [bench.take(make_payload(n, 1), flood_topic()) for n in range(1, 31)]
    assert [message.acked for message in flood] == [False] * 10 + [True] * 20
    [slow] = said(bench, "slow")
    assert slow == {"op": "slow", "stream": "app", "boot": 1, "seq": 10, "wait": 1.0}
    bench.start(bench.writer.run())
    await until(all_acked([quiet, *flood]))
    assert said(bench, "resume") == [], "it was told where to go on"
    rest = [bench.take(make_payload(n, 1), flood_topic()) for n in range(11, 21)]
    await until(all_acked(rest))
    assert len(await stored_ids(bench)) == 21


async def test_over_the_limit_a_device_is_asked_to_wait_and_loses_nothing(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=1))
    bench.start(bench.writer.run())
    sent = [bench.take(make_payload(1 + 100 * n, 100)) for n in range(5)]
    assert [message.acked for message in sent] == [False, True, True, True, True]
    [slow] = said(bench, "slow")
    assert (slow["boot"], slow["seq"]) == (1, 100)
    assert said(bench, "resume") == []
    await until(all_acked(sent))
    again = bench.take(make_payload(101, 100))
    assert again.acked
    assert len(said(bench, "slow")) == 2, "who does not wait is told again"
    other = bench.take(make_payload(1, 100), flood_topic())
    await until(lambda: other.acked)
    assert said(bench, "ack")[-1]["seq"] == 100
    text = b'isaax_intake_slowed_total{reason="limit"} 2.0'
    assert text in bench.metrics.render()


async def test_what_is_known_is_acknowledged_whatever_the_limit(bench: Bench) -> None:
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=1))
    bench.start(bench.writer.run())
    await bench.store(1, 100)
    again = bench.take(make_payload(1, 100))
    assert again.acked
    assert said(bench, "slow") == []
    assert said(bench, "ack")[-1]["seq"] == 100


async def test_each_message_says_how_many_lines_came_before_it(bench: Bench) -> None:
    await bench.store(1, 3)
    await bench.store(1, 5, to=topic("sys"))
    await bench.store(1, 7, to=flood_topic())
    samples = encode_samples(Samples([1] * 4, "a", [1.0] * 4), boot=1, first=1)
    metric = bench.take(samples, topic().replace("log/app", "metric/cpu"))
    await until(lambda: metric.acked)
    await bench.store(4, 1)
    js = bench.nats.jetstream()
    counts = [(await js.get_msg("RELAY_0", n)).headers for n in range(1, 5)]
    assert [(headers or {})["Isaax-Line"] for headers in counts] == ["0", "3", "0", "8"]
    assert ((await js.get_msg("METRIC_0", 1)).headers or {})["Isaax-Line"] == "0"
    assert bench.counts.take_changed() == {
        ("log", PROJECT): 9,
        ("log", FLOOD): 7,
        ("metric", PROJECT): 4,
    }


async def test_a_commit_of_logs_does_not_wait_for_one_of_metrics(bench: Bench) -> None:
    samples = Samples([1] * 100, "a", [1.0] * 100)
    flood = [
        bench.take(
            encode_samples(samples, boot=1, first=1 + 100 * n),
            flood_topic().replace("log/app", "metric/cpu"),
        )
        for n in range(1_000)
    ]
    logs = [bench.take(make_payload(n, 1)) for n in range(1, 21)]
    await until(all_acked(logs))
    await until(all_acked(flood))
    ids = await stored_ids(bench)
    assert ids == [f"{DEVICE}:app:1:{n}:1" for n in range(1, 21)]
    acks = [answer for answer in said(bench, "ack") if answer["stream"] == "app"]
    assert [answer["seq"] for answer in acks] == sorted(answer["seq"] for answer in acks)
