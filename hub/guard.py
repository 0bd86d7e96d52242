"""Keeps the hub safe from plugins that hold it up or leave tasks behind: named, and stopped.

Whose code runs is told by a context variable that is set around each call of a destination; the
tasks that it creates inherit it.
"""

import asyncio
import contextlib
import weakref
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
)
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec
import structlog

from hub.destinations import StreamDestination, TellingStream
from hub.watchdog import BlockedLoop, HeldUp, Watchdog

T = TypeVar("T")

LIMIT: Final = 2.0
"""Seconds that a plugin may hold up the hub."""

STRIKES: Final = 3
"""How often a plugin may do so before it is stopped."""

_GRACE: Final = 0.25  # seconds for tasks that are about to end when their destination is closed
_CANCEL: Final = 1.0  # seconds that a task may take to end once it is cancelled
_LOOK: Final = 0.2  # seconds between looks at what the watchdog saw

_log = structlog.stdlib.get_logger(__name__)


class Interrupted(Exception):  # noqa: N818 - what happened
    """A call of a destination was interrupted, for it held up the hub."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Notes(msgspec.Struct):
    """What a plugin did to the hub since it was loaded.

    Args:
        blocked: times that it held up the hub.
        leaked: tasks that it left behind after `close`, which the hub ended.
        last: the last of it, in words.
    """

    blocked: int = 0
    leaked: int = 0
    last: str = ""


@dataclass(eq=False, slots=True)
class Owner:
    """One destination, as the owner of the code that runs.

    Args:
        integration: id of the integration.
        plugin: name of the plugin that it belongs to.
        tasks: that were created in calls of it.
    """

    integration: str
    plugin: str
    tasks: "weakref.WeakSet[asyncio.Task[Any]]" = field(default_factory=weakref.WeakSet)


running: Final[ContextVar[Owner | None]] = ContextVar("running", default=None)
"""Whose code runs; None: the hub's own."""


# ── calls ─────────────────────────────────────────────────────────────────────────────────────


class _Fenced:
    """A destination whose calls carry their owner; see hub/destinations.py."""

    def __init__(self, destination: Any, owner: Owner) -> None:
        self._destination = destination
        self._owner = owner

    async def send(self, batch: Any) -> None:
        """As the destination; `Interrupted` when it held up the hub."""
        await _owned(self._owner, lambda: self._destination.send(batch))

    async def close(self) -> None:
        """As the destination; `Interrupted` when it held up the hub."""
        await _owned(self._owner, self._destination.close)


class _FencedStream(_Fenced):
    async def wait_lost(self) -> None:
        """As the destination; `Interrupted` when it held up the hub."""
        await _owned(self._owner, self._destination.wait_lost)


class _FencedTelling(_FencedStream):
    @property
    def under_way(self) -> int:
        """As the destination."""
        told: int = self._destination.under_way
        return told


async def _owned(owner: Owner, call: Callable[[], Awaitable[T]]) -> T:
    token = running.set(owner)
    try:
        return await call()
    except BlockedLoop as blocked:
        raise Interrupted(f"the plugin {owner.plugin}: {blocked}") from None
    except BaseExceptionGroup as group:  # a TaskGroup of the plugin's
        blocked_inside = group.subgroup(BlockedLoop)
        if blocked_inside is None:
            raise
        raise Interrupted(f"the plugin {owner.plugin} held up the hub") from None
    finally:
        with contextlib.suppress(ValueError):  # it is closed elsewhere, unfinished
            running.reset(token)


def fence(make: Callable[[], T], owner: Owner) -> T:
    """Make a destination, and give it with every call of it marked as its owner's.

    Raises:
        Interrupted: making it held up the hub.
    """

    def owned() -> T:
        running.set(owner)
        return make()

    try:
        destination = copy_context().run(owned)
    except BlockedLoop as blocked:
        raise Interrupted(f"the plugin {owner.plugin}: {blocked}") from None
    kind = _Fenced
    if isinstance(destination, StreamDestination):
        kind = _FencedTelling if isinstance(destination, TellingStream) else _FencedStream
    fenced: Any = kind(destination, owner)
    return fenced  # type: ignore[no-any-return] # it has the methods of what was made


# ── tasks ─────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def owned_tasks() -> Iterator[None]:
    """While the context is open, the loop's tasks are noted with their owners."""
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    loop.set_task_factory(_noting)
    try:
        yield
    finally:
        loop.set_task_factory(before)


