"""Control groups: what a program may use at most, as the kernel enforces it.

The agent makes a group for each program below its own: under systemd below that of its unit, which
`Delegate=` lets it (systemd.resource-control(5)), so that all of it still ends with the unit.
Formats: Linux's Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, and proc(5).
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PERIOD_US: Final = 100_000  # of the processor's time, the kernel's own default
_OWN: Final = "agent"  # version 2: processes may only be in groups without groups below


class NotEnforceableError(Exception):
    """Limits cannot be set on this device; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use at most; None is as much as there is.

    Args:
        memory: bytes, those in swap included.
        cpu: percent of one processor.
    """

    memory: int | None = None
    cpu: int | None = None

    @property
    def controllers(self) -> list[str]:
        """Give the kernel's names of what has to be controlled."""
        wanted = {"memory": self.memory, "cpu": self.cpu}
        return [name for name, value in wanted.items() if value is not None]


@dataclass(frozen=True, slots=True)
class Group:
    """The groups of one program: one for all controllers, or (version 1) one for each."""

    folders: Mapping[str, Path]
    unified: bool

    def limit(self, limits: Limits) -> None:
        """Make it, and set its limits.

        Raises:
            OSError: the agent may not, or the kernel does not take them.
        """
        for folder in self.folders.values():
            folder.mkdir(exist_ok=True)
        if limits.memory is not None:
            self._limit_memory(self.folders["memory"], limits.memory)
        if limits.cpu is not None:
            self._limit_cpu(self.folders["cpu"], limits.cpu * PERIOD_US // 100)

    def admit(self, pid: int) -> None:
        """Take a process in, and with it all that it starts from now on.

        Raises:
            OSError: it is gone, or the agent may not.
        """
        for folder in self._distinct:
            _write(folder / "cgroup.procs", pid)

    def out_of_memory(self) -> int:
        """Count the processes that were killed for want of memory, ever."""
        folder = self.folders.get("memory")
        if folder is None:
            return 0
        events = folder / ("memory.events" if self.unified else "memory.oom_control")
        with contextlib.suppress(OSError):
            for line in events.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
        return 0

    def remove(self) -> None:
        """Remove it, unless something still runs in it."""
        for folder in self._distinct:
            with contextlib.suppress(OSError):
                folder.rmdir()

    @property
    def _distinct(self) -> set[Path]:
        return set(self.folders.values())

    def _limit_memory(self, folder: Path, most: int) -> None:
        if self.unified:
            _write(folder / "memory.max", most)
            _write_if_there(folder / "memory.swap.max", 0)
            _write_if_there(folder / "memory.oom.group", 1)  # not one process of it: all
            return
        both = folder / "memory.memsw.limit_in_bytes"
        # Neither may pass the other on the way: up to where both were before they come down.
        _write_if_there(both, -1)
        _write(folder / "memory.limit_in_bytes", most)
        _write_if_there(both, most)

    def _limit_cpu(self, folder: Path, quota: int) -> None:
        if self.unified:
            _write(folder / "cpu.max", f"{quota} {PERIOD_US}")
        else:
            _write(folder / "cpu.cfs_period_us", PERIOD_US)
            _write(folder / "cpu.cfs_quota_us", quota)


class Cgroups:
    """The groups of this process, below which those of the programs are made.

    Args:
        mark: begins the names of those groups: what sets this agent apart from others.
        process: its folder in /proc.
    """

    def __init__(self, mark: str, process: Path = Path("/proc/self")) -> None:
        self._mark = mark
        self._process = process

    def group(self, name: str, limits: Limits) -> Group:
        """Make a group with these limits.

        Raises:
            NotEnforceableError: they cannot be set here.
        """
        try:
            group = self._find(f"{self._mark}-{name}", limits.controllers)
            group.limit(limits)
        except OSError as error:
            raise NotEnforceableError(_advice(f"{error.filename}: {error.strerror}")) from None
        return group

    def _find(self, name: str, controllers: list[str]) -> Group:
        mounts = _mounts((self._process / "mountinfo").read_text())
        own = _own((self._process / "cgroup").read_text())
        unified = _place(mounts.get(""), own.get(""))
        if unified is not None:
            offered = (_base_of(unified) / "cgroup.controllers").read_text().split()
            if set(controllers) <= set(offered):
                base = _delegated(unified, controllers)
                return Group(dict.fromkeys(controllers, base / name), unified=True)
        places = {one: _place(mounts.get(one), own.get(one)) for one in controllers}
        folders = {one: place / name for one, place in places.items() if place is not None}
        if absent := [one for one in controllers if one not in folders]:
            raise NotEnforceableError(_advice(f"no control group for {' and '.join(absent)}"))
        return Group(folders, unified=False)


def _advice(problem: str) -> str:
    return (
        f"limits of programs are not enforced: {problem}. Run the agent as root; under systemd "
        "with Delegate=memory cpu and without ProtectControlGroups in its unit"
    )


def _mounts(text: str) -> dict[str, tuple[str, Path]]:
    """Read mountinfo: root and mount point by controller; version 2 has the name ""."""
    found: dict[str, tuple[str, Path]] = {}
    for line in text.splitlines():
        mount, _, source = line.partition(" - ")
        kind, _, options = source.split(" ", 2)
        root, point = mount.split()[3:5]
        if kind == "cgroup2":
            found.setdefault("", (root, Path(point)))
        elif kind == "cgroup":
            for option in options.split(","):
                found.setdefault(option, (root, Path(point)))
    return found


def _own(text: str) -> dict[str, str]:
    """Read /proc/…/cgroup: the path of the process by controller; version 2 has the name ""."""
    lines = (line.split(":", 2) for line in text.splitlines())
    return {one: path for _, names, path in lines for one in names.split(",")}


def _place(mount: tuple[str, Path] | None, path: str | None) -> Path | None:
    """Give the folder of a group; in a container only a part of the tree is mounted."""
    if mount is None or path is None:
        return None
    root, point = mount
    inside = os.path.relpath(path, root)
    return point if inside.startswith("..") else point / inside


def _base_of(own: Path) -> Path:
    """Give the group below which programs go: the agent itself may be in one below that."""
    return own.parent if own.name == _OWN else own


def _delegated(own: Path, controllers: list[str]) -> Path:
    """Have the groups below this process's own controlled, and give the folder for them.

    Raises:
        NotEnforceableError: others are in that group, which is not ours then.
        OSError: the agent may not.
    """
    base = _base_of(own)
    switch = base / "cgroup.subtree_control"
    if set(controllers) <= set(switch.read_text().split()):
        return base
    inside = {int(pid) for pid in (base / "cgroup.procs").read_text().split()}
    is_root = not (base / "cgroup.type").exists()  # the one group that may have both
    if inside and not is_root:
        if not all(_is_ours(pid) for pid in inside):
            raise NotEnforceableError(_advice(f"{base} has other processes too"))
        (base / _OWN).mkdir(exist_ok=True)
        for pid in inside:  # the journal's reader may run already, a program without limits, too
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                _write(base / _OWN / "cgroup.procs", pid)
    _write(switch, " ".join(f"+{one}" for one in controllers))
    return base


def _is_ours(pid: int) -> bool:
    """Say whether a process is this one, was started by it, or has ended meanwhile."""
    own = os.getpid()
    while pid not in {own, 0, 1}:
        try:  # proc(5), /proc/pid/stat: its parent is the second field after the name
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return True
    return pid == own


def _write(path: Path, value: object) -> None:
    path.write_text(f"{value}\n")


def _write_if_there(path: Path, value: object) -> None:
    if path.exists():
        _write(path, value)
