"""What a plugin declares to be started by the registry."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hub.settings import HubSettings


@dataclass(frozen=True, slots=True)
class Service:
    """Something with a life: it is started, is ready, and is drained.

    Args:
        name: as the config's `services` lists it.
        start: an async context manager function. Its parameters are injected by the types of
            their annotations: parts of the core (`Bus`, `Database`, `Outbox`, `Vault`, …), the
            plugin's own config Struct (`config_section`), or what another service of this
            process yields. It is ready when it has yielded; what it yields, if anything, is
            injected into those that ask for its type; leaving it drains.
        provides: type of what it yields, when others may ask for it.
        needs: names of services that it cannot do without; they start before it. Each is in this
            process's list, or in the config's `remote` list: else the hub does not start.
        uses: names of services whose contracts it calls, too, and which may be switched off: they
            start before it where they are listed. Calls are answered with `NotAvailable` otherwise.
        single: one of all processes that list it runs it; the others stand by, and one of them
            takes over when that one is gone. It provides nothing.
        resting: what runs in its place where the config lists it nowhere: in the process of
            whoever asks for `Resting`, and likewise injected. It answers for what is still kept
            of accounts (`hub/account_data.py`), so that it can be erased.
        missed: False for one that only few hubs have: without it, nothing is switched off.
        drain: seconds that leaving may take before it is cancelled.
        optional: parameters that may stay uninjected are annotated `X | None`.
    """

    name: str
    start: Callable[..., AbstractAsyncContextManager[Any]]
    provides: type | None = None
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    single: bool = False
    resting: Callable[..., AbstractAsyncContextManager[Any]] | None = None
    missed: bool = True
    drain: float = 10.0


@dataclass(frozen=True, slots=True)
class Resting:
    """Asked for by a service, it has what rests run in this process (`Service.resting`).

    Args:
        names: of the services that are switched off.
    """

    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConfigSection:
    """A section of `hub.toml` that belongs to a plugin; every field has a default."""

    name: str
    struct: type[msgspec.Struct]


@dataclass(frozen=True, slots=True)
class Migrations:
    """SQL files of one plugin: `<package>/migrations/NNNN_name.sql`, applied in order, once.

    Args:
        owner: the plugin's name; its tables' names begin with it.
        package: import name of the package that holds the folder `migrations`.
        after: owners whose migrations come first.
    """

    owner: str
    package: str
    after: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of `isaax`: `app` is a typer application, mounted under `name`."""

    name: str
    app: Any
    help: str = ""


def switched_off(hub: HubSettings, declared: Mapping[str, Service]) -> frozenset[str]:
    """Name the services that there are, and are missed, and that the config lists nowhere."""
    missed = {name for name, service in declared.items() if service.missed}
    return frozenset(missed - {*hub.services, *hub.remote})
