"""Files that are written whole or not at all."""

import os
from pathlib import Path


def write_private(
    path: Path, content: str | bytes, *, owner: tuple[int, int] | None = None
) -> None:
    """Write a file that only its owner can read, in one step that a crash cannot halve.

    Args:
        owner: user and group that it belongs to; by default us.
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        os.chown(draft, *owner)
    draft.replace(path)
