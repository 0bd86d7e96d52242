"""The wire between device and hub: topics, session messages and the batch codec.

`docs/protocol.md` is its specification. The agent imports this module and nothing else of the
hub, so it needs no more than the base install: msgspec and the standard library.
"""

import hashlib
import hmac
import re
import struct
import zlib
from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

VERSION: Final = 1
STREAMS: Final = ("app", "sys", "agent")
METRICS: Final = ("device", "cpu", "memory", "disk", "network", "ps")

MAX_LINES: Final = 1_000
MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_PAYLOAD_BYTES: Final = 512 * 1024
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ProtocolError(ValueError):
    """A message does not follow docs/protocol.md.

    Args:
        code: a stable word for the reason, as listed in docs/protocol.md ("errors").
        detail: the same for people.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


# ── topics ────────────────────────────────────────────────────────────────────────────────────


class Session(msgspec.Struct, frozen=True):
    """A device's session and the topics that it opens."""

    project: str
    device: str
    id: str

    @property
    def up(self) -> str:
        """Prefix of what the device publishes."""
        return f"d/{self.project}/{self.device}/{self.id}"

    @property
    def down(self) -> str:
        """Prefix of what the hub publishes to the device."""
        return f"c/{self.project}/{self.device}/{self.id}"

    def log(self, stream: str) -> str:
        """Topic of the batches of one log stream."""
        return f"{self.up}/log/{stream}"

    @property
    def ack(self) -> str:
        """Topic of the hub's acknowledgements."""
        return f"{self.down}/ack"


class DeviceTopic(msgspec.Struct, frozen=True):
    """A parsed topic `d/<project>/<device>/<session>/<kind>/<name>`; `name` is "" for `state`."""

    session: Session
    kind: str
    name: str


def auth_up(client: str) -> str:
    """Topic on which a client asks for a registration or a session."""
    return f"auth/{client}/up"


def auth_down(client: str) -> str:
    """Topic on which it is answered."""
    return f"auth/{client}/down"


def parse_device_topic(topic: str) -> DeviceTopic:
    """Take a device's topic apart.

    Raises:
        ProtocolError: `unknown-topic`.
    """
    match topic.split("/"):
        case ["d", project, device, session, "log" as kind, name] if name in STREAMS:
            pass
        case ["d", project, device, session, "metric" as kind, name] if name in METRICS:
            pass
        case ["d", project, device, session, "reply" as kind, name]:
            pass
        case ["d", project, device, session, "state" as kind]:
            name = ""
        case _:
            raise ProtocolError("unknown-topic", f"no such topic: {topic!r}")
    if not all(_ID.fullmatch(part) for part in (project, device, session)):
        raise ProtocolError("unknown-topic", f"no such topic: {topic!r}")
    return DeviceTopic(Session(project, device, session), kind, name)


# ── registration and sessions (JSON on auth/<client>/up and /down) ────────────────────────────


IdText = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{0,64}$")]
"""What a client calls an id; "" where there is none yet."""


class Begin(msgspec.Struct, frozen=True, tag_field="op", tag="begin"):
    """Device → hub: ask for a nonce."""


class Nonce(msgspec.Struct, frozen=True, tag_field="op", tag="nonce"):
    """Hub → device: a nonce, good once, for this client id, for `expires_in` seconds."""

    nonce: str
    expires_in: int
    versions: list[int] = msgspec.field(default_factory=lambda: [VERSION])


class Register(msgspec.Struct, frozen=True, tag_field="op", tag="register"):
    """Device → hub: register a new device; `proof` is `register_proof(...)`."""

    project: IdText
    nonce: str
    proof: str
    label: str = ""
    agent: str = ""
    system: str = ""


class Registered(msgspec.Struct, frozen=True, tag_field="op", tag="registered"):
    """Hub → device: its id and its key (64 hex digits). Sent once, never again."""

    device: str
    key: str


ConnectionName = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{16,64}$")]


