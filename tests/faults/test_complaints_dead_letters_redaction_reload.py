"""Complaints of letters that cannot be replayed, masks not to be chosen, reloads that hang."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPException

import pytest
from aiohttp import web

from hub.database import Database
from hub.protocol import auth_down
from hub.relay import contracts as c
from hub.relay.contracts import IntegrationStatus
from hub.relay.letters import Letters
from hub.relay.replays import Replays
from hub.shaping.rules import Redact, RedactPattern, Shape
from tests.fixtures.complaints import Plant, texts
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.rawdevice import RawDevice, batch
from tests.fixtures.relay import PROJECT, keeping, until
from tests.fixtures.spine import Project, Spine


@asynccontextmanager
async def desk(plant: Plant, database: Database) -> AsyncIterator[tuple[Letters, Replays]]:
    """Give what the API asks about dead letters."""
    async with keeping(plant.bench.nats, database) as kept:
        replays = Replays(plant.bench.nats, kept, replayed=plant.integrations.replay_soon)
        running = asyncio.ensure_future(replays.run())
        try:
            yield Letters(plant.bench.nats, plant.bench.hosts, kept), replays
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def _refused(lines: int, status: IntegrationStatus) -> bool:
    return status.rejected == lines


async def test_vector_1772_what_was_refused_can_be_delivered_once_it_is_mended(
    plant: Plant, core_database: Database
) -> None:
    """Vector drops what a sink refuses for good: there is no queue for it, since 2020.

    Here it is kept, in its order, and delivered again when somebody says so: exactly those.
    """
    async with (
        http_receiver(webhook_texts, {}) as receiver,
        desk(plant, core_database) as (letters, replays),
    ):
        receiver.answers = [web.Response(status=400, text="no such field") for _ in range(3)]
        await plant.configure(kind="webhook", config=receiver.config)
        for number in (1, 2, 3):
            await plant.store(number, number)
            await plant.until(functools.partial(_refused, number))
        await plant.store(4, 5)
        await until(lambda: receiver.taken() == texts(4, 5))
        page = await letters.page(c.ListDead(PROJECT, "int_one", 10, 0))
        assert page.total == 3
        first, _, third = (item.id for item in page.items)
        some = c.SomeDead(PROJECT, "int_one", [third, first])
        assert await replays.replay(some) == c.Counted(2, 2)
        await until(lambda: receiver.taken() == [*texts(4, 5), "line 1", "line 3"])
        left = (await letters.page(c.ListDead(PROJECT, "int_one", 10, 0))).items
        assert len(left) == 1


async def test_vector_11311_a_refusal_shows_what_was_refused_and_why(
    plant: Plant, core_database: Database
) -> None:
    """Vector's log told that a request had failed, and not what had been in it."""
    async with (
        http_receiver(webhook_texts, {}) as receiver,
        desk(plant, core_database) as (letters, _),
    ):
        receiver.answers = [web.Response(status=400, text="the field `level` is missing")]
        await plant.configure(kind="webhook", config=receiver.config)
        await plant.store(1, 1)
        await plant.until(lambda s: s.rejected == 1)
        [item] = (await letters.page(c.ListDead(PROJECT, "int_one", 10, 0))).items
        letter = await letters.get(c.OneDead(PROJECT, "int_one", item.id))
    assert [line.message for line in letter.lines] == ["line 1"]
    assert "400" in letter.reason
    assert "the field `level` is missing" in letter.reason
    assert (letter.device, letter.stream) == ("dev_one", "app")


async def test_otelcontrib_50801_what_replaces_a_secret_is_for_its_owner_to_say(
    plant: Plant,
) -> None:
    """The collector's redaction writes `****`, which nobody can tell from what was there before."""
    own = RedactPattern(regex=r"line \d+", replacement="[REDACTED by pumps]")
    shape = Shape(redact=Redact(patterns=(own,)))
    async with http_receiver(webhook_texts, {}) as receiver:
        receiver.answers = [web.Response(status=400)]
        await plant.configure(kind="webhook", config=receiver.config, shape=shape)
        await plant.store(1, 1)
        await plant.until(lambda s: s.rejected == 1)
        await plant.store(2, 2)
        await until(lambda: receiver.taken() == ["[REDACTED by pumps]"])
    [(_, _, payload)] = await plant.bench.dead_letters()
    assert b"line 1" not in payload, "nor does it stay in a letter"


