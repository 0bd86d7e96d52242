"""What a user configures for files."""

from typing import Annotated, Literal

import msgspec

# `$` alone would also match before a line feed at the end.
FileName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)")]


class FileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files on the hub's disk, in a folder of this integration's own.

    Args:
        name: the file that is written to is `<name>.log`.
        format: a JSON object a line; RFC 5424; or the message alone, which is what the
            integration's template makes of it.
        max_bytes: a file that would grow beyond this is rotated.
        rotate_every: seconds; a file is rotated at the first line after a whole multiple of it
            (86400: after midnight, UTC).
        keep: rotated files; older ones are removed.
        gzip: compress rotated files.
    """

    name: FileName = "lines"
    format: Literal["json", "rfc5424", "text"] = "json"
    max_bytes: Annotated[int, msgspec.Meta(ge=4_096, le=1 << 40)] = 64 * 1024 * 1024
    rotate_every: Annotated[int, msgspec.Meta(ge=60, le=366 * 86_400)] = 86_400
    keep: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10
    gzip: bool = True
