"""Slack: which lines are told, in what message, how often, and what each answer means."""

import json
import traceback
from typing import Any

import pytest
from aiohttp import web

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.outcomes import Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.slack import isaax_destinations
from tests.fixtures.http_receivers import TOKEN, SlackServer, connected

(SLACK,) = isaax_destinations()
START = 1_795_446_245_123_456
ERRORS = {"name": "errors", "severity": "err"}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Give the time."""
        return self.now


async def told(batch: Batch, *rules: dict[str, Any], **config: Any) -> list[dict[str, Any]]:
    """Give the messages that come of a batch."""
    async with connected(SlackServer(rules=list(rules), **config), SLACK) as (server, to):
        await to.send(batch)
        return server.messages


def texts(message: dict[str, Any]) -> list[str]:
    """Give the texts of a message's blocks."""
    return [block["text"]["text"] for block in message["blocks"]]


# ── which lines ───────────────────────────────────────────────────────────────────────────────


async def test_no_line_that_matches_no_message() -> None:
    """The lines are done with."""
    assert await told(make_batch("one", "two", priorities=14), ERRORS) == []


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ({}, ["a.err", "a.info", "b.err", "b.crit"]),
        ({"severity": "err"}, ["a.err", "b.err", "b.crit"]),
        ({"severity": "crit"}, ["b.crit"]),
        ({"programs": ["b", "c"]}, ["b.err", "b.crit"]),
        ({"text": ".err"}, ["a.err", "b.err"]),
        ({"text": "."}, ["a.err", "a.info", "b.err", "b.crit"]),
        ({"regex": r"^a\.(err|info)$"}, ["a.err", "a.info"]),
        ({"regex": "(?i)CRIT"}, ["b.crit"]),
        ({"severity": "err", "programs": ["b"], "regex": "err"}, ["b.err"]),
        ({"text": "c.err"}, []),
    ],
)
async def test_a_rule_matches_where_all_of_it_holds(rule: dict[str, Any], shown: list[str]) -> None:
    """By severity, program, text and regular expression."""
    batch = make_batch(
        "a.err", "a.info", "b.err", "b.crit",
        priorities=[11, 14, 11, 10], programs=["a", "a", "b", "b"],
    )  # fmt: skip
    async with connected(SlackServer(rules=[{"name": "r"} | rule]), SLACK) as (server, to):
        await to.send(batch)
        assert server.taken() == shown


async def test_one_severity_and_program_for_a_whole_chunk() -> None:
    """The columns of a chunk may be one value."""
    rule = ERRORS | {"programs": ["demo"]}
    chunks = (make_chunk(["one"], priorities=11), make_chunk(["two"], priorities=14))
    (message,) = await told(Batch("b", chunks), rule)
    assert "one" in texts(message)[1]
    assert "two" not in texts(message)[1]


async def test_a_line_counts_for_the_first_rule_that_it_matches() -> None:
    """So that nothing is told twice."""
    batch = make_batch("disk full", "other", priorities=[11, 11])
    (message,) = await told(batch, {"name": "disks", "text": "disk"}, ERRORS)
    heads = texts(message)[::2]
    assert heads == ["*disks*: 1 line from pump-1 (1)", "*errors*: 1 line from pump-1 (1)"]


@pytest.mark.parametrize(("count", "messages"), [(4, 0), (5, 1)])
async def test_a_rule_may_want_several_lines(count: int, messages: int) -> None:
    """Within one batch, which is what happened since the last message."""
    batch = make_batch(*["refused"] * count)
    rule = {"name": "logins", "text": "refused", "at_least": 5}
    assert len(await told(batch, rule)) == messages


# ── the message ───────────────────────────────────────────────────────────────────────────────


async def test_a_message_sums_up_a_batch() -> None:
    """How many lines on which devices, the first and the last of them."""
    first = make_chunk([f"line {n}" for n in range(9)], time_us=START, priorities=11)
    last = make_chunk(["end"], host="pump-2", device="dev_b", time_us=START, priorities=11)
    (message,) = await told(Batch("b", (first, last)), ERRORS | {"name": "errors & <more>"})
    head, body = texts(message)
    assert head == "*errors &amp; &lt;more&gt;*: 10 lines from pump-1 (9), pump-2 (1)"
    assert message["text"] == head
    rows = body.split("\n")
    assert (rows[0], rows[-1]) == ("```", "```")
    assert rows[1] == "2026-11-23 15:04:05Z pump-1 demo err: line 0"
    assert rows[-2] == "2026-11-23 15:04:05Z pump-2 demo err: end"
    assert len(rows) == 12


async def test_a_flood_is_one_message() -> None:
    """With what was left out, as a number."""
    batch = make_batch(*[f"line {n}" for n in range(20_000)], priorities=11)
    (message,) = await told(batch, ERRORS)
    head, body = texts(message)
    assert head == "*errors*: 20,000 lines from pump-1 (20,000)"
    assert "… 19,990 more …" in body.split("\n")
    assert "line 4\n" in body
    assert "line 19995\n" in body
    assert "line 5\n" not in body


@pytest.mark.parametrize("blocks", [True, False])
async def test_the_largest_message_keeps_to_the_limits(blocks: bool) -> None:
    """20 rules, long lines, many devices: the server checks Slack's limits."""
    rules = [{"name": f"{n:02d}" + "&" * 78, "programs": [f"p{n}"]} for n in range(20)]
    chunks = tuple(
        make_chunk(["<&>@`" * 1_000] * 20, host=f"h{d}" + "&" * 90, programs=[
            f"p{n}" for n in range(20)
        ])
        for d in range(30)
    )  # fmt: skip
    (message,) = await told(Batch("b", chunks), *rules, blocks=blocks)
    assert len(message.get("blocks", [])) == (40 if blocks else 0)
    assert len(message["text"]) <= 12_000
    assert all(f"*{n:02d}&amp;" in message["text"] for n in range(8))