class Hello(msgspec.Struct, frozen=True, tag_field="op", tag="hello"):
    """Device → hub: open a session; `proof` is `hello_proof(...)`.

    `connection` is the value that the connection's will carries (see `Gone`); `previous` the id
    of the last session that this device was given: what tells a clone from the original.
    """

    project: IdText
    nonce: str
    proof: str
    connection: ConnectionName
    previous: IdText = ""
    agent: str = ""
    system: str = ""


class Mark(msgspec.Struct, frozen=True, order=True):
    """The last line of a stream that the hub holds durably; (0, 0) before the first."""

    boot: int = 0
    seq: int = 0


class Opened(msgspec.Struct, frozen=True, tag_field="op", tag="session"):
    """Hub → device: the session is open until `expires_at` (Unix seconds, the hub's clock)."""

    session: str
    expires_at: int
    time: int
    marks: dict[str, Mark] = {}
    versions: dict[str, str] = {}


class Gone(msgspec.Struct, frozen=True, tag_field="op", tag="gone"):
    """The will, and the last message of an orderly end: this connection is no more."""

    connection: str


class Refused(msgspec.Struct, frozen=True, tag_field="op", tag="refused"):
    """Hub → device: no; `code` is one of docs/protocol.md, `retry` seconds (0: not at all)."""

    code: str
    detail: str
    retry: float = 0


Up = Begin | Register | Hello | Gone
Down = Nonce | Registered | Opened | Refused


def register_proof(token: str, project: str, client: str, nonce: str) -> str:
    """Prove the possession of a project token: HMAC-SHA-256 in lower-case hex."""
    key = hashlib.sha256(token.encode()).digest()
    return register_proof_from_digest(key, project, client, nonce)


def register_proof_from_digest(digest: bytes, project: str, client: str, nonce: str) -> str:
    """The same from the token's SHA-256, which is all that the hub keeps."""
    return _proof(digest, "isaax-register-1", project, client, nonce)


def hello_proof(
    key: str, project: str, device: str, nonce: str, connection: str, previous: str = ""
) -> str:
    """Prove the possession of a device key (64 hex digits) for this connection."""
    parts = ("isaax-hello-1", project, device, nonce, connection, previous)
    return _proof(bytes.fromhex(key), *parts)


