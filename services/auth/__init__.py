"""Device authentication: who a device is, and the sessions that open its topics."""

from hub import AccountData, ConfigSection, Migrations, Service, hookimpl
from services.auth.service import auth, resting
from services.auth.settings import AuthSettings


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [
        Service("auth", auth, resting=resting, needs=("projects",), uses=("relay",), single=True)
    ]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("auth", "services.auth")]


@hookimpl
def isaax_config() -> list[ConfigSection]:
    """Declare `[auth]`."""
    return [ConfigSection("auth", AuthSettings)]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what is kept."""
    return [AccountData("auth")]
