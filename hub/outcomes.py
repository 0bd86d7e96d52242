"""What a destination may say of a batch instead of taking it: raised by `send`."""

from collections.abc import Sequence


class Retry(Exception):  # noqa: N818 - an outcome, raised by name
    """The destination cannot take this batch now; the same batch comes again later.

    Args:
        reason: what it answered, in words a user understands; no secrets.
        after: seconds that it asked to wait (`Retry-After`), if it said so.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


class Rejected(Exception):  # noqa: N818
    """The destination will never take this batch: its lines become dead letters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Partial(Exception):  # noqa: N818
    """It took the batch but for some lines.

    Args:
        rejected: (index of the line in the batch, reason) of those it will never take.
        retry: indexes of those to send again; they go before anything newer.
        reason: why those are to be sent again, in words a user understands; no secrets.
        after: seconds that it asked to wait before that, if it said so.
    """

    def __init__(
        self,
        *,
        rejected: Sequence[tuple[int, str]] = (),
        retry: Sequence[int] = (),
        reason: str = "",
        after: float | None = None,
    ) -> None:
        super().__init__(f"{len(rejected)} lines rejected, {len(retry)} to send again")
        self.rejected = tuple(rejected)
        self.retry = tuple(retry)
        self.reason = reason
        self.after = after


class NotConnected(Exception):  # noqa: N818
    """The connection is gone. What was written but not confirmed is sent again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
