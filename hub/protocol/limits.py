"""What every part of the wire agrees on: its version, its names and its bounds."""

from typing import Final

VERSION: Final = 1
STREAMS: Final = ("app", "sys", "agent")
METRICS: Final = ("device", "cpu", "memory", "disk", "network", "ps")

MAX_LINES: Final = 1_000
MAX_MESSAGE_BYTES: Final = 64 * 1024
MAX_PAYLOAD_BYTES: Final = 512 * 1024
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

MAX_LABELS: Final = 30
MAX_NAME_CHARACTERS: Final = 128  # of a metric, and of a label
MAX_LABEL_CHARACTERS: Final = 1_024  # of a label's value


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
