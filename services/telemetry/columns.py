"""Samples as columns, on their way into Postgres."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from hub import TakenSamples

HOUR: Final = 3_600_000_000  # microseconds
FUTURE: Final = 600_000_000
"""Microseconds that a device's clock may be ahead; from then on the hub's own counts."""

LARGEST: Final = 1e290
"""Of the values that are kept: the sum of an hour of larger ones would be none for Postgres."""

_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Owner(msgspec.Struct, frozen=True, gc=False):
    """Whose samples they are."""

    account: str
    project: str
    device: str


class NewSeries(msgspec.Struct, frozen=True, gc=False):
    """A series, as it is written down when it is first seen; `labels` is JSON."""

    owner: Owner
    type: str
    name: str
    labels: str
    counter: bool


class Row(msgspec.Struct, frozen=True, gc=False):
    """One sample; `key` names its series, `at` is in microseconds since the Unix epoch."""

    owner: Owner
    key: bytes
    at: int
    value: float


class Columns(msgspec.Struct):
    """Samples, and the series that they are of, by key."""

    rows: list[Row] = []
    series: dict[bytes, NewSeries] = {}


def columns_of(taken: TakenSamples, accounts: dict[str, str], *, now: int) -> Columns:
    """Make the columns of what was taken; samples of projects without an account are left out.

    A time that is yet to come is that at which the hub took the sample.

    Args:
        accounts: by project.
        now: microseconds since the Unix epoch.
    """
    found = Columns()
    for chunk in taken.chunks:
        account = accounts.get(chunk.project)
        if account is None:
            continue
        owner = Owner(account, chunk.project, chunk.device)
        received = min(chunk.received or now, now)
        samples = chunk.samples
        described = zip(
            samples.name_column(), samples.label_column(), samples.counter_column(), strict=True
        )
        for (name, labels, counter), at, value in zip(
            described, samples.times, samples.values, strict=True
        ):
            text = _labels_text(labels)
            key = key_of(chunk.device, chunk.type, name, text)
            if key not in found.series:
                found.series[key] = NewSeries(owner, chunk.type, name, text.decode(), counter)
            time = at if at <= received + FUTURE else received
            found.rows.append(Row(owner, key, time, min(max(value, -LARGEST), LARGEST)))
    return found


def _labels_text(labels: dict[str, str]) -> bytes:
    """Write labels as JSON that Postgres takes: it has no NUL in a text."""
    text = _encoder.encode(labels)
    if b"\\u0000" in text:
        text = _encoder.encode({name: one.replace("\0", "\ufffd") for name, one in labels.items()})
    return text


def key_of(device: str, kind: str, name: str, labels: bytes) -> bytes:
    """Give the digest that names a series.

    Args:
        labels: as JSON, in their order by name.
    """
    # No name holds a NUL, so no two series are written alike.
    text = b"\0".join((device.encode(), kind.encode(), name.encode(), labels))
    return hashlib.blake2b(text, digest_size=16).digest()


def due_hours(rows: Sequence[Row], now: int) -> Iterator[tuple[Owner, int]]:
    """Give the hours (Unix seconds) of devices that are to be rolled up for these samples.

    A late sample also changes what a counter grew by in the hour after.
    """
    present = now - now % HOUR
    found: set[tuple[Owner, int]] = set()
    for row in rows:
        hour = row.at - row.at % HOUR
        found.add((row.owner, hour))
        if hour < present:
            found.add((row.owner, hour + HOUR))
    return ((owner, hour // 1_000_000) for owner, hour in found)
