"""Complaints of corrupted buffers and crash loops: what is damaged is lost, counted, and over."""

import asyncio

import pytest
from nats.aio.client import Client

from hub.embedded.nats import Nats
from hub.errors import Unavailable
from hub.relay.streams import check_streams, ensure_streams, keep_streams
from hub.settings import RelaySettings
from tests.fixtures.complaints import Plant, Store, power_cut, texts
from tests.fixtures.relay import PROJECT, until


async def waiting(plant: Plant, first: int, last: int) -> None:
    """Have lines stored that nobody has read yet."""
    await plant.configure(enabled=False)
    await plant.until(lambda s: s.state == "paused")
    await plant.store(first, last)


async def test_vector_17644_a_corrupted_buffer_is_no_endless_loop(
    plant: Plant, relay_nats: Nats
) -> None:
    """After a host was reset, Vector's disk buffer read the same broken record for ever.

    No restart helped, SIGINT was not heard, and the buffer had to be deleted by hand.
    """
    await waiting(plant, 1, 30)
    await power_cut(plant.bench, relay_nats, lambda store: store.flip(0.5))
    await plant.configure()
    await plant.store(31, 33)
    await until(lambda: plant.recorder().texts[-3:] == texts(31, 33))
    taken = plant.recorder().texts
    assert taken[:-3] == texts(1, len(taken) - 3), "all that is before the damage, in order"
    status = await plant.until(lambda s: s.state == "waiting")
    assert status.gap_lines == 33 - len(taken) > 0
    assert status.error == (
        f"damage to JetStream's files took up to {status.gap_lines} lines before they were "
        "delivered"
    )
    async with asyncio.timeout(5):
        await plant.integrations.stop()


async def test_vector_18336_a_record_that_cannot_be_decoded_holds_up_nothing(
    plant: Plant,
) -> None:
    """A record that did not deserialize stopped Vector's reader until the pod was killed."""
    await plant.configure()
    await plant.store(1, 2)
    headers = {"Nats-Msg-Id": "dev_two:app:1:1:1", "Isaax-Received": "1"}
    stream = "RELAY_0"
    await plant.bench.nats.jetstream().publish(
        f"relay.0.{PROJECT}.log.app", b"\xde\xad", stream=stream, headers=headers
    )
    await plant.store(3, 4)
    await until(lambda: plant.recorder().texts == texts(1, 4))
    status = await plant.until(lambda s: s.state == "waiting")
    assert status.rejected == 1
    [(subject, told, payload)] = await plant.bench.dead_letters()
    assert (subject, payload) == (f"dead.{PROJECT}.int_one", b"\xde\xad"), "kept as it is"
    assert told["Isaax-Reason"]


async def test_vector_19759_a_write_that_was_cut_short_is_read_up_to_there(
    plant: Plant, relay_nats: Nats
) -> None:
    """A large disk buffer of Vector's stopped, and no longer started, until it was deleted.

    Here everything of a file is kept that is whole.
    """
    await waiting(plant, 1, 30)
    await power_cut(plant.bench, relay_nats, lambda store: store.cut(0.9))
    await plant.configure()
    await plant.store(31, 31)
    await until(lambda: plant.recorder().texts[-1:] == ["line 31"])
    status = await plant.until(lambda s: s.state == "waiting")
    assert plant.recorder().texts == [*texts(1, 30 - status.gap_lines), "line 31"]
    assert 3 <= status.gap_lines <= 4


async def test_vector_25525_a_place_in_a_file_that_is_gone_is_left(
    plant: Plant, relay_nats: Nats
) -> None:
    """Vector's disk buffer went on in a data file that no longer existed, and crashed in a loop.

    (So its fix tells, vector#25570.) Here the stream begins anew, and gives numbers once more
    that were delivered before: what has them now is delivered, too.
    """
    await plant.configure()
    await plant.store(1, 20)
    await until(lambda: plant.recorder().texts == texts(1, 20))
    await plant.until(lambda s: s.pending == 0)
    await power_cut(plant.bench, relay_nats, lambda store: store.block.unlink())
    await plant.store(21, 25)
    await until(lambda: plant.recorder().texts == texts(1, 25))
    assert (await plant.status()).gap_lines == 0, "nothing was lost of what is not delivered"


