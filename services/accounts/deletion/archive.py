"""A ZIP archive of files of JSON lines, written as it is read: none of it is held in memory."""

import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from typing import IO, Any

import msgspec

from hub import Exported

MEDIA = "application/zip"
_encode = msgspec.json.Encoder().encode


class _Sink:
    """What is written to it is there until it is taken; it cannot be rewound."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def archive_of(
    about: dict[str, Any], pages: AsyncIterator[Exported]
) -> AsyncGenerator[bytes, None]:
    """Give the archive: `about.json`, and a file of JSON lines for each name.

    Args:
        pages: those of one file follow each other.
    """
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.writestr("about.json", _encode(about))
        name, entry = "", None
        try:
            async for page in pages:
                if page.file != name or entry is None:
                    if entry is not None:
                        entry.close()
                    name, entry = page.file, _entry(archive, page.file)
                entry.write(b"".join(_encode(record) + b"\n" for record in page.records))
                if data := sink.take():
                    yield data
        finally:
            if entry is not None:
                entry.close()
    yield sink.take()


def _entry(archive: zipfile.ZipFile, file: str) -> IO[bytes]:
    """Begin a file; a second one of the same name gets a number."""
    taken = archive.namelist()
    names = (f"{file}{suffix}.ndjson" for suffix in ("", *(f"-{n}" for n in range(2, 1_000))))
    return archive.open(next(n for n in names if n not in taken), "w", force_zip64=True)
