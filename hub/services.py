"""What a plugin declares to be started by the registry."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec


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
        needs: names of services whose contracts it calls; they start before it. Each is in this
            process's list, or in the config's `remote` list.
        drain: seconds that leaving may take before it is cancelled.
        optional: parameters that may stay uninjected are annotated `X | None`.
    """

    name: str
    start: Callable[..., AbstractAsyncContextManager[Any]]
    provides: type | None = None
    needs: tuple[str, ...] = ()
    drain: float = 10.0


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
