"""Sessions: a person who is logged in, until they leave, stay away too long, or it is too old."""

from typing import Final

import msgspec

from hub import Client, Connection, Database, NotFound, Nothing, Queries, Role, Unauthenticated
from hub.ids import new
from services.accounts.identity import contracts as c
from services.accounts.settings import AccountsSettings

_MOST: Final = 100
"""Sessions of a person; beyond it those end that were used longest ago."""


class _Live(msgspec.Struct, frozen=True):
    """A live session; `stale`: when it was last seen is to be written down again."""

    id: str
    user: str
    account: str
    role: Role
    narrowed: dict[str, Role]
    closing: bool
    needs_factor: bool
    stale: bool


class Sessions:
    """The rules of sessions."""

    def __init__(self, settings: AccountsSettings, database: Database) -> None:
        self._database = database
        self._sql = Queries.load("services.accounts.identity", "sessions.sql")
        self._lifetime = {"lifetime": float(settings.session_lifetime)}
        self._times = {**self._lifetime, "idle": float(settings.session_idle)}

    async def begin(
        self, tx: Connection, user: str, password: str, *, digest: str, client: Client
    ) -> c.Session:
        """Begin a session of somebody whose password was right.

        Args:
            password: the hash that it was right for.
            digest: of the session's token.

        Raises:
            Unauthenticated: the password was changed, or the person suspended, meanwhile.
        """
        session = await tx.maybe(
            self._sql["begin_session"],
            c.Session,
            id=new("ses"),
            user=user,
            password=password,
            digest=bytes.fromhex(digest),
            address=client.address,
            agent=client.agent,
            **self._lifetime,
        )
        if session is None:
            raise Unauthenticated("your password was changed at this moment: log in again")
        await tx.run(self._sql["bound_sessions"], user=user, most=_MOST)
        return session

    async def end_replaced(self, tx: Connection, digest: str) -> None:
        """End the session that a browser had before a new one."""
        await tx.run(self._sql["end_replaced"], digest=bytes.fromhex(digest))

    async def end_all(self, tx: Connection, user: str, *, but: str = "") -> None:
        """End all sessions of a person, but this one."""
        await tx.run(self._sql["end_others"], user=user, session=but)

    async def authenticate(self, request: c.AuthenticateSession) -> c.AuthenticatedSession:
        """Find the live session of a digest.

        Raises:
            Unauthenticated: there is none.
            NotFound: its person is not in the account that was asked for.
        """
        async with self._database.system() as tx:
            live = await tx.maybe(
                self._sql["live_session"],
                _Live,
                digest=bytes.fromhex(request.digest),
                account=request.account,
                **self._times,
            )
            if live is not None and live.stale:
                await tx.run(self._sql["see_session"], session=live.id)
        if live is None:
            raise Unauthenticated("this session is unknown, or has ended: log in again")
        if request.account and not live.account:
            raise NotFound("there is no such account, or you are no member of it")
        return c.AuthenticatedSession(
            live.id,
            live.account,
            live.user,
            live.role,
            live.narrowed,
            live.closing,
            live.needs_factor,
        )

    async def page(self, request: c.ListSessions) -> c.Sessions:
        """Give a page of a person's sessions."""
        async with self._database.system() as tx:
            rows = await tx.all(
                self._sql["list_sessions"],
                c.Session,
                user=request.user,
                after=request.after,
                limit=request.limit + 1,
                **self._times,
            )
        return c.Sessions.of(rows, request.limit)

    async def get(self, request: c.OneSession) -> c.Session:
        """Give one session.

        Raises:
            NotFound: it is not there, or another person's.
        """
        asked = msgspec.structs.asdict(request)
        async with self._database.system() as tx:
            session = await tx.maybe(self._sql["get_session"], c.Session, **asked, **self._times)
        if session is None:
            raise NotFound("no such session")
        return session

    async def end(self, request: c.OneSession) -> Nothing:
        """End one session.

        Raises:
            NotFound: it is not there, or another person's.
        """
        async with self._database.system() as tx:
            if not await tx.run(self._sql["end_session"], **msgspec.structs.asdict(request)):
                raise NotFound("no such session")
        return Nothing()
