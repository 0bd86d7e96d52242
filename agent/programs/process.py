"""A program's process group: how it begins, is remembered over a crash, and ends."""

import asyncio
import contextlib
import logging
import os
import pwd
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from agent.files import write_atomic
from agent.programs.cgroups import Group
from agent.settings import AppConfig
from hub.protocol import UNDECODABLE

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.05
HOLD: Final = 'read -r _ && exec "$@" </dev/null'
"""Waits to be let go, and becomes the program then; never, if the agent dies before that."""


class _Running(msgspec.Struct, frozen=True):
    """A process group, recognisable after a crash of the agent.

    Args:
        started: clock ticks since boot (proc(5), /proc/pid/stat, field 22).
    """

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Note:
    """The file in which a process is remembered, so that a second copy is never started."""

    path: Path

    def write(self, pid: int) -> None:
        """Remember a process that runs."""
        started = _started(pid)
        if started is not None:
            with contextlib.suppress(OSError):  # a full disk must not keep a program from running
                self.path.parent.mkdir(mode=0o700, exist_ok=True)
                write_atomic(self.path, msgspec.json.encode(_Running(pid, started)), sync=False)

    def clear(self) -> None:
        """Forget it."""
        with contextlib.suppress(OSError):  # nor a disk that became read-only: the next start sees
            self.path.unlink(missing_ok=True)

    async def end_leftover(self, seconds: float) -> None:
        """End what an agent that was killed left running.

        Args:
            seconds: between SIGTERM and SIGKILL.
        """
        running = _read(self.path)
        if running is None or _started(running.pid) != running.started:
            return
        log.warning("ending process %d, which an earlier run left behind", running.pid)
        signal_group(running.pid, signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + seconds
        while _started(running.pid) == running.started:
            if asyncio.get_running_loop().time() >= deadline:
                signal_group(running.pid, signal.SIGKILL)
                return
            await asyncio.sleep(_LOOK_SECONDS)


async def spawn(
    command: str | list[str],
    config: AppConfig,
    environment: Mapping[str, str],
    group: Group | None = None,
) -> asyncio.subprocess.Process:
    """Start a command as a program is configured to run: its folder, its user, its own session.

    Args:
        environment: variables that it gets besides the agent's own.
        group: that it is in before it does anything, whoever it runs as.

    Raises:
        OSError: it cannot be run, or may not as that user.
        KeyError: there is no such user.
        ValueError: its arguments cannot be those of a process.
    """
    variables = dict(os.environ)
    account: dict[str, object] = {}
    if config.user is not None:
        entry = pwd.getpwnam(config.user)
        variables |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        if entry.pw_uid != os.geteuid():
            groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    held = [] if group is None else ["/bin/sh", "-c", HOLD, "isaax-agent"]
    process = await asyncio.create_subprocess_exec(
        *held,
        *arguments,
        stdin=asyncio.subprocess.PIPE if held else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=config.directory,
        env=variables | dict(environment),
        start_new_session=True,
        **account,  # type: ignore[arg-type]
    )
    if group is not None:
        _admit(process, group)
    return process


def _admit(process: asyncio.subprocess.Process, group: Group) -> None:
    """Let a held process go on, in its group.

    Raises:
        OSError: it cannot be taken in; it ends, and has done nothing.
    """
    assert process.stdin is not None
    try:
        group.admit(process.pid)
    except ProcessLookupError:  # it ended by itself: whoever waits for it sees how
        return
    except OSError:
        signal_group(process.pid, signal.SIGKILL)
        raise
    else:
        process.stdin.write(b"\n")
    finally:
        process.stdin.close()


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and to what it started, where there still is any of it.

    What became another user's may not be signalled: nothing can be done about that here.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def exit_word(code: int) -> str:
    """Say how a process ended: `exit status 1`, `signal SIGTERM`."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _read(path: Path) -> _Running | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Running)
    except (OSError, *UNDECODABLE):
        return None


def _started(pid: int) -> int | None:
    """Give when a process started, in clock ticks since boot; None when it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])  # field 22; the first here is field 3
