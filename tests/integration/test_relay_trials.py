"""A test line: it goes there by itself, and what the other side says of it is shown, safely."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web

from hub.batches import Batch, MetricBatch
from hub.destinations import DestinationType, Tools
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Partial
from hub.relay import contracts as c
from hub.relay.trials import Trials
from hub.relay.workshop import Workshop
from hub.secret import Secret
from hub.structs import decode
from plugins import syslog, webhook

TOKEN = "Bearer t0p-secret-of-ours"
(WEBHOOK,) = webhook.isaax_destinations()
(SYSLOG,) = syslog.isaax_destinations()


@dataclass
class Bench:
    """Stands for the workshop: what it makes is real."""

    kind: DestinationType[Any] | None
    config: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    def type_of(self, _: c.IntegrationSpec) -> DestinationType[Any] | None:
        return self.kind

    async def config_of(self, _: c.IntegrationSpec, kind: DestinationType[Any]) -> msgspec.Struct:
        config: msgspec.Struct = decode(kind.config, self.config)
        return config

    def tools_of(self, spec: c.IntegrationSpec) -> AbstractAsyncContextManager[Tools]:
        return tools_for(spec.id, project=spec.project, private_hosts=True, folder=self.folder)


async def trial(
    kind: DestinationType[Any] | None,
    config: dict[str, Any],
    message: str = "hello",
    *,
    folder: Path | None = None,
    revision: int = 1,
) -> c.TestResult:
    """Send a test line to what this config says."""
    name = kind.name if kind else "nowhere"
    spec = c.IntegrationSpec("int_one", "acc_one", "prj_one", name, b"", True, 0, revision)
    trials = Trials(cast("Workshop", Bench(kind, config, folder)))
    return await trials.run(c.TestIntegration(spec, message))


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def http(handler: Handler) -> AsyncIterator[str]:
    """Serve one address."""
    app = web.Application()
    app.router.add_post("/in", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    finally:
        await runner.cleanup()


# ── destinations that answer ──────────────────────────────────────────────────────────────────


async def test_the_line_arrives_and_the_answer_is_shown() -> None:
    seen: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        seen.extend(await request.json())
        return web.Response(status=202, text="thank\n you")

    async with http(take) as url:
        result = await trial(WEBHOOK, {"url": url}, "is it there?")
    assert (result.outcome, result.reason, result.status, result.answer) == (
        "taken", "", 202, "thank you",
    )  # fmt: skip
    assert 0 < result.seconds < 12
    (line,) = seen
    assert line["message"] == "is it there?"
    assert (line["host"], line["device"], line["severity"]) == ("isaax-test", "dev_test", 5)


async def test_each_test_line_has_an_id_of_its_own() -> None:
    ids: list[str] = []

    async def take(request: web.Request) -> web.Response:
        ids.extend(line["id"] for line in await request.json())
        return web.Response()

    async with http(take) as url:
        for _ in range(2):
            await trial(WEBHOOK, {"url": url})
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("status", "outcome"), [(401, "rejected"), (413, "rejected"), (429, "failed"), (503, "failed")]
)
async def test_a_refusal_is_told_in_the_servers_words(status: int, outcome: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="not like this")

    async with http(refuse) as url:
        result = await trial(WEBHOOK, {"url": url})
    assert (result.outcome, result.status, result.answer) == (outcome, status, "not like this")
    assert result.reason == f"answered {status}: not like this"


@pytest.mark.parametrize("before", [0, 100, 180, 195])
async def test_a_server_that_repeats_the_token_gives_nothing_away(before: int) -> None:
    async def echo(request: web.Request) -> web.Response:
        said = request.headers["Authorization"]
        encoded = base64.b64encode(said.encode()).decode()
        return web.Response(status=401, text=f"{'.' * before}{said} {encoded} {said}")

    async with http(echo) as url:
        result = await trial(WEBHOOK, {"url": url, "headers": {"Authorization": TOKEN}})
    assert result.outcome == "rejected"
    for text in (result.reason, result.answer):
        assert TOKEN[:6] not in text
        assert base64.b64encode(TOKEN.encode()).decode()[:6] not in text
        assert "***" in text


async def test_where_nothing_listens_it_says_so() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = await trial(WEBHOOK, {"url": f"http://127.0.0.1:{port}/in"})
    assert (result.outcome, result.status, result.answer) == ("failed", None, "")
    assert "refused the connection" in result.reason


async def test_one_that_does_not_answer_is_not_waited_for_long() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with http(hang) as url:
        result = await trial(replace(WEBHOOK, timeout=0.2), {"url": url})
    assert (result.outcome, result.reason) == ("failed", "no answer within 0.2 s")


# ── destinations that never answer ────────────────────────────────────────────────────────────


@asynccontextmanager
async def tcp(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[dict[str, Any]]:
    """Serve connections, and give the config of a syslog destination that goes there."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield {"host": "127.0.0.1", "port": port, "transport": "tcp"}


