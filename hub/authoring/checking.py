"""Says whether a plugin does what the hub counts on; the trying is done in another process."""

import importlib.util
import re
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Final

import msgspec

from hub.authoring import packages
from hub.authoring.trial_report import Result, Subject
from hub.errors import PluginError
from hub.plugins import GROUP

_LONGEST: Final = 600.0  # seconds


def check(subject: str) -> Result:
    """Try a plugin.

    Args:
        subject: a folder with a pyproject.toml, or the name of an installed plugin.

    Raises:
        PluginError: it cannot be tried at all.
    """
    missing = [
        name for name in ("pytest", "pytest_asyncio") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise PluginError(
            f"the suite needs pytest: {sys.executable} -m pip install pytest pytest-asyncio"
        )
    tried = _folder(Path(subject)) if Path(subject).is_dir() else _installed(subject)
    with tempfile.TemporaryDirectory(prefix="isaax-check-") as folder:
        given, result = Path(folder) / "subject.json", Path(folder) / "result.json"
        given.write_bytes(msgspec.json.encode(tried))
        done = packages.run_module("hub.authoring.trial", str(given), str(result), seconds=_LONGEST)
        if not result.exists():
            said = [line for line in done.stderr.splitlines() if line.strip()][-8:]
            raise PluginError("the process that tried it ended:\n" + "\n".join(said))
        return msgspec.json.decode(result.read_bytes(), type=Result)


def _folder(folder: Path) -> Subject:
    file = folder / "pyproject.toml"
    try:
        project = tomllib.loads(file.read_text())
        points = dict(project["project"]["entry-points"][GROUP])
    except OSError as error:
        raise PluginError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PluginError(f"{file}: {error}") from None
    except KeyError:
        raise PluginError(f"{file} has no [project.entry-points.{GROUP}]") from None
    paths = [path for path in (folder / "src", folder) if path.is_dir()]
    return Subject(points, tuple(str(path.resolve()) for path in paths))


def _installed(name: str) -> Subject:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or packages.distribution_of(name) is None:
        raise PluginError(f"{name} is neither a folder nor an installed plugin")
    return Subject({name: ""})
