"""`Idempotency-Key`: a POST that is sent again gets the first answer, not a second effect.

A key belongs to an account and a route. What is kept in Postgres is unreadable there: the answer
(which may hold a token that is shown once) is sealed, and the request's fingerprint keyed, with
keys that are derived from the caller's own credential, of which the hub keeps only a digest.
"""

import asyncio
import hashlib
import hmac
import os
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hub.database import Database, Queries
from hub.errors import Unavailable
from hub.gateway.answers import Answer
from hub.gateway.authentication import Identity
from hub.gateway.problems import KeyInFlight, KeyReused, Malformed

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
"""Header of an answer that was given before."""

KEPT: Final = 24 * 3600.0
"""Seconds that an answer is kept."""
LEASE: Final = 60.0
"""Seconds that a request may be at work; afterwards its hub is taken for dead.

It is longer than a handler may take (`dispatch.DEADLINE`), so two never work at once.
"""
CLEAR_EVERY: Final = 300.0
"""Seconds between two clearings of what is older than `KEPT`."""

# The draft (draft-ietf-httpapi-idempotency-key-header-07) sends a quoted string, Stripe a bare
# one: both are taken as they are.
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NONCE_BYTES: Final = 12
# These say that nothing was done, so the same key may try again.
_UNDONE: Final = frozenset({429, 503})

_log = structlog.stdlib.get_logger(__name__)


class _Row(msgspec.Struct):
    actor: str
    fingerprint: bytes
    answer: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class Keyed:
    """One request under its key, with the two keys that only its caller can derive.

    Args:
        account, route, key: what the row is found by (`key` as its SHA-256).
        actor: id of the credential; another one of the account cannot open the answer.
        fingerprint: of all that makes the request the same request.
    """

    account: str
    route: str
    key: bytes
    actor: str
    fingerprint: bytes
    cipher: AESGCM

    @classmethod
    def of(cls, identity: Identity, route: str, key: str, content: bytes) -> "Keyed":
        """Derive everything from the caller's credential.

        Args:
            route: method and path template.
            content: path, query and body, in one.

        Raises:
            Malformed: the key is not one.
        """
        if not _KEY.fullmatch(key):
            raise Malformed(f"{HEADER} is 1 to 255 visible ASCII characters")
        caller = identity.caller
        context = "\0".join(("isaax-idempotency-1", caller.account, route, key)).encode()
        derived = HKDF(SHA256(), 64, salt=None, info=context).derive(identity.credential.encode())
        return cls(
            caller.account,
            route,
            hashlib.sha256(key.encode()).digest(),
            caller.actor,
            hmac.digest(derived[32:], content, "sha256"),
            AESGCM(derived[:32]),
        )

    def seal(self, answer: Answer) -> bytes:
        """Make an answer unreadable to all but this caller."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self.cipher.encrypt(nonce, msgspec.msgpack.encode(answer), None)

    def open(self, sealed: bytes) -> Answer:
        """Read an answer again.

        Raises:
            KeyReused: another credential sealed it.
        """
        try:
            plain = self.cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except InvalidTag:
            raise KeyReused("the first request was made with another credential") from None
        return msgspec.msgpack.decode(plain, type=Answer)


class Idempotency:
    """Keeps the answers, in Postgres, so that every hub knows them and a restart forgets none."""

    def __init__(self, database: Database, *, kept: float = KEPT, lease: float = LEASE) -> None:
        """Keep answers.

        Args:
            kept, lease: seconds; see `KEPT` and `LEASE`.
        """
        self._database = database
        self._kept = kept
        self._lease = lease
        self._sql = Queries.load("hub.gateway")

    async def once(self, request: Keyed, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do the work, or give the answer that it had the first time.

        Args:
            work: answers; an error of the handler is an answer too.

        Raises:
            KeyReused: the key came with another request or credential.
            KeyInFlight: the first request is at work.
            Unavailable: Postgres does not answer, and nothing was done.
        """
        claim = str(uuid.uuid4())
        known = await self._claim(request, claim)
        if known is not None:
            return known
        answer = await work()
        try:
            await self._settle(request, claim, answer)
        except Unavailable as error:
            # The effect stands and the client gets its answer; a retry has to wait for the lease.
            _log.warning("answer not kept", route=request.route, error=str(error))
        return answer

    async def clear(self) -> int:
        """Drop what is too old to be asked for, and give how many rows that were."""
        async with self._database.system() as tx:
            return await tx.run(self._sql["clear_idempotency"])

    async def keep_clear(self) -> None:
        """Clear every now and then, until cancelled."""
        while True:
            await asyncio.sleep(CLEAR_EVERY)
            try:
                await self.clear()
            except Unavailable as error:
                _log.warning("old idempotency keys not cleared", error=str(error))

    async def _claim(self, request: Keyed, claim: str) -> Answer | None:
        """Take the key for this request (None), or give the answer that is there."""
        async with self._database.transaction(account=request.account) as tx:
            taken = await tx.run(
                self._sql["claim_idempotency"],
                account=request.account,
                route=request.route,
                key=request.key,
                actor=request.actor,
                fingerprint=request.fingerprint,
                claim=claim,
                lease=self._lease,
                kept=self._kept,
            )
            if taken:
                return None
            row = await tx.maybe(
                self._sql["get_idempotency"],
                _Row,
                account=request.account,
                route=request.route,
                key=request.key,
            )
        return self._known(request, row)

    def _known(self, request: Keyed, row: _Row | None) -> Answer:
        if row is not None:
            if row.actor != request.actor:
                raise KeyReused("the first request was made with another credential")
            if not hmac.compare_digest(row.fingerprint, request.fingerprint):
                raise KeyReused("the first request had another path, query or body")
            if row.answer is not None:
                first = request.open(row.answer)
                return msgspec.structs.replace(
                    first, headers={**first.headers, REPLAYED: "true"}, close=False
                )
        raise KeyInFlight("wait for its answer, then send it again", headers={"Retry-After": "1"})

    async def _settle(self, request: Keyed, claim: str, answer: Answer) -> None:
        async with self._database.transaction(account=request.account) as tx:
            if answer.status in _UNDONE:
                await tx.run(self._sql["release_idempotency"], claim=claim)
            else:
                sealed = request.seal(answer)
                await tx.run(self._sql["keep_idempotency"], claim=claim, answer=sealed)
