"""Python packages in the environment that the hub runs in: installed, removed, put back."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from hub.errors import PluginError
from hub.plugins import GROUP, OWN

_PIP: Final = ("--disable-pip-version-check", "--no-input")
_LAST: Final = 12  # lines of pip's complaint that are shown


def check_environment() -> None:
    """Refuse to change a Python that is not the hub's alone.

    Raises:
        PluginError: there is no virtual environment.
    """
    if sys.prefix == sys.base_prefix:
        raise PluginError(
            f"the hub runs on the system's Python ({sys.prefix}), which other programs use, too: "
            "run it in an environment of its own (python3 -m venv), and install there"
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A distribution that could be installed."""

    name: str
    version: str


class _Metadata(msgspec.Struct):
    name: str
    version: str


class _Item(msgspec.Struct):
    metadata: _Metadata
    requested: bool = False


class _Report(msgspec.Struct):
    install: list[_Item]


def look_up(spec: str) -> Found:
    """Say what a specification (a name, a wheel, a folder) stands for; nothing is installed.

    Raises:
        PluginError: pip cannot find or build it.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        _pip(
            "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps",
            "--report", str(report), spec,
        )  # fmt: skip
        found = msgspec.json.decode(report.read_bytes(), type=_Report).install
    asked = next((item for item in found if item.requested), found[0])
    return Found(asked.metadata.name, asked.metadata.version)


def install(spec: str, name: str) -> None:
    """Install a package, and what it needs; nothing that is there becomes another version.

    Args:
        name: of the distribution that `spec` stands for.

    Raises:
        PluginError: pip cannot, or it would change what the hub or another plugin needs.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(_pinned(name)))
        before = version_of(name)
        _pip("install", "--upgrade", "-c", str(constraints), spec)
        if before is not None and before == version_of(name):  # it may hold other code
            _pip("install", "--quiet", "--force-reinstall", "--no-deps", spec)


def _pinned(but: str) -> Iterator[str]:
    seen: set[str] = set()
    for one in metadata.distributions():
        name = canonical(one.name)
        if name not in seen and name not in {canonical(but), OWN}:
            seen.add(name)
            yield f"{one.name}=={one.version}\n"


def uninstall(names: list[str]) -> None:
    """Remove packages; those that are not there are no error."""
    if names:
        _pip("uninstall", "--quiet", "--yes", *names)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *_PIP, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    importlib.invalidate_caches()
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        # With the resolver's refusal, what the conflict is goes to standard output.
        conflict = done.stdout.partition("The conflict is caused by:")[2].partition("\n\n")[0]
        said = [line.strip() for line in conflict.splitlines() if line.strip()] or said
        raise PluginError("pip cannot do that:\n" + "\n".join(said[-_LAST:]))


# ── what is there ─────────────────────────────────────────────────────────────────────────────


def canonical(name: str) -> str:
    """Write a distribution's name as all its spellings mean it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> set[str]:
    """Name all distributions."""
    return {canonical(one.name) for one in metadata.distributions()}


def version_of(name: str) -> str | None:
    """Give the version of a distribution; None when it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def plugins_of(name: str) -> list[str]:
    """Name the plugins that a distribution brings."""
    try:
        points = metadata.distribution(name).entry_points
    except metadata.PackageNotFoundError:
        return []
    return sorted(point.name for point in points if point.group == GROUP)


def distribution_of(plugin: str) -> str | None:
    """Name the distribution that brings a plugin; None when none does."""
    for point in metadata.entry_points(group=GROUP):
        if point.name == plugin and point.dist is not None:
            return point.dist.name
    return None


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """Put everything back as it was when the context is left by an exception."""
    before = installed()
    with tempfile.TemporaryDirectory(prefix="isaax-plugin-") as folder:
        kept = _keep(name, Path(folder))
        try:
            yield
        except BaseException:
            uninstall(sorted(installed() - before | ({canonical(name)} & installed())))
            for copy, original in kept:
                original.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(copy, original)
            importlib.invalidate_caches()
            raise


def _keep(name: str, folder: Path) -> list[tuple[Path, Path]]:
    """Copy the files of a distribution, if it is there; give (copy, original)."""
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return []
    kept: list[tuple[Path, Path]] = []
    for number, file in enumerate(files):
        original = Path(os.fspath(file.locate()))
        if original.is_file():
            copy = folder / str(number)
            shutil.copy2(original, copy)
            kept.append((copy, original))
    return kept


def run_module(module: str, *arguments: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run a module of ours in a process of its own, in this environment.

    Raises:
        PluginError: it takes too long.
    """
    command: list[Any] = [sys.executable, "-m", module, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise PluginError(f"it has not ended after {seconds:g} s, and was stopped") from None
