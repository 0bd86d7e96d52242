"""The two modules of the client, as text."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from hub.client.generator.methods import methods
from hub.client.generator.structs import structs

JsonObject = Mapping[str, Any]

_HEAD: Final = '''"""{doc}

Written by `python -m hub.client.generator` from the OpenAPI document: do not edit.
"""
'''


def modules(document: JsonObject) -> dict[str, str]:
    """Give the text of each module of the client, by file name.

    Args:
        document: OpenAPI 3.1, as the gateway describes itself.

    Raises:
        ValueError: it says something that has no form here yet.
    """
    types = structs(document)
    texts = {
        "api.py": _HEAD.format(doc="Every operation of the API, as a method.")
        + methods(document, types),
        "structs.py": _HEAD.format(doc="What the API takes and answers.") + "".join(types.values()),
    }
    return {name: _formatted(name, text) for name, text in texts.items()}


def _formatted(name: str, text: str) -> str:
    """Bring a module into the form of this repository, without the imports that it needs not."""
    for command in (
        ["check", "--quiet", "--select", "F401,I", "--fix-only"],
        ["format", "--quiet"],
    ):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", f"hub/client/{name}", "-"],
            input=text, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    return text
