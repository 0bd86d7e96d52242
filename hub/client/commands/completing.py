"""What a shell offers for a word that is being typed: in a moment, or not at all."""

import re
import threading
from collections.abc import Callable, Iterable
from typing import Final

import typer

from hub.client.commands.connection import Session, logins, opened
from hub.errors import IsaaxError

SECONDS: Final = 1.5
"""That a shell may be kept waiting for the hub."""

Offer = tuple[str, str]
"""A word, and what it is."""

# Shells take words apart and evaluate some of what they are given: a name that holds anything else
# is offered by its id. Others than oneself may have chosen it.
_WORD = re.compile(r"[\w@][\w@.+-]*")
_UNSAFE = re.compile(r"[^\w @.+-]")


def hubs(incomplete: str) -> list[Offer]:
    """Offer the hubs that were logged in to."""
    try:
        found = logins().hubs
    except IsaaxError:
        return []
    return offers(((name, name, login.url) for name, login in found.items()), incomplete)


def accounts(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the accounts that one is in, by name."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.name, one.id, one.role) for one in session.hub.list_accounts(limit=200)
        ],
    )


def members(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the account's members, by address."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.email, one.user, one.role)
            for one in session.hub.list_members(_account(ctx, session), limit=200)
        ],
    )


def invitations(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the account's invitations, by address."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.email, one.id, one.role)
            for one in session.hub.list_invitations(_account(ctx, session), limit=200)
        ],
    )


def projects(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the projects, by name."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [(one.name, one.id, "") for one in session.hub.list_projects(limit=200)],
    )


def devices(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the project's devices, by label."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.label, one.id, one.group)
            for one in session.hub.list_devices(_project(ctx, session), limit=200).first().value
        ],
    )


def integrations(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the project's integrations, by name."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.name, one.id, one.type)
            for one in session.hub.list_integrations(_project(ctx, session), limit=200)
        ],
    )


def types(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the types of integrations."""
    return _asked(
        ctx,
        incomplete,
        lambda session: [
            (one.name, one.name, one.title) for one in session.hub.list_integration_types()
        ],
    )


def offers(found: Iterable[tuple[str, str, str]], incomplete: str) -> list[Offer]:
    """Choose words that a shell takes as they are.

    Args:
        found: name, id, and what it is.
    """
    words = [
        (name, what or identifier) if _WORD.fullmatch(name) else (identifier, f"{name} {what}")
        for name, identifier, what in found
    ]
    return [
        (word, _UNSAFE.sub(" ", what).strip())
        for word, what in words
        if word.startswith(incomplete)
    ]


def _project(ctx: typer.Context, session: Session) -> str:
    return session.project(ctx.params.get("project"))


def _account(ctx: typer.Context, session: Session) -> str:
    return session.account(ctx.params.get("account"))


def _asked(
    ctx: typer.Context,
    incomplete: str,
    ask: Callable[[Session], Iterable[tuple[str, str, str]]],
) -> list[Offer]:
    found: list[tuple[str, str, str]] = []

    def work() -> None:
        try:
            # Where another account is named, the path of what is asked for names it.
            account = "" if ctx.params.get("account") else None
            with opened(ctx.params.get("hub"), account=account, timeout=SECONDS) as session:
                found.extend(ask(session))
        except IsaaxError:
            return  # whoever types a command learns what is wrong when they run it

    # A thread, as nothing bounds the time that looking up a host name may take.
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return offers(list(found), incomplete)
