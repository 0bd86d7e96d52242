"""Many who ask for the same kind of thing at the same time are answered by one piece of work."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from hub import IsaaxError, Unavailable

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """Answers what is asked by itself at once, and what is asked meanwhile together.

    Whoever comes to its turn does the work of all who wait, so no task goes on by itself.

    Args:
        work: gives, for each question and in their order, an answer or the error that it is.
        most: questions at once.
        turns: pieces of work at the same time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Q]], Awaitable[Sequence[A | IsaaxError]]],
        *,
        most: int = 100,
        turns: int = 2,
    ) -> None:
        self._work = work
        self._most = most
        self._turns = asyncio.Semaphore(turns)
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()

    async def ask(self, question: Q) -> A:
        """Have a question answered.

        Raises:
            IsaaxError: its own, or what ended the work for all.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        async with self._turns:
            while self._waiting and not answer.done():
                await self._some()
        return await answer

    async def _some(self) -> None:
        count = min(self._most, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(count)]
        try:
            found = await self._work([question for question, _ in batch])
        except BaseException as error:
            shared = error if isinstance(error, Exception) else Unavailable("the hub ends")
            for _, answer in batch:
                _settle(answer, shared)
            raise
        for (_, answer), one in zip(batch, found, strict=True):
            _settle(answer, one)


def _settle(answer: asyncio.Future[A], found: A | Exception) -> None:
    if answer.done():  # who asked is gone
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
        answer.exception()  # whoever does the work raises it before it is looked at
    else:
        answer.set_result(found)
