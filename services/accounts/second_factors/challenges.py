"""Challenges: what somebody is asked to answer within five minutes, once."""

from datetime import datetime
from typing import Final, Literal

import msgspec

from hub import Connection, Queries, Unauthenticated
from services.accounts.second_factors.errors import DeadChallenge

ChallengeKind = Literal["login", "entry", "registration", "reauthentication"]

LIFETIME: Final = 300.0
"""Seconds for which one is good."""
TRIES: Final = 5
"""Answers to one challenge that may be wrong."""
_MOST: Final = 20
"""Challenges of a person; beyond it the oldest are good no more."""


class Asked(msgspec.Struct, frozen=True):
    """Who was asked, and what their wrong answers are counted by."""

    user: str
    attempts_key: bytes


class Challenges:
    """Makes and uses challenges, in the caller's transaction (of the system).

    Each is known by the digest of its token, and may be bound to a cookie (`bound`) or a session.
    """

    def __init__(self) -> None:
        self._sql = Queries.load("services.accounts.second_factors")

    async def ask_at_login(
        self,
        tx: Connection,
        user: str,
        password: str,
        *,
        digest: str,
        bound: str,
        attempts_key: bytes,
    ) -> datetime:
        """Ask somebody whose password was right for a second factor, and say until when.

        Args:
            password: the hash that it was right for.

        Raises:
            Unauthenticated: the password was changed, or the person suspended, meanwhile.
        """
        expires_at = await tx.maybe(
            self._sql["add_login_challenge"],
            datetime,
            kind="login",
            user=user,
            password=password,
            digest=bytes.fromhex(digest),
            bound=bytes.fromhex(bound),
            attempts_key=attempts_key,
            seconds=LIFETIME,
        )
        if expires_at is None:
            raise Unauthenticated("your password was changed at this moment: log in again")
        await tx.run(self._sql["bound_challenges"], user=user, most=_MOST)
        return expires_at

    async def ask(
        self,
        tx: Connection,
        kind: ChallengeKind,
        digest: str,
        *,
        user: str | None = None,
        session: str | None = None,
        bound: str = "",
    ) -> datetime:
        """Ask for a passkey, and say until when.

        Args:
            user: who is held, if it is known who has to answer.
        """
        expires_at = await tx.one(
            self._sql["add_challenge"],
            datetime,
            kind=kind,
            digest=bytes.fromhex(digest),
            user=user,
            session=session,
            bound=bytes.fromhex(bound),
            seconds=LIFETIME,
        )
        if user is not None:
            await tx.run(self._sql["bound_challenges"], user=user, most=_MOST)
        return expires_at

    async def try_login(self, tx: Connection, digest: str, bound: str) -> Asked:
        """Count an answer, before it is looked at.

        Raises:
            DeadChallenge: the challenge is not good, or was answered wrong too often.
        """
        asked = await tx.maybe(
            self._sql["try_challenge"],
            Asked,
            kind="login",
            digest=bytes.fromhex(digest),
            bound=bytes.fromhex(bound),
            most=TRIES,
        )
        if asked is None:
            raise DeadChallenge("log in again")
        return asked

    async def use(
        self,
        tx: Connection,
        kind: ChallengeKind,
        digest: str,
        *,
        session: str | None = None,
        bound: str = "",
    ) -> None:
        """Use a challenge up; it is good again if the transaction fails.

        Raises:
            DeadChallenge: it is not good.
        """
        used = await tx.run(
            self._sql["use_challenge"],
            kind=kind,
            digest=bytes.fromhex(digest),
            session=session,
            bound=bytes.fromhex(bound),
        )
        if not used:
            raise DeadChallenge("begin anew")

    async def void(self, tx: Connection, user: str) -> None:
        """Let no challenge of a person be good any more."""
        await tx.run(self._sql["void_challenges"], user=user)
