"""The service registry: starts what the config lists, says when it is ready, and drains it.

Each service lives in a task of its own, which enters its context manager, waits there, and leaves
it again. So a service may hold a `TaskGroup` open, and when one of its background tasks dies, the
group cancels the service's task and the failure comes out of the context manager. The registry
then drains all the others and raises `ServiceDied`: a hub that has lost a part does not go on
half, it ends loudly with the reason, and whoever supervises the process starts it anew.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

import msgspec
import structlog

from hub.errors import IsaaxError, StartError, Unavailable
from hub.planning import FromService, FromValue, Step, plan
from hub.plugins import PluginHost
from hub.services import Resting, Service, switched_off
from hub.settings import Settings
from hub.telemetry import CheckResult, Health, Metrics, redact

_GRACE: Final = 1.0
"""Seconds that a cancelled service gets to let go before it is left behind."""

_REUSE: Final = 0.5
"""Seconds for which the result of a health check is given again: some write to disk."""

_CANARY_PAUSE: Final = 0.25
"""Seconds between two looks at whether all that has started really works."""


class ServiceDied(IsaaxError):  # noqa: N818 - says what happened
    """A service died while it was running."""

    code = "service-died"


class Drained(msgspec.Struct, frozen=True):
    """How the end went.

    Args:
        overdue: services that had to be cancelled, because they took longer than they may.
        failed: services that raised while they drained.
        stuck: those of the overdue that even ignored that they were cancelled.
    """

    overdue: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Everything was let go of in order."""
        return not self.overdue and not self.failed


async def run(
    settings: Settings,
    host: PluginHost,
    *,
    parts: Collection[Service] = (),
    ready: asyncio.Event | None = None,
    stop: asyncio.Event,
) -> Drained:
    """Start everything, be ready, and drain it when told to.

    Args:
        settings: of the whole process.
        host: whose services may be started.
        parts: services of the core that start when one is asked for what they provide.
        ready: set when all has started and every health check has passed; cleared when the end
            begins.
        stop: set by the caller to end, also in the middle of starting.

    Returns:
        How the end went.

    Raises:
        Unplannable: the config does not add up; nothing has been started.
        StartError: a service failed while it was starting; the others have been drained.
        ServiceDied: a service died later on; the others have been drained.
    """
    values = values_of(settings, host)
    steps = steps_of(settings, host, parts=parts, values=values)
    registry = _Registry(values, settings.hub.drain, ready or asyncio.Event(), stop)
    return await registry.run(steps)


def steps_of(
    settings: Settings,
    host: PluginHost,
    *,
    parts: Collection[Service],
    values: Mapping[Any, Any] | None = None,
) -> list[Step]:
    """Give what `run` would start, in order, without starting anything; as `run`.

    Raises:
        Unplannable: the config does not add up.
    """
    return plan(
        settings.hub.services,
        declared=host.services,
        parts=parts,
        values=(values_of(settings, host) if values is None else values).keys(),
        remote=settings.hub.remote,
        disabled={plugin.name: plugin.reason for plugin in host.disabled},
    )


def values_of(settings: Settings, host: PluginHost) -> dict[Any, Any]:
    """Give, by type, what can be injected without being started."""
    sections = [getattr(settings, name) for name in settings.__struct_fields__ if name != "plugins"]
    values = {type(section): section for section in sections} | dict(settings.plugins)
    return {
        **values,
        Settings: settings,
        Resting: Resting(switched_off(settings.hub, host.services)),
        PluginHost: host,
        Metrics: Metrics(),
        Health: Health(reuse=_REUSE),
    }


class _Running:
    """One service in its task."""

    def __init__(self, service: Service, arguments: Mapping[str, Any]) -> None:
        self.service = service
        self._arguments = arguments
        self._leave = asyncio.Event()
        self.started: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._live(), name=f"service {service.name}")

    @property
    def name(self) -> str:
        return self.service.name

    async def _live(self) -> None:
        # All that the service's own tasks log carries its name.
        structlog.contextvars.bind_contextvars(service=self.name)
        async with self.service.start(**self._arguments) as value:
            self.started.set_result(value)
            await self._leave.wait()

    def failure(self) -> BaseException | None:
        """Give what the task ended with, once it has."""
        if self.task.cancelled():
            return asyncio.CancelledError()
        return self.task.exception()

    async def drain(self, budget: float) -> bool:
        """Leave the context manager; give False when it took longer than `budget` seconds."""
        self._leave.set()
        if not self.started.done():  # it is still entering, so there is nothing to wait for
            self.task.cancel()
        done, _ = await asyncio.wait({self.task}, timeout=max(budget, 0.0))
        if not done:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=_GRACE)
        return bool(done)


