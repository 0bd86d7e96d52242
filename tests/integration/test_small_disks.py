"""Streams that fit the disk, and a plain word when they do not."""

import os
from collections import namedtuple
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.embedded import disk
from hub.embedded.nats import Nats
from hub.embedded.ports import free_port
from hub.embedded.runtime import Runtime
from hub.errors import StartError
from hub.messaging.nats_transport import connect
from hub.relay.streams import ensure_streams, reserved_bytes
from hub.secret import Secret
from hub.settings import NatsSettings, RelaySettings

GIB = 1024**3
Usage = namedtuple("Usage", "total used free")


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _path: Usage(100 * GIB, 0, free))


def test_a_large_disk_takes_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_free(monkeypatch, 1_000 * GIB)
    assert disk.fitted(RelaySettings(), tmp_path).max_bytes == RelaySettings().max_bytes


@pytest.mark.parametrize("shards", [1, 3])
def test_a_small_one_takes_less(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shards: int
) -> None:
    with_free(monkeypatch, 10 * GIB)
    settings = disk.fitted(RelaySettings(shards=shards), tmp_path / "not" / "there")
    assert settings.max_bytes * shards <= 4 * GIB < (settings.max_bytes + 1) * shards
    assert reserved_bytes(settings) < 10 * GIB
    assert disk.file_store(settings) > reserved_bytes(settings)


def test_what_jetstream_holds_counts_as_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else a hub would drop lines whenever it starts on a disk that it has filled itself."""
    (tmp_path / "msgs").mkdir()
    held = tmp_path / "msgs" / "1.blk"
    held.write_bytes(os.urandom(1024 * 1024))
    size = held.stat().st_blocks * 512
    assert size >= 1024 * 1024
    with_free(monkeypatch, GIB - size)
    assert disk.fitted(RelaySettings(), tmp_path).max_bytes == int(GIB * 0.4)


def test_a_full_disk_is_said_to_be_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_free(monkeypatch, 100 * 1024**2)
    with pytest.raises(StartError, match=r"100 MiB are free for .*, and 160 MiB are needed"):
        disk.fitted(RelaySettings(), tmp_path)


@pytest.fixture
async def small_nats(parts_folder: Path, tmp_path: Path) -> AsyncIterator[NatsSettings]:
    """A NATS whose JetStream has 100 MiB."""
    part = Nats(
        parts_folder / f"nats-{tmp_path.name}",
        port=free_port(),
        password=Secret("secret"),
        runtime=Runtime(parts_folder / "runtime"),
        file_store=100 * 1024**2,
    )
    await part.start()
    try:
        yield part.settings
    finally:
        await part.stop()


async def test_streams_that_do_not_fit_name_the_setting(small_nats: NatsSettings) -> None:
    async with connect(small_nats) as client:
        js = client.jetstream()
        with pytest.raises(StartError, match=r"RELAY_0: relay.max_bytes is 209715200.*Lower"):
            await ensure_streams(js, RelaySettings(max_bytes=200 * 1024**2))
        await ensure_streams(js, RelaySettings(max_bytes=50 * 1024**2))
        with pytest.raises(StartError, match=r"Lower relay\.max_bytes"):
            await ensure_streams(js, RelaySettings(max_bytes=90 * 1024**2))
        assert (await js.stream_info("RELAY_0")).config.max_bytes == 50 * 1024**2
