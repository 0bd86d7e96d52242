"""Accounts: who owns what, and who a credential stands for."""

from hub import Authenticator, Command, Migrations, Service, hookimpl
from services.accounts.commands import app
from services.accounts.service import accounts, authenticate_bearer


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("accounts", accounts)]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("accounts", "services.accounts")]


@hookimpl
def isaax_authenticators() -> list[Authenticator]:
    """Declare API tokens as bearer credentials."""
    return [Authenticator("api-token", "Bearer", authenticate_bearer)]


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax accounts`."""
    return [Command("accounts", app, "The accounts of this hub.")]