async def test_vector_24125_an_integration_in_trouble_takes_a_new_config_at_once(
    plant: Plant,
) -> None:
    """A sink with failed events was not reloaded by Vector: it went on with the old config."""
    async with (
        http_receiver(webhook_texts, {}) as failing,
        http_receiver(webhook_texts, {}) as well,
    ):
        failing.answers = [web.Response(status=503) for _ in range(10_000)]
        await plant.configure(kind="webhook", config=failing.config)
        await plant.store(1, 3)
        await plant.until(lambda s: s.state in {"retrying", "open"})
        async with asyncio.timeout(5):
            await plant.configure(kind="webhook", config=well.config)
            await until(lambda: well.taken() == texts(1, 3))
        asked = len(failing.answers)
        await plant.store(4, 5)
        await until(lambda: well.taken() == texts(1, 5))
        assert len(failing.answers) == asked, "nobody asks the old one any more"


async def _device(spine: Spine, project: Project) -> RawDevice:
    """Give a device that has a session."""

    def admitted() -> RawDevice | None:
        device = RawDevice(spine.embedded.ports.mqtt, project.id, project.token)
        if device.connect() == 0:
            return device
        device.close()
        return None

    found: list[RawDevice] = []

    async def is_admitted() -> bool:  # once the broker knows the token
        device = await asyncio.to_thread(admitted)
        found.extend([device] if device else [])
        return device is not None

    await until(is_admitted)

    def opened() -> RawDevice:
        [one] = found
        assert one.subscribe(auth_down(one.client)) == 1
        return one.register().open().hello()

    return await asyncio.to_thread(opened)


def _try_to_change(spine: Spine, integration: str, url: str) -> bool:
    """Change an integration of a hub that is being killed; say whether it answered."""
    try:
        answer = spine.api.ask("PATCH", f"/integrations/{integration}", {"config": {"url": url}})
    except (OSError, HTTPException):
        return False
    return answer.status == 200


@pytest.mark.parametrize("delay", [0.0, 0.02])
async def test_vector_24125_a_crash_in_the_middle_of_a_change_leaves_one_of_both(
    spine: Spine, delay: float
) -> None:
    """A hub that is killed while it changes an integration runs the old one or the new one.

    Every line is in one of the two, and the hub needs no help to go on.
    """
    project = spine.project()
    device = await _device(spine, project)
    async with (
        http_receiver(webhook_texts, {}) as old,
        http_receiver(webhook_texts, {}) as new,
    ):
        body = {"type": "webhook", "name": "hook", "config": {"url": old.config["url"]}}
        made = await asyncio.to_thread(spine.api.make, f"/projects/{project.id}/integrations", body)
        await asyncio.to_thread(device.send, batch("one", "two"))
        await until(lambda: old.taken() == ["one", "two"])
        change = asyncio.create_task(
            asyncio.to_thread(_try_to_change, spine, made["id"], new.config["url"])
        )
        await asyncio.sleep(delay)
        await asyncio.to_thread(spine.kill_hub)
        answered = await change
        await asyncio.to_thread(spine.start_hub)
        found = await asyncio.to_thread(spine.api.get, f"/integrations/{made['id']}")
        url = found["config"]["url"]
        assert url in ({new.config["url"]} if answered else {old.config["url"], new.config["url"]})
        live = new if url == new.config["url"] else old
        await asyncio.to_thread(device.send, batch("three", first=3))
        await until(lambda: "three" in live.taken())
        assert [*old.taken(), *new.taken()] == ["one", "two", "three"]
    for one in device.family:
        one.close()
