"""What a stored batch carries besides its payload: its id, when it came, what came before it."""

from typing import Final

import msgspec

from hub.protocol import MAX_LINES

MSG_ID: Final = "Nats-Msg-Id"
RECEIVED: Final = "Isaax-Received"
"""When the hub took it, in microseconds since the Unix epoch."""
LINE: Final = "Isaax-Line"
"""How many lines (or samples) of its project the stream had taken before this message."""
HOST: Final = "Isaax-Host"
"""The host name to show, where it is not the device's."""
BATCH: Final = "Isaax-Batch"
"""The `BatchId` of a dead letter or a replay, whose message id is another."""
LABELS: Final = "Isaax-Labels"
"""The labels of a dead letter or a replay, as a JSON object."""
FIXES: Final = "Isaax-Fixes"
"""Of a dead letter that was fixed: its place."""


class BatchId(msgspec.Struct, frozen=True):
    """Names a batch by what it covers; JetStream stores each id once within its window.

    Args:
        stream: as in `MarkKey`.
        boot, first, span: as in the batch's header.
    """

    device: str
    stream: str
    boot: int
    first: int
    span: int

    def __str__(self) -> str:
        return f"{self.device}:{self.stream}:{self.boot}:{self.first}:{self.span}"

    @classmethod
    def parse(cls, text: str) -> "BatchId":
        """Read the text form.

        Raises:
            ValueError: it is not one.
        """
        device, stream, boot, first, span = text.split(":")
        return cls(device, stream, int(boot), int(first), int(span))

    @property
    def last(self) -> int:
        """Sequence number of the last line that the batch covers."""
        return self.first + self.span - 1

    @property
    def lines(self) -> int:
        """How many lines it counts for (see `lines_in`)."""
        return lines_in(self.span)


def lines_in(span: int) -> int:
    """Say how many lines (or samples) a batch counts for, as far as its head tells.

    One that covers more numbers than a batch can hold stands for lines that were lost on the
    device, and has one line that says so.
    """
    return span if span <= MAX_LINES else 1
