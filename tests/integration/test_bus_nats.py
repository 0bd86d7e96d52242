"""What only the bus over NATS has: the service protocol, restarts, and its streams."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from hub.bus import NatsBus, connect
from hub.contracts import Consumer, Contract, Endpoint, EventInfo, StreamEndpoint, Topic
from hub.embedded.nats import Nats
from hub.errors import IsaaxError, NotFound, Unavailable
from hub.messaging import wire
from hub.messaging.jetstream import DurableConsumer, Timing, ensure_stream
from hub.messaging.meter import Meter
from hub.secret import Secret
from hub.settings import NatsSettings
from hub.telemetry import Metrics
from tests.deadline import until
from tests.fixtures.bus import QUICK


class Text(msgspec.Struct, frozen=True):
    text: str


async def echo(request: Text) -> Text:
    if request.text == "fail":
        raise NotFound("nothing there")
    return request


def contract(name: str) -> Contract[Text, Text]:
    return Contract(f"{name}.echo", Text, Text)


# ── the service protocol, ADR-32 ──────────────────────────────────────────────────────────────


async def ask(client: Client, subject: str, payload: bytes = b"") -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((await client.request(subject, payload, timeout=5)).data)
    return answer


async def test_discovery(nats_bus: NatsBus, nats_client: Client, unique: str) -> None:
    """The standard client's own types read our answers."""
    async with nats_bus.serve(unique, "1.2.3", [Endpoint(contract(unique), echo)]):
        ping = ServicePing.from_dict(await ask(nats_client, f"$SRV.PING.{unique}"))
        info = await ask(nats_client, f"$SRV.INFO.{unique}.{ping.id}")
        parsed = ServiceInfo.from_dict(info)
    assert (ping.name, ping.version, ping.type) == (
        unique, "1.2.3", "io.nats.micro.v1.ping_response",
    )  # fmt: skip
    assert info["type"] == "io.nats.micro.v1.info_response"
    assert (parsed.id, info["metadata"]) == (ping.id, {})
    [endpoint] = parsed.endpoints
    assert (endpoint.name, endpoint.subject, endpoint.queue_group) == (
        f"{unique}-echo-v1", f"svc.{unique}.echo.v1", "q",
    )  # fmt: skip
    assert endpoint.metadata == {"request": "Text", "response": "Text"}


async def test_statistics(nats_bus: NatsBus, nats_client: Client, unique: str) -> None:
    async with nats_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), echo)]):
        for text in ("a", "b"):
            await nats_bus.request(contract(unique), Text(text))
        with pytest.raises(NotFound):
            await nats_bus.request(contract(unique), Text("fail"))
        answer = await ask(nats_client, f"$SRV.STATS.{unique}")
        [stats] = ServiceStats.from_dict(answer).endpoints
    assert (stats.num_requests, stats.num_errors) == (3, 1)
    assert stats.last_error == "404:There is no such thing, or it is not yours"
    assert stats.average_processing_time == stats.processing_time // 3 > 0


async def test_everybody_answers_a_general_ping(
    nats_bus: NatsBus, nats_client: Client, unique: str
) -> None:
    inbox = nats_client.new_inbox()
    answers = await nats_client.subscribe(inbox)
    endpoint = Endpoint(contract(unique), echo)
    async with (
        nats_bus.serve(unique, "1.0.0", [endpoint]),
        nats_bus.serve(unique, "1.0.1", [endpoint]),
    ):
        await nats_client.publish("$SRV.PING", reply=inbox)
        versions = {json.loads((await answers.next_msg(5)).data)["version"] for _ in range(2)}
    assert versions == {"1.0.0", "1.0.1"}


async def test_errors_have_the_standard_headers(
    nats_bus: NatsBus, nats_client: Client, unique: str
) -> None:
    async with nats_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), echo)]):
        subject = contract(unique).wire_subject
        failed = await nats_client.request(subject, b'{"text":"fail"}', timeout=5)
        garbage = await nats_client.request(subject, b"\xff{", timeout=5)
        late = await nats_client.request(
            subject, b'{"text":"a"}', timeout=5, headers={wire.BUDGET: "0"}
        )
        wrong = await nats_client.request(
            subject, b'{"text":"a"}', timeout=5, headers={wire.BUDGET: "soon"}
        )
    codes = [
        (message.headers or {})["Nats-Service-Error-Code"]
        for message in (failed, garbage, late, wrong)
    ]
    assert codes == ["404", "422", "504", "422"]
    assert (failed.headers or {})["Nats-Service-Error"].startswith("There is no such thing")