class _Registry:
    def __init__(
        self,
        values: Mapping[Any, Any],
        budget: float,
        ready: asyncio.Event,
        stop: asyncio.Event,
    ) -> None:
        self._values = values
        self._health: Health = values[Health]
        self._off: frozenset[str] = values[Resting].names
        self._budget = budget
        self._ready = ready
        self._stop = stop
        self._running: list[_Running] = []
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("hub.registry")

    async def run(self, steps: Sequence[Step]) -> Drained:
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        with ExitStack() as stack:
            stack.callback(stopping.cancel)
            stack.enter_context(self._health.add("services", self._check))
            try:
                if await self._start_all(steps, stopping) and await self._works(stopping):
                    self._ready.set()
                    self._log.info(
                        "ready",
                        services=[one.name for one in self._running],
                        switched_off=sorted(self._off),
                    )
                    await self._until({stopping})
            finally:
                self._ready.clear()
                drained = await self._drain_all()
        return drained

    async def _start_all(self, steps: Sequence[Step], stopping: asyncio.Task[Any]) -> bool:
        """Start one after the other; give False when told to stop meanwhile."""
        yielded: dict[str, Any] = {}
        for step in steps:
            self._log.debug("starting", service=step.service.name)
            one = _Running(step.service, self._arguments(step, yielded))
            self._running.append(one)
            await self._until({stopping, one.started})
            if not one.started.done():
                return False
            yielded[one.name] = one.started.result()
            self._log.info("started", service=one.name)
        return True

    def _arguments(self, step: Step, yielded: Mapping[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for name, filling in step.fillings.items():
            match filling:
                case FromValue(kind):
                    arguments[name] = self._values[kind]
                case FromService(provider):
                    arguments[name] = yielded[provider]
                case None:
                    arguments[name] = None
        return arguments

    async def _works(self, stopping: asyncio.Task[Any]) -> bool:
        """Wait until every health check passes; give False when told to stop meanwhile."""
        told: list[CheckResult] = []
        while not stopping.done():
            results = await self._health.check()
            failing = [one for one in results if not one.ok and one.name != "services"]
            if not failing:
                return True
            if failing != told:
                told = failing
                self._log.warning("not ready", reasons={one.name: one.detail for one in failing})
            await self._until({stopping}, timeout=_CANARY_PAUSE)
        return False

    async def _until(
        self, events: set[asyncio.Future[Any]], *, timeout: float | None = None
    ) -> None:
        """Wait for one of these, or until time is up.

        Raises:
            StartError, ServiceDied: a service ended without having been told to.
        """
        tasks = {one.task for one in self._running}
        await asyncio.wait({*events, *tasks}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for one in self._running:
            if one.task.done():
                raise _why(one) from one.failure()

    async def _check(self) -> None:
        if not self._ready.is_set():
            raise Unavailable("the hub is starting or ending")

    async def _drain_all(self) -> Drained:
        """Drain in the reverse order of starting, within the budget of the whole."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._budget
        overdue: list[_Running] = []
        failed: list[str] = []
        for one in reversed(self._running):
            if one.task.done():
                self._log.error("service died", service=one.name, exc_info=one.failure())
            elif not await one.drain(min(one.service.drain, deadline - loop.time())):
                overdue.append(one)
                self._log.error("drained too slowly, cancelled", service=one.name)
            elif not one.task.cancelled() and (failure := one.failure()):
                failed.append(one.name)
                self._log.error("failed while draining", service=one.name, exc_info=failure)
            else:
                self._log.info("drained", service=one.name)
        return Drained(
            tuple(one.name for one in overdue),
            tuple(failed),
            tuple(one.name for one in overdue if not one.task.done()),
        )


def _why(one: _Running) -> IsaaxError:
    """Say, for people, how a service ended that should not have."""
    failure = one.failure()
    reason = redact(in_words(failure)) if failure else "it ended by itself"
    if one.started.done():
        return ServiceDied(f"{one.name}: {reason}")
    return StartError(f"the service {one.name} failed to start: {reason}")


def in_words(error: BaseException) -> str:
    """Give an error, or the first of a group, as a line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, IsaaxError):
        return str(error)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
