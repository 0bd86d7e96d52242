"""Becomes a child of `isaax up`: runs by itself (`python -I -S launch.py …`), then execs.

It gives up root and asks the kernel for a signal at the parent's death, in this order: a change
of the user id clears that request (prctl(2), PR_SET_PDEATHSIG). Doing it in a program of its own
keeps Python code out of the moment between fork and exec of a process that has threads.
"""

import ctypes
import os
import resource
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 126


def main(arguments: list[str]) -> None:
    """Change identity, tie our life to the parent's, and exec.

    Args:
        arguments: pid of the parent, number of the signal to get at its death, user id and group
            id to run as ("-1": as we are), working directory, then the command.
    """
    parent, death_signal, uid, gid = (int(text) for text in arguments[:4])
    folder, command = arguments[4], arguments[5:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    _tie_to_parent(parent, death_signal)
    _raise_file_limit()
    try:
        os.chdir(folder)
        os.execv(command[0], command)  # noqa: S606 - this is what it is for
    except OSError as error:
        sys.stderr.write(f"user id {os.getuid()} cannot use {error.filename or command[0]}: ")
        sys.stderr.write(f"{error.strerror}\n")
        sys.exit(CANNOT_START)


def _tie_to_parent(parent: int, death_signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before we asked
        sys.exit(CANNOT_START)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main(sys.argv[1:])
