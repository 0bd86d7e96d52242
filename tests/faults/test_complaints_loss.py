"""Complaints of lost lines: over a broken connection, a reload, an outage, a refusal."""

import asyncio
from collections.abc import Iterator

import pytest
from aiohttp import web

from hub.embedded.ports import free_port
from hub.outcomes import NotConnected
from hub.shaping.rules import Shape
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.complaints import Plant, texts, unique
from tests.fixtures.destinations import http_receiver, syslog_receiver, webhook_texts
from tests.fixtures.receivers import SyslogServer, rsyslog, running, syslog_ng
from tests.fixtures.relay import DEVICE, until


@pytest.fixture(scope="module")
def receiving_rsyslog(authority: TestAuthority, local_certificate: Pair) -> Iterator[SyslogServer]:
    """An rsyslog that a test may end and start again: use a device of your own."""
    with running(rsyslog, authority, local_certificate) as server:
        yield server


def to(server: SyslogServer) -> dict[str, object]:
    """Give a config that reaches a server by TCP."""
    return {"host": "127.0.0.1", "port": server.ports["tcp-rfc5424-lf"], "transport": "tcp"}


def taken(server: SyslogServer, device: str) -> list[str]:
    """Give what it wrote of a device, each line once."""
    return unique([str(line["message"]).strip() for line in server.lines(device)])


async def test_vector_9040_a_connection_that_breaks_takes_no_lines_with_it(plant: Plant) -> None:
    """Vector's socket sink dropped what was under way when a TCP connection was interrupted."""
    config: dict[str, object] = {"host": "127.0.0.1", "transport": "tcp"}
    async with syslog_receiver(config) as receiver:
        await plant.configure(kind="syslog", config=config)
        for first in range(1, 401, 40):
            await plant.store(first, first + 39)
            for writer in tuple(receiver._writers):
                writer.transport.abort()
        await until(lambda: "line 400" in receiver.taken())
        await until(lambda: set(receiver.taken()) == set(texts(1, 400)))
        assert unique(receiver.taken()) == texts(1, 400), "in order, but for what comes again"
        assert receiver.connections > 1


async def test_vector_5795_a_reload_that_mends_an_address_delivers_what_waited(
    plant: Plant,
) -> None:
    """When a wrong address was mended and Vector reloaded, all that was older was lost."""
    wrong = {"url": f"http://127.0.0.1:{free_port()}/in"}
    await plant.configure(kind="webhook", config=wrong)
    await plant.store(1, 50)
    await plant.until(lambda s: "refused the connection" in s.error)
    async with http_receiver(webhook_texts, {}) as receiver:
        await plant.configure(kind="webhook", config=receiver.config)
        await plant.store(51, 60)
        await until(lambda: len(receiver.taken()) >= 60)
        assert receiver.taken() == texts(1, 60)


async def test_vector_5795_reloads_under_load_neither_lose_nor_repeat(plant: Plant) -> None:
    """The same, while lines come and each change follows the last at once."""
    await plant.configure()
    storing = asyncio.ensure_future(plant.store(1, 1_000))
    for number in range(10):
        await plant.configure(shape=Shape(labels={"change": str(number)}))
        await asyncio.sleep(0.01)
    await storing
    await until(lambda: len(plant.recorder().texts) >= 1_000)
    assert plant.recorder().texts == texts(1, 1_000)


async def test_vector_19711_what_was_refused_is_kept_and_not_just_acknowledged(
    plant: Plant,
) -> None:
    """Messages that GCP refused by 400 or 403 were acknowledged to the source, and gone."""
    async with http_receiver(webhook_texts, {}) as receiver:
        receiver.answers = [
            web.Response(status=403, text="no such topic"),
            web.Response(status=400),
        ]
        await plant.configure(kind="webhook", config=receiver.config)
        await plant.store(1, 1)
        await plant.until(lambda s: s.rejected == 1)
        await plant.store(2, 2)
        await plant.until(lambda s: s.rejected == 2)
        await plant.store(3, 3)
        await until(lambda: receiver.taken() == ["line 3"])
    letters = await plant.bench.dead_letters()
    assert [headers["Isaax-Batch"] for _, headers, _ in letters] == [
        f"{DEVICE}:app:1:{n}:1" for n in (1, 2)
    ]
    assert "403" in letters[0][1]["Isaax-Reason"]


async def test_otelcontrib_48635_the_first_hours_of_an_outage_are_there(plant: Plant) -> None:
    """After four days without network, the collector's queue lacked the first four hours.

    Here what was stored first is delivered first, however much came after it.
    """
    destination = plant.recorder()
    destination.plan = [NotConnected("no route")] * 100_000
    await plant.configure()
    await plant.store(1, 2_000)
    await plant.until(lambda s: s.state == "open" and s.lag_lines == 2_000)
    destination.plan = []
    await until(lambda: len(destination.texts) >= 2_000)
    assert destination.texts == texts(1, 2_000)
    assert (await plant.status()).gap_lines == 0


async def test_rsyslog_3929_the_first_line_after_a_restart_of_the_receiver_arrives(
    plant: Plant, receiving_rsyslog: SyslogServer
) -> None:
    """omfwd lost the first message after its receiver was restarted in good order.

    It wrote into a connection that the receiver had ended, and took that for delivered.
    """
    server, device = receiving_rsyslog, "dev-3929"
    await plant.configure(kind="syslog", config=to(server))
    await plant.store(1, 3, device=device)
    await until(lambda: taken(server, device) == texts(1, 3))
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    await plant.store(4, 4, device=device)
    await until(lambda: "line 4" in taken(server, device))
    assert taken(server, device) == texts(1, 4)


async def test_rsyslog_491_lines_that_come_while_the_receiver_is_down_arrive(
    plant: Plant, receiving_rsyslog: SyslogServer
) -> None:
    """What omfwd was given between the end and the start of its receiver was lost."""
    server, device = receiving_rsyslog, "dev-491"
    await plant.configure(kind="syslog", config=to(server))
    await plant.store(1, 3, device=device)
    await until(lambda: taken(server, device) == texts(1, 3))
    server.kill()
    await plant.store(4, 30, device=device)
    await plant.until(lambda s: s.state in {"retrying", "open"})
    await asyncio.to_thread(server.start)
    await until(lambda: set(taken(server, device)) == set(texts(1, 30)))
    assert taken(server, device) == texts(1, 30)


async def test_syslogng_1734_what_a_killed_receiver_had_not_written_comes_again(
    plant: Plant, authority: TestAuthority, local_certificate: Pair
) -> None:
    """With a reliable disk buffer, syslog-ng lost what was under way when its receiver died."""
    device = "dev-1734"
    with running(syslog_ng, authority, local_certificate) as server:
        await plant.configure(kind="syslog", config=to(server))
        for first in (1, 101, 201):
            await plant.store(first, first + 99, device=device)
            server.kill()
            await asyncio.to_thread(server.start)
        await until(lambda: set(taken(server, device)) >= set(texts(1, 300)))
        assert taken(server, device) == texts(1, 300)
