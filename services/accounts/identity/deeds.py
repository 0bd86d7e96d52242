"""What becomes of people, in the audit log of every account that they are a member of."""

from typing import Final

from hub import Actor, Audit, Client, Connection, Deed, Queries

SESSION_BEGUN: Final = "session.begun"
LOCKED: Final = "user.locked"
ERASED: Final = "user.erased"


class Deeds:
    """Records what concerns a person wherever that person may do something."""

    def __init__(self) -> None:
        self._audit = Audit()
        self._sql = Queries.load("services.accounts.identity", "people.sql")

    async def session_begun(self, tx: Connection, user: str, session: str, client: Client) -> None:
        """Record that somebody has logged in."""
        actor = Actor("person", session, user)
        await self._tell(
            tx, user, SESSION_BEGUN, "A member logged in", actor, {"session": session}, client
        )

    async def locked(self, tx: Connection, user: str) -> None:
        """Record that too many wrong passwords came for somebody's address."""
        summary = "Logging in as a member was locked after too many wrong passwords"
        await self._tell(tx, user, LOCKED, summary, Actor(), {"user": user})

    async def erased(self, tx: Connection, user: str) -> None:
        """Record that somebody is no member any more, and nobody: their id tells of nothing."""
        summary = "A member was erased, as they had asked"
        await self._tell(tx, user, ERASED, summary, Actor(), {"user": user})

    async def _tell(
        self,
        tx: Connection,
        user: str,
        action: str,
        summary: str,
        actor: Actor,
        about: dict[str, str],
        client: Client | None = None,
    ) -> None:
        for account in await tx.all(self._sql["accounts_of"], str, user=user):
            await self._audit.record(
                tx,
                Deed(
                    action=action,
                    summary=summary,
                    account=account,
                    object=about,
                    actor=actor,
                    client=client,
                ),
            )
