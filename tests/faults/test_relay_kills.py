"""A process that delivers is killed half-way: the next one loses nothing. And dead letters."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from nats.js.errors import NotFoundError

from hub.batches import Chunk
from hub.database import Database
from hub.embedded.nats import Nats
from hub.protocol import Lines
from hub.relay.contracts import FixDead, IntegrationSpec, ListDead, SomeDead
from hub.relay.letters import Letters
from hub.relay.replays import Replays
from hub.settings import NatsSettings, PostgresSettings
from hub.shaping.rules import Join, Shape
from hub.vault import Vault
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.http_receivers import running
from tests.fixtures.index_receivers import ElasticsearchServer
from tests.fixtures.relay import DEVICE, PROJECT, Bench, keeping, spec, until
from tests.fixtures.spine import ROOT
from tests.fixtures.trouble import Arrivals, Clock, Street, arrived
from tests.programs.relay_worker import Orders

LETTERS = 10_000
WINDOW = 2 * 1_000
"""Lines of a webhook's largest batch, in hand and just taken."""


class Workers:
    """Processes that deliver for one integration, one after the other."""

    def __init__(self, nats: NatsSettings, database: Database, postgres: PostgresSettings) -> None:
        self._nats = nats
        self._database = database
        self._postgres = postgres
        self._process: subprocess.Popen[bytes] | None = None
        self.spec: IntegrationSpec = spec(f"int_{secrets.token_hex(4)}")

    async def configure(
        self, kind: str, config: dict[str, Any], shape: Shape | None = None
    ) -> None:
        """Say what the integration is."""
        made, vault = self.spec, Vault(bytes(32))
        async with self._database.system() as tx:
            sealed = await vault.seal(
                tx, json.dumps(config).encode(), account=made.account, project=made.project,
                name=f"integration/{made.id}",
            )  # fmt: skip
        self.spec = msgspec.structs.replace(made, type=kind, sealed=sealed, shape=shape or Shape())

    async def start(self, **orders: Any) -> None:
        """Start one; return when it delivers."""
        nats, postgres = self._nats, self._postgres
        given = Orders(
            (nats.url, nats.user, nats.password.reveal()),
            (
                postgres.host, postgres.port, postgres.database, postgres.user,
                postgres.password.reveal(),
            ),
            self.spec,
            **orders,
        )  # fmt: skip
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment
            [sys.executable, "-m", "tests.programs.relay_worker", msgspec.json.encode(given)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout
        said = await asyncio.to_thread(self._process.stdout.readline)
        assert said == b"delivers\n"

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@pytest.fixture
async def workers(
    relay_nats: Nats, core_settings: PostgresSettings, core_database: Database
) -> AsyncIterator[Workers]:
    made = Workers(relay_nats.settings, core_database, core_settings)
    try:
        yield made
    finally:
        made.kill()


async def has_read(bench: Bench, integration: str, messages: int) -> bool:
    """Say whether one has read so many messages, and has not acknowledged them all."""
    try:
        info = await bench.nats.jetstream().consumer_info("RELAY_0", integration)
    except NotFoundError:
        return False  # it is only about to begin
    assert info.delivered
    assert info.ack_floor
    return bool(info.delivered.stream_seq >= messages > info.ack_floor.stream_seq)


def numbered(first: int, last: int) -> list[str]:
    """Give the texts of the bench's lines."""
    return [f"line {n}" for n in range(first, last + 1)]


# ── kill -9 of whoever delivers ───────────────────────────────────────────────────────────────


async def test_in_the_middle_of_a_batch_that_lingers(bench: Bench, workers: Workers) -> None:
    async with http_receiver(webhook_texts, {}) as receiver:
        await workers.configure("webhook", receiver.config)
        await workers.start(linger=60.0)
        for first in range(1, 31, 10):
            await bench.store(first, 10)
        await until(lambda: has_read(bench, workers.spec.id, 3))
        workers.kill()
        assert receiver.taken() == []
        await workers.start(linger=0.1)
        await until(lambda: receiver.taken() == numbered(1, 30))


async def test_in_the_middle_of_a_trace_that_is_joined(bench: Bench, workers: Workers) -> None:
    async with http_receiver(webhook_texts, {}) as receiver:
        shape = Shape(join=Join(starts="line [0-9]*1$", wait=60.0))
        await workers.configure("webhook", receiver.config, shape)
        await workers.start()
        await bench.store(1, 12)  # the lines 1 to 10, and of the next ones 11 and 12
        await bench.store(13, 4)
        await until(lambda: receiver.taken() == ["\n".join(numbered(1, 10))])
        await until(lambda: has_read(bench, workers.spec.id, 2))
        workers.kill()
        await workers.start()
        await bench.store(17, 5)
        whole = ["\n".join(numbered(1, 10)), "\n".join(numbered(11, 20))]
        await until(lambda: arrived(receiver.taken(), whole))


async def test_in_the_middle_of_what_was_taken_in_part(bench: Bench, workers: Workers) -> None:
    async with running(ElasticsearchServer()) as server:
        for n in range(5, 101, 5):
            server.problems[f"line {n}"] = [(429, "rejected_execution", "busy")] * 1_000
        await workers.configure("elasticsearch", server.config)
        await bench.store(1, 50)
        await bench.store(51, 50)
        await workers.start()
        await until(lambda: len(server.requests) >= 3)
        workers.kill()
        assert len(server.lines) == 80
        server.problems = {}
        await bench.store(101, 20)
        await workers.start()
        await until(lambda: len(server.lines) == 120)
        assert sorted(server.lines) == sorted(numbered(1, 120)), "each document once"
        assert server.lines[-20:] == numbered(101, 120)


# ── dead letters ──────────────────────────────────────────────────────────────────────────────


async def bury(bench: Bench, source: str, count: int) -> list[str]:
    """Put so many letters of a line each away; give their texts."""
    texts = [f"dead {n}" for n in range(1, count + 1)]
    chunks = [
        Chunk(PROJECT, DEVICE, "host-1", "app", 1, n, 1, Lines([1], 14, "app", [text]))
        for n, text in enumerate(texts, 1)
    ]
    await bench.dead.put_chunks(source, [(chunk, "too sad") for chunk in chunks])
    return texts


def dead(texts: list[str]) -> list[str]:
    """Give the lines that came out of dead letters."""
    return [text for text in texts if text.startswith("dead")]


async def test_ten_thousand_are_read_fixed_and_replayed_while_lines_flow(
    clock: Clock, street: Street, core_database: Database
) -> None:
    bench = street.bench
    assert clock
    async with (
        http_receiver(webhook_texts, {}) as receiver,
        keeping(bench.nats, core_database) as kept,
    ):
        texts = Arrivals(receiver).texts
        integration = await street.open("webhook", receiver.config)
        wanted = await bury(bench, integration, LETTERS)
        letters = Letters(bench.nats, bench.hosts, kept)
        replays = Replays(bench.nats, kept, replayed=street.integrations.replay_soon)
        bench.start(replays.run())
        page = await letters.page(ListDead(PROJECT, integration, 100))
        assert (page.total, page.more) == (LETTERS, True)
        page = await letters.page(ListDead(PROJECT, integration, 100, int(page.items[-1].id)))
        for item, text in ((page.items[0], "dead and fixed"), (page.items[50], "dead, too")):
            await letters.fix(FixDead(PROJECT, integration, item.id, [text]))
        wanted[100], wanted[150] = "dead and fixed", "dead, too"
        replaying = asyncio.ensure_future(replays.replay(SomeDead(PROJECT, integration)))
        while not replaying.done():
            await street.store(1, lines=10)
        counted = await replaying
        assert (counted.letters, counted.lines, counted.more) == (LETTERS, LETTERS, False)
        await street.store(1)
        await until(lambda: len(texts()) == LETTERS + len(street.texts))
        assert dead(texts()) == wanted
        live = [text for text in texts() if not text.startswith("dead")]
        assert live == street.texts
        assert (await letters.page(ListDead(PROJECT, integration))).total == 0


async def test_the_hub_is_killed_in_the_middle_of_a_replay(bench: Bench, workers: Workers) -> None:
    """No letter is lost, and no more of them come twice than were on their way."""
    async with http_receiver(webhook_texts, {}) as receiver:
        texts = Arrivals(receiver).texts
        await workers.configure("webhook", receiver.config)
        wanted = await bury(bench, workers.spec.id, 6_000)
        for _ in range(2):
            seen = len(dead(texts()))
            await workers.start(replay=True)
            await until(lambda seen=seen: len(dead(texts())) > seen + 1_000)
            workers.kill()
        assert len(set(dead(texts()))) < len(wanted), "it was in the middle"
        await workers.start(replay=True)
        await until(lambda: arrived(dead(texts()), wanted))
        assert len(dead(texts())) <= len(wanted) + 2 * WINDOW

        async def nothing_is_left() -> bool:
            return (await bench.nats.jetstream().stream_info("DEAD")).state.messages == 0

        await until(nothing_is_left)
