"""Something is changed as a whole, in the user's own editor."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import typer

from hub.client.commands import output

CHANGEABLE: Final = ("name", "enabled", "config", "shape")


@contextmanager
def edited(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let the user edit the JSON of an integration, and give what it is then.

    When what is done with it fails, the text is kept, and it is said where.

    Raises:
        typer.Exit: nothing was changed.
        typer.BadParameter: it is no JSON, or there is no editor.
    """
    before = {name: value[name] for name in CHANGEABLE}
    text = msgspec.json.format(msgspec.json.encode(before), indent=2) + b"\n"
    descriptor, name = tempfile.mkstemp(prefix="isaax-", suffix=".json")
    path = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    keep = False
    try:
        _edit(path)
        changed = path.read_bytes()
        if changed.strip() == text.strip():
            output.note("Nothing was changed.")
            raise typer.Exit(0)
        keep = True
        yield _decoded(changed)
        keep = False
    finally:
        if keep:
            output.note(f"What you wrote is kept in {path}.")
        else:
            path.unlink()


def _edit(path: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "editor"
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except OSError as error:
        raise typer.BadParameter(f"{editor}: {error.strerror}: set EDITOR, or give --set") from None
    if done.returncode:
        raise typer.BadParameter(f"{editor} failed: nothing was changed")


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"this is not JSON: {error}") from None
