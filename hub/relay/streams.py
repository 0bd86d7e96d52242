"""The relay's JetStream streams: their names, their subjects and their making."""

import asyncio
import zlib
from typing import Final, Literal

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from hub.errors import StartError, Unavailable
from hub.settings import RelaySettings

_log = structlog.stdlib.get_logger(__name__)

Kind = Literal["log", "metric"]
"""Logs and metrics are stored apart."""

KINDS: Final[tuple[Kind, ...]] = ("log", "metric")
DEAD: Final = "DEAD"
REPLAY: Final = "REPLAY"
_LOOK: Final = 5.0
_SHARD: Final = "RELAY_"
_METRIC: Final = "METRIC_"
# nats-server's errors: its storage resources, or those of the account, are exceeded.
_NO_ROOM: Final = (10047, 10028, 10002)


def shard_of(project: str, shards: int) -> int:
    """Say which shard holds a project's batches."""
    return zlib.crc32(project.encode()) % shards


def shard_stream(shard: int) -> str:
    """Give the name of a shard's stream of log batches."""
    return f"{_SHARD}{shard}"


def metric_stream(shard: int) -> str:
    """Give the name of a shard's stream of metric batches.

    It is another one than that of the logs: a flood of metrics takes neither their place on the
    disk nor their turn.
    """
    return f"{_METRIC}{shard}"


def kind_of(stream: str) -> Kind:
    """Say what a stream of a device holds; metrics are called `metric.<type>`."""
    return "metric" if stream.startswith("metric.") else "log"


def stream_name(kind: Kind, shard: int) -> str:
    """Give the name of a shard's stream."""
    return metric_stream(shard) if kind == "metric" else shard_stream(shard)


def stream_filter(kind: Kind, shard: int) -> str:
    """Give the filter for all that a shard's stream holds."""
    return f"{'metric' if kind == 'metric' else 'relay'}.{shard}.>"


def is_void(subject: str) -> bool:
    """Say whether a stored message only keeps the place of a dead letter."""
    return subject.split(".", 4)[3] == "void"


def batch_subject(shard: int, project: str, stream: str) -> str:
    """Give the subject of a log stream's batches; `stream` is `app`, `sys` or `agent`."""
    return f"relay.{shard}.{project}.log.{stream}"


def metric_subject(shard: int, project: str, stream: str, device: str) -> str:
    """Give the subject of a device's metric batches; `stream` is `metric.cpu`, ….

    With the device in it, the last message of each subject is what each device said last.
    """
    return f"metric.{shard}.{project}.sample.{stream.removeprefix('metric.')}.{device}"


def void_subject(shard: int, project: str, stream: str) -> str:
    """Give the subject of empty messages that stand for a batch that became a dead letter.

    They keep its place in the sequence: marks are rebuilt from what the stream holds.
    """
    root = "metric" if stream.startswith("metric.") else "relay"
    return f"{root}.{shard}.{project}.void.{stream.removeprefix('metric.')}"


def logs_filter(shard: int, project: str, stream: str = "*") -> str:
    """Give the filter for a project's log batches."""
    return f"relay.{shard}.{project}.log.{stream}"


def metrics_filter(shard: int, project: str) -> str:
    """Give the filter for a project's metric batches."""
    return f"metric.{shard}.{project}.sample.>"


def replay_subject(project: str, integration: str) -> str:
    """Give the subject of dead letters that are to be delivered once more."""
    return f"replay.{project}.{integration}"


def dead_subject(project: str, source: str) -> str:
    """Give the subject of dead letters; `source` is an integration's id, or `intake`."""
    return f"dead.{project}.{source}"


def project_of(subject: str) -> str:
    """Read the project out of a `relay.…` or `metric.…` subject."""
    return subject.split(".", 3)[2]


