"""How much of the disk `isaax up` gives to lines that are stored."""

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from hub.errors import StartError
from hub.relay.streams import reserved_bytes
from hub.settings import RelaySettings

_SHARE: Final = 0.4  # of what is free, for all shards together
_LEAST: Final = 64 * 1024**2  # of one shard: below it there is no point in a relay
_BESIDES: Final = 3 * 1024**3  # the streams of the bus reserve two of them


def fitted(settings: RelaySettings, store: Path) -> RelaySettings:
    """Lower `max_bytes` to what the disk has room for.

    JetStream reserves what a stream may hold, and does not make one that it has no room for. What
    it holds already counts as free: else every start would find less, and drop lines.

    Args:
        store: the folder that JetStream keeps its streams in; it may not be there yet.

    Raises:
        StartError: there is too little room for any.
    """
    there = next(folder for folder in (store, *store.parents) if folder.exists())
    free = shutil.disk_usage(there).free + held_bytes(store)
    most = int(free * _SHARE) // settings.shards
    if most < _LEAST:
        need = _LEAST * settings.shards / _SHARE
        raise StartError(
            f"{free / 1024**2:,.0f} MiB are free for {store}, and {need / 1024**2:,.0f} MiB are "
            "needed: make room, or choose another disk with --data DIR"
        )
    return msgspec.structs.replace(settings, max_bytes=min(settings.max_bytes, most))


def file_store(settings: RelaySettings) -> int:
    """Give the bytes that JetStream must be allowed, to take all streams (`max_file_store`)."""
    return reserved_bytes(settings) + _BESIDES


def held_bytes(folder: Path) -> int:
    """Give the bytes on disk of a folder's files; one that vanishes meanwhile counts for none."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_blocks * 512  # stat(2): 512-byte units
            except FileNotFoundError:
                continue
    return total
