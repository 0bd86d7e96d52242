"""`isaax` as a client: the commands that use a hub over its REST API.

Each is loaded only when it is asked for; what is named here costs nothing before that.
"""

import importlib
from typing import Any, Final

import typer

PANELS: Final = {
    "Come in to a hub, from any machine": {
        "signup": "people:signup",
        "login": "session:login",
        "logout": "session:logout",
        "link": "links:link",
        "forgot-password": "people:forgot_password",
        "hubs": "session:hubs",
    },
    "You, at that hub": {
        "whoami": "session:whoami",
        "me": "people:me",
        "sessions": "sessions:app",
        "factors": "factors:app",
        "passkeys": "factors:passkeys",
        "api-tokens": "api_tokens:app",
    },
    "Your account there": {
        "account": "account:app",
        "members": "members:app",
        "invitations": "invitations:app",
        "audit-log": "audit_log:app",
        "status": "status:status",
    },
    "Your projects": {
        "projects": "projects:app",
        "tokens": "tokens:app",
        "devices": "devices:app",
        "envars": "envars:app",
        "commands": "commands:app",
        "scripts": "scripts:app",
        "logs": "logs:logs",
        "metrics": "metrics:app",
        "alerts": "alerts:app",
        "integrations": "integrations:app",
        "dead-letters": "dead_letters:app",
    },
    "Your shell": {"completion": "completion:completion"},
}
"""Where each command is, in the order of the help: a module of this package, and in it a typer
application or a function."""

COMMANDS: Final = {
    name: (where, panel) for panel, some in PANELS.items() for name, where in some.items()
}
"""Where each command is, and the panel of the help that it stands in."""


def load(name: str) -> Any:
    """Give the click command of a name; None when it is none of these."""
    if name not in COMMANDS:
        return None
    where, panel = COMMANDS[name]
    module, _, attribute = where.partition(":")
    target = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    alone = typer.Typer(add_completion=False)
    if isinstance(target, typer.Typer):
        alone.add_typer(target, name=name, rich_help_panel=panel)
        group: Any = typer.main.get_command(alone)
        return group.commands[name]
    alone.command(name, rich_help_panel=panel)(target)
    return typer.main.get_command(alone)