async def test_a_line_mentions_nobody_and_formats_nothing() -> None:
    """Neither in Slack (<!channel>, links) nor in Mattermost (@all), and no block is ended."""
    odd = "<!channel> <https://evil.example|click> & @all @here ``` *bold*\nnext"
    (message,) = await told(make_batch(odd, priorities=11), ERRORS)
    body = texts(message)[1]
    assert (
        "&lt;!channel&gt; &lt;https://evil.example|click&gt; &amp; @\u200ball @\u200bhere" in body
    )
    assert body.count("```") == 2
    assert "⏎ next" in body
    assert all(block["text"]["verbatim"] for block in message["blocks"])


async def test_others_take_the_same_as_text() -> None:
    """Mattermost and Rocket.Chat know no blocks."""
    (message,) = await told(make_batch("one", priorities=11, time_us=START), ERRORS, blocks=False)
    assert message == {
        "text": "*errors*: 1 line from pump-1 (1)\n```\n"
        "2026-11-23 15:04:05Z pump-1 demo err: one\n```"
    }


# ── how often ─────────────────────────────────────────────────────────────────────────────────


def test_lines_wait_for_the_next_message() -> None:
    """In the hub, where they are stored."""
    config = structs.decode(SLACK.config, SlackServer().config | {"url": url(), "every": 300})
    assert SLACK.limits_of(config).linger == 300


async def test_there_is_time_between_two_messages() -> None:
    """What matches too early comes again; what does not match holds nothing up."""
    clock = Clock()
    errors, quiet = make_batch("one", priorities=11), make_batch("two", priorities=14)
    async with connected(SlackServer(rules=[ERRORS]), SLACK, clock=clock) as (server, to):
        await to.send(errors)
        clock.now += 20
        with pytest.raises(Retry, match="40 seconds from now") as early:
            await to.send(errors)
        assert early.value.after == 40
        await to.send(quiet)
        clock.now += 40
        await to.send(errors)
        assert len(server.messages) == 2


async def test_a_message_that_failed_may_be_sent_again_at_once() -> None:
    """The time between messages is that between messages that were taken."""
    batch = make_batch("one", priorities=11)
    async with connected(SlackServer(rules=[ERRORS]), SLACK, clock=Clock()) as (server, to):
        server.answers = [web.Response(status=500, text="rollup_error")]
        with pytest.raises(Retry, match="rollup_error"):
            await to.send(batch)
        await to.send(batch)
        assert len(server.messages) == 1


# ── answers ───────────────────────────────────────────────────────────────────────────────────


async def test_a_limit_of_slacks_is_heeded() -> None:
    """429 with Retry-After."""
    async with connected(SlackServer(), SLACK) as (server, to):
        server.answers = [web.Response(status=429, headers={"Retry-After": "30"})]
        with pytest.raises(Retry) as failed:
            await to.send(make_batch("one"))
        assert failed.value.after == 30


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (400, "invalid_payload"),
        (403, "action_prohibited"),
        (404, "channel_not_found"),
        (410, "channel_is_archived"),
    ],
)
async def test_some_answers_are_final(status: int, word: str) -> None:
    """With Slack's own word."""
    async with connected(SlackServer(), SLACK) as (server, to):
        server.answers = [web.Response(status=status, text=word)]
        with pytest.raises(Rejected, match=f"answered {status}: {word}"):
            await to.send(make_batch("one"))


async def test_the_address_is_never_seen() -> None:
    """Not even when an answer repeats it, or there is none."""
    async with connected(SlackServer(), SLACK) as (server, to):
        path = "/services/T000/B000/" + TOKEN
        server.answers = [web.Response(status=404, text=f"no_service at {path}")]
        with pytest.raises(Rejected, match="no_service at") as refused:
            await to.send(make_batch("one"))
        there = {"Location": f"https://elsewhere{path}"}
        server.answers = [web.Response(status=308, headers=there)]
        with pytest.raises(Rejected, match="a redirect to https://elsewhere") as moved:
            await to.send(make_batch("one"))
        await server.end()
        with pytest.raises(Retry) as gone:
            await to.send(make_batch("one"))
    for error in (refused.value, moved.value, gone.value):
        assert TOKEN not in "".join(traceback.format_exception(error))


def url() -> str:
    """Give the address of a webhook."""
    return f"https://hooks.slack.com/services/T000/B000/{TOKEN}"


@pytest.mark.parametrize(
    "change",
    [
        {"rules": []},
        {"rules": [ERRORS] * 21},
        {"rules": [{"name": ""}]},
        {"rules": [{"name": "a", "regex": "(unclosed"}]},
        {"rules": [{"name": "a", "regex": "(?=ahead)"}]},
        {"rules": [{"name": "a", "severity": "error"}]},
        {"rules": [{"name": "a", "at_least": 0}]},
        {"every": 0.5},
        {"url": "https://hooks.slack.com"},
        {"url": "https://user:pw@hooks.slack.com/services/x"},
        {"url": "hooks.slack.com/services/x"},
    ],
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """At once, without a word of the address."""
    with pytest.raises(Invalid) as refused:
        structs.decode(SLACK.config, {"url": url(), "rules": [ERRORS]} | change)
    assert TOKEN not in refused.value.detail
    assert not change.get("url") or json.dumps(change["url"]) not in refused.value.detail