def _noting(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T] | Generator[Any, None, T],
    **options: Any,
) -> "asyncio.Task[T]":
    task: asyncio.Task[T] = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    owner = running.get() if context is None else context.get(running)
    if owner is not None:
        owner.tasks.add(task)
    return task


async def end_leftovers(owner: Owner) -> list[str]:
    """End the tasks that a destination left behind; give the names of their coroutines."""
    left = _alive(owner)
    if left:
        await asyncio.wait(left, timeout=_GRACE)
        left = {task for task in left if not task.done()}
    for task in left:
        task.cancel()
        task.add_done_callback(_look_at)
    if left:
        await asyncio.wait(left, timeout=_CANCEL)
    return sorted(getattr(task.get_coro(), "__qualname__", "a task") for task in left)


def _alive(owner: Owner) -> "set[asyncio.Task[Any]]":
    here = asyncio.current_task()
    return {task for task in owner.tasks if not task.done() and task is not here}


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Read the result of a task that nobody waits for, so that nothing complains of it."""
    if not task.cancelled():
        task.exception()


# ── keeping account ───────────────────────────────────────────────────────────────────────────


class PluginGuard:
    """Keeps account of what plugins do to the hub.

    Args:
        stop: called with the name of a plugin, and why, when it held up the hub too often.
        limit: seconds that it may hold it up.
    """

    def __init__(self, stop: Callable[[str, str], None], *, limit: float = LIMIT) -> None:
        self._stop = stop
        self._limit = limit
        self._notes: dict[str, Notes] = {}
        self._seen: list[tuple[Owner | None, HeldUp]] = []

    @property
    def notes(self) -> Mapping[str, Notes]:
        """What there is to say of plugins, by name; nothing of those that behave."""
        return self._notes

    def forget(self, plugin: str) -> None:
        """Begin anew with a plugin that was loaded again."""
        self._notes.pop(plugin, None)

    @contextlib.asynccontextmanager
    async def watching(self, limit: float | None = None) -> AsyncIterator[None]:
        """Watch the loop and its tasks while the context is open.

        Args:
            limit: instead of the guard's own.
        """
        dog = Watchdog(limit or self._limit, running.get, self._saw)
        with owned_tasks(), dog.watching():
            telling = asyncio.get_running_loop().create_task(self._tell_of_all())
            try:
                yield
            finally:
                telling.cancel()
                await asyncio.wait({telling})
                self._tell()

    @contextlib.asynccontextmanager
    async def owning(self, integration: str, plugin: str) -> AsyncIterator[Owner]:
        """Give an owner to `fence` a destination with; in the end, end what it left behind.

        Open it before the destination's tools: they may end some of its tasks as they close.
        """
        owner = Owner(integration, plugin)
        try:
            yield owner
        finally:
            names = await end_leftovers(owner)
            if names:
                self._leaked(owner, names)

    def _saw(self, owner: object | None, held_up: HeldUp) -> bool:
        """Note it; a signal handler is no place to log."""
        known = owner if isinstance(owner, Owner) else None
        self._seen.append((known, held_up))
        return known is not None

    async def _tell_of_all(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            self._tell()

    def _tell(self) -> None:
        seen, self._seen = self._seen, []
        for owner, held_up in seen:
            if owner is None:
                _log.warning(
                    "the hub held itself up",
                    seconds=round(held_up.seconds, 1),
                    where=held_up.where,
                    stack=held_up.stack,
                )
            else:
                self._blocked(owner, held_up)

    def _blocked(self, owner: Owner, held_up: HeldUp) -> None:
        notes = self._notes.setdefault(owner.plugin, Notes())
        notes.blocked += 1
        notes.last = f"it blocked the hub for {held_up.seconds:.1f} s, at {held_up.where}"
        _log.error(
            f"the plugin {owner.plugin} blocked the hub",
            plugin=owner.plugin,
            integration=owner.integration,
            seconds=round(held_up.seconds, 1),
            where=held_up.where,
            times=notes.blocked,
            stack=held_up.stack,
        )
        if notes.blocked == STRIKES:
            self._stop(owner.plugin, f"it blocked the hub {STRIKES} times; {notes.last}")

    def _leaked(self, owner: Owner, names: list[str]) -> None:
        notes = self._notes.setdefault(owner.plugin, Notes())
        notes.leaked += len(names)
        notes.last = f"it left a task behind: {names[0]}"
        _log.error(
            f"the plugin {owner.plugin} left tasks behind",
            plugin=owner.plugin,
            integration=owner.integration,
            tasks=names,
        )
