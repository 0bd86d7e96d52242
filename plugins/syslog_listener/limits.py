"""How much the connections of a listener may hold together, and each project of that."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Waiter:
    size: int
    turn: asyncio.Future[None]


class Budget:
    """Bytes of memory that reading and storing may take, shared by projects.

    While it holds some, a project is given no more than it leaves free: alone it has half at most,
    two have a third each, and there is always some for another. Projects are served in turn, and
    the connections of each as they came.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[_Waiter]] = {}  # whose turn is next, first

    @contextlib.asynccontextmanager
    async def room(self, size: int, project: str) -> AsyncIterator["Room"]:
        """Wait for so many bytes, and hold them while the context is open.

        Args:
            project: that they are for, as far as that is known: see `Room.pass_to`.
        """
        room = Room(self, min(size, self._size), project)
        await self._take(room.size, project)
        try:
            yield room
        finally:
            self._give(room.size, room.project)

    def held(self, project: str) -> int:
        """Give the bytes that a project holds."""
        return self._held[project]

    def move(self, size: int, project: str, to: str) -> bool:
        """Let another project hold what one holds; False when that would be more than it may."""
        if self._held[to] and self._held[to] + size > self._free:
            return False
        self._release(size, project)
        self._held[to] += size
        self._serve()
        return True

    async def _take(self, size: int, project: str) -> None:
        waiter = _Waiter(size, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(project, deque()).append(waiter)
        self._serve()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                self._give(size, project)
            raise

    def _give(self, size: int, project: str) -> None:
        self._free += size
        self._release(size, project)
        self._serve()

    def _release(self, size: int, project: str) -> None:
        self._held[project] -= size
        if not self._held[project]:
            del self._held[project]

    def _serve(self) -> None:
        """Give room to who waits, one of each project in turn."""
        passed = 0  # projects that have to wait for what they hold themselves
        while passed < len(self._waiting):
            project, queue = next(iter(self._waiting.items()))
            while queue and queue[0].turn.done():  # cancelled
                queue.popleft()
            if not queue:
                del self._waiting[project]
                continue
            if not self._is_fair(queue[0].size, project):
                passed += 1
            elif queue[0].size > self._free:
                return  # it comes next; else smaller ones would always come before it
            else:
                passed = 0
                self._grant(queue.popleft(), project)
            self._waiting[project] = self._waiting.pop(project)  # the last now

    def _is_fair(self, size: int, project: str) -> bool:
        held = self._held.get(project)
        return not held or held + size <= self._free - size

    def _grant(self, waiter: _Waiter, project: str) -> None:
        self._free -= waiter.size
        self._held[project] += waiter.size
        waiter.turn.set_result(None)


class Room:
    """What one connection holds of a budget.

    Args:
        size: in bytes.
        project: in whose name.
    """

    def __init__(self, budget: Budget, size: int, project: str) -> None:
        self._budget = budget
        self.size = size
        self.project = project

    def pass_to(self, project: str) -> bool:
        """Hold it in another name; False when that project has its share: then it has to wait."""
        if project != self.project:
            if not self._budget.move(self.size, self.project, project):
                return False
            self.project = project
        return True
