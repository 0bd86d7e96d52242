"""The life of services: started, ready, drained; and what happens when one fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from hub import Service, hookimpl
from hub.errors import ConfigError, StartError
from hub.plugins import PluginHost
from hub.registry import Drained, ServiceDied, run
from hub.services import ConfigSection
from hub.settings import HttpSettings, HubSettings, Settings
from hub.telemetry import Health, Metrics


class Log(list[str]):
    """What happened, in order."""

    def service(
        self,
        name: str,
        *,
        needs: tuple[str, ...] = (),
        drain: float = 5.0,
        entering: Callable[[], Awaitable[None]] | None = None,
        leaving: Callable[[], Awaitable[None]] | None = None,
    ) -> Service:
        """Make a service that notes its life here."""

        @asynccontextmanager
        async def start() -> AsyncIterator[None]:
            if entering:
                await entering()
            self.append(f"+{name}")
            try:
                yield
                if leaving:
                    await leaving()
            finally:
                self.append(f"-{name}")

        return Service(name, start, needs=needs, drain=drain)


class Running:
    """A registry at work in a task."""

    def __init__(
        self, *services: Service, parts: tuple[Service, ...] = (), drain: float = 5.0
    ) -> None:
        class Plugin:
            @hookimpl
            def isaax_services(self) -> list[Service]:
                return list(services)

        self.ready, self.stop = asyncio.Event(), asyncio.Event()
        listed = tuple(service.name for service in services)
        self.task = asyncio.create_task(
            run(
                Settings(hub=HubSettings(services=listed, drain=drain)),
                PluginHost.of({"plugin": Plugin()}),
                parts=parts,
                ready=self.ready,
                stop=self.stop,
            )
        )

    async def until_ready(self) -> None:
        waiting = asyncio.create_task(self.ready.wait())
        await asyncio.wait({waiting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        assert self.ready.is_set(), self.task

    async def end(self) -> Drained:
        self.stop.set()
        return await self.task


async def never() -> None:
    await asyncio.Event().wait()


async def test_services_start_in_order_and_drain_in_reverse() -> None:
    log = Log()
    running = Running(
        log.service("c", needs=("b",)), log.service("b", needs=("a",)), log.service("a")
    )
    await running.until_ready()
    assert log == ["+a", "+b", "+c"]
    assert await running.end() == Drained()
    assert log == ["+a", "+b", "+c", "-c", "-b", "-a"]
    assert not running.ready.is_set()


async def test_a_service_is_handed_what_it_asks_for() -> None:
    class Mine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        number: int = 1

    class Store:
        pass

    class Plugin:
        @hookimpl
        def isaax_services(self) -> list[Service]:
            return [Service("a", start)]

        @hookimpl
        def isaax_config(self) -> list[ConfigSection]:
            return [ConfigSection("mine", Mine)]

    store = Store()
    handed: list[object] = []

    @asynccontextmanager
    async def open_store(settings: Settings) -> AsyncIterator[Store]:
        yield store

    @asynccontextmanager
    async def start(
        mine: Mine,
        http: HttpSettings,
        part: Store,
        host: PluginHost,
        metrics: Metrics,
        health: Health,
        absent: asyncio.Queue[int] | None,
    ) -> AsyncIterator[None]:
        handed.extend([mine, http, part, host, absent])
        stop.set()
        yield

    stop = asyncio.Event()
    host = PluginHost.of({"plugin": Plugin()})
    settings = Settings(hub=HubSettings(services=("a",)), plugins={Mine: Mine(7)})
    await run(settings, host, parts=[Service("store", open_store, provides=Store)], stop=stop)
    assert handed == [Mine(7), settings.http, store, host, None]


async def test_it_is_ready_only_when_every_check_passes() -> None:
    tried: list[int] = []
    healths: list[Health] = []

    @asynccontextmanager
    async def start(health: Health) -> AsyncIterator[None]:
        async def check() -> None:
            tried.append(1)
            assert not running.ready.is_set()
            if len(tried) == 1:
                raise ConnectionError("not yet")

        healths.append(health)
        with health.add("canary", check):
            yield

    running = Running(Service("a", start))
    await running.until_ready()
    assert len(tried) == 2
    await running.end()
    assert await healths[0].check() == []


async def test_readiness_goes_before_the_services_do() -> None:
    seen: list[bool] = []

    async def leaving() -> None:
        seen.append(running.ready.is_set())

    running = Running(Log().service("a", leaving=leaving))
    await running.until_ready()
    await running.end()
    assert seen == [False]


async def test_one_that_fails_to_start_is_named_and_the_others_are_drained() -> None:
    log = Log()

    async def fail() -> None:
        raise ConnectionError("nats://hub:hunter2@localhost refused")

    running = Running(log.service("a"), log.service("b", entering=fail), log.service("c"))
    with pytest.raises(StartError) as failed:
        await running.task
    assert failed.value.detail == (
        "the service b failed to start: ConnectionError: nats://********@localhost refused"
    )
    assert log == ["+a", "-a"]


async def test_what_a_service_says_of_its_config_is_passed_on() -> None:
    async def fail() -> None:
        raise ConfigError("vault.key is missing")

    with pytest.raises(StartError, match=r"vault\.key is missing") as failed:
        await Running(Log().service("a", entering=fail)).task
    assert isinstance(failed.value.__cause__, ConfigError)


async def test_it_can_be_stopped_while_it_starts() -> None:
    log = Log()
    entered = asyncio.Event()

    async def stuck() -> None:
        entered.set()
        await never()

    running = Running(log.service("a"), log.service("b", entering=stuck))
    await entered.wait()
    assert await running.end() == Drained()
    assert log == ["+a", "-a"]


async def test_one_whose_background_task_dies_brings_the_hub_down() -> None:
    log = Log()
    go = asyncio.Event()

    async def background() -> None:
        await go.wait()
        raise RuntimeError("lost it")

    @asynccontextmanager
    async def start() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(background())
            yield

    running = Running(log.service("a"), Service("b", start), log.service("c"))
    await running.until_ready()
    go.set()
    with pytest.raises(ServiceDied, match="b: RuntimeError: lost it"):
        await running.task
    assert log == ["+a", "+c", "-c", "-a"]


async def test_one_that_dies_while_another_starts_ends_the_start() -> None:
    log = Log()

    @asynccontextmanager
    async def start() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            yield

    async def fail() -> None:
        raise RuntimeError("lost it")

    running = Running(Service("a", start), log.service("b", entering=never))
    with pytest.raises(ServiceDied, match="a: RuntimeError: lost it"):
        await running.task
    assert log == []


async def test_one_that_drains_too_slowly_is_cancelled_and_reported() -> None:
    log = Log()
    running = Running(log.service("a"), log.service("b", drain=0.01, leaving=never))
    await running.until_ready()
    drained = await running.end()
    assert drained == Drained(overdue=("b",))
    assert not drained.clean
    assert log == ["+a", "+b", "-b", "-a"]


async def test_the_budget_of_the_whole_counts_too() -> None:
    log = Log()
    running = Running(log.service("a", leaving=never), log.service("b", leaving=never), drain=0.02)
    await running.until_ready()
    assert await running.end() == Drained(overdue=("b", "a"))
    assert log == ["+a", "+b", "-b", "-a"]


async def test_one_that_ignores_its_cancellation_is_left_behind() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    log = Log()
    running = Running(log.service("a"), log.service("b", drain=0.01, leaving=stubborn))
    await running.until_ready()
    assert await running.end() == Drained(overdue=("b",), stuck=("b",))
    assert log == ["+a", "+b", "-a"]
    release.set()


async def test_one_that_fails_while_it_drains_holds_up_no_other() -> None:
    async def fail() -> None:
        raise RuntimeError("cannot let go")

    log = Log()
    running = Running(log.service("a"), log.service("b", leaving=fail))
    await running.until_ready()
    assert await running.end() == Drained(failed=("b",))
    assert log == ["+a", "+b", "-b", "-a"]