async def test_an_error_of_a_foreign_service(
    nats_bus: NatsBus, nats_client: Client, unique: str
) -> None:
    async def foreign(message: Any) -> None:
        headers = {"Nats-Service-Error": "no luck", "Nats-Service-Error-Code": "500"}
        await nats_client.publish(message.reply, b"not json", headers=headers)

    await nats_client.subscribe(contract(unique).wire_subject, cb=foreign)
    with pytest.raises(IsaaxError, match="no luck"):
        await nats_bus.request(contract(unique), Text("x"))


@pytest.mark.parametrize(("name", "version"), [("a.b", "1.0.0"), ("", "1.0.0"), ("a", "1.0")])
async def test_a_service_that_cannot_be(nats_bus: NatsBus, name: str, version: str) -> None:
    with pytest.raises(ValueError, match=r"service name|semantic version"):
        async with nats_bus.serve(name, version, []):
            pass


# ── connections and streams ───────────────────────────────────────────────────────────────────


async def test_a_server_that_does_not_let_us_in(nats_settings: NatsSettings) -> None:
    wrong = msgspec.structs.replace(nats_settings, password=Secret("hunter2"))
    with pytest.raises(Unavailable, match="NATS at") as caught:
        async with connect(wrong):
            pass
    assert "hunter2" not in str(caught.value)


async def test_no_server() -> None:
    with pytest.raises(Unavailable, match=r"NATS at nats://127\.0\.0\.1:1"):
        async with connect(NatsSettings("nats://127.0.0.1:1")):
            pass


async def test_streams_take_up_new_settings(nats_client: Client, unique: str) -> None:
    js = nats_client.jetstream()
    for size in (1000, 1000, 2000):
        await ensure_stream(
            js, StreamConfig(name=unique, subjects=[f"{unique}.>"], max_msg_size=size)
        )
    info = await js.stream_info(unique)
    assert info.config.max_msg_size == 2000
    await js.delete_stream(unique)


async def test_events_are_kept_on_disk(nats_bus: NatsBus, nats_client: Client) -> None:
    js = nats_client.jetstream()
    for name in ("EVENTS", "EVENTS_DEAD"):
        config = (await js.stream_info(name)).config
        assert (config.storage, config.retention, config.discard) == ("file", "limits", "old")
        assert config.duplicate_window == 3600


# ── a server that is killed ───────────────────────────────────────────────────────────────────


async def test_everything_goes_on_after_a_crash_of_nats(
    nats_bus: NatsBus, nats_server: Nats, unique: str
) -> None:
    topic = Topic(f"{unique}.thing.happened", Text)
    handled: list[str] = []

    async def handler(event: Text, info: EventInfo) -> None:
        handled.append(event.text)

    async def publish(text: str) -> None:
        await nats_bus.publish(topic, Text(text), id=str(uuid.uuid4()), key="k")

    async with (
        nats_bus.serve(unique, "1.0.0", [Endpoint(contract(unique), echo)]),
        nats_bus.consume(Consumer(topic, unique, handler)),
    ):
        await nats_bus.request(contract(unique), Text("before"))
        await publish("before")
        await until(lambda: handled == ["before"])
        for round_ in range(2):
            nats_server.kill()
            await nats_server.restart()
            text = f"after {round_}"

            async def answered(text: str = text) -> bool:
                try:
                    return await nats_bus.request(contract(unique), Text(text)) == Text(text)
                except Unavailable:
                    return False

            async def published(text: str = text) -> bool:
                try:
                    await publish(text)
                except Unavailable:
                    return False
                return True

            await until(answered)
            await until(published)
            await until(lambda text=text: text in handled)  # type: ignore[misc]
    assert handled[0] == "before"


