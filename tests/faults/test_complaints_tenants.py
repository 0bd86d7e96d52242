"""Complaints of tenants that are not apart: what is one's reaches no other, and delays none."""

import json
from contextlib import AsyncExitStack
from typing import cast

from hub.contracts import Bus
from hub.protocol import Codec, encode_batch
from hub.relay.admission import Rates
from hub.relay.counts import LineCounts
from hub.relay.ingest import Ingest
from hub.relay.marks import MarkTable
from tests.fixtures.complaints import Plant
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.relay import Bench, make_lines, make_payload, topic, until


def ingest_of(bench: Bench) -> Ingest:
    """Give sources their way in."""
    return Ingest(bench.writer, bench.marks, bench.gate, cast("Bus", bench.directory))


async def test_otel_1260_tenants_share_a_relay_and_nothing_else(plant: Plant) -> None:
    """The collector knew no tenants: each needed a collector, and a backend's token, of its own."""
    async with AsyncExitStack() as stack:
        receivers = {}
        for tenant in ("acme", "ecorp"):
            config = {"headers": {"Authorization": f"Bearer {tenant}"}}
            receiver = await stack.enter_async_context(http_receiver(webhook_texts, config))
            receivers[tenant] = receiver
            await plant.configure(
                f"int_{tenant}", "webhook", receiver.config, project=f"prj_{tenant}"
            )
        ingest = ingest_of(plant.bench)
        for first in range(1, 31):
            for tenant in receivers:  # the same listener, and a host of the same name
                lines = make_lines(first, 1, prefix=tenant)
                await ingest.submit(f"prj_{tenant}", "http", "web-1", lines)
        for tenant, receiver in receivers.items():
            await until(lambda receiver=receiver: len(receiver.taken()) == 30)
            assert receiver.taken() == [f"{tenant} {n}" for n in range(1, 31)]
        for tenant, receiver in receivers.items():
            shown = {request.headers["authorization"] for request in receiver.requests}
            assert shown == {f"Bearer {tenant}"}


async def test_otel_10602_a_spammy_client_is_slowed_and_no_other(bench: Bench) -> None:
    """One source that sent too much affected the data of all: the collector had no quotas."""
    bench.begin(MarkTable(), LineCounts(), {}, defaults=Rates(lines_per_second=50))
    bench.start(bench.writer.run())
    to = topic(project="prj_spam", device="dev_spam")
    spam = [bench.take(make_payload(1 + 50 * n, 50), to) for n in range(20)]
    quiet = bench.take(make_payload(1, 10))
    await until(lambda: quiet.acked)
    slowed = {where for where, payload in bench.answers.sent if json.loads(payload)["op"] == "slow"}
    assert len(slowed) == 1
    assert "/prj_spam/dev_spam/" in slowed.pop(), "nobody else is asked to wait"
    stored = (await bench.nats.jetstream().stream_info("RELAY_0", subjects_filter=">")).state
    counts = stored.subjects or {}
    assert counts["relay.0.prj_one.log.app"] == 1
    assert counts.get("relay.0.prj_spam.log.app", 0) < len(spam), "the rest comes later"


async def test_fluentbit_2898_the_fortieth_destination_gets_its_own_lines(plant: Plant) -> None:
    """From the 33rd output on, Fluent Bit sent nothing, or to the first one what was another's."""
    names = [f"{number:02}" for number in range(40)]
    for name in names:
        await plant.configure(f"int_{name}", project=f"prj_{name}")
    for name in names:
        payload = encode_batch(make_lines(1, 1, prefix=name), boot=1, first=1, codec=Codec.NONE)
        plant.bench.take(payload, topic(project=f"prj_{name}", device=f"dev_{name}"))
    for name in names:
        recorder = plant.recorder(f"int_{name}")
        await until(lambda recorder=recorder: bool(recorder.texts))
    for name in names:
        recorder = plant.recorder(f"int_{name}")
        assert recorder.texts == [f"{name} 1"]
        projects = {chunk.project for batch in recorder.batches for chunk in batch.chunks}
        assert projects == {f"prj_{name}"}