def _proof(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()


# ── acknowledgements (JSON on c/…/ack) ────────────────────────────────────────────────────────


class Ack(msgspec.Struct, frozen=True, tag_field="op", tag="ack"):
    """Every line of the stream up to `mark` is on the hub's disk: free it."""

    stream: str
    boot: int
    seq: int


class Resume(msgspec.Struct, frozen=True, tag_field="op", tag="resume"):
    """A batch did not follow the last one: send again from the line after (`boot`, `seq`)."""

    stream: str
    boot: int
    seq: int


class Reject(msgspec.Struct, frozen=True, tag_field="op", tag="reject"):
    """The batch that starts at (`boot`, `first`) cannot be taken; the hub kept it as a dead letter.

    The next `ack` covers its sequence numbers: it must not be sent again.
    """

    stream: str
    boot: int
    first: int
    code: str
    detail: str


class Slow(msgspec.Struct, frozen=True, tag_field="op", tag="slow"):
    """The project sends more than it may: wait `wait` seconds, then go on after (`boot`, `seq`)."""

    stream: str
    boot: int
    seq: int
    wait: float


AckMessage = Ack | Resume | Reject | Slow


# ── batches ───────────────────────────────────────────────────────────────────────────────────


class Codec(IntEnum):
    """How the body of a batch is compressed."""

    NONE = 0
    ZLIB = 1  # RFC 1950
    ZSTD = 2  # RFC 8878


class Header(msgspec.Struct, frozen=True):
    """The first 24 bytes of a batch.

    Args:
        codec: compression of the body.
        boot: which life of the device's spool these sequence numbers belong to (1 or more).
        first: sequence number of the first line (1 or more).
        span: how many sequence numbers the batch covers. Equal to the number of lines, or more
            when lines were lost on the device; one of its lines then says how many.
    """

    codec: int
    boot: int
    first: int
    span: int

    @property
    def last(self) -> int:
        """Sequence number of the last line that the batch covers."""
        return self.first + self.span - 1


class Lines(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The lines of a batch, by column, in order.

    Args:
        times: microseconds since the Unix epoch, by the device's clock.
        priorities: RFC 5424 PRI (facility * 8 + severity, 0 to 191); one number for all lines,
            or a list with one for each.
        programs: what wrote the line (RFC 5424 APP-NAME); one string for all, or a list.
        messages: the text.
    """

    times: list[int]
    priorities: int | list[int]
    programs: str | list[str]
    messages: list[str]

    def __len__(self) -> int:
        return len(self.messages)

    def priority_column(self) -> list[int]:
        """Give one priority for each line."""
        p = self.priorities
        return p if isinstance(p, list) else [p] * len(self.messages)

    def program_column(self) -> list[str]:
        """Give one program for each line."""
        p = self.programs
        return p if isinstance(p, list) else [p] * len(self.messages)

    def slice(self, start: int, stop: int | None = None) -> "Lines":
        """Give the lines from `start` to before `stop`."""
        cut = slice(start, stop)
        return Lines(
            self.times[cut],
            self.priorities[cut] if isinstance(self.priorities, list) else self.priorities,
            self.programs[cut] if isinstance(self.programs, list) else self.programs,
            self.messages[cut],
        )


class Samples(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The samples of a metric batch, by column, in order.

    Args:
        times: microseconds since the Unix epoch, by the device's clock.
        names: `[a-zA-Z_:][a-zA-Z0-9_:]*`, with the unit at the end; one for all, or a list.
        values: finite numbers.
        labels: names as `[a-zA-Z_][a-zA-Z0-9_]*`; one object for all samples, or a list.
        counters: True where the value only grows, but for a restart; one for all, or a list.
    """

    times: list[int]
    names: str | list[str]
    values: list[float]
    labels: dict[str, str] | list[dict[str, str]] = {}
    counters: bool | list[bool] = False

    def __len__(self) -> int:
        return len(self.values)

    def name_column(self) -> list[str]:
        """Give one name for each sample."""
        return self.names if isinstance(self.names, list) else [self.names] * len(self.values)

    def label_column(self) -> list[dict[str, str]]:
        """Give the labels of each sample."""
        return self.labels if isinstance(self.labels, list) else [self.labels] * len(self.values)

    def counter_column(self) -> list[bool]:
        """Say of each sample whether it is a counter."""
        c = self.counters
        return c if isinstance(c, list) else [c] * len(self.values)

    def slice(self, start: int, stop: int | None = None) -> "Samples":
        """Give the samples from `start` to before `stop`."""
        cut = slice(start, stop)
        return Samples(
            self.times[cut],
            self.names[cut] if isinstance(self.names, list) else self.names,
            self.values[cut],
            self.labels[cut] if isinstance(self.labels, list) else self.labels,
            self.counters[cut] if isinstance(self.counters, list) else self.counters,
        )


_HEADER: Final = struct.Struct(">BBxxIQQ")
HEADER_BYTES: Final = _HEADER.size
# What msgspec raises for bytes that a stranger made: the last one for a thousand open brackets.
_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Lines)


def encode_batch(
    lines: Lines, *, boot: int, first: int, span: int = 0, codec: Codec = Codec.ZLIB
) -> bytes:
    """Make the payload of one batch.

    Args:
        span: sequence numbers covered; 0 means as many as there are lines.
        codec: `ZSTD` needs the `zstandard` package.
    """
    body = _encoder.encode(lines)
    match codec:
        case Codec.ZLIB:
            body = zlib.compress(body, 1)
        case Codec.ZSTD:
            body = _zstd().compress(body)
        case Codec.NONE:
            pass
    return _HEADER.pack(VERSION, codec, span or len(lines), boot, first) + body


def renumber(payload: bytes, *, boot: int, first: int) -> bytes:
    """Give a binary batch other numbers; nothing else of it changes."""
    version, codec, span, _, _ = _HEADER.unpack_from(payload)
    return _HEADER.pack(version, codec, span, boot, first) + payload[HEADER_BYTES:]


def decode_header(payload: bytes) -> Header:
    """Read the head of a binary batch without touching its body.

    Raises:
        ProtocolError: `truncated`, `unsupported-version`, `unsupported-codec`, `bad-header`,
            `too-large`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError(
            "too-large", f"a batch is at most {MAX_PAYLOAD_BYTES} bytes, this one {len(payload)}"
        )
    if len(payload) <= HEADER_BYTES:
        raise ProtocolError("truncated", f"a batch is longer than {HEADER_BYTES} bytes")
    version, codec, span, boot, first = _HEADER.unpack_from(payload)
    if version != VERSION:
        raise ProtocolError("unsupported-version", f"version {version}; this hub speaks {VERSION}")
    if codec > Codec.ZSTD:
        raise ProtocolError("unsupported-codec", f"codec {codec}; known are 0, 1 and 2")
    if not (boot and first and span):
        raise ProtocolError("bad-header", "boot, first and span are 1 or more")
    if first + span >= 1 << 63 or boot >= 1 << 63:
        raise ProtocolError("bad-header", "boot and sequence numbers are below 2^63")
    return Header(codec, boot, first, span)


def read_position(payload: bytes) -> Header | None:
    """Read what a batch covers that cannot be taken; None when not even that can be read."""
    if is_json(payload):
        return _read_json_position(payload)
    if len(payload) < HEADER_BYTES:
        return None
    version, codec, span, boot, first = _HEADER.unpack_from(payload)
    if version != VERSION or not (boot and first and span):
        return None
    if first + span >= 1 << 63 or boot >= 1 << 63:
        return None
    return Header(codec, boot, first, span)


def _read_json_position(payload: bytes) -> Header | None:
    try:
        place = _json_place_decoder.decode(payload)
    except _UNDECODABLE:
        return None
    span = place.span or len(place.lines)
    if not (0 < place.boot < 1 << 63 and 0 < place.first < 1 << 62 and 0 < span < 1 << 32):
        return None
    return Header(Codec.NONE, place.boot, place.first, span)


def decode_lines(payload: bytes) -> Lines:
    """Read the lines of a binary batch.

    Raises:
        ProtocolError: as `decode_header`, and `bad-body` (not decodable, columns of unequal
            length, invalid UTF-8, more than `MAX_LINES`), `too-large` (a decompression bomb).
    """
    header = decode_header(payload)
    body: bytes | memoryview = memoryview(payload)[HEADER_BYTES:]
    try:
        if header.codec == Codec.ZLIB:
            body = _inflate(body)
        elif header.codec == Codec.ZSTD:
            body = _zstd().decompress(body)
        lines = _decoder.decode(body)
    except (*_UNDECODABLE, zlib.error) as error:
        raise ProtocolError("bad-body", f"the body cannot be decoded: {error}") from None
    _check_columns(lines, header)
    return lines


def _check_columns(lines: Lines, header: Header) -> None:
    count = len(lines.messages)
    columns = (lines.times, lines.priorities, lines.programs)
    if any(isinstance(column, list) and len(column) != count for column in columns):
        raise ProtocolError("bad-body", "the columns differ in length")
    if not 0 < count <= MAX_LINES:
        raise ProtocolError("bad-body", f"a batch has 1 to {MAX_LINES} lines, this one {count}")
    if count > header.span:
        raise ProtocolError("bad-body", f"{count} lines in a batch that covers {header.span}")
    p = lines.priorities
    lowest, highest = (min(p), max(p)) if isinstance(p, list) else (p, p)
    if not 0 <= lowest <= highest <= 191:
        raise ProtocolError("bad-body", "a priority is 0 to 191 (RFC 5424, 6.2.1)")


def _inflate(body: bytes | memoryview) -> bytes:
    engine = zlib.decompressobj()
    plain = engine.decompress(body, MAX_BODY_BYTES)
    if engine.unconsumed_tail or not engine.eof:
        if len(plain) >= MAX_BODY_BYTES:
            raise ProtocolError("too-large", f"a body is at most {MAX_BODY_BYTES} bytes")
        raise ProtocolError("truncated", "the compressed body ends early")
    return plain


class _Zstd:
    """zstandard's two engines, made once; the package comes with the extra `hub`."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - not in the base install

        self._error = zstandard.ZstdError
        self._compress = zstandard.ZstdCompressor(level=1)
        self._decompress = zstandard.ZstdDecompressor()
        self._size = zstandard.frame_content_size

    def compress(self, data: bytes) -> bytes:
        return self._compress.compress(data)

    def decompress(self, data: bytes | memoryview) -> bytes:
        try:
            if not 0 <= self._size(data) <= MAX_BODY_BYTES:
                raise ProtocolError(
                    "too-large", f"a zstd body states its size, at most {MAX_BODY_BYTES} bytes"
                )
            return self._decompress.decompress(data, max_output_size=MAX_BODY_BYTES)
        except self._error as error:
            raise ProtocolError("bad-body", f"the body is not zstd: {error}") from None


_engines: list[_Zstd] = []


def _zstd() -> _Zstd:
    if not _engines:
        try:
            _engines.append(_Zstd())
        except ImportError:
            raise ProtocolError("unsupported-codec", "zstandard is not installed here") from None
    return _engines[0]


# ── the JSON form of a batch, for a device that is a shell script ─────────────────────────────


class JsonLine(msgspec.Struct, frozen=True):
    """One line in the JSON form; only the text is required."""

    message: str
    time: int | None = None
    priority: int = 14  # user.info
    program: str = "app"


class JsonBatch(msgspec.Struct, frozen=True):
    """A batch as a JSON object: its payload starts with `{`."""

    v: Literal[1]
    boot: int
    first: int
    lines: list[str | JsonLine]
    span: int = 0


class _JsonPlace(msgspec.Struct, frozen=True):
    """What a batch in the JSON form covers, whatever its lines are."""

    boot: int
    first: int
    lines: list[msgspec.Raw]
    span: int = 0


_json_decoder: Final = msgspec.json.Decoder(JsonBatch)
_json_place_decoder: Final = msgspec.json.Decoder(_JsonPlace)


def is_json(payload: bytes) -> bool:
    """Say whether a payload on a log topic is in the JSON form."""
    return payload[:1] == b"{"


def json_to_binary(payload: bytes, *, now: int) -> bytes:
    """Turn a batch in the JSON form into the binary form.

    Args:
        now: microseconds since the Unix epoch, for lines without a time.

    Raises:
        ProtocolError: `bad-body`, `bad-header` or `too-large`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ProtocolError("too-large", f"a batch is at most {MAX_PAYLOAD_BYTES} bytes")
    try:
        batch = _json_decoder.decode(payload)
    except _UNDECODABLE as error:
        raise ProtocolError("bad-body", str(error)) from None
    items = [JsonLine(item) if isinstance(item, str) else item for item in batch.lines]
    lines = Lines(
        [now if item.time is None else item.time for item in items],
        [item.priority for item in items],
        [item.program for item in items],
        [item.message for item in items],
    )
    if not (0 < batch.boot < 1 << 63 and 0 < batch.first < 1 << 62 and 0 <= batch.span < 1 << 32):
        raise ProtocolError("bad-header", "boot and first are 1 or more")
    span = batch.span or len(lines)
    _check_columns(lines, Header(Codec.NONE, batch.boot, batch.first, span))
    try:
        return encode_batch(lines, boot=batch.boot, first=batch.first, span=span)
    except OverflowError:
        raise ProtocolError("bad-body", "a time is beyond 64 bits") from None
