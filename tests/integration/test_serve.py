"""`isaax serve` as a process of its own, on real parts."""

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from hub.embedded.mosquitto import Mosquitto
from hub.embedded.nats import Nats
from hub.embedded.ports import free_port
from hub.embedded.postgres import Postgres
from hub.settings import PostgresSettings
from tests.deadline import until

ROOT = Path(__file__).parents[2]


@dataclass
class Hub:
    """A hub in a process of its own."""

    process: asyncio.subprocess.Process
    port: int
    log_file: Path

    def log(self) -> list[dict[str, Any]]:
        """Everything it has logged; every line is a JSON object."""
        return [msgspec.json.decode(line) for line in self.log_file.read_bytes().splitlines()]

    def events(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["event"] == event]

    async def get(self, path: str) -> tuple[int, Any]:
        """Give status and body; (0, None) while nothing listens."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, msgspec.json.decode(await answer.read())
        except aiohttp.ClientConnectionError:
            return 0, None

    async def until_readiness(self, status: int) -> Any:
        """Wait until `/readyz` answers so, and give its body."""
        bodies: list[Any] = []

        async def answers() -> bool:
            found, body = await self.get("/readyz")
            bodies.append(body)
            return found == status or self.process.returncode is not None

        await until(answers, timeout=60, what=f"readiness {status}")
        assert self.process.returncode is None, self.log_file.read_text()
        return bodies[-1]

    async def end(self) -> int:
        """Tell it to end, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            return await self.process.wait()


StartHub = Callable[..., Awaitable[Hub]]


@asynccontextmanager
async def _running(config: Path, environ: dict[str, str], port: int) -> AsyncIterator[Hub]:
    log_file = config.with_name("log")
    with log_file.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hub.cli", "serve", "--config", str(config),
            cwd=ROOT, env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Hub(process, port, log_file)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def start_hub(
    tmp_path: Path,
    nats_server: Nats,
    mosquitto_broker: Mosquitto,
    database_settings: PostgresSettings,
) -> AsyncIterator[StartHub]:
    """Start a hub: secrets in the environment, all else in a file."""
    key = tmp_path / "vault.key"
    key.write_bytes(base64.b64encode(os.urandom(32)))
    key.chmod(0o600)
    port = free_port()
    nats, mqtt, postgres = nats_server.settings, mosquitto_broker.settings, database_settings
    config = tmp_path / "hub.toml"
    config.write_text(
        f"""
[hub]
name = "test-{port}"
log_level = "debug"

[http]
port = {port}

[nats]
url = "{nats.url}"
user = "{nats.user}"

[mqtt]
host = "{mqtt.host}"
port = {mqtt.port}
username = "{mqtt.username}"

[postgres]
host = "{postgres.host}"
port = {postgres.port}
database = "{postgres.database}"
user = "{postgres.user}"

[vault]
key_file = "vault.key"
"""
    )
    environ = {
        "PATH": os.environ["PATH"],
        "ISAAX_NATS_PASSWORD": nats.password.reveal(),
        "ISAAX_MQTT_PASSWORD": mqtt.password.reveal(),
        "ISAAX_POSTGRES_PASSWORD": postgres.password.reveal(),
    }
    async with AsyncExitStack() as stack:

        async def start(**more: str) -> Hub:
            return await stack.enter_async_context(_running(config, environ | more, port))

        yield start


async def test_it_is_ready_and_drains_in_reverse_on_sigterm(
    start_hub: StartHub,
    nats_server: Nats,
    mosquitto_broker: Mosquitto,
    database_settings: PostgresSettings,
) -> None:
    hub = await start_hub()
    body = await hub.until_readiness(200)
    checks = {check["name"] for check in body["checks"]}
    assert checks >= {"postgres", "jetstream", "services"}
    assert await hub.end() == 0
    started = [line["service"] for line in hub.events("started")]
    drained = [line["service"] for line in hub.events("drained")]
    assert started[0] == "database"
    assert started[-1] == "gateway"
    assert drained == started[::-1]
    (applied,) = hub.events("migrations")
    assert "core/0030_canary" in applied["applied"]
    text = hub.log_file.read_text()
    for settings in (nats_server.settings, mosquitto_broker.settings, database_settings):
        assert settings.password.reveal() not in text


async def test_readiness_is_red_while_postgres_is_away(
    start_hub: StartHub, postgres_server: Postgres
) -> None:
    hub = await start_hub()
    await hub.until_readiness(200)
    postgres_server.kill()
    try:
        body = await hub.until_readiness(503)
        failing = [check["name"] for check in body["checks"] if not check["ok"]]
        assert "postgres" in failing
        assert (await hub.get("/healthz"))[0] == 200
    finally:
        await postgres_server.restart()
    await hub.until_readiness(200)
    assert await hub.end() == 0


async def test_it_waits_for_servers_that_come_later(
    start_hub: StartHub, postgres_server: Postgres
) -> None:
    postgres_server.kill()
    try:
        hub = await start_hub()
        await until(lambda: len(hub.events("waiting")) > 1, what="it to wait")
        assert hub.events("waiting")[0]["server"] == "PostgreSQL"
    finally:
        await postgres_server.restart()
    await hub.until_readiness(200)
    assert await hub.end() == 0


async def test_it_can_be_told_to_end_while_it_waits(start_hub: StartHub) -> None:
    hub = await start_hub(ISAAX_NATS_URL=f"nats://127.0.0.1:{free_port()}")
    await until(lambda: bool(hub.events("waiting")), what="it to wait")
    assert hub.events("waiting")[0]["server"] == "NATS"
    assert await hub.end() == 0
    assert [line["service"] for line in hub.events("drained")][-1] == "database"


async def test_a_missing_vault_key_stops_the_start_and_is_the_configs_fault(
    start_hub: StartHub,
) -> None:
    hub = await start_hub(ISAAX_VAULT_KEY_FILE="missing.key")
    async with asyncio.timeout(60):
        assert await hub.process.wait() == 2
    last = hub.log_file.read_text().splitlines()[-1]
    assert last.startswith("isaax: The hub cannot start: the service vault failed to start:")
    assert "missing.key" in last