async def test_an_event_at_work_when_nats_crashes(
    nats_bus: NatsBus, nats_server: Nats, unique: str
) -> None:
    """The acknowledgement of what was handled meanwhile still counts; order is kept."""
    topic = Topic(f"{unique}.thing.happened", Text)
    handled: list[str] = []
    started, release = asyncio.Event(), asyncio.Event()

    async def handler(event: Text, info: EventInfo) -> None:
        started.set()
        await release.wait()
        handled.append(event.text)

    async with nats_bus.consume(Consumer(topic, unique, handler)):
        for text in ("a", "b", "c"):
            await nats_bus.publish(topic, Text(text), id=str(uuid.uuid4()), key="k")
        await started.wait()
        nats_server.kill()
        await nats_server.restart()
        release.set()
        await until(lambda: "c" in handled)
    assert list(dict.fromkeys(handled)) == ["a", "b", "c"]


async def test_a_stream_that_breaks_off(nats_bus: NatsBus, nats_server: Nats, unique: str) -> None:
    """Items may be lost with the server, so the caller is told rather than left with a hole."""
    sent = 0

    async def handler(request: Text) -> Any:
        nonlocal sent
        while True:
            yield Text(str(sent))
            sent += 1
            await asyncio.sleep(0.005)

    values: list[int] = []

    async def read() -> None:
        async for item in nats_bus.stream(contract(unique), Text("")):
            values.append(int(item.text))  # noqa: PERF401 - what came before the error counts

    async with nats_bus.serve(unique, "1.0.0", [StreamEndpoint(contract(unique), handler)]):
        reading = asyncio.create_task(read())
        await until(lambda: len(values) > 10)
        nats_server.kill()
        before = len(values)
        await asyncio.sleep(0.2)
        await nats_server.restart()
        await until(lambda: reading.done() or len(values) > before + 100)
        reading.cancel()
        outcome = (await asyncio.gather(reading, return_exceptions=True))[0]
    assert isinstance(outcome, Unavailable | asyncio.CancelledError)
    assert values == list(range(len(values)))


# ── what takes long, or is never finished ─────────────────────────────────────────────────────

IMPATIENT = Timing(ack_wait=0.5, pull=2.0, beat=0.2, silence=0.6, pause=0.05)


def reader(
    client: Client, topic: Topic[Text], name: str, handler: Any, attempts: int = 12
) -> DurableConsumer:
    consumer = Consumer(topic, name, handler, attempts)
    return DurableConsumer(client, consumer, QUICK, Meter(Metrics()), IMPATIENT)


async def test_a_slow_handler_is_left_in_peace(
    nats_bus: NatsBus, nats_client: Client, unique: str
) -> None:
    topic = Topic(f"{unique}.thing.happened", Text)
    handled: list[tuple[str, int]] = []

    async def handler(event: Text, info: EventInfo) -> None:
        if event.text == "slow":
            await asyncio.sleep(3 * IMPATIENT.ack_wait)
        handled.append((event.text, info.attempt))

    async with reader(nats_client, topic, unique, handler).run():
        for text in ("slow", "next"):
            await nats_bus.publish(topic, Text(text), id=str(uuid.uuid4()), key="k")
        await until(lambda: len(handled) == 2)
    assert handled == [("slow", 1), ("next", 1)]


async def test_an_event_that_ends_every_process_dies(
    nats_bus: NatsBus, nats_client: Client, unique: str
) -> None:
    topic = Topic(f"{unique}.thing.happened", Text)
    attempts: list[int] = []

    async def handler(event: Text, info: EventInfo) -> None:
        attempts.append(info.attempt)
        await asyncio.Event().wait()

    async def process() -> None:
        async with reader(nats_client, topic, unique, handler, attempts=2).run():
            await asyncio.Event().wait()

    await nats_bus.publish(topic, Text("poison"), id=str(uuid.uuid4()), key="k")
    for started in (1, 2):
        running = asyncio.create_task(process())
        await until(lambda started=started: len(attempts) == started)  # type: ignore[misc]
        running.cancel()  # the end of the service
        await asyncio.sleep(0)
        running.cancel()  # the end of its patience
        await asyncio.gather(running, return_exceptions=True)

    async def is_dead() -> bool:
        return bool(await nats_bus.dead_events(unique))

    async with reader(nats_client, topic, unique, handler, attempts=2).run():
        await until(is_dead)
    [dead] = await nats_bus.dead_events(unique)
    assert (dead.reason, attempts) == ("no attempt was finished", [1, 2])


