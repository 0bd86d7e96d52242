"""How a device is told that it is not let in."""

from typing import Literal

from hub import IsaaxError

Code = Literal["nonce", "proof", "unknown-device", "revoked", "limit", "expired", "approval"]

APPROVAL_SECONDS = 60.0
"""How long a device waits before it asks again whether somebody has approved it."""


class Refusal(IsaaxError):  # noqa: N818 - an outcome, raised by name
    """The device is not let in."""

    def __init__(self, code: Code, detail: str, retry: float = 0.0) -> None:
        super().__init__(detail)
        self.reason = code
        self.retry = retry
