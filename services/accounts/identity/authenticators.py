"""Who a session stands for, as the gateway asks."""

from hub import Bus, Caller, Unauthenticated
from services.accounts.identity import contracts as c
from services.accounts.tokens import SESSION, digest_of

COOKIE = "session"
"""The cookie that holds a session's token for a browser."""


async def authenticate_session(credential: str, bus: Bus) -> Caller | None:
    """Turn a session's token into its person, in the account that they joined first."""
    return await authenticate_session_in(credential, "", bus)


async def authenticate_session_in(credential: str, account: str, bus: Bus) -> Caller | None:
    """Turn a session's token into its person in an account.

    Raises:
        NotFound: they are not in it.
    """
    if not credential.startswith(SESSION):
        return None
    request = c.AuthenticateSession(digest_of(credential).hex(), account)
    try:
        found = await bus.request(c.SESSION, request)
    except Unauthenticated:
        return None
    return Caller(
        found.account,
        found.id,
        user=found.user,
        role=found.role,
        narrowed=found.narrowed,
        interactive=True,
        closing=found.closing,
        needs_factor=found.needs_factor,
    )
