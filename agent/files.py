"""Files that are either the old one or the new one, whatever happens in between."""

import os
import tempfile
from pathlib import Path


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace a file as a whole.

    Args:
        mode: permissions of the new file; the owner of the old one is kept where that is allowed.
        sync: survive a power loss; without it only a crash of this process.

    Raises:
        OSError: the folder cannot be written.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            _keep_owner(file.fileno(), target)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(target.parent)


def check_writable(path: Path) -> None:
    """Try whether `write_atomic(path, …)` would work.

    Raises:
        OSError: it would not.
    """
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(descriptor)
    Path(name).unlink()


def sync_folder(folder: Path) -> None:
    """Make names that were made, changed or removed in a folder survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_owner(descriptor: int, target: Path) -> None:
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
        os.fchown(descriptor, old.st_uid, old.st_gid)
