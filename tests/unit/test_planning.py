"""From the config's list to an order, and to what each service is handed."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import pytest

from hub.contracts import Bus
from hub.database import Database
from hub.planning import FromService, FromValue, Step, Unplannable, plan
from hub.services import Resting, Service

T = TypeVar("T")


class Clock:
    """A value that is there from the beginning."""


class Store:
    """Something that a part provides."""


class Cache(Generic[T]):
    """Something generic that a service provides."""


class Extra:
    """Something that nobody provides."""


Start = Callable[..., AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


def planned(*services: Service, listed: list[str] | None = None, **more: Any) -> list[Step]:
    return plan(
        [service.name for service in services] if listed is None else listed,
        declared={service.name: service for service in services},
        parts=more.pop("parts", ()),
        values=more.pop("values", [Clock]),
        **more,
    )


def names(steps: list[Step]) -> list[str]:
    return [step.service.name for step in steps]


def test_what_is_needed_comes_first_and_the_rest_as_listed() -> None:
    steps = planned(
        Service("c", nothing, needs=("b",)),
        Service("z", nothing),
        Service("b", nothing, needs=("a",)),
        Service("a", nothing),
    )
    assert names(steps) == ["a", "b", "c", "z"]


def test_what_is_used_comes_first_where_it_is_listed_and_may_be_missing() -> None:
    a, b = Service("a", nothing, uses=("b", "c")), Service("b", nothing)
    assert names(planned(a, b)) == ["b", "a"]
    assert names(planned(a, b, listed=["a"])) == ["a"]


def test_what_rests_runs_where_somebody_asks_for_it() -> None:
    @asynccontextmanager
    async def asks(resting: Resting) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def keeps(clock: Clock) -> AsyncIterator[None]:
        yield

    a, b = Service("a", asks), Service("b", nothing, resting=keeps)
    assert names(planned(a, b, listed=["a"], values=[Clock, Resting])) == ["b-resting", "a"]
    assert names(planned(a, b, listed=["a"], values=[Clock, Resting], remote=["b"])) == ["a"]
    assert names(planned(a, b, values=[Clock, Resting])) == ["a", "b"]
    assert names(planned(b, a, listed=[])) == []


def test_one_that_runs_once_asks_for_what_it_needs_to_stand_by() -> None:
    @asynccontextmanager
    async def once(clock: Clock) -> AsyncIterator[None]:
        yield

    store = Service("store", nothing, provides=Database)
    bus = Service("bus", nothing, provides=Bus)
    steps = planned(Service("a", once, single=True), parts=[store, bus])
    assert names(steps) == ["store", "bus", "a"]
    assert steps[-1].fillings["clock"] == FromValue(Clock)


def test_only_what_is_listed_starts() -> None:
    steps = planned(Service("a", nothing), Service("b", nothing), listed=["b", "b"])
    assert names(steps) == ["b"]


def test_parts_start_only_when_asked_for() -> None:
    @asynccontextmanager
    async def wants(store: Store, *, clock: Clock) -> AsyncIterator[None]:
        yield

    parts = [Service("store", nothing, provides=Store), Service("unused", nothing, provides=Extra)]
    steps = planned(Service("a", wants), parts=parts)
    assert names(steps) == ["store", "a"]
    assert steps[1].fillings == {"store": FromService("store"), "clock": FromValue(Clock)}


def test_generic_types_are_told_apart() -> None:
    @asynccontextmanager
    async def wants(texts: Cache[str], numbers: Cache[int]) -> AsyncIterator[None]:
        yield

    steps = planned(
        Service("a", wants),
        Service("numbers", nothing, provides=Cache[int]),
        Service("texts", nothing, provides=Cache[str]),
    )
    assert names(steps) == ["texts", "numbers", "a"]
    assert steps[2].fillings == {"texts": FromService("texts"), "numbers": FromService("numbers")}


def test_what_is_optional_is_left_out_when_nobody_provides_it() -> None:
    @asynccontextmanager
    async def wants(extra: Extra | None, store: "Store | None") -> AsyncIterator[None]:
        yield

    (_, step) = planned(Service("a", wants), parts=[Service("store", nothing, provides=Store)])
    assert step.fillings == {"extra": None, "store": FromService("store")}


def test_a_start_function_may_be_anything_that_is_called() -> None:
    class Starter:
        @asynccontextmanager
        async def start(self, clock: Clock) -> AsyncIterator[None]:
            yield

    @asynccontextmanager
    async def wants(number: int, clock: "Clock") -> AsyncIterator[None]:
        yield

    steps = planned(
        Service("method", Starter().start), Service("partial", functools.partial(wants, 1))
    )
    assert [step.fillings for step in steps] == [{"clock": FromValue(Clock)}] * 2


def test_a_service_of_another_process_counts_when_it_is_remote() -> None:
    service = Service("a", nothing, needs=("b",))
    assert names(planned(service, remote=["b"])) == ["a"]


def refusal(*services: Service, **more: Any) -> str:
    with pytest.raises(Unplannable) as refused:
        planned(*services, **more)
    return refused.value.detail


def test_a_circle_is_named() -> None:
    said = refusal(
        Service("x", nothing, needs=("a",)),
        Service("a", nothing, needs=("b",)),
        Service("b", nothing, needs=("c",)),
        Service("c", nothing, needs=("a",)),
    )
    assert said.startswith("services need each other in a circle: a → b → c → a.")


def test_a_circle_by_injection_is_named() -> None:
    @asynccontextmanager
    async def wants_store(store: Store) -> AsyncIterator[None]:
        yield

    @asynccontextmanager
    async def wants_extra(extra: Extra) -> AsyncIterator[None]:
        yield

    said = refusal(
        Service("a", wants_store, provides=Extra), Service("b", wants_extra, provides=Store)
    )
    assert "a → b → a" in said


def test_a_missing_need_says_what_to_change() -> None:
    assert refusal(Service("a", nothing, needs=("b",))) == (
        "the service a needs b: add it to hub.services, or to hub.remote when another process "
        "runs it, or take a out as well"
    )


def test_an_unknown_service_is_named_with_those_there_are() -> None:
    said = refusal(Service("a", nothing), Service("b", nothing), listed=["ab"])
    assert said == "no plugin declares the service ab, which hub.services lists (declared: a, b)"


def test_an_unknown_service_names_the_plugins_that_are_disabled() -> None:
    said = refusal(listed=["weather"], disabled={"isaax-weather": "importing it failed"})
    assert said.endswith("These plugins are disabled: isaax-weather: importing it failed")


def test_a_part_is_not_to_be_listed() -> None:
    said = refusal(listed=["store"], parts=[Service("store", nothing, provides=Store)])
    assert said.startswith("store is a part of the hub")


def test_two_providers_of_a_type_are_named() -> None:
    said = refusal(Service("a", nothing, provides=Store), Service("b", nothing, provides=Store))
    assert said == "a and b both provide Store: take one of them out of hub.services"


def test_no_service_replaces_what_the_hub_provides() -> None:
    said = refusal(Service("a", nothing, provides=Clock))
    assert said == "the hub and a both provide Clock: take one of them out of hub.services"


def test_a_parameter_that_nobody_provides_is_named() -> None:
    @asynccontextmanager
    async def wants(extra: Extra) -> AsyncIterator[None]:
        yield

    assert refusal(Service("a", wants)) == (
        "the service a asks for `extra: Extra`, and nothing provides that"
    )


def test_a_parameter_that_an_unlisted_service_provides_names_that_service() -> None:
    @asynccontextmanager
    async def wants(extra: Extra) -> AsyncIterator[None]:
        yield

    said = refusal(Service("a", wants), Service("b", nothing, provides=Extra), listed=["a"])
    assert said == "the service a asks for `extra: Extra`, which b provides: add it to hub.services"


@asynccontextmanager
async def unannotated(clock) -> AsyncIterator[None]:  # type: ignore[no-untyped-def]
    yield


@asynccontextmanager
async def anything(*clocks: Clock) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def either(clock: Clock | Store) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def unknown(clock: "Nowhere") -> AsyncIterator[None]:  # type: ignore[name-defined]  # noqa: F821
    yield


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (unannotated, "the parameter `clock` of the service a's start function lacks a type"),
        (anything, "every parameter must be one that can be given by name"),
        (either, "only `X` and `X | None` can be filled"),
        (unknown, "cannot be read: name 'Nowhere' is not defined"),
    ],
)
def test_a_parameter_that_cannot_be_filled_is_named(start: Start, said: str) -> None:
    assert said in refusal(Service("a", start))
