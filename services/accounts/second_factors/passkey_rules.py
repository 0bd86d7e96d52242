"""What a person does with their passkeys."""

from hub import Database, Nothing
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.challenges import Challenges
from services.accounts.second_factors.keeping import Keeping
from services.accounts.second_factors.passkeys import Passkeys


class PasskeyRules:
    """The rules of one's own passkeys."""

    def __init__(
        self, database: Database, keeping: Keeping, challenges: Challenges, passkeys: Passkeys
    ) -> None:
        self._database = database
        self._keeping = keeping
        self._challenges = challenges
        self._passkeys = passkeys

    async def options(self, request: c.ChallengeIn) -> c.PasskeyAsked:
        """Ask for a new passkey.

        Raises:
            ProofRequired: see `Keeping.held`.
            Conflict: there are too many, or browsers make none here.
        """
        challenge = bytes.fromhex(request.challenge)
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            options = await self._passkeys.to_register(tx, person, challenge)
            expires_at = await self._challenges.ask(
                tx, "registration", request.challenge, user=person.id, session=request.session
            )
        return c.PasskeyAsked(options, expires_at)

    async def add(self, request: c.AddPasskey) -> c.PasskeyAdded:
        """Keep a new passkey.

        Raises:
            ProofRequired: see `Keeping.held`.
            DeadChallenge: it is not good in this session.
            Invalid: the passkey does not answer it.
            Conflict: it is known already, or there are too many.
        """
        challenge = bytes.fromhex(request.challenge)
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            await self._challenges.use(
                tx, "registration", request.challenge, session=request.session
            )
            passkey = await self._passkeys.add(
                tx, person.id, request.name, request.credential, challenge
            )
            codes = await self._keeping.added(tx, person, request.name)
        return c.PasskeyAdded(passkey, codes)

    async def page(self, request: c.ListPasskeys) -> c.Passkeys:
        """Give a page of somebody's."""
        async with self._database.system() as tx:
            return await self._passkeys.page(tx, request)

    async def get(self, request: c.OnePasskey) -> c.Passkey:
        """Give one.

        Raises:
            NotFound: it is not there, or another person's.
        """
        async with self._database.system() as tx:
            return await self._passkeys.get(tx, request.user, request.passkey)

    async def rename(self, request: c.RenamePasskey) -> c.Passkey:
        """Call one something else.

        Raises:
            NotFound: it is not there, or another person's.
        """
        async with self._database.system() as tx:
            return await self._passkeys.rename(tx, request.user, request.passkey, request.name)

    async def remove(self, request: c.OnePasskey) -> Nothing:
        """Forget one.

        Raises:
            ProofRequired: see `Keeping.held`.
            NotFound: it is not there, or another person's.
        """
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            name = await self._passkeys.remove(tx, person.id, request.passkey)
            await self._keeping.removed(tx, person, name)
        return Nothing()
