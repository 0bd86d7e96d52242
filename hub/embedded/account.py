"""Which user the embedded parts run as, and what that user can reach."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hub import files


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged(*names: str) -> Account | None:
    """Give the account that a part drops to.

    Args:
        names: accounts to prefer, in this order, where they exist.

    Returns:
        The first that exists of `names`, `isaax` and `nobody`; None when we are not root and so
        stay who we are.
    """
    if os.geteuid() != 0:
        return None
    for name in (*names, "isaax"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def make_folder(path: Path, account: Account | None, mode: int = 0o700) -> Path:
    """Make a folder that belongs to `account` (or to us), and set its mode."""
    path.mkdir(parents=True, exist_ok=True)
    hand_over(path, account, mode)
    return path


def hand_over(path: Path, account: Account | None, mode: int) -> None:
    """Give a file or folder to `account` (or leave it ours), and set its mode."""
    path.chmod(mode)
    if account is not None:
        os.chown(path, account.uid, account.gid)


def write_private(path: Path, content: str | bytes, account: Account | None = None) -> None:
    """Write a file that only `account` (or we) can read, whole or not at all."""
    owner = None if account is None else (account.uid, account.gid)
    files.write_private(path, content, owner=owner)


def closed_folder(path: Path) -> Path | None:
    """Give the first folder on the way to `path` that not every user can pass; None if all can."""
    for folder in reversed(path.resolve().parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def open_to_all(path: Path) -> bool:
    """Say whether every user can pass through all folders on the way to `path`."""
    return closed_folder(path) is None