async def test_what_is_never_confirmed_counts_as_written() -> None:
    taken: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        taken.append(await reader.read())

    async with tcp(serve) as config:
        result = await trial(SYSLOG, config)
    assert (result.outcome, result.reason, result.status) == ("written", "", None)
    assert b"isaax-test" in taken[0]
    assert b"hello" in taken[0]


async def test_a_peer_that_hangs_up_has_not_taken_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with tcp(serve) as config:
        result = await trial(SYSLOG, config)
    assert result.outcome == "failed"
    assert "connection was lost" in result.reason


async def test_a_datagram_to_nobody_is_told() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    config = {"host": "127.0.0.1", "port": port, "transport": "udp"}
    assert (await trial(SYSLOG, config)).outcome == "failed"


# ── whatever a plugin does ────────────────────────────────────────────────────────────────────


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing much."""

    token: Secret = Secret("")

    def __post_init__(self) -> None:
        if self.token.reveal() == "wrong":
            raise ValueError("this token is of the old kind")


class Odd:
    """Does what the test says."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.batches: list[Any] = []
        self.closed = 0
        self._error = error

    async def send(self, batch: Any) -> None:
        self.batches.append(batch)
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        self.closed += 1
        raise RuntimeError("closing fails, too")


def kind_of(odd: Odd) -> DestinationType[Config]:
    return DestinationType("odd", "Odd", Config, lambda _config, _tools: odd)


async def test_it_is_closed_whatever_came_of_it() -> None:
    for error in (None, RuntimeError("t0p-secret"), Partial(rejected=[(0, "too odd")])):
        odd = Odd(error)
        result = await trial(kind_of(odd), {"token": "t0p-secret"})
        assert odd.closed == 1
        assert isinstance(odd.batches[0], Batch)
        assert "t0p" not in str(result)
    assert (result.outcome, result.reason) == ("rejected", "too odd")


async def test_what_asks_for_the_line_again_has_not_taken_it() -> None:
    result = await trial(kind_of(Odd(Partial(retry=[0], reason="later"))), {})
    assert (result.outcome, result.reason) == ("failed", "later")


async def test_a_type_of_metrics_alone_gets_a_sample() -> None:
    odd = Odd()
    kind = replace(kind_of(odd), build=None, metrics=lambda _config, _tools: odd)
    assert (await trial(kind, {})).outcome == "taken"
    (batch,) = odd.batches
    assert isinstance(batch, MetricBatch)
    (sample,) = batch
    assert (sample.name, sample.value, sample.host) == ("isaax_test", 1.0, "isaax-test")


async def test_one_that_cannot_be_built_is_named_without_its_words() -> None:
    def build(_config: Config, _tools: Tools) -> Odd:
        raise LookupError("t0p-secret")

    result = await trial(replace(kind_of(Odd()), build=build), {"token": "t0p-secret"})
    assert (result.outcome, result.reason) == ("failed", "cannot be built: LookupError")


async def test_a_config_that_is_no_longer_valid_is_told() -> None:
    result = await trial(kind_of(Odd()), {"token": "wrong"})
    assert result.outcome == "failed"
    assert result.reason.startswith("the config is not valid")
    assert await trial(None, {}) == c.TestResult(
        "failed", "there is no destination type 'nowhere' here"
    )


async def test_a_vault_that_does_not_answer_is_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> msgspec.Struct:
        raise PermissionError

    monkeypatch.setattr(Bench, "config_of", refuse)
    with pytest.raises(PermissionError):
        await trial(kind_of(Odd()), {})
    assert not issubclass(PermissionError, Invalid)


@pytest.mark.parametrize("revision", [0, 3])
async def test_one_that_is_not_saved_leaves_no_folder_behind(tmp_path: Path, revision: int) -> None:
    folder = tmp_path / "int_one"

    def build(_config: Config, tools: Tools) -> Odd:
        assert tools.folder == folder
        folder.mkdir()
        return Odd()

    await trial(replace(kind_of(Odd()), build=build), {}, folder=folder, revision=revision)
    assert folder.exists() is bool(revision)
