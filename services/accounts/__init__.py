"""Accounts: who owns what, and who a credential stands for."""

from typing import Any

from hub import (
    ADMINS,
    EVERYONE,
    OWNERS,
    VIEWERS,
    Authenticator,
    Command,
    ConfigSection,
    Migrations,
    Permission,
    Route,
    Service,
    hookimpl,
)
from services.accounts.commands import app
from services.accounts.deletion import routes as deletion_routes
from services.accounts.departure import routes as departure_routes
from services.accounts.identity import (
    link_routes,
    pages,
    session_routes,
    token_routes,
    user_routes,
)
from services.accounts.identity.authenticators import (
    COOKIE,
    authenticate_session,
    authenticate_session_in,
)
from services.accounts.organisations import (
    invitation_routes,
    narrowing_routes,
    routes,
    transfer_routes,
)
from services.accounts.organisations import pages as deed_pages
from services.accounts.second_factors import factor_routes, login_routes, passkey_routes
from services.accounts.service import accounts, authenticate_bearer
from services.accounts.settings import AccountsSettings


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the service."""
    return [Service("accounts", accounts, uses=("projects",))]


@hookimpl
def isaax_migrations() -> list[Migrations]:
    """Declare its tables."""
    return [Migrations("accounts", "services.accounts")]


@hookimpl
def isaax_authenticators() -> list[Authenticator]:
    """Declare API tokens and sessions as bearer credentials, and sessions in a cookie."""
    return [
        Authenticator("api-token", "Bearer", authenticate_bearer),
        Authenticator(
            "session",
            "Bearer",
            authenticate_session,
            cookie=COOKIE,
            in_account=authenticate_session_in,
        ),
    ]


@hookimpl
def isaax_config() -> list[ConfigSection]:
    """Declare `[accounts]`."""
    return [ConfigSection("accounts", AccountsSettings)]


@hookimpl
def isaax_routes() -> list[Route[Any, Any]]:
    """Declare its routes."""
    modules = (
        session_routes, login_routes, user_routes, factor_routes, passkey_routes, link_routes,
        token_routes, pages, routes, narrowing_routes, invitation_routes, transfer_routes,
        deletion_routes, departure_routes, deed_pages,
    )  # fmt: skip
    return [route for module in modules for route in module.routes()]


@hookimpl
def isaax_permissions() -> list[Permission]:
    """Declare who may do what."""
    return [
        Permission(
            token_routes.READ,
            "See API tokens: one's own; as an owner or admin, everybody's.",
            EVERYONE,
        ),
        Permission(
            token_routes.WRITE,
            "Make API tokens, and revoke them: one's own; as an owner or admin, everybody's.",
            EVERYONE,
        ),
        Permission("account:read", "See the account.", EVERYONE),
        Permission("account:write", "Rename the account.", ADMINS),
        Permission("account:transfer", "Hand the account over to another member.", OWNERS),
        Permission(
            "account:export", "Take along all that the account has.", OWNERS, while_closing=True
        ),
        Permission(
            "account:delete", "Delete the account, and undo that.", OWNERS, while_closing=True
        ),
        Permission("invitations:read", "See who is invited.", ADMINS),
        Permission("invitations:write", "Invite people by mail, and withdraw that.", ADMINS),
        Permission("members:read", "See members, and what they are.", VIEWERS),
        Permission("members:write", "Give roles to members, narrow them, remove members.", ADMINS),
    ]


@hookimpl
def isaax_commands() -> list[Command]:
    """Declare `isaax accounts`."""
    return [Command("accounts", app, "The accounts of this hub.")]
