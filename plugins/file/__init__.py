"""File: rotated files on the hub's own disk, for tests and small set-ups."""

from hub import DestinationType, hookimpl
from plugins.file.config import FileConfig
from plugins.file.destination import File


@hookimpl
def isaax_destinations() -> list[DestinationType[FileConfig]]:
    """Declare the destination."""
    return [
        DestinationType(
            name="file",
            title="File",
            summary="Rotated files on the hub's disk: JSON lines, RFC 5424 or plain text.",
            config=FileConfig,
            build=File,
            examples=(
                {},
                {"name": "pumps", "format": "rfc5424", "max_bytes": 16_777_216, "keep": 30},
            ),
        )
    ]
