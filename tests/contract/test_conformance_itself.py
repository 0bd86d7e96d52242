"""The suite for destinations finds what it is there to find, and tries what applies."""

import asyncio
import time
from typing import Any

import msgspec
import pytest

from hub import (
    Batch,
    DestinationType,
    HttpTarget,
    MetricBatch,
    NotConnected,
    Partial,
    Rejected,
    Retry,
    Secret,
    Tools,
)  # fmt: skip
from hub.testing import (
    DestinationConformance,
    Loopback,
    MetricConformance,
    Reply,
    eventually,
    make_batch,
    mark,
)
from hub.testing.suite import Conformance


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to, and what nobody may see."""

    url: str = "https://logs.example.com/in"
    token: Secret = Secret("t0p-secret")


class Good:
    """Posts lines as JSON."""

    def __init__(self, config: Config, tools: Tools) -> None:
        self.config, self.tools = config, tools
        self.target = HttpTarget(tools, config.url, headers={})

    async def send(self, batch: Batch) -> None:
        (await self.target.push(msgspec.json.encode([line.message for line in batch]))).check()

    async def close(self) -> None:
        """Nothing is held."""


def kind(build: Any) -> DestinationType[Config]:
    return DestinationType("mine", "Mine", Config, build, examples=({"token": "t0p-secret"},))


def suite(build: Any) -> DestinationConformance:
    """The suite for a class, as an author's test class would be."""
    return type("TestMine", (DestinationConformance,), {"type": kind(build)})()


class ForgetsRetryAfter(Good):
    async def send(self, batch: Batch) -> None:
        try:
            await super().send(batch)
        except Retry as retry:
            raise Retry(retry.reason) from None


class TriesForEver(Good):
    async def send(self, batch: Batch) -> None:
        try:
            await super().send(batch)
        except Rejected as rejected:
            raise Retry(rejected.reason) from None


class GivesUp(Good):
    async def send(self, batch: Batch) -> None:
        try:
            await super().send(batch)
        except Retry as retry:
            raise Rejected(retry.reason) from None


class Crashes(Good):
    async def send(self, batch: Batch) -> None:
        answer = await self.target.push(b"")
        raise KeyError(answer.status)


class Tells(Good):
    async def send(self, batch: Batch) -> None:
        try:
            await super().send(batch)
        except (Retry, Rejected) as failure:
            raise Rejected(f"{failure.reason} with {self.config.token.reveal()}") from None


class IgnoresCancellation(Good):
    async def send(self, batch: Batch) -> None:
        try:
            await super().send(batch)
        except asyncio.CancelledError:
            return


class Leaks(Good):
    async def send(self, batch: Batch) -> None:
        await super().send(batch)
        self.task = asyncio.ensure_future(asyncio.sleep(3600))


class Blocks(Good):
    async def send(self, batch: Batch) -> None:
        time.sleep(0.8)  # noqa: ASYNC251
        await super().send(batch)


class Miscounts(Good):
    async def send(self, batch: Batch) -> None:
        await super().send(batch)
        raise Partial(rejected=[(0, "no")], retry=[0, len(batch)])


class Reorders(Good):
    async def send(self, batch: Batch) -> None:
        lines = [line.message for line in batch][::-1]
        await self.target.push(msgspec.json.encode(lines))


class Stays(Good):
    async def close(self) -> None:
        await asyncio.Event().wait()


FOUND = {
    "retry-after": (ForgetsRetryAfter, "retry_after_in_seconds_is_heeded", (), "after=7"),
    "final": (TriesForEver, "a_status_that_means_never_is_final", (400,), "raise Rejected"),
    "later": (GivesUp, "a_status_that_means_later_is_a_retry", (503,), "raise Retry"),
    "crash": (Crashes, "a_status_that_means_later_is_a_retry", (503,), "send raised KeyError"),
    "secret": (Tells, "secrets_are_in_no_error", (), "a secret of the config is shown"),
    "cancel": (IgnoresCancellation, "a_slow_answer_can_be_given_up", (Reply(never=True),),
               "was cancelled, and ended otherwise"),
    "leak": (Leaks, "a_second_close_after_sending_is_harmless", (), "a task of it goes on"),
    "block": (Blocks, "a_second_close_after_sending_is_harmless", (), "blocks the event loop"),
    "partial": (Miscounts, "a_second_close_after_sending_is_harmless", (), "does not have: [1]"),
    "order": (Reorders, "lines_arrive_in_order", (), "one"),
}  # fmt: skip


@pytest.mark.parametrize("case", FOUND)
async def test_a_mistake_is_found_and_told(case: str) -> None:
    build, name, arguments, told = FOUND[case]
    with pytest.raises((AssertionError, BaseExceptionGroup)) as found:
        await getattr(suite(build), f"test_{name}")(*arguments)
    assert told in str(found.value)


async def test_a_close_that_hangs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.testing.watching.PATIENCE", 0.2)
    with pytest.raises(AssertionError, match="close has not returned"):
        await suite(Stays).test_closes_without_a_send()


# ── what applies ──────────────────────────────────────────────────────────────────────────────


