"""Every hook. Each is a plain `def`, called once when the hub starts, never per event.

It returns a list of frozen dataclasses, which hold the async callables. `docs/hooks.md` has an
example of each, and a test of each example.
"""

from typing import Any

import pluggy

from hub.account_data import AccountData
from hub.destinations import DestinationType
from hub.permissions import Permission
from hub.routes import Authenticator, Route
from hub.services import Command, ConfigSection, Migrations, Service

PROJECT = "isaax"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def isaax_destinations() -> list[DestinationType[Any]]:
    """Declare kinds of destination that a project can configure as an integration."""
    return []


@hookspec
def isaax_services() -> list[Service]:
    """Declare services that the registry may start, when the config lists them."""
    return []


@hookspec
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare HTTP routes that the gateway serves."""
    return []


@hookspec
def isaax_permissions() -> list[Permission]:
    """Declare named permissions, and which roles have each, for routes to ask for."""
    return []


@hookspec
def isaax_authenticators() -> list[Authenticator]:
    """Declare ways to turn an `Authorization` header into a caller."""
    return []


@hookspec
def isaax_migrations() -> list[Migrations]:
    """Declare SQL migrations, applied before any service starts."""
    return []


@hookspec
def isaax_account_data() -> list[AccountData]:
    """Declare that something of accounts is kept, to be counted, exported and erased with them."""
    return []


@hookspec
def isaax_config() -> list[ConfigSection]:
    """Declare sections of `hub.toml`, with their types and defaults."""
    return []


@hookspec
def isaax_commands() -> list[Command]:
    """Declare subcommands of `isaax`."""
    return []
