"""What is done by whoever has shown lately that it is them."""

from collections.abc import Callable
from typing import TypeVar

from hub.client.commands import prompts
from hub.client.commands.connection import Session
from hub.client.errors import NotAllowed

T = TypeVar("T")


def proven(session: Session, ask: Callable[[], T], *, from_stdin: bool) -> T:
    """Ask for something; show the password once more where the login was too long ago for it."""
    try:
        return ask()
    except NotAllowed as error:
        if error.problem.code != "proof-required":
            raise
    password = prompts.secret("Password", "--password-stdin", from_stdin=from_stdin)
    session.hub.reauthenticate({"password": password})
    return ask()
