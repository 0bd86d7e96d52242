"""HTTP headers that a user adds to what a destination sends."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from hub.secret import Secret

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e]{0,4096}")
_OURS: Final = frozenset({
    "connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding",
})  # fmt: skip


def check_headers(headers: Mapping[str, Secret], *, ours: Iterable[str] = ()) -> None:
    """Check the headers of a config; for its `__post_init__`.

    Args:
        ours: names, in lower case, that the destination sets besides those that every one sets.

    Raises:
        ValueError: a name or a value cannot be used; no value is repeated.
    """
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a header holds letters, digits and hyphens")
        if name.lower() in _OURS.union(ours):
            raise ValueError(f"the header {name} is set by the hub")
        if not _VALUE.fullmatch(value.reveal()):
            raise ValueError(f"the value of the header {name} must be printable US-ASCII")
