"""Complaints of one destination that stops all: each here has its own place, retries and memory."""

from aiohttp import web

from hub.embedded.ports import free_port
from hub.outcomes import Retry
from hub.shaping.rules import Filter, Match, Shape
from tests.fixtures.complaints import Plant, texts
from tests.fixtures.http_receivers import running
from tests.fixtures.index_receivers import ElasticsearchServer, LokiServer, SplunkServer
from tests.fixtures.relay import until


async def test_vector_22064_a_file_is_written_on_though_a_database_is_down(plant: Plant) -> None:
    """When ClickHouse went down, a few hundred lines later Vector wrote no file either.

    The file had been meant as the backup for just that.
    """
    url = f"http://127.0.0.1:{free_port()}"
    await plant.configure("int_db", "elasticsearch", {"url": url, "api_key": "k"})
    await plant.configure("int_file", "file", {"format": "text"})
    await plant.store(1, 1_500)
    await plant.until(lambda s: s.delivered == 1_500, "int_file")
    written = (plant.files / "int_file" / "lines.log").read_text().splitlines()
    assert written == texts(1, 1_500)
    status = await plant.until(lambda s: s.lag_lines == 1_500, "int_db")
    assert status.state in {"retrying", "open"}
    assert "refused the connection" in status.error


async def test_vector_20496_a_504_of_splunk_breaks_no_other(plant: Plant) -> None:
    """A Splunk endpoint that answered 504 stopped the sinks to Datadog, and then the pod."""
    async with running(SplunkServer()) as broken, running(SplunkServer()) as sound:
        broken.answers = [web.Response(status=504) for _ in range(20_000)]
        await plant.configure("int_broken", "splunk_hec", broken.config)
        await plant.configure("int_sound", "splunk_hec", sound.config)
        await plant.store(1, 500)
        await until(lambda: len(broken.requests) > 3)
        await until(lambda: sound.taken() == texts(1, 500))
        status = await plant.until(lambda s: s.state in {"retrying", "open"}, "int_broken")
        assert "504" in status.error
        broken.answers.clear()
        await until(lambda: broken.taken() == texts(1, 500))


async def test_vector_14828_an_index_that_no_longer_answers_stops_no_other(plant: Plant) -> None:
    """With Elasticsearch red, nothing came to S3 any more; a restart helped for minutes."""
    async with running(ElasticsearchServer()) as silent, running(ElasticsearchServer()) as sound:
        silent.stall()
        await plant.configure("int_silent", "elasticsearch", silent.config)
        await plant.configure("int_sound", "elasticsearch", sound.config)
        for first in (1, 301, 601):
            await plant.store(first, first + 299)
            await until(lambda first=first: sound.taken() == texts(1, first + 299))
        assert silent.taken() == []
        silent.go_on()
        await until(lambda: silent.taken() == texts(1, 900))


async def test_fluentbit_2490_what_is_retried_for_ever_fills_no_shared_buffer(
    plant: Plant,
) -> None:
    """One index refused its lines; their retries filled the buffer of all outputs."""
    stuck = plant.recorder("int_stuck")
    stuck.plan = [Retry("mapping conflict")] * 100_000
    await plant.configure("int_stuck")
    await plant.configure("int_other")
    for first in range(1, 2_001, 500):
        await plant.store(first, first + 499)
        await until(lambda first=first: len(plant.recorder("int_other").texts) == first + 499)
    assert plant.recorder("int_other").texts == texts(1, 2_000)
    await plant.until(lambda s: s.state == "open" and s.lag_lines == 2_000, "int_stuck")
    lane = next(iter(plant.integrations._runners["int_stuck"]._lanes))
    await until(lambda: lane.cursor.held == 0)  # what is beyond the batch in hand is let go


async def test_fluentbit_8395_more_waits_than_there_is_room_for_tasks(plant: Plant) -> None:
    """With its server away, Fluent Bit stopped at 2,048 tasks, and never began again."""
    await plant.configure(kind="webhook", config={"url": f"http://127.0.0.1:{free_port()}/in"})
    await plant.until(lambda s: s.state == "waiting")
    await plant.store(1, 2_100)  # each of them is a message of its own
    await plant.until(lambda s: s.pending == 2_100 and s.state in {"retrying", "open"})
    await plant.configure()  # it is back, elsewhere
    await until(lambda: plant.recorder().texts == texts(1, 2_100))


async def test_otelcontrib_18060_bad_lines_of_one_tenant_delay_no_other_tenants(
    plant: Plant,
) -> None:
    """Lines of tenant `bar` that Loki refused, and a queue of their retries, stopped `foo`'s.

    A hundred bad lines a second held up five thousand good ones.
    """
    async with running(LokiServer()) as loki, running(LokiServer(oldest=2**62)) as strict:
        await plant.configure("int_bar", "loki", strict.config, project="prj_bar")
        await plant.configure("int_foo", "loki", loki.config, project="prj_foo")
        for first in (1, 101, 201):
            await plant.store(first, first + 99, project="prj_bar", device="dev_bar")
            await plant.store(first, first + 99, project="prj_foo", device="dev_foo")
            await until(lambda first=first: loki.taken() == texts(1, first + 99))
        status = await plant.until(lambda s: s.rejected == 300, "int_bar")
        assert "too old" in status.error
        assert (await plant.status("int_foo")).rejected == 0


async def test_otelcontrib_31775_routes_are_apart_though_they_have_one_source(
    plant: Plant,
) -> None:
    """Where the routing connector split one source, an outage behind one route stopped them all."""
    plant.recorder("int_even").plan = [Retry("down")] * 100_000
    await plant.configure("int_even", shape=_matching("[02468]$"))
    await plant.configure("int_odd", shape=_matching("[13579]$"))
    await plant.store(1, 600)
    odd = [f"line {n}" for n in range(1, 601, 2)]
    await until(lambda: plant.recorder("int_odd").texts == odd)
    assert plant.recorder("int_even").texts == []
    plant.recorder("int_even").plan = []
    even = [f"line {n}" for n in range(2, 601, 2)]
    await until(lambda: plant.recorder("int_even").texts == even)


def _matching(regex: str) -> Shape:
    return Shape(filter=Filter(include=(Match(regex=regex),)))
