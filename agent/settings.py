"""The tables and keys of `/etc/isaax.conf`; docs/agent.md describes them for who writes them."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from hub.protocol import METRICS

APP: Final = "app"
"""The program that `[app]` describes."""
LEAST_MEMORY: Final = 1 << 20


class Hidden(str):
    """A secret string: it does not show in a repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"


class Size(int):
    """A number of bytes, written as `67108864` or `"64M"`: K, M and G are powers of 1024."""

    @classmethod
    def of(cls, value: object) -> "Size":
        """Read what TOML has.

        Raises:
            ValueError: this is no size.
        """
        found = re.fullmatch(r"(\d{1,15})\s*([KMG]?)", str(value))
        if isinstance(value, bool) or not found:
            raise ValueError('expected bytes, as 67108864 or "64M"')
        return cls(int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[found[2]])


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    pass


class AppConfig(_Table, frozen=True):
    """One program of the user's.

    Args:
        command: argument list, or one string for `/bin/sh -c`.
        name: what its lines are marked with as their program; "" for the name that it has here.
        directory: where it runs.
        user: whom it runs as (the agent must be root for that); by default as the agent.
        restart: when it is started again.
        stop_seconds: between SIGTERM and SIGKILL at the end.
        reload: command that has it read its configuration again; by default it gets SIGHUP.
        memory_max: that it may use, swap included; it is killed when it needs more.
        cpu_percent: of one processor, that it may use.
    """

    command: str | list[str]
    name: str = ""
    directory: Path | None = None
    user: str | None = None
    restart: Literal["always", "on-failure", "never"] = "always"
    stop_seconds: Annotated[float, Meta(ge=0, le=600)] = 10.0
    reload: str | list[str] | None = None
    memory_max: Size | None = None
    cpu_percent: Annotated[int, Meta(ge=1, le=100_000)] | None = None

    def __post_init__(self) -> None:
        for key, command in (("command", self.command), ("reload", self.reload)):
            words = command.split() if isinstance(command, str) else command
            if words is not None and (not words or not words[0]):
                raise ValueError(f"{key} is empty")
        if self.memory_max is not None and self.memory_max < LEAST_MEMORY:
            raise ValueError("memoryMax is less than 1M: nothing runs in that")


class SyslogConfig(_Table, frozen=True):
    """What the `sys` stream is made of.

    Args:
        socket: path of a Unix datagram socket to serve, as syslog(3) writes to.
        journald: read systemd's journal; "auto" where it runs.
        files: files to follow.
    """

    socket: Path | None = None
    journald: bool | Literal["auto"] = False
    files: list[Path] = []


class ScriptsConfig(_Table, frozen=True):
    """The project's own scripts.

    Args:
        wait_seconds: that the very first start of the programs waits for them.
    """

    wait_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 15.0


class LogsConfig(_Table, frozen=True):
    """Which streams are relayed."""

    app: bool = True
    sys: bool = True
    agent: bool = True

    def relays(self, stream: str) -> bool:
        """Say whether a stream is relayed."""
        return {"app": self.app, "sys": self.sys, "agent": self.agent}[stream]


class MetricsConfig(_Table, frozen=True):
    """Which types of metrics are collected: none, unless the file says so.

    Args:
        interval: seconds between two collections.
        processes: programs that `ps` tells of: so many by processor, and so many by memory.
        max_bytes: of the spool of each type.
    """

    device: bool = False
    cpu: bool = False
    memory: bool = False
    disk: bool = False
    network: bool = False
    ps: bool = False
    interval: Annotated[float, Meta(ge=1, le=86_400)] = 60.0
    processes: Annotated[int, Meta(ge=1, le=50)] = 10
    max_bytes: Annotated[int, Meta(ge=256 * 1024)] = 4 * 1024 * 1024

    @property
    def types(self) -> frozenset[str]:
        """Give the types that are on."""
        return frozenset(kind for kind in METRICS if getattr(self, kind))


class SpoolConfig(_Table, frozen=True):
    """The disk spool and the batches in it.

    Args:
        max_bytes: of each of the three streams.
        max_batch_lines, max_batch_bytes, flush_ms: a batch ends with what comes first of them.
    """

    max_bytes: Annotated[int, Meta(ge=256 * 1024)] = 64 * 1024 * 1024
    max_batch_lines: Annotated[int, Meta(ge=1, le=1000)] = 500
    max_batch_bytes: Annotated[int, Meta(ge=1024, le=384 * 1024)] = 256 * 1024
    flush_ms: Annotated[int, Meta(ge=1, le=60_000)] = 250


class AgentConfig(_Table, frozen=True):
    """All of the file. The keys of the top level are named as in docs/agent.md."""

    project: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    project_token: Hidden
    server: str
    device_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = msgspec.field(
        name="deviceID", default=""
    )
    device_key: Hidden = Hidden("")
    allow_plaintext: bool = False
    ca_file: Path | None = None
    state_dir: Path = Path("/var/lib/isaax-agent")
    app: AppConfig | None = None
    programs: dict[str, AppConfig] = {}
    syslog: SyslogConfig = SyslogConfig()
    logs: LogsConfig = LogsConfig()
    metrics: MetricsConfig = MetricsConfig()
    spool: SpoolConfig = SpoolConfig()
    commands: dict[str, str | list[str]] = {}
    reboot_command: list[str] | None = None
    boot_id_file: Path = msgspec.field(
        name="bootIDFile", default=Path("/proc/sys/kernel/random/boot_id")
    )
    scripts: ScriptsConfig = ScriptsConfig()

    @property
    def supervised(self) -> dict[str, AppConfig]:
        """Give all programs by name, in the order of the file; `[app]` is the one named "app"."""
        return ({} if self.app is None else {APP: self.app}) | self.programs

    @property
    def directory(self) -> Path | None:
        """Give where the app is: the directory of the first program that has one."""
        return next((one.directory for one in self.supervised.values() if one.directory), None)
