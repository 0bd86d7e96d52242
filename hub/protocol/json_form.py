"""The JSON form of a batch, for a device that is a shell script."""

from typing import Final, Literal, TypeVar

import msgspec

from hub.protocol.batches import Codec, Header, read_binary_position
from hub.protocol.body import UNDECODABLE
from hub.protocol.limits import MAX_PAYLOAD_BYTES, ProtocolError
from hub.protocol.lines import Lines, check_lines, encode_batch
from hub.protocol.metrics import Labels, Name, Samples, check_samples, encode_samples

T = TypeVar("T")


class JsonLine(msgspec.Struct, frozen=True):
    """One line in the JSON form; only the text is required."""

    message: str
    time: int | None = None
    priority: int = 14  # user.info
    program: str = "app"


class JsonBatch(msgspec.Struct, frozen=True):
    """A batch of lines as a JSON object: its payload starts with `{`."""

    v: Literal[1]
    boot: int
    first: int
    lines: list[str | JsonLine]
    span: int = 0


class JsonSample(msgspec.Struct, frozen=True):
    """One sample in the JSON form; its name and its value are required."""

    name: Name
    value: float
    time: int | None = None
    labels: Labels = {}
    counter: bool = False


class JsonSamples(msgspec.Struct, frozen=True):
    """A batch of samples as a JSON object."""

    v: Literal[1]
    boot: int
    first: int
    samples: list[JsonSample]
    span: int = 0


class _JsonPlace(msgspec.Struct, frozen=True):
    """What a batch in the JSON form covers, whatever its lines or samples are."""

    boot: int
    first: int
    lines: list[msgspec.Raw] = []
    samples: list[msgspec.Raw] = []
    span: int = 0


_lines_decoder: Final = msgspec.json.Decoder(JsonBatch)
_samples_decoder: Final = msgspec.json.Decoder(JsonSamples)
_place_decoder: Final = msgspec.json.Decoder(_JsonPlace)


def is_json(payload: bytes) -> bool:
    """Say whether a payload on a log or metric topic is in the JSON form."""
    return payload[:1] == b"{"


def json_to_binary(payload: bytes, *, now: int) -> bytes:
    """Turn a batch of lines in the JSON form into the binary form.

    Args:
        now: microseconds since the Unix epoch, for lines without a time.

    Raises:
        ProtocolError: `bad-body`, `bad-header` or `too-large`.
    """
    batch = _decoded(payload, _lines_decoder)
    items = [JsonLine(item) if isinstance(item, str) else item for item in batch.lines]
    lines = Lines(
        [now if item.time is None else item.time for item in items],
        [item.priority for item in items],
        [item.program for item in items],
        [item.message for item in items],
    )
    header = _header(batch, len(lines))
    check_lines(lines, header)
    try:
        return encode_batch(lines, boot=header.boot, first=header.first, span=header.span)
    except OverflowError:
        raise ProtocolError("bad-body", "a time is beyond 64 bits") from None


def json_to_samples(payload: bytes, *, now: int) -> bytes:
    """Turn a batch of samples in the JSON form into the binary form; as `json_to_binary`."""
    batch = _decoded(payload, _samples_decoder)
    items = batch.samples
    samples = Samples(
        [now if item.time is None else item.time for item in items],
        [item.name for item in items],
        [item.value for item in items],
        [item.labels for item in items],
        [item.counter for item in items],
    )
    header = _header(batch, len(samples))
    check_samples(samples, header)
    try:
        return encode_samples(samples, boot=header.boot, first=header.first, span=header.span)
    except OverflowError:
        raise ProtocolError("bad-body", "a time is beyond 64 bits") from None


def read_position(payload: bytes) -> Header | None:
    """Read what a batch covers that cannot be taken; None when not even that can be read."""
    return _read_json_position(payload) if is_json(payload) else read_binary_position(payload)


def _decoded(payload: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError("too-large", f"a batch is at most {MAX_PAYLOAD_BYTES} bytes")
    try:
        return decoder.decode(payload)
    except UNDECODABLE as error:
        raise ProtocolError("bad-body", str(error)) from None


def _header(batch: JsonBatch | JsonSamples, count: int) -> Header:
    if not (0 < batch.boot < 1 << 63 and 0 < batch.first < 1 << 62 and 0 <= batch.span < 1 << 32):
        raise ProtocolError("bad-header", "boot and first are 1 or more")
    return Header(Codec.NONE, batch.boot, batch.first, batch.span or count)


def _read_json_position(payload: bytes) -> Header | None:
    try:
        place = _place_decoder.decode(payload)
    except UNDECODABLE:
        return None
    span = place.span or len(place.lines) or len(place.samples)
    if not (0 < place.boot < 1 << 63 and 0 < place.first < 1 << 62 and 0 < span < 1 << 32):
        return None
    return Header(Codec.NONE, place.boot, place.first, span)
