"""The list of plugins that a hub may load: `plugins` under `[hub]` in its config file."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array, Table

from hub.errors import ConfigError

_NEW_FILE: Final = 0o600  # it may get a password one day


def allow(config: Path, *names: str) -> None:
    """Add plugins to the list; the file is made if it is not there.

    Raises:
        ConfigError: the file cannot be read, written or understood.
    """
    _edit(config, lambda listed: [*listed, *(name for name in names if name not in listed)])


def forbid(config: Path, *names: str) -> None:
    """Take plugins off the list. Raises as `allow`."""
    if config.exists():
        _edit(config, lambda listed: [name for name in listed if name not in names])


def restore(config: Path, data: bytes | None) -> None:
    """Give the file what was in it before; None removes it."""
    if data is None:
        config.unlink(missing_ok=True)
    else:
        _replace(config.resolve(), data)


def _edit(config: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the list and nothing else: comments, order and mode of the file stay."""
    path = config.resolve()  # of a link, what it points to is replaced
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        document = tomlkit.parse(text)
        hub = document.setdefault("hub", tomlkit.table())
        if not isinstance(hub, Table):
            raise ConfigError(f"{config}: hub is not a table")
        before = [str(name) for name in hub.get("plugins", [])]
        after = change(before)
        if after == before:
            return
        listed = hub.get("plugins")
        if isinstance(listed, Array):
            listed.clear()
            listed.extend(after)
        else:
            hub["plugins"] = after
        _replace(path, tomlkit.dumps(document).encode())
    except TOMLKitError as error:
        raise ConfigError(f"{config}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"{config}: {reason}") from None


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the owner and mode that it has."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                known = path.stat()
                os.fchmod(file.fileno(), known.st_mode & 0o7777)
                if (known.st_uid, known.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(file.fileno(), known.st_uid, known.st_gid)
            if not path.exists():
                os.fchmod(file.fileno(), _NEW_FILE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
