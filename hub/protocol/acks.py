"""Acknowledgements: JSON on `c/…/ack`."""

import msgspec


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
