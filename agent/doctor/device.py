"""What the agent needs of its device: files, disk, clock, systemd."""

import ctypes
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent import journal
from agent.doctor.findings import Finding, failed, ok, warning
from agent.settings import AgentConfig, AppConfig
from agent.status import Status
from hub.protocol import STREAMS

UNIT: Final = "isaaxd"
SCARCE_BYTES: Final = 4 * 1024 * 1024
SKEW_SECONDS: Final = 60
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES: Final = 256  # more than a struct timex has


def permissions(path: Path) -> Finding:
    """See that nobody else reads the secrets in the configuration."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return warning(
            "permissions", f"{path} has mode {mode:o}: others can read its secrets",
            f"chmod 600 {path}",
        )  # fmt: skip
    return ok("permissions", f"{path} has mode {mode:o}")


def state_folder(config: AgentConfig) -> Finding:
    """See that the state directory can be written, and who uses it."""
    folder = config.state_dir
    advice = f"run the agent as root, or make {folder} its own; `stateDir` names another"
    try:
        place = folder if folder.exists() else folder.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return failed("state", f"{folder} cannot be written: {error.strerror}", advice)
    holder = holder_of(folder / "lock")
    if holder is None:
        return ok("state", f"{folder} can be written, and no agent uses it")
    return ok("state", f"{folder} can be written, and process {holder} uses it")


def holder_of(lock: Path) -> int | None:
    """Give the process that holds a lock, without trying it: an agent may be about to start."""
    try:
        inode = lock.stat().st_ino
        held = Path("/proc/locks").read_text()
    except OSError:
        return None
    for line in held.splitlines():  # proc(5): 1: FLOCK ADVISORY WRITE 722 08:01:21448 0 EOF
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode):
            return int(fields[4])
    return None


def disk(config: AgentConfig) -> Finding:
    """See that the disk has room for what the spools may take."""
    place = config.state_dir if config.state_dir.exists() else config.state_dir.parent
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return failed("disk", f"{place}: {error.strerror}", "see what is wrong with this disk")
    most = len(STREAMS) * config.spool.max_bytes
    spool = config.state_dir / "spool"
    used = sum(path.stat().st_size for path in spool.glob("*/*.spool")) if spool.exists() else 0
    seen = f"{_megabytes(free)} free; the spools of lines take {_megabytes(used)}"
    if free < SCARCE_BYTES:
        return failed("disk", seen, "make room: lines are lost when they cannot be kept")
    if free < most - used:
        return warning(
            "disk", f"{seen} and may take {_megabytes(most)}",
            "make room, or set a smaller `spool.maxBytes`",
        )  # fmt: skip
    return ok("disk", seen)


def clock(found: Status | None) -> Finding:
    """See that the clock is right: by the hub's, or by who sets it."""
    advice = "set the clock: timedatectl set-ntp true"
    if found is not None and found.skew is not None:
        skew = found.skew
        word = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the hub's"
        if abs(skew) > SKEW_SECONDS:
            return warning("clock", word, f"{advice}; lines carry its time")
        return ok("clock", word)
    if is_synchronised():
        return ok("clock", "it is synchronised")
    return warning("clock", "nothing synchronises it, and the hub's is not known", advice)


def is_synchronised() -> bool:
    """Say whether the kernel's clock is set by others (adjtimex(2))."""
    libc = ctypes.CDLL(None)
    return bool(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)) not in {-1, _TIME_ERROR})


def unit() -> Finding:
    """See that systemd runs the agent, where it runs anything."""
    if not Path("/run/systemd/system").exists():
        return ok("systemd", "not on this system: see that something starts the agent at boot")
    try:
        shown = subprocess.run(
            ["systemctl", "show", UNIT, "-p", "LoadState,ActiveState,UnitFileState,NRestarts"],
            capture_output=True, check=True, text=True, timeout=10,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return warning("systemd", f"systemctl: {error}", f"look at: systemctl status {UNIT}")
    return judge_unit(dict(line.split("=", 1) for line in shown.splitlines() if "=" in line))


def judge_unit(shown: dict[str, str]) -> Finding:
    """Say what properties of the unit (systemctl(1), `show`) mean."""
    if shown.get("LoadState") != "loaded":
        return warning(
            "systemd", f"there is no unit {UNIT}",
            f"copy {UNIT}.service to /etc/systemd/system, systemctl enable --now {UNIT}",
        )  # fmt: skip
    active, file = shown.get("ActiveState"), shown.get("UnitFileState")
    seen = f"{UNIT} is {active}, {file}, restarted {shown.get('NRestarts', '0')} times"
    if active != "active":
        advice = f"systemctl start {UNIT}; journalctl -u {UNIT} says why it ended"
        return failed("systemd", seen, advice)
    if file != "enabled":
        return warning("systemd", seen, f"systemctl enable {UNIT}: it starts at boot then")
    return ok("systemd", seen)


def journal_of(config: AgentConfig) -> Finding:
    """See that the journal can be read, if it is to be."""
    if config.syslog.journald is False:
        return ok("journal", "not asked for")
    if not journal.is_running():
        seen = "there is none on this system"
        if config.syslog.journald == "auto":
            return ok("journal", seen)
        return failed("journal", seen, 'set `syslog.journald` to false or "auto"')
    done = subprocess.run(
        ["journalctl", "-n", "1", "-o", "json"], capture_output=True, check=False, timeout=20
    )
    if done.returncode or not done.stdout:
        return failed(
            "journal", "this user reads nothing in it",
            "run the agent as root, or put its user into the group systemd-journal",
        )  # fmt: skip
    return ok("journal", "it can be read")


def programs(config: AgentConfig) -> Iterator[Finding]:
    """See that what programs need to start is there."""
    for name, program in config.supervised.items():
        problem = _problem_of(program)
        check = f"program {name}"
        if problem:
            yield failed(check, problem, "correct the file, or put that in place")
        else:
            yield ok(check, "what it needs to start is there")


def _problem_of(program: AppConfig) -> str:
    if program.directory is not None and not program.directory.is_dir():
        return f"its directory {program.directory} is not there"
    if program.user is not None:
        try:
            entry = pwd.getpwnam(program.user)
        except KeyError:
            return f"there is no user {program.user}"
        if os.geteuid() not in {0, entry.pw_uid}:
            return f"only root can run it as {program.user}"
    if isinstance(program.command, list):
        word = program.command[0]
        found = (program.directory or Path()) / word if "/" in word else shutil.which(word)
        if found is None or not os.access(found, os.X_OK):
            return f"{word} is no program that can be run"
    return ""


def _megabytes(count: int) -> str:
    return f"{count / (1 << 20):.1f} MB"
