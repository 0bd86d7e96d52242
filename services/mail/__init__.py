"""Mail: what the hub writes to people, through a mail server or into a local outbox."""

from typing import Any

from hub import AccountData, Command, Migrations, Route, Service, hookimpl
from services.mail.commands import app
from services.mail.routes import routes
from services.mail.service import mail, resting


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("mail", mail, resting=resting)]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its table."""
    return [Migrations("mail", "services.mail")]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare the pages of the local outbox."""
    return routes()


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax mail`."""
    return [Command("mail", app, "The mails that this hub sends.")]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("mail", after=("messages", "devices"))]
