"""Files that are written whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_private(
    path: Path, content: str | bytes | Iterable[bytes], *, owner: tuple[int, int] | None = None
) -> None:
    """Write a file that only its owner can read, in one step that a crash cannot halve.

    Args:
        content: all of it, or its pieces; what raises as they come leaves nothing behind.
        owner: user and group that it belongs to; by default us.
    """
    whole = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([whole] if isinstance(whole, bytes) else whole)
            file.flush()
            os.fsync(file.fileno())
        if owner is not None:
            os.chown(draft, *owner)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