async def test_fluentbit_11847_damage_makes_it_neither_silent_nor_healthy(
    plant: Plant, relay_nats: Nats, relay_settings: RelaySettings
) -> None:
    """With corrupted chunks in its storage, Fluent Bit was up and healthy, and shipped nothing."""
    nats = plant.bench.nats
    await plant.configure()
    await plant.store(1, 5)
    await until(lambda: plant.recorder().texts == texts(1, 5))
    await power_cut(plant.bench, relay_nats, lambda store: store.spoil("obs/int_one/o.dat"))
    await plant.store(6, 8)
    await until(lambda: plant.recorder().texts == texts(1, 8))

    await check_streams(nats, relay_settings)
    await power_cut(plant.bench, relay_nats, lambda store: store.spoil("meta.inf"))
    with pytest.raises(Unavailable, match="JetStream has lost RELAY_0"):
        await check_streams(nats, relay_settings)
    plant.bench.start(keep_streams(nats.jetstream(), relay_settings, every=0.05))
    await plant.store(9, 10)
    await until(lambda: plant.recorder().texts == texts(1, 10))
    await check_streams(nats, relay_settings)


async def test_otelcontrib_35899_a_corrupted_store_is_no_reason_not_to_start(
    plant: Plant, relay_nats: Nats, relay_settings: RelaySettings
) -> None:
    """Over a corrupted bbolt file the collector's file_storage panicked at each start."""
    await plant.store(1, 20)
    js = plant.bench.nats.jetstream()
    for _ in range(2):
        await power_cut(plant.bench, relay_nats, lambda store: store.spoil("meta.inf"))
        await ensure_streams(js, relay_settings)  # the first thing that a hub does
        relay_nats.kill()
        await relay_nats.restart()
        await until(lambda: plant.bench.nats.is_connected)
        assert (await js.stream_info("RELAY_0")).state.messages == 20, "mended for good"
    await plant.configure()
    await until(lambda: plant.recorder().texts == texts(1, 20))


class TestSizes:
    """With a store that a test fills."""

    @pytest.fixture
    def relay_settings(self) -> RelaySettings:
        return RelaySettings(max_bytes=64 * 1024)

    async def test_syslogng_4069_a_buffer_that_wrapped_may_be_made_larger(
        self, plant: Plant, relay_client: Client, relay_nats: Nats
    ) -> None:
        """A larger disk-buf-size() corrupted a disk buffer of syslog-ng's that had wrapped."""
        js = relay_client.jetstream()
        await plant.store(1, 1)
        await waiting(plant, 2, 600)
        state = (await js.stream_info("RELAY_0")).state
        assert state.first_seq > 1, "the oldest are gone: it has wrapped"
        await ensure_streams(js, RelaySettings(max_bytes=1 << 24))
        await plant.store(601, 700)
        relay_nats.kill()
        await relay_nats.restart()
        await until(lambda: relay_client.is_connected)
        after = (await js.stream_info("RELAY_0")).state
        assert after.first_seq <= state.first_seq
        assert after.last_seq == 700
        await plant.configure()
        await until(lambda: plant.recorder().texts[-1:] == ["line 700"])
        assert plant.recorder().texts == texts(after.first_seq, 700), "without a hole since then"
        gap = (await plant.status()).gap_lines
        assert 0 < gap <= state.first_seq - 1, "what did not fit is counted"


async def test_what_is_damaged_beside_the_messages_loses_none(
    plant: Plant, relay_nats: Nats
) -> None:
    """The index of a file of messages is made anew from the messages."""
    await plant.store(1, 20)
    await power_cut(plant.bench, relay_nats, _spoil_index)
    await plant.configure()
    await until(lambda: plant.recorder().texts == texts(1, 20))
    assert (await plant.status()).gap_lines == 0


def _spoil_index(store: Store) -> None:
    store.spoil("msgs/index.db")
