"""Writes a plugin to begin with: a package with one destination, its test and its README."""

import re
from pathlib import Path
from string import Template
from typing import Final

from hub.errors import PluginError

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,30}")

_MODULE: Final = '''\
import msgspec
from hub import Batch, DestinationType, HttpTarget, Secret, Tools, hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where lines go; the token is kept encrypted, and never shown."""

    url: str
    token: Secret


class $cls:
    def __init__(self, config: Config, tools: Tools) -> None:
        token = config.token.reveal()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._target = HttpTarget(tools, config.url, headers=headers, compress=True)

    async def send(self, batch: Batch) -> None:
        lines = [{"id": ln.id, "host": ln.host, "text": ln.message} for ln in batch]
        answer = await self._target.push(msgspec.json.encode(lines))
        answer.check()  # 2xx, or it raises Retry or Rejected

    async def close(self) -> None: ...


@hookimpl
def isaax_destinations() -> list[DestinationType[Config]]:
    example = {"url": "https://logs.example.com/in", "token": "an-example"}
    return [DestinationType("$name", "$title", Config, $cls, examples=(example,))]
'''

_PROJECT: Final = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$distribution"
version = "0.1.0"
description = "$title for Isaax: where log lines go"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["isaax[hub]"]

[project.optional-dependencies]
test = ["pytest>=9", "pytest-asyncio>=1.3"]

[project.entry-points.isaax]
$name = "$module"

[tool.setuptools]
py-modules = ["$module"]

[tool.ruff]
line-length = 100

[tool.pytest.ini_options]
testpaths = ["tests"]
asyncio_default_fixture_loop_scope = "function"
"""

_TEST: Final = """\
from hub.testing import DestinationConformance

from $module import isaax_destinations


class Test$cls(DestinationConformance):
    type = isaax_destinations()[0]
"""

_README: Final = """\
# $title for Isaax

Sends log lines as a JSON array over HTTP.

| Key | What it is |
|---|---|
| `url` | where lines are posted to |
| `token` | of the service; kept encrypted, never shown |

In a configured integration:

```json
{"url": "https://logs.example.com/in", "token": "an-example"}
```

2xx says that lines were taken. 408, 425, 429 and 5xx come again, after what `Retry-After` says;
every other answer is final: the lines become dead letters.

To work on it: `isaax plugins check .` tries it as the hub would use it, `isaax plugins install .`
puts it into the hub on this machine, and `pytest` runs its own tests.
"""

_SAMPLE: Final = """\
{
  "url": "https://logs.example.com/in",
  "token": "an-example"
}
"""


def write(name: str, folder: Path | None = None) -> Path:
    """Write the package into a new folder, and give that.

    Args:
        name: of the plugin and of its destination type.
        folder: to write into; by default `isaax-<name>` here.

    Raises:
        PluginError: the name cannot be one, or the folder holds something.
    """
    if not _NAME.fullmatch(name):
        raise PluginError(
            f"{name!r} cannot be a plugin's name: lower-case letters, digits and _, a letter first"
        )
    distribution = f"isaax-{name.replace('_', '-')}"
    target = folder or Path(distribution)
    if target.exists() and any(target.iterdir()):
        raise PluginError(f"{target} is not empty")
    words = {
        "name": name,
        "title": name.replace("_", " ").title(),
        "cls": "".join(part.capitalize() for part in name.split("_")),
        "module": f"isaax_{name}",
        "distribution": distribution,
    }
    files = {
        "pyproject.toml": _PROJECT,
        f"isaax_{name}.py": _MODULE,
        f"tests/test_{name}.py": _TEST,
        "README.md": _README,
        "sample.json": _SAMPLE,
    }
    for path, template in files.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(template).substitute(words))
    return target