class OverTcp(Good):
    async def send(self, batch: Batch) -> None:
        _, writer = await self.tools.dial.open_tcp("logs.example.com", 514)
        writer.write("".join(f"{line.message}\n" for line in batch).encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()


class OverUdp(Good):
    async def send(self, batch: Batch) -> None:
        transport = await self.tools.dial.open_udp("logs.example.com", 514)
        for line in batch:
            transport.sendto(line.message.encode()[:60_000])
        transport.close()


class IntoAFile(Good):
    async def send(self, batch: Batch) -> None:
        assert self.tools.folder is not None
        self.tools.folder.mkdir(exist_ok=True)
        with (self.tools.folder / "log").open("a") as file:
            file.writelines(f"{line.message}\n" for line in batch)


def cases(build: Any) -> set[str]:
    made = suite(build)
    return {name for name in dir(made) if name.startswith("test_") and getattr(made, name)}


def test_only_what_applies_is_collected() -> None:
    http, tcp, udp, file = map(cases, (Good, OverTcp, OverUdp, IntoAFile))
    assert "test_retry_after_in_seconds_is_heeded" in http - tcp
    assert "test_it_recovers_when_the_receiver_goes_away" in tcp - udp
    assert "test_lines_arrive_in_order" in file
    assert udp == file


@pytest.mark.parametrize("build", [Good, OverTcp, OverUdp, IntoAFile])
async def test_lines_are_found_however_they_travel(build: Any) -> None:
    await suite(build).test_an_odd_line_harms_no_other("two\nlines")
    assert isinstance(suite(build), Conformance)


def test_a_type_without_an_example_is_told_what_it_lacks() -> None:
    bare = DestinationType("bare", "Bare", Config, Good)
    case = type("TestBare", (DestinationConformance,), {"type": bare})
    with pytest.raises(AssertionError, match="has no `examples`"):
        case._example()


def test_a_type_of_metrics_is_told_its_suite() -> None:
    async def send(_batch: MetricBatch) -> None: ...

    only = DestinationType("m", "M", Config, None, metrics=Good, examples=({},))  # type: ignore[arg-type]
    case = type("TestM", (MetricConformance,), {"type": only})
    wrong = type("TestW", (DestinationConformance,), {"type": only})
    assert case.type is only
    with pytest.raises(AssertionError, match="use MetricConformance"):
        wrong().make(Config(), None)


# ── the loopback ──────────────────────────────────────────────────────────────────────────────


async def test_a_vendors_own_address_leads_to_the_loopback(
    loopback: Loopback, tools: Tools
) -> None:
    target = HttpTarget(
        tools, "https://in.logs.example.com:8443/v1?a=b%20c", headers={}, compress=True
    )
    assert (await target.push(mark("one").encode())).ok
    (request,) = loopback.requests
    assert request.url == "https://in.logs.example.com:8443/v1?a=b%20c"
    assert request.headers["host"] == "in.logs.example.com:8443"
    assert loopback.taken() == ["one"]


async def test_tls_is_real_and_trusted_there_alone(loopback: Loopback, tools: Tools) -> None:
    from hub import client_tls

    _, writer = await tools.dial.open_tcp("logs.example.com", 6514, tls=client_tls())
    assert writer.get_extra_info("ssl_object").version() in {"TLSv1.2", "TLSv1.3"}
    writer.write(mark("one").encode()[:5])
    await writer.drain()
    writer.write(mark("one").encode()[5:])
    await writer.drain()
    await eventually(lambda: loopback.taken() == ["one"], "the word arrived")
    await loopback.end()
    with pytest.raises(NotConnected):
        await tools.dial.open_tcp("logs.example.com", 6514, tls=client_tls())
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "snappy", "identity"])
async def test_bodies_are_unpacked(loopback: Loopback, tools: Tools, encoding: str) -> None:
    import gzip
    import zlib

    import cramjam
    import zstandard

    pack = {
        "gzip": gzip.compress, "deflate": zlib.compress,
        "zstd": zstandard.ZstdCompressor().compress,
        "snappy": lambda b: bytes(cramjam.snappy.compress_raw(b)), "identity": bytes,
    }[encoding]  # fmt: skip
    body = b'{"message": "' + mark("one").encode() + b'"}' + b"x" * 1000
    target = HttpTarget(tools, "http://[2001:db8::1]/", headers={"Content-Encoding": encoding})
    assert (await target.push(pack(body))).ok
    assert loopback.requests[0].body == body
    assert loopback.taken() == ["one"]
    if encoding != "identity":
        answer = await target.push(b"this is not packed")
        assert answer.status == 400


async def test_a_script_is_followed_in_order(loopback: Loopback, tools: Tools) -> None:
    target = HttpTarget(tools, "https://example.com/", headers={})
    loopback.script(Reply(429, {"Retry-After": "3"}), Reply(202, body=b"fine"))
    first, second, third = [await target.push(mark("a").encode()) for _ in range(3)]
    assert (first.status, first.retry_after) == (429, 3.0)
    assert (second.status, second.body) == (202, b"fine")
    assert (third.status, third.body) == (200, b"{}")
    assert loopback.taken() == ["a", "a"]
    loopback.script(Reply(breaks_after=1))
    with pytest.raises(Retry):
        await target.push(b"x" * 100)
    assert make_batch("one").chunks[0].lines.messages == ["one"]
