"""The status file: what `isaax-agent status` shows."""

import os
import time
from pathlib import Path

import msgspec

from agent.files import write_atomic
from agent.programs import ProgramState
from agent.programs.process import exit_word
from hub.protocol import UNDECODABLE


class StreamStatus(msgspec.Struct, frozen=True):
    """One stream.

    Args:
        lines: numbers given out since the spool exists; acknowledged: of these, what the hub has.
        bytes: of the spool on the disk.
        missing: lines that were lost on the device since the agent started.
        error: why the spool cannot be written, or "".
    """

    lines: int
    acknowledged: int
    bytes: int
    missing: int
    error: str


class Status(msgspec.Struct, frozen=True):
    """The agent as a whole; `time` (Unix seconds) is when anything of it changed last.

    Args:
        variables: version of those that are in use; 0 before the first.
        skew: seconds that this device's clock was ahead of the hub's when the last session began.
    """

    pid: int
    time: float
    version: str
    device: str
    server: str
    state: str
    error: str
    variables: int
    programs: dict[str, ProgramState]
    streams: dict[str, StreamStatus]
    skew: float | None = None


def path_in(folder: Path) -> Path:
    """Give the status file of a state directory."""
    return folder / "status.json"


def write(folder: Path, status: Status) -> None:
    """Replace the status file.

    Raises:
        OSError: the disk failed.
    """
    write_atomic(path_in(folder), msgspec.json.encode(status), mode=0o644, sync=False)


def read(folder: Path) -> Status | None:
    """Read the status of the agent that runs on a state directory; None when none does."""
    try:
        status = msgspec.json.decode(path_in(folder).read_bytes(), type=Status)
        os.kill(status.pid, 0)
    except PermissionError:
        return status
    except (OSError, *UNDECODABLE):
        return None
    return status


def render(status: Status) -> str:
    """Show a status to people."""
    rows = [
        f"agent      {status.version}, process {status.pid}",
        f"device     {status.device or 'not registered yet'}",
        f"hub        {status.server}: {status.state}",
        *(_program(name, state) for name, state in status.programs.items()),
        f"variables  {'version ' + str(status.variables) if status.variables else 'none yet'}",
        f"as of      {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(status.time))}",
    ]
    if status.error:
        rows.append(f"problem    {status.error}")
    rows.append("stream         waiting  acknowledged  missing      bytes")
    for name, stream in status.streams.items():
        waiting = stream.lines - stream.acknowledged
        rows.append(
            f"{name:<14} {waiting:>7}  {stream.acknowledged:>12}  {stream.missing:>7}"
            f"  {stream.bytes:>9}" + (f"  {stream.error}" if stream.error else "")
        )
    return "\n".join(rows)


def _program(name: str, program: ProgramState) -> str:
    """Show a program; `since` is of this boot's clock, and so is that of the reader."""
    parts = [f"{program.state} for {_duration(time.monotonic() - program.since)}"]
    if program.pid is not None:
        parts.append(f"process {program.pid}")
    if program.exit is not None:
        parts.append(f"ended last with {exit_word(program.exit)}")
    parts += [word for word in (program.error, program.unlimited) if word]
    return f"program    {name}: {', '.join(parts)}, restarted {program.restarts} times"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
