"""What a person does with an authenticator app and recovery codes, and to show that it is them."""

from hub import Conflict, Database, FieldError, Invalid, LimitReached, NotFound, Nothing
from services.accounts.identity.lockout import Lockout
from services.accounts.identity.reauthentication import Reauthentication
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.challenges import Challenges
from services.accounts.second_factors.checking import Checking
from services.accounts.second_factors.keeping import Keeping
from services.accounts.second_factors.passkeys import Passkeys
from services.accounts.second_factors.recovery import RecoveryCodes
from services.accounts.second_factors.totp import Totp


class Enrolment:
    """The rules of one's own factors; wrong codes are counted for the person."""

    def __init__(
        self,
        database: Database,
        keeping: Keeping,
        checking: Checking,
        challenges: Challenges,
        totp: Totp,
        codes: RecoveryCodes,
        passkeys: Passkeys,
        reauthentication: Reauthentication,
        lockout: Lockout,
    ) -> None:
        self._database = database
        self._keeping = keeping
        self._checking = checking
        self._challenges = challenges
        self._totp = totp
        self._codes = codes
        self._passkeys = passkeys
        self._reauthentication = reauthentication
        self._lockout = lockout

    async def get(self, request: c.Shown) -> c.Factors:
        """Say what somebody has."""
        async with self._database.system() as tx:
            return await self._checking.factors(tx, request.user)

    # ── authenticator apps ──

    async def start_totp(self, request: c.Shown) -> c.NewTotp:
        """Make a secret for an authenticator app.

        Raises:
            ProofRequired: see `Keeping.held`.
            Conflict: there is one already.
        """
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            return await self._totp.start(tx, person.id, person.email)

    async def confirm_totp(self, request: c.ConfirmTotp) -> c.Codes:
        """Ask for codes from now on.

        Raises:
            ProofRequired: see `Keeping.held`.
            NotFound, Conflict: nothing is to be confirmed.
            Invalid: this is not a code of it.
            LimitReached: there were too many wrong ones.
        """
        outlook, key = await self._count(request.user)
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            right = await self._totp.confirm(tx, person.id, request.code)
            if right:
                await self._lockout.clear(tx, key)
                return c.Codes(await self._keeping.added(tx, person))
        wrong = FieldError("/code", f"this is not the code that the app shows now ({outlook})")
        raise Invalid("the code is wrong", errors=[wrong])

    async def remove_totp(self, request: c.Shown) -> Nothing:
        """Ask for codes no more.

        Raises:
            ProofRequired: see `Keeping.held`.
            NotFound: there is no authenticator app.
        """
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            if not await self._totp.remove(tx, person.id):
                raise NotFound("you have no authenticator app")
            await self._keeping.removed(tx, person)
        return Nothing()

    # ── recovery codes ──

    async def renew_codes(self, request: c.Shown) -> c.Codes:
        """Make new recovery codes, in place of those that there were.

        Raises:
            ProofRequired: see `Keeping.held`.
            Conflict: there is nothing to recover from.
        """
        async with self._database.system() as tx:
            person = await self._keeping.held(tx, request)
            if not (await self._checking.factors(tx, person.id)).kinds:
                raise Conflict("add an authenticator app or a passkey first")
            codes = await self._codes.renew(tx, person.id)
            await self._keeping.renewed(tx, person)
        return c.Codes(codes)

    # ── that it is them ──

    async def reauthentication_options(self, request: c.ChallengeIn) -> c.PasskeyAsked:
        """Ask somebody who is logged in for a passkey.

        Raises:
            PasskeysUnavailable: browsers have none here.
        """
        challenge = bytes.fromhex(request.challenge)
        async with self._database.system() as tx:
            person = await self._keeping.person(tx, request)
            options = await self._passkeys.to_authenticate(tx, person.id, challenge)
            expires_at = await self._challenges.ask(
                tx, "reauthentication", request.challenge,
                user=request.user, session=request.session,
            )  # fmt: skip
        return c.PasskeyAsked(options, expires_at)

    async def reauthenticate(self, request: c.Reauthenticate) -> Nothing:
        """Believe for a while that a session is in the hands of its person.

        Raises:
            Invalid: what they show is wrong.
            LimitReached: it was wrong too often.
            DeadChallenge: the one that a passkey answers is not good.
        """
        if request.password is not None:
            await self._reauthentication.check(request.user, request.password, pointer="/password")
            async with self._database.system() as tx:
                await self._keeping.proven(tx, request)
            return Nothing()
        outlook, key = await self._count(request.user)
        async with self._database.system() as tx:
            person = await self._keeping.person(tx, request)
            if request.challenge:
                await self._challenges.use(
                    tx, "reauthentication", request.challenge, session=request.session
                )
            right = await self._checking.accept(tx, person, request.proof, request.challenge)
            if right:
                await self._keeping.proven(tx, request)
                await self._lockout.clear(tx, key)
        if not right:
            wrong = FieldError("", f"this is not a second factor of yours ({outlook})")
            raise Invalid("the second factor is wrong", errors=[wrong])
        return Nothing()

    async def _count(self, user: str) -> tuple[str, bytes]:
        """Count an attempt, and say what is left, and what it is counted by.

        Raises:
            LimitReached: it comes too early.
        """
        key = self._reauthentication.attempts_key(user)
        async with self._database.system() as tx:
            attempt = await self._lockout.take(tx, key)
        if not attempt.taken:
            raise LimitReached("too many wrong answers: wait", retry_after=attempt.wait)
        return attempt.outlook, key
