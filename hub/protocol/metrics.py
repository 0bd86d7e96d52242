"""The samples of a metric batch, by column."""

import math
from typing import Annotated, Final

import msgspec

from hub.protocol.batches import Codec, Header, check_columns, decode_header, encode_header
from hub.protocol.body import decode_body, encode_body
from hub.protocol.limits import (
    MAX_LABEL_CHARACTERS,
    MAX_LABELS,
    MAX_NAME_CHARACTERS,
    ProtocolError,
)

# The data model of Prometheus; names that begin with `__` are its own
# (https://prometheus.io/docs/concepts/data_model/).
Name = Annotated[
    str, msgspec.Meta(pattern=r"\A[a-zA-Z_:][a-zA-Z0-9_:]*\Z", max_length=MAX_NAME_CHARACTERS)
]
"""What a metric is called."""

LabelName = Annotated[
    str, msgspec.Meta(pattern=r"\A(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z", max_length=MAX_NAME_CHARACTERS)
]
"""What a label is called."""

LabelValue = Annotated[str, msgspec.Meta(max_length=MAX_LABEL_CHARACTERS)]
Labels = Annotated[dict[LabelName, LabelValue], msgspec.Meta(max_length=MAX_LABELS)]
"""The labels of one sample."""


class Samples(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The samples of a metric batch, by column, in order.

    Args:
        times: microseconds since the Unix epoch, by the device's clock.
        names: `[a-zA-Z_:][a-zA-Z0-9_:]*`, with the unit at the end; one for all, or a list.
        values: finite numbers.
        labels: names as `[a-zA-Z_][a-zA-Z0-9_]*`, not begun by `__`; one object for all samples,
            or a list.
        counters: True where the value only grows, but for a restart; one for all, or a list.
    """

    times: list[int]
    names: Name | list[Name]
    values: list[float]
    labels: Labels | list[Labels] = {}
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


_decoder: Final = msgspec.msgpack.Decoder(Samples)


def encode_samples(
    samples: Samples, *, boot: int, first: int, span: int = 0, codec: Codec = Codec.ZLIB
) -> bytes:
    """Make the payload of one metric batch.

    Args:
        span: sequence numbers covered; 0 means as many as there are samples.
        codec: `ZSTD` needs the `zstandard` package.
    """
    header = Header(codec, boot, first, span or len(samples))
    return encode_header(header) + encode_body(samples, codec)


def decode_samples(payload: bytes) -> Samples:
    """Read the samples of a binary metric batch.

    Raises:
        ProtocolError: as `hub.protocol.decode_lines`; `bad-body` too for a value that is not
            finite, and for a name or labels that are not as docs/protocol.md (4.4) says.
    """
    header = decode_header(payload)
    samples = decode_body(payload, header, _decoder)
    check_samples(samples, header)
    return samples


def check_samples(samples: Samples, header: Header) -> None:
    """See that the columns are what they have to be.

    Raises:
        ProtocolError: `bad-body`.
    """
    columns = (samples.times, samples.names, samples.labels, samples.counters)
    check_columns(len(samples), columns, header)
    if not all(map(math.isfinite, samples.values)):
        raise ProtocolError("bad-body", "a value is a finite number")
