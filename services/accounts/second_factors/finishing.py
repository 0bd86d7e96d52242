"""The end of a login: a second factor after the password, or a passkey in place of both."""

from hub import Connection, Database, IsaaxError, Metrics
from services.accounts.identity.beginning import Beginning
from services.accounts.identity.contracts import LoggedIn, NewSession
from services.accounts.identity.errands import Errands, LockedWish
from services.accounts.identity.lockout import Attempt, Lockout
from services.accounts.identity.people import People, Person
from services.accounts.identity.tallies import Tallies
from services.accounts.second_factors import contracts as c
from services.accounts.second_factors.challenges import Challenges
from services.accounts.second_factors.checking import Checking
from services.accounts.second_factors.errors import DeadChallenge, WrongFactor
from services.accounts.second_factors.passkeys import Passkeys


class Finishing:
    """The rules of the second step."""

    def __init__(
        self,
        database: Database,
        beginning: Beginning,
        checking: Checking,
        passkeys: Passkeys,
        challenges: Challenges,
        lockout: Lockout,
        tallies: Tallies,
        errands: Errands,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._beginning = beginning
        self._checking = checking
        self._passkeys = passkeys
        self._challenges = challenges
        self._lockout = lockout
        self._tallies = tallies
        self._errands = errands
        self._people = People()
        self._outcomes = metrics.counter(
            "isaax_second_steps_total",
            "Second factors shown at a login, by what came of them.",
            ("outcome",),
        )

    async def finish(self, request: c.FinishLogIn) -> LoggedIn:
        """Begin the session of whoever shows a second factor after their password.

        Raises:
            DeadChallenge: it is not good.
            TooManyAttempts, Locked: there were too many wrong answers, here or at the password.
            WrongFactor: this is none of theirs.
            Unauthenticated: the password was changed meanwhile.
        """
        try:
            logged_in = await self._finish(request)
        except IsaaxError as error:
            self._outcomes.labels(error.code).inc()
            raise
        self._outcomes.labels("ok").inc()
        return logged_in

    async def enter(self, request: c.EnterByPasskey) -> LoggedIn:
        """Begin the session of whoever shows a passkey that has made sure of its user.

        Raises:
            DeadChallenge: it is not good.
            TooManyAttempts: too many of one network.
            WrongFactor: it is nobody's passkey, or did not sign the challenge.
            Unverified, Suspended: they may not come in.
        """
        try:
            logged_in = await self._enter(request)
        except IsaaxError as error:
            self._outcomes.labels(error.code).inc()
            raise
        self._outcomes.labels("ok").inc()
        return logged_in

    async def ask_passkey(self, request: c.AskPasskey) -> c.PasskeyAsked:
        """Ask for any passkey.

        Raises:
            TooManyAttempts: too many of one network.
            PasskeysUnavailable: browsers have none here.
        """
        options = self._passkeys.to_enter(bytes.fromhex(request.challenge))
        async with self._database.system() as tx:
            await self._tallies.try_from(tx, request.client)
            expires_at = await self._challenges.ask(
                tx, "entry", request.challenge, bound=request.bound
            )
        return c.PasskeyAsked(options, expires_at)

    async def _finish(self, request: c.FinishLogIn) -> LoggedIn:
        async with self._database.system() as tx:
            asked = await self._challenges.try_login(tx, request.challenge, request.bound)
            attempt = await self._lockout.take(tx, asked.attempts_key)
        if not attempt.taken:
            raise attempt.refusal()
        async with self._database.system() as tx:
            person = await self._people.held(tx, asked.user)
            right = await self._checking.accept(tx, person, request.proof, request.challenge)
            if right:
                await self._challenges.use(tx, "login", request.challenge, bound=request.bound)
                logged_in = await self._begin(tx, person, request)
                await self._lockout.clear(tx, asked.attempts_key)
        if not right:
            raise await self._failure(person, attempt)
        return logged_in

    async def _failure(self, person: Person, attempt: Attempt) -> IsaaxError:
        if not attempt.locks:
            return WrongFactor(attempt.outlook, retry_after=attempt.wait)
        async with self._database.system() as tx:
            await self._errands.note(tx, LockedWish(person.email))
        return attempt.refusal()

    async def _enter(self, request: c.EnterByPasskey) -> LoggedIn:
        async with self._database.system() as tx:
            tried = await self._tallies.try_from(tx, request.client)
            # It is used up by a wrong answer, too: nothing is guessed here.
            await self._challenges.use(tx, "entry", request.challenge, bound=request.bound)
            user = await self._passkeys.owner(tx, request.passkey)
        if user is None:
            raise WrongFactor("this passkey is not known here")
        challenge = bytes.fromhex(request.challenge)
        async with self._database.system() as tx:
            person = await self._people.held(tx, user)
            if not await self._passkeys.accept(tx, user, request.passkey, challenge, verified=True):
                raise WrongFactor("the passkey did not sign what this hub asked for")
            logged_in = await self._begin(tx, person, request)
        async with self._database.system() as tx:
            for _ in ("asked", "answered"):  # both were counted
                await self._tallies.give_back(tx, tried)
        return logged_in

    async def _begin(self, tx: Connection, person: Person, request: NewSession) -> LoggedIn:
        known = await self._beginning.find(tx, person.email, request.device)
        if known is None or known.password is None:
            raise DeadChallenge("log in again")
        known.check_welcome()
        return await self._beginning.begin(tx, known, known.password, request)