async def ensure_streams(js: JetStreamContext, settings: RelaySettings) -> None:
    """Make the streams, or bring those that exist in line with the settings.

    Raises:
        StartError: the number of shards is not the one that the streams were made with, or
            JetStream has no room for them.
    """
    shards = [name for name in await _stream_names(js) if name.startswith(_SHARD)]
    if shards and len(shards) != settings.shards:
        raise StartError(
            f"relay.shards is {settings.shards}, but JetStream holds {len(shards)} shards: "
            "their number is fixed at the first start"
        )
    for config in _configs(settings):
        await _ensure(js, config, settings)


async def missing_streams(js: JetStreamContext, settings: RelaySettings) -> list[str]:
    """Name the streams that should be there and are not.

    Raises:
        nats.errors.Error: JetStream does not answer.
    """
    there = await _stream_names(js)
    wanted = [config.name or "" for config in _configs(settings)]
    return [name for name in wanted if name not in there]


async def check_streams(nats: Client, settings: RelaySettings) -> None:
    """Check that JetStream is there, with all streams of the relay.

    Raises:
        Unavailable: it is not.
        nats.errors.Error: JetStream does not answer.
    """
    if not nats.is_connected:
        raise Unavailable("no connection to NATS")
    if missing := await missing_streams(nats.jetstream(), settings):
        raise Unavailable(f"JetStream has lost {', '.join(missing)}")


async def keep_streams(
    js: JetStreamContext, settings: RelaySettings, *, every: float = _LOOK
) -> None:
    """Make streams that go missing under us anew, until cancelled.

    A nats-server that starts with the description of a stream damaged goes on without the stream.

    Args:
        every: seconds between looks.
    """
    while True:
        await asyncio.sleep(every)
        try:
            if missing := await missing_streams(js, settings):
                _log.error("streams are missing: was their data damaged?", streams=missing)
                await ensure_streams(js, settings)
        except (nats.errors.Error, OSError, StartError) as error:
            _log.warning("the streams are not known to be there", error=str(error))


def reserved_bytes(settings: RelaySettings) -> int:
    """Give the bytes of disk that JetStream reserves for all of the relay's streams."""
    return sum(config.max_bytes or 0 for config in _configs(settings))


def _configs(settings: RelaySettings) -> list[api.StreamConfig]:
    shards = range(settings.shards)
    return [
        *(_config(shard_stream(n), stream_filter("log", n), settings) for n in shards),
        *(_config(metric_stream(n), stream_filter("metric", n), settings, share=4) for n in shards),
        _config(DEAD, "dead.>", settings, share=4),
        _config(REPLAY, "replay.>", settings, share=8),
    ]


def _config(
    name: str, subject: str, settings: RelaySettings, *, share: int = 1
) -> api.StreamConfig:
    return api.StreamConfig(
        name=name,
        subjects=[subject],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        max_age=settings.max_age,
        max_bytes=settings.max_bytes // share,
        duplicate_window=min(settings.dedup_window, settings.max_age),
        num_replicas=settings.replicas,
        allow_atomic=True,
    )


async def _ensure(js: JetStreamContext, config: api.StreamConfig, settings: RelaySettings) -> None:
    try:
        try:
            await js.stream_info(config.name or "")
        except NotFoundError:
            await js.add_stream(config)
        # Also after it was added: where nats-server found the files of a stream whose description
        # is damaged, it takes the messages in, and writes the description anew only now.
        await js.update_stream(config)
    except APIError as error:
        if error.err_code not in _NO_ROOM:
            raise
        raise StartError(
            f"JetStream has no room for the stream {config.name}: relay.max_bytes is "
            f"{settings.max_bytes}, for which it reserves {reserved_bytes(settings)} bytes of disk "
            "in all. Lower relay.max_bytes, or raise max_file_store of nats-server"
        ) from None


async def _stream_names(js: JetStreamContext) -> list[str]:
    names: list[str] = []
    while page := await js.streams_info(offset=len(names)):
        names += [info.config.name or "" for info in page]
    return names
