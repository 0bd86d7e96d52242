"""`/etc/isaax.conf`: typed, and an error names the file, the line and the key.

docs/agent.md describes every key for the people who write them.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from agent.settings import APP, AgentConfig, AppConfig, Size

DEFAULT_PATH: Final = Path("/etc/isaax.conf")

# A file whose first line is this one ends with the other: then no cut of it goes unnoticed.
BEGIN_MARK: Final = '# isaax.conf: complete down to the line "# end of isaax.conf"'
END_MARK: Final = "# end of isaax.conf"

MOST_PROGRAMS: Final = 16
_PROGRAM_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
_COMMAND: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class ConfigError(Exception):
    """The configuration cannot be used.

    Args:
        path: the file; line: in it, from 1 on, or None; key: as in `spool.maxBytes`, or "".
    """

    def __init__(self, path: Path, detail: str, *, line: int | None = None, key: str = "") -> None:
        place = f"{path}:{line}" if line else str(path)
        super().__init__(f"{place}: {key}: {detail}" if key else f"{place}: {detail}")
        self.line = line
        self.key = key


class Server(msgspec.Struct, frozen=True):
    """Where the broker is."""

    host: str
    port: int
    tls: bool


class Source(msgspec.Struct, frozen=True):
    """A configuration file as it was read, to find the line of a key in it."""

    path: Path
    text: str

    def error(self, key: str, detail: str) -> ConfigError:
        """Make the error about one key, `app.command` for example."""
        return ConfigError(self.path, detail, line=line_of(self.text, key), key=key)


def load(path: Path) -> AgentConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: it cannot be read, is cut off, or is not valid.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise ConfigError(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, "this is not UTF-8", line=line) from None
    return parse(Source(path, text))


def parse(source: Source) -> AgentConfig:
    """Check the text of a configuration file.

    Raises:
        ConfigError: it is cut off, or not valid.
    """
    _check_complete(source)
    try:
        tree = tomllib.loads(source.text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else source.text.count("\n") + 1
        raise ConfigError(source.path, f"not valid TOML: {error}", line=line) from None
    try:
        config = msgspec.convert(tree, AgentConfig, dec_hook=_decode)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$")
        key = re.sub(r"\[.*", "", place.removeprefix(".").removesuffix("`"))
        if key == "programs":
            key = _program_at_fault(tree["programs"]) + place.removesuffix("`").partition("]")[2]
        unknown = re.search(r"unknown field `(\w+)`", detail)
        if unknown:
            key = f"{key}.{unknown[1]}".removeprefix(".")
            detail = "there is no such key"
        raise source.error(key, detail) from None
    _check_programs(config, source)
    _check_identity(config, source)
    _check_commands(config, source)
    server_of(config, source)
    return config


def server_of(config: AgentConfig, source: Source | None = None) -> Server:
    """Take the `server` apart.

    Raises:
        ConfigError: it is no `mqtts://host[:port]` or `mqtt://host[:port]`, or plaintext would
            leave this machine.
    """
    source = source or Source(Path(), "")
    try:
        parts = urlsplit(config.server)
        port = parts.port
    except ValueError as error:
        raise source.error("server", str(error)) from None
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not plain:
        raise source.error("server", "expected mqtts://host:port or mqtt://127.0.0.1:port")
    tls = parts.scheme == "mqtts"
    if not tls and not config.allow_plaintext and not _is_loopback(parts.hostname):
        raise source.error(
            "server",
            "mqtt:// sends tokens and logs unencrypted; use mqtts://, or set allowPlaintext = true",
        )
    return Server(parts.hostname, port or (8883 if tls else 1883), tls)


def line_of(text: str, key: str) -> int | None:
    """Find the line in which a key (`server`, `app.command`) or its table is set; None if nowhere.

    It reads TOML line by line, which is right for what people write and good enough for a hint.
    """
    *table, name = key.split(".")
    sets_key = re.compile(rf"\s*[\"']?{re.escape(name)}[\"']?\s*=")
    current = ""
    of_table = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\]]*?)\s*\]+", line)
        if header:
            current = header[1]
            if current in (key, ".".join(table)) and of_table is None:
                of_table = number
        elif current == ".".join(table) and sets_key.match(line):
            return number
    return of_table if name else None


def _check_complete(source: Source) -> None:
    lines = source.text.splitlines()
    last = len(lines) or 1
    cut = "the file is cut off: "
    if not source.text:
        raise ConfigError(source.path, "the file is empty", line=1)
    if not source.text.endswith("\n"):
        raise ConfigError(source.path, cut + "its last line does not end", line=last)
    if lines[0] == BEGIN_MARK and lines[-1] != END_MARK:
        raise ConfigError(source.path, f"{cut}its last line is not {END_MARK!r}", line=last)


def _check_programs(config: AgentConfig, source: Source) -> None:
    for name in config.programs:
        if not _PROGRAM_NAME.fullmatch(name):
            raise source.error(
                f"programs.{name}", "a program's name has 1 to 32 letters, digits, - and _"
            )
    if config.app is not None and APP in config.programs:
        raise source.error("programs.app", "[app] describes this program already: keep one of them")
    if len(config.supervised) > MOST_PROGRAMS:
        raise source.error("programs", f"these are more than {MOST_PROGRAMS} programs")


def _program_at_fault(programs: Any) -> str:
    """Find the table of a program that is not valid: msgspec does not name the key of a dict."""
    for name, table in programs.items() if isinstance(programs, dict) else ():
        try:
            msgspec.convert(table, AppConfig, dec_hook=_decode)
        except msgspec.ValidationError:
            return f"programs.{name}"
    return "programs"


def _check_identity(config: AgentConfig, source: Source) -> None:
    if not config.project_token:
        raise source.error("projectToken", "this is empty")
    if bool(config.device_id) != bool(config.device_key):
        given, absent = ("deviceID", "deviceKey") if config.device_id else ("deviceKey", "deviceID")
        raise source.error(given, f"there is no {absent} with it; was the file cut off?")
    if config.device_key and not re.fullmatch(r"[0-9a-f]{64}", config.device_key):
        raise source.error("deviceKey", "expected 64 hexadecimal digits")


def _check_commands(config: AgentConfig, source: Source) -> None:
    for name, command in config.commands.items():
        if not _COMMAND.fullmatch(name):
            allowed = "a name has lower-case letters, digits, - and _, at most 63"
            raise source.error(f"commands.{name}", allowed)
        if not command or not command[0]:
            raise source.error(f"commands.{name}", "the command is empty")
    if config.reboot_command is not None and not any(config.reboot_command[:1]):
        raise source.error("rebootCommand", "the command is empty")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decode(kind: type[Any], value: Any) -> Any:
    """Make what TOML has no type for."""
    if kind is Size:
        return Size.of(value)
    if not isinstance(value, str):
        raise ValueError("expected a string")  # noqa: TRY004 - msgspec adds the place to it
    if issubclass(kind, Path) and not value.startswith("/"):
        raise ValueError("expected a path that starts with /")
    return kind(value)
