"""Passwords: what is a good one, and their argon2id hashes, made and checked off the event loop."""

import asyncio
import contextlib
import os
import secrets
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import resources
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from hub import FieldError, Invalid, Metrics, Secret, Unavailable

T = TypeVar("T")

SHORTEST: Final = 10
LONGEST: Final = 128

# OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 iterations, 1 lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_LOOKED_AT: Final = 8 * LONGEST  # characters; what is longer is no password anyway
_MOST_THREADS: Final = 4
_WAITING: Final = 64
"""Jobs that may wait for a thread, about a second's worth; more are refused at once."""
_NICER: Final = 5  # of the threads, beside the one that serves everybody else


class PasswordRules:
    """Tells good passwords from those that are tried first."""

    def __init__(self, common: frozenset[str]) -> None:
        self._common = common

    @classmethod
    def load(cls) -> "PasswordRules":
        """Read the list of common passwords."""
        file = resources.files("services.accounts.identity") / "common_passwords.txt"
        lines = file.read_text(encoding="utf-8").splitlines()
        return cls(frozenset(line for line in lines if not line.startswith("# ")))

    def check(self, password: Secret, email: str, *, pointer: str = "/password") -> None:
        """Refuse a password that is easily guessed.

        Args:
            email: normalised; of whoever chose it.
            pointer: to it in the input.

        Raises:
            Invalid: says what is wrong with it, and never shows it.
        """
        reason = next(self._reasons(normal(password), email), "")
        if reason:
            raise Invalid("choose another password", errors=[FieldError(pointer, reason)])

    def _reasons(self, password: str, email: str) -> Iterator[str]:
        if not SHORTEST <= len(password) <= LONGEST:
            yield f"a password has {SHORTEST} to {LONGEST} characters"
        folded = password.casefold()
        core = folded.strip("0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")
        if folded in self._common or core in self._common:
            yield "this is one of the most common passwords, or one with digits or marks around it"
        local = email.partition("@")[0]
        if email in folded or local in {core, folded}:
            yield "this is your e-mail address"
        if len(set(folded)) < 4:
            yield "use more than three different characters"


def normal(password: Secret) -> str:
    """Give a password in the form that is hashed: the same however a keyboard composes it."""
    return unicodedata.normalize("NFKC", password.reveal()[:_LOOKED_AT])


class Passwords:
    """Hashes and checks passwords in a few threads of its own."""

    def __init__(self, executor: ThreadPoolExecutor, nobodys: str, metrics: Metrics) -> None:
        self._executor = executor
        self._nobodys = nobodys
        self._waiting = 0
        self._checks = metrics.counter(
            "isaax_password_checks_total", "Passwords that were hashed.", ("why",)
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, metrics: Metrics) -> AsyncIterator["Passwords"]:
        """Start the threads."""
        threads = max(1, min(_MOST_THREADS, (os.cpu_count() or 1) - 1))
        executor = ThreadPoolExecutor(threads, "password", initializer=_give_way)
        try:
            loop = asyncio.get_running_loop()
            nobodys = await loop.run_in_executor(executor, _HASHER.hash, secrets.token_hex())
            yield cls(executor, nobodys, metrics)
        finally:
            executor.shutdown(cancel_futures=True)

    def check_room(self) -> None:
        """See that one more could be checked soon, before it is counted as an attempt.

        Raises:
            Unavailable: too many wait.
        """
        if self._waiting >= _WAITING:
            raise Unavailable("too many people log in at this moment")

    async def hash(self, password: Secret) -> str:
        """Give what is kept of a password.

        Raises:
            Unavailable: too many wait.
        """
        return await self._run("new", lambda: _HASHER.hash(normal(password)))

    async def verify(self, stored: str | None, password: Secret) -> bool:
        """Say whether this is the password.

        Args:
            stored: what `hash` gave; None: there is none, which takes as long to find out.

        Raises:
            Unavailable: too many wait.
        """
        right = await self._run("check", lambda: _matches(stored or self._nobodys, password))
        return right and stored is not None

    @staticmethod
    def is_outdated(stored: str) -> bool:
        """Say whether `hash` would now do it with other parameters."""
        return _HASHER.check_needs_rehash(stored)

    async def _run(self, why: str, work: Callable[[], T]) -> T:
        self.check_room()
        self._waiting += 1
        self._checks.labels(why).inc()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._waiting -= 1


def _matches(stored: str, password: Secret) -> bool:
    try:
        return _HASHER.verify(stored, normal(password))
    except VerifyMismatchError:
        return False


def _give_way() -> None:
    """Let the thread of the event loop go first: on Linux, a thread has a priority of its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICER)
