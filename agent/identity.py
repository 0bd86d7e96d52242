"""Writing the registration into the configuration file, and leaving the rest of it as it is."""

import re
import tomllib
from pathlib import Path

from agent.config import BEGIN_MARK, ConfigError
from agent.files import write_atomic


def write_device(path: Path, device: str, key: str) -> None:
    """Put `deviceID` and `deviceKey` into a configuration file, atomically, with mode 0600.

    Comments, order and all other keys stay as they are.

    Raises:
        OSError: the folder cannot be written.
        ConfigError: somebody changed the file, and it is not valid TOML any more.
    """
    text = path.read_text()
    write_atomic(path, with_device(path, text, device, key).encode(), mode=0o600)


def with_device(path: Path, text: str, device: str, key: str) -> str:
    """Give the text with the two keys set.

    Raises:
        ConfigError: as `write_device`.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, f"not valid TOML: {error}") from None
    wanted = {**tree, "deviceID": device, "deviceKey": key}
    added = [f'deviceID = "{device}"\n', f'deviceKey = "{key}"\n']
    lines = [line for line in text.splitlines(keepends=True) if not _SETS_DEVICE.match(line)]
    for place in _places(lines):
        candidate = "".join([*lines[:place], *added, *lines[place:]])
        if _is(candidate, wanted):
            return candidate
    raise ConfigError(path, "deviceID and deviceKey cannot be put in; please add them by hand")


_SETS_DEVICE = re.compile(r"\s*(deviceID|deviceKey)\s*=\s*([\"'])\2\s*(#.*)?$")  # an empty one


def _places(lines: list[str]) -> list[int]:
    """Give where the keys could go, best first: after the token, else at the top."""
    after_token = [n for n, line in enumerate(lines, 1) if re.match(r"\s*projectToken\s*=", line)]
    return [*after_token, 1 if lines and lines[0].rstrip("\n") == BEGIN_MARK else 0]


def _is(text: str, tree: dict[str, object]) -> bool:
    try:
        return tomllib.loads(text) == tree
    except tomllib.TOMLDecodeError:
        return False