async def test_two_connections_share_a_durable_in_order(
    nats_settings: NatsSettings, nats_bus: NatsBus, unique: str
) -> None:
    topic = Topic(f"{unique}.thing.happened", Text)
    handled: list[str] = []
    inside = 0

    async def handler(event: Text, info: EventInfo) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1, "one at a time, over all processes"
        await asyncio.sleep(0)
        handled.append(event.text)
        inside -= 1

    async with connect(nats_settings, name="second") as client:
        second = NatsBus(client)
        async with (
            nats_bus.consume(Consumer(topic, unique, handler)),
            second.consume(Consumer(topic, unique, handler)),
        ):
            for number in range(50):
                await nats_bus.publish(topic, Text(str(number)), id=str(uuid.uuid4()), key="k")
            await until(lambda: len(handled) == 50)
    assert handled == [str(number) for number in range(50)]


async def test_what_one_takes_together_no_other_overtakes(
    nats_settings: NatsSettings, nats_bus: NatsBus, unique: str
) -> None:
    """Over all processes, also when the one that is at it ends, or is gone amid its work."""
    topic = Topic(f"{unique}.thing.happened", Text)
    handled: list[int] = []
    hangs = asyncio.Event()

    async def one(event: Text, info: EventInfo) -> None:
        handled.append(int(event.text))

    async def many(events: Sequence[tuple[Text, EventInfo]]) -> None:
        handled.extend(int(event.text) for event, _ in events)

    async def never(events: Sequence[tuple[Text, EventInfo]]) -> None:
        hangs.set()
        await asyncio.Event().wait()

    async def publish(*numbers: int) -> None:
        for number in numbers:
            await nats_bus.publish(topic, Text(str(number)), id=str(uuid.uuid4()), key="k")

    def consumer(together: Any) -> Consumer[Text]:
        return Consumer(topic, unique, one, together=together)

    async def process() -> None:
        async with (
            connect(nats_settings, name="gone") as client,
            NatsBus(client).consume(consumer(never)),
        ):
            await asyncio.Event().wait()

    async with connect(nats_settings, name="second") as client:
        second = NatsBus(client)
        async with second.consume(consumer(many)):
            async with nats_bus.consume(consumer(many)):
                await publish(*range(50))
                await until(lambda: len(handled) == 50)
            await publish(*range(50, 60))
            await until(lambda: len(handled) == 60, timeout=30)
        await publish(*range(60, 80))
        running = asyncio.create_task(process())
        await hangs.wait()
        async with second.consume(consumer(many)):
            for _ in range(2):  # the end of the service, and that of its patience
                running.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(running, return_exceptions=True)
            await publish(*range(80, 90))
            await until(lambda: len(handled) == 90, timeout=40)
    assert handled == [*range(90)]


# ── cancellation ──────────────────────────────────────────────────────────────────────────────


async def test_a_request_that_is_cancelled_as_its_answer_comes_is_cancelled(
    nats_client: Client, unique: str
) -> None:
    """Whoever cancels a task may wait for its end: it must not go on with the answer."""

    async def answer(message: Msg) -> None:
        # All that waits for an answer here is this request: it has its answer, and is cancelled.
        (waiting,) = nats_client._resp_map.values()
        waiting.add_done_callback(lambda _: asking.cancel())
        await message.respond(b"here")

    await nats_client.subscribe(unique, cb=answer)
    asking = asyncio.create_task(nats_client.request(unique, b"", timeout=10))
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_flush_that_is_cancelled_as_its_answer_comes_is_cancelled(
    nats_client: Client,
) -> None:
    """As for a request."""
    flushing = asyncio.create_task(nats_client.flush())
    while not nats_client._pongs:  # noqa: ASYNC110 - the client has no event for it
        await asyncio.sleep(0)
    nats_client._pongs[-1].add_done_callback(lambda _: flushing.cancel())
    with pytest.raises(asyncio.CancelledError):
        await flushing


async def test_a_request_in_time_is_not_cancelled(nats_client: Client, unique: str) -> None:
    """A cancellation that was taken back before is nobody's."""

    async def answer(message: Msg) -> None:
        await message.respond(b"here")

    await nats_client.subscribe(unique, cb=answer)

    async def ask_after_a_timeout() -> bytes:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        return bytes((await nats_client.request(unique, b"", timeout=10)).data)

    assert await asyncio.create_task(ask_after_a_timeout()) == b"here"
