"""The chain: pure rules of how an entry is written, and bound to all that came before it.

An entry is a canonical JSON text (RFC 8259; names sorted, no spaces, UTF-8; no numbers but
integers). Its hash is SHA-256 over the 32 bytes of the hash before it, followed by that text. Of
what may have to be erased it holds commitments alone: SHA-256 over 32 random bytes and the value.
"""

import hashlib
import secrets
from typing import Final

import msgspec

from hub.audit.deeds import Actor, Erased, Facts, Outcome, Part
from hub.errors import Invalid

VERSION: Final = 1
GENESIS: Final = bytes(32)
"""What stands in the place of a hash before the first entry."""
SALT_BYTES: Final = 32


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, as it is hashed; what is not named here is as in `Deed`.

    Args:
        v: `VERSION`.
        seq: 1, 2, 3, … in the account's log: the order in which outcomes became known.
        at: when it was begun, and sealed_at: when it was chained, by the clock of Postgres
            (microseconds since the Unix epoch).
        trace: its trace (W3C Trace Context).
        origin, content: commitments (hex) to where it came from, and to what was before and
            after; "" where there is none.
    """

    v: int
    account: str
    seq: int
    id: str
    at: int
    sealed_at: int
    action: str
    summary: str
    project: str
    object: dict[str, str]
    actor: Actor
    outcome: Outcome
    status: int
    code: str
    request: str
    trace: str
    replayed: bool
    count: int
    follows: str
    erased: Erased | None
    origin: str
    content: str

    def commitment(self, part: Part) -> str:
        """Give what it holds of a part."""
        return self.origin if part == "origin" else self.content


class Head(msgspec.Struct, frozen=True):
    """Where a chain ends: `seq` entries, the last of which has this hash."""

    seq: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Read what `str` wrote.

        Raises:
            Invalid: it is no head.
        """
        seq, _, digest = text.strip().partition(":")
        try:
            head = cls(int(seq), bytes.fromhex(digest))
        except ValueError:
            head = cls(-1, b"")
        if head.seq < 0 or len(head.hash) != len(GENESIS):
            raise Invalid(
                f"{text!r} is no head: it is written SEQ:HASH, as `isaax audit heads` does"
            )
        return head


START: Final = Head(0, GENESIS)


class Value(msgspec.Struct, frozen=True):
    """A part that may be erased, and the salt without which its commitment tells nothing."""

    part: Part
    salt: bytes
    value: str

    @classmethod
    def of(cls, part: Part, value: str) -> "Value":
        """Salt a value."""
        return cls(part, secrets.token_bytes(SALT_BYTES), value)

    @property
    def commitment(self) -> str:
        """Give what the entry holds of it."""
        return hashlib.sha256(self.salt + self.value.encode()).hexdigest()


class Link(msgspec.Struct, frozen=True):
    """An entry in its place in the chain.

    Args:
        text: the canonical JSON.
    """

    text: str
    previous: bytes
    hash: bytes


def link(entry: Entry, previous: bytes) -> Link:
    """Bind an entry to the one before it."""
    text = msgspec.json.encode(entry, order="sorted").decode()
    return Link(text, previous, digest(previous, text))


def digest(previous: bytes, text: str) -> bytes:
    """Give the hash of an entry behind another."""
    return hashlib.sha256(previous + text.encode()).digest()


def read(text: str) -> Entry:
    """Read an entry's text.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return _decoder.decode(text)


def entry_of(
    facts: Facts,
    *,
    account: str,
    seq: int,
    id: str,  # noqa: A002 - the name of the field
    at: int,
    sealed_at: int,
    values: list[Value],
) -> Entry:
    """Make the entry of a deed."""
    commitments = {value.part: value.commitment for value in values}
    return Entry(
        v=VERSION,
        account=account,
        seq=seq,
        id=id,
        at=at,
        sealed_at=sealed_at,
        origin=commitments.get("origin", ""),
        content=commitments.get("content", ""),
        **{name: getattr(facts, name) for name in facts.__struct_fields__},
    )


_decoder: Final = msgspec.json.Decoder(Entry)
