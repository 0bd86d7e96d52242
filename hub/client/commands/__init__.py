"""`isaax` as a client: the commands that use a hub over its REST API.

Each is loaded only when it is asked for; what is named here costs nothing before that.
"""

import importlib
from typing import Any, Final

import typer

PANEL: Final = "With a hub, over its API"

COMMANDS: Final = {
    "signup": "people:signup",
    "login": "session:login",
    "logout": "session:logout",
    "whoami": "session:whoami",
    "link": "people:link",
    "forgot-password": "people:forgot_password",
    "me": "people:me",
    "sessions": "sessions:app",
    "factors": "factors:app",
    "passkeys": "factors:passkeys",
    "api-tokens": "api_tokens:app",
    "hubs": "session:hubs",
    "projects": "projects:app",
    "tokens": "tokens:app",
    "devices": "devices:app",
    "logs": "logs:logs",
    "integrations": "integrations:app",
    "dead-letters": "dead_letters:app",
    "status": "status:status",
    "audit-log": "audit_log:app",
    "completion": "completion:completion",
}
"""Where each command is: a module of this package, and in it a typer application or a function."""


def load(name: str) -> Any:
    """Give the click command of a name; None when it is none of these."""
    if name not in COMMANDS:
        return None
    module, _, attribute = COMMANDS[name].partition(":")
    target = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    alone = typer.Typer(add_completion=False)
    if isinstance(target, typer.Typer):
        alone.add_typer(target, name=name, rich_help_panel=PANEL)
        group: Any = typer.main.get_command(alone)
        return group.commands[name]
    alone.command(name, rich_help_panel=PANEL)(target)
    return typer.main.get_command(alone)
