"""Why a request is refused; each form says it in its own way."""


class Refused(Exception):  # noqa: N818 - an outcome, raised by name
    """A request is not taken.

    Args:
        status: of HTTP.
        detail: what to do about it, in words; no secrets.
        after: seconds after which it may be tried again.
    """

    def __init__(self, status: int, detail: str, *, after: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.after = after


def too_many(most: int) -> Refused:
    """Refuse a request for how many lines it has."""
    return Refused(413, f"a request has at most {most} lines")
