"""kill -9 of the hub while changes are made: none goes unrecorded, and none is told twice.

As a ledger: the client notes every answer that it got. In the end each of them has one entry, no
request has two, nothing took effect without an entry, every chain holds, and the stream that the
log is sent to has each entry once and in order; from there an integration has all of them.
"""

import asyncio
import contextlib
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hub.audit.verify import accounts, verify
from hub.database import Database
from hub.messaging.nats_transport import connect
from hub.protocol import decode_header, decode_lines
from hub.relay.ingest import device_id
from tests.deadline import until
from tests.fixtures.spine import Api, Spine, running_spine

SEEDS = [int(seed) for seed in os.environ.get("ISAAX_FAULT_SEEDS", "1,2").split(",")]
KILLS = 4
CLIENTS = 4


@pytest.fixture
def spine() -> Iterator[Spine]:
    """A hub of one's own."""
    with running_spine() as running:
        yield running


@dataclass
class Ledger:
    """What clients asked for and were told."""

    api: Api
    project: str
    answered: list[str] = field(default_factory=list)
    asked: int = 0

    async def change(self, stop: asyncio.Event) -> None:
        """Rename the project again and again; what is not answered may have been done or not."""
        while not stop.is_set():
            self.asked += 1
            body = {"name": f"name {self.asked}"}
            with contextlib.suppress(OSError):
                path = f"/projects/{self.project}"
                answer = await asyncio.to_thread(self.api.ask, "PATCH", path, body)
                if answer.status == 200:
                    self.answered.append(answer.headers["X-Request-Id"])
                    continue
            await asyncio.sleep(0.05)


async def age(database: Database) -> None:
    """Let the time pass after which a beginning without an end counts as one."""
    async with database.system() as tx:
        await tx.raw.execute("UPDATE audit_pending SET begun_at = begun_at - interval '1 hour'")


async def sealed(database: Database) -> list[dict[str, Any]]:
    async with database.system() as tx:
        rows = await tx.raw.fetch(
            "SELECT entry FROM audit_entry WHERE account <> 'hub' ORDER BY account, seq"
        )
    return [json.loads(row["entry"]) for row in rows]


async def in_the_stream(spine: Spine, project: str) -> list[dict[str, Any]]:
    """Give the audit lines of the stream, having seen that their numbers have no hole."""
    found: list[dict[str, Any]] = []
    following = 1
    source = device_id(project, "audit", "isaax")
    async with connect(spine.embedded.nats.settings) as nats:
        js = nats.jetstream()
        last = (await js.stream_info("RELAY_0")).state.last_seq
        for number in range(1, last + 1):
            message = await js.get_msg("RELAY_0", number)
            if not (message.headers or {}).get("Nats-Msg-Id", "").startswith(f"{source}:"):
                continue
            header = decode_header(message.data or b"")
            assert header.first == following
            following = header.last + 1
            found += [json.loads(text) for text in decode_lines(message.data or b"").messages]
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_change_is_unrecorded_whenever_the_hub_is_killed(spine: Spine, seed: int) -> None:
    dice = random.Random(seed)
    api = spine.api
    project, kept = (api.make("/projects", {"name": name})["id"] for name in ("changed", "kept"))
    filter_ = {"filter": {"include": [{"programs": ["audit"]}]}}
    api.make(
        f"/projects/{kept}/integrations",
        {"type": "file", "name": "all", "config": {"name": "audit"}, "shape": filter_},
    )
    assert api.ask("PUT", "/audit/export", {"project": kept}).status == 200
    ledger = Ledger(api, project)
    for _ in range(KILLS):
        stop, before = asyncio.Event(), len(ledger.answered)
        clients = [asyncio.create_task(ledger.change(stop)) for _ in range(CLIENTS)]
        enough = before + dice.randint(1, 60)
        await until(lambda wanted=enough: len(ledger.answered) >= wanted)  # type: ignore[misc]
        await asyncio.sleep(dice.random() / 20)
        spine.kill_hub()
        stop.set()
        await asyncio.gather(*clients)
        await asyncio.to_thread(spine.start_hub)
    version = int(api.ask("GET", f"/projects/{project}").headers["ETag"].strip('"'))
    async with Database.open(spine.embedded.postgres.settings) as database:
        await age(database)

        async def all_sent() -> bool:
            async with database.system() as tx:
                left = await tx.raw.fetchval("SELECT count(*) FROM audit_pending")
            export = api.get("/audit/export")
            return left == 0 and export["waiting"] == 0

        await until(all_sent, what="every entry in the stream", timeout=60)
        entries = await sealed(database)
        for account in await accounts(database):
            assert (await verify(database, account)).fault == ""
    renames = [entry for entry in entries if entry["object"].get("project") == project]
    renames = [entry for entry in renames if entry["action"].startswith("PATCH")]
    of_request = Counter(entry["request"] for entry in renames)
    assert set(of_request.values()) == {1}, "one entry for each request"
    outcomes = {entry["request"]: entry["outcome"] for entry in renames}
    assert {outcomes[request] for request in ledger.answered} <= {"done", "unknown"}
    done = sum(outcome == "done" for outcome in outcomes.values())
    assert done <= version - 1 <= len(renames), "nothing took effect without an entry"
    streamed = [line["seq"] for line in await in_the_stream(spine, kept)]
    first = streamed[0]
    assert streamed == [*range(first, len(entries) + 1)]
    taken: set[int] = set()

    def arrived() -> bool:
        text = "".join(path.read_text() for path in spine.files.rglob("audit*") if path.is_file())
        taken.update(int(seq) for seq in re.findall(r'\\?"seq\\?":(\d+)', text))
        return taken >= set(streamed)

    await until(arrived, what="every entry at the integration", timeout=60)
