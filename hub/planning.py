"""From the config's list of services to the order in which they start and what each is handed.

This part of the registry does nothing but think: it opens no connection and starts no task.
"""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from hub.errors import StartError
from hub.services import Resting, Service
from hub.standby import standing_by


class Unplannable(StartError):  # noqa: N818 - says what came of it
    """What the configuration lists cannot be started."""

    code = "plan"


@dataclass(frozen=True, slots=True)
class FromValue:
    """A parameter that is filled with a value which is there from the beginning."""

    type: Any


@dataclass(frozen=True, slots=True)
class FromService:
    """A parameter that is filled with what a service yields."""

    name: str


Filling = FromValue | FromService


@dataclass(frozen=True, slots=True)
class Step:
    """One service to start, when all before it are ready.

    Args:
        fillings: by parameter; one that is left out gets None.
    """

    service: Service
    fillings: Mapping[str, Filling | None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a service's `start` asks for."""

    name: str
    type: Any
    optional: bool

    @property
    def text(self) -> str:
        """The parameter as it reads in the code."""
        shown = self.type.__name__ if isinstance(self.type, type) else str(self.type)
        return f"{self.name}: {shown}"


def plan(
    listed: Sequence[str],
    *,
    declared: Mapping[str, Service],
    parts: Collection[Service],
    values: Collection[Any],
    remote: Collection[str] = (),
    disabled: Mapping[str, str] | None = None,
) -> list[Step]:
    """Decide what starts, in which order, and what each is handed.

    Args:
        listed: names of the services to start (`hub.services`).
        declared: every service that a plugin declares.
        parts: services of the core that start only when one is asked for.
        values: types of the values that are there from the beginning.
        remote: names of services that another process runs (`hub.remote`).
        disabled: reason by name of plugins that could not be loaded, to be named where a
            service is missing.

    Raises:
        Unplannable: it cannot be; the text says what to change.
    """
    return _Planner(listed, declared, parts, values, remote, disabled or {}).steps()


class _Planner:
    def __init__(
        self,
        listed: Sequence[str],
        declared: Mapping[str, Service],
        parts: Collection[Service],
        values: Collection[Any],
        remote: Collection[str],
        disabled: Mapping[str, str],
    ) -> None:
        self._listed = dict.fromkeys(listed)
        self._declared = declared
        self._values = set(values)
        self._remote = set(remote)
        self._disabled = disabled
        self._services = {part.name: part for part in parts}
        for name in self._listed:
            if name in self._services:
                raise Unplannable(
                    f"{name} is a part of the hub, which starts by itself: "
                    "take it out of hub.services"
                )
            self._services[name] = standing_by(self._find(name))
        self._providers = self._by_type()
        self._steps: dict[str, Step] = {}
        self._open: list[str] = []  # from the first service to the one being looked at

    def steps(self) -> list[Step]:
        for name in self._listed:
            self._visit(name)
        return list(self._steps.values())

    def _find(self, name: str) -> Service:
        service = self._declared.get(name)
        if service is not None:
            return service
        said = f"no plugin declares the service {name}, which hub.services lists"
        if self._disabled:
            reasons = "; ".join(f"{plugin}: {why}" for plugin, why in self._disabled.items())
            raise Unplannable(f"{said}. These plugins are disabled: {reasons}")
        raise Unplannable(f"{said} (declared: {', '.join(sorted(self._declared)) or 'none'})")

    def _by_type(self) -> dict[Any, Service]:
        providers: dict[Any, Service] = {}
        for service in self._services.values():
            if service.provides is None:
                continue
            other = providers.setdefault(service.provides, service)
            if other is not service or service.provides in self._values:
                first = other.name if other is not service else "the hub"
                raise Unplannable(
                    f"{first} and {service.name} both provide {_shown(service.provides)}: "
                    "take one of them out of hub.services"
                )
        return providers

    def _visit(self, name: str) -> None:
        if name in self._steps:
            return
        if name in self._open:
            circle = [*self._open[self._open.index(name) :], name]
            raise Unplannable(
                f"services need each other in a circle: {' → '.join(circle)}. One of them must "
                "do without, or start in another process (hub.remote)"
            )
        service = self._services[name]
        self._open.append(name)
        for needed in service.needs:
            self._visit_needed(service, needed)
        for used in service.uses:
            if used in self._services:
                self._visit(used)
        asked = parameters(service)
        if any(one.type is Resting for one in asked):
            self._visit_resting()
        fillings = {one.name: self._filling(service, one) for one in asked}
        for filling in fillings.values():
            if isinstance(filling, FromService):
                self._visit(filling.name)
        self._open.pop()
        self._steps[name] = Step(service, fillings)

    def _visit_needed(self, service: Service, needed: str) -> None:
        if needed in self._services:
            self._visit(needed)
        elif needed not in self._remote:
            raise Unplannable(
                f"the service {service.name} needs {needed}: add it to hub.services, or to "
                f"hub.remote when another process runs it, or take {service.name} out as well"
            )

    def _visit_resting(self) -> None:
        """Have those run that stand in for services that are switched off."""
        for name, service in self._declared.items():
            if service.resting is not None and name not in {*self._listed, *self._remote}:
                resting = Service(f"{name}-resting", service.resting, drain=service.drain)
                self._services.setdefault(resting.name, resting)
                self._visit(resting.name)

    def _filling(self, service: Service, parameter: Parameter) -> Filling | None:
        if parameter.type in self._values:
            return FromValue(parameter.type)
        provider = self._providers.get(parameter.type)
        if provider is not None:
            return FromService(provider.name)
        if parameter.optional:
            return None
        asked = f"the service {service.name} asks for `{parameter.text}`"
        for other in self._declared.values():
            if other.provides == parameter.type:
                raise Unplannable(f"{asked}, which {other.name} provides: add it to hub.services")
        raise Unplannable(f"{asked}, and nothing provides that")


def parameters(service: Service) -> list[Parameter]:
    """Give what a service's `start` asks for.

    Raises:
        Unplannable: it has a parameter that cannot be filled.
    """
    try:
        signature = inspect.signature(service.start, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        raise Unplannable(
            f"the annotations of {service.name}'s start function cannot be read: {error}"
        ) from None
    return [_parameter(service, one) for one in _filled(service, signature)]


def _filled(service: Service, signature: inspect.Signature) -> Iterator[inspect.Parameter]:
    for one in signature.parameters.values():
        if one.kind not in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}:
            raise Unplannable(
                f"the service {service.name}'s start function takes `{one}`: every parameter "
                "must be one that can be given by name"
            )
        if one.annotation is not one.empty:
            yield one
        elif one.default is one.empty:
            raise Unplannable(
                f"the parameter `{one.name}` of the service {service.name}'s start function "
                "lacks a type annotation"
            )


def _parameter(service: Service, one: inspect.Parameter) -> Parameter:
    members: tuple[Any, ...] = (one.annotation,)
    if get_origin(one.annotation) in {UnionType, Union}:
        members = tuple(m for m in get_args(one.annotation) if m is not type(None))
        if len(members) > 1:
            raise Unplannable(
                f"the service {service.name} asks for `{one}`: "
                "only `X` and `X | None` can be filled"
            )
    return Parameter(one.name, members[0], optional=members[0] is not one.annotation)


def _shown(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
