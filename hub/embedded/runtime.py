"""Programs that an unprivileged user can run, even when root's environment is closed to others."""

import os
import shutil
from pathlib import Path

from hub.embedded.account import Account, open_to_all


class Runtime:
    """A folder for copies of programs; it stays empty where none are needed.

    Args:
        folder: copies go to `<folder>/<key>`; open to every user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, source: Path, account: Account | None) -> Path:
        """Give a path of this program that `account` can run."""
        if account is None or open_to_all(source):
            return source
        stat = source.stat()
        target = self._new(f"{source.name}-{stat.st_size}-{stat.st_mtime_ns}")
        if not target.exists():
            draft = target.with_name(f"{target.name}.{os.getpid()}")
            shutil.copyfile(source, draft)
            draft.chmod(0o755)
            draft.replace(target)
        return target

    def tree(self, key: str, sources: list[Path], account: Account | None) -> list[Path]:
        """Give paths of these neighbouring folders that `account` can read.

        Args:
            key: changes when their content does: name and version of the package.
        """
        if account is None or all(open_to_all(source) for source in sources):
            return sources
        target = self._new(key)
        if not target.exists():
            draft = target.with_name(f"{key}.{os.getpid()}")
            for source in sources:
                shutil.copytree(source, draft / source.name, symlinks=True)
            for path in (draft, *draft.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            draft.replace(target)
        return [target / source.name for source in sources]

    def _new(self, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        return self._folder / name
