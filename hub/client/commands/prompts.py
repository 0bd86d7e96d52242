"""What is asked of whoever sits at the terminal; elsewhere it has to be given."""

import sys
from typing import Final

import typer

from hub.secret import Secret

USUAL: Final = "http://127.0.0.1:7800"
"""Where `isaax up` serves on this machine."""


def url() -> str:
    """Ask for the URL of a hub."""
    return text("URL of the hub", "URL", default=USUAL)


def text(question: str, parameter: str, *, default: str | None = None) -> str:
    """Ask for something.

    Args:
        parameter: by which it can be given instead.
        default: when the answer is empty; None asks again.

    Raises:
        typer.BadParameter: nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: give it", param_hint=parameter)
    return str(typer.prompt(question, default=default, err=True, show_default=bool(default)))


def secret(question: str, option: str, *, from_stdin: bool, twice: bool = False) -> Secret:
    """Get a secret: from standard input, or from whoever sits there, without showing it.

    Args:
        option: by which it is read from standard input.
        twice: it is new, and typed again.

    Raises:
        typer.BadParameter: nobody can be asked.
    """
    if from_stdin:
        return Secret(sys.stdin.readline().rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"nobody can be asked here: give {option}")
    return Secret(str(typer.prompt(question, hide_input=True, err=True, confirmation_prompt=twice)))
