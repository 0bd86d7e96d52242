"""Finds plugins, takes in what they declare, and keeps a broken one from harming anything else.

A plugin is an entry point of the group `isaax` that names a module (or an object) with hook
implementations. Those of our own distribution are always loaded, others only when the config
allows them by name. A plugin counts whole or not at all: when any of its declarations cannot be
used, it is disabled with the reason, which is logged and listed by `isaax plugins`.
"""

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import pluggy
import structlog

from hub import hookspecs
from hub.account_data import AccountData
from hub.declarations import KINDS, Kind, declared
from hub.destinations import DestinationType
from hub.errors import PluginError
from hub.guard import PluginGuard
from hub.permissions import Permission
from hub.routes import Authenticator, Route
from hub.services import Command, ConfigSection, Migrations, Service
from hub.telemetry import redact

T = TypeVar("T")

GROUP: Final = "isaax"
"""The entry point group."""

OWN: Final = "isaax"
"""The distribution whose plugins need no permission."""

LIVE: Final = frozenset({"isaax_destinations", "isaax_commands"})
"""Hooks whose items a running hub can take in; all others are looked at when it starts."""

Status = Literal["active", "disabled", "not allowed"]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin, as `isaax plugins` lists it.

    Args:
        distribution, version: that it came with; "" for one that came as an object.
        reason: why it is not active.
        module: that its entry point names; "" for one that came as an object.
        provides: what it declares, such as `service relay` and `destination syslog`; of a
            disabled one what is known of it.
    """

    name: str
    distribution: str = ""
    version: str = ""
    status: Status = "active"
    reason: str = ""
    provides: tuple[str, ...] = ()
    module: str = field(default="", compare=False)


@dataclass(slots=True)
class _Found:
    """An entry point (or an object) that is to become a plugin."""

    name: str
    distribution: str
    version: str
    target: EntryPoint | object
    provides: list[str] = field(default_factory=list)

    def plugin(self, status: Status, reason: str = "") -> Plugin:
        return Plugin(
            self.name,
            self.distribution,
            self.version,
            status,
            reason,
            tuple(self.provides),
            self.target.module if isinstance(self.target, EntryPoint) else "",
        )


class PluginHost:
    """All plugins of this process, and what they declare."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}
        self._items: dict[str, dict[str, Any]] = {kind.hook: {} for kind in KINDS}
        self._owners: dict[tuple[str, str], str] = {}
        self._watchers: list[Callable[[], None]] = []
        self.guard = PluginGuard(self.disable)
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger("hub.plugins")

    @classmethod
    def load(
        cls,
        allowed: Collection[str] = (),
        *,
        points: Iterable[EntryPoint] | None = None,
        quiet: bool = False,
    ) -> "PluginHost":
        """Load the plugins that are installed and allowed. It never raises for a plugin.

        Args:
            allowed: names of entry points of other distributions (`hub.plugins` in the config).
            points: entry points to use instead of the installed ones.
            quiet: do not log which plugins are disabled.
        """
        host = cls(quiet=quiet)
        found = [
            _found(point) for point in (entry_points(group=GROUP) if points is None else points)
        ]
        # Ours come first, so that no other plugin can take a name from them.
        for one in sorted(found, key=lambda one: (one.distribution != OWN, one.name)):
            if one.distribution != OWN and one.name not in allowed:
                host._not_allowed(one)
            else:
                host._take_in(one)
        for name in allowed:
            if name not in host._plugins:
                host._disable(_Found(name, "", "", None), "it is not installed")
        return host

    @classmethod
    def of(cls, plugins: Mapping[str, object]) -> "PluginHost":
        """Make a host of these modules or objects alone, by name."""
        host = cls()
        for name, plugin in plugins.items():
            host._take_in(_Found(name, "", "", plugin))
        return host

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin that was found, active or not, in the order of loading."""
        return tuple(self._plugins.values())

    @property
    def disabled(self) -> tuple[Plugin, ...]:
        """Those that should run and cannot."""
        return tuple(plugin for plugin in self.plugins if plugin.status == "disabled")

    @property
    def destinations(self) -> Mapping[str, DestinationType[Any]]:
        """Destination types by name."""
        return self._declared("isaax_destinations", DestinationType)

    @property
    def services(self) -> Mapping[str, Service]:
        """Services by name."""
        return self._declared("isaax_services", Service)

    @property
    def routes(self) -> tuple[Route[Any, Any], ...]:
        """HTTP routes."""
        return tuple(self._declared("isaax_routes", Route).values())

    @property
    def permissions(self) -> Mapping[str, Permission]:
        """Permissions by name."""
        return self._declared("isaax_permissions", Permission)

    @property
    def account_data(self) -> Mapping[str, AccountData]:
        """What is kept of accounts, by the name of who keeps it."""
        return self._declared("isaax_account_data", AccountData)

    @property
    def authenticators(self) -> Mapping[str, Authenticator]:
        """Authenticators by name."""
        return self._declared("isaax_authenticators", Authenticator)

    @property
    def migrations(self) -> tuple[Migrations, ...]:
        """Migrations; their own `after` says in which order they are applied."""
        return tuple(self._declared("isaax_migrations", Migrations).values())

    @property
    def config_sections(self) -> tuple[ConfigSection, ...]:
        """Sections of `hub.toml`."""
        return tuple(self._declared("isaax_config", ConfigSection).values())

    @property
    def commands(self) -> Mapping[str, Command]:
        """Subcommands by name."""
        return self._declared("isaax_commands", Command)

    def plugin_of(self, item: object) -> str:
        """Name the plugin that declared this item.

        Raises:
            LookupError: no plugin of this host did.
        """
        for kind in KINDS:
            if isinstance(item, kind.type):
                key = kind.key(item)
                if self._items[kind.hook].get(key) is item:
                    return self._owners[kind.hook, key]
        raise LookupError(f"no plugin declared {item!r}")

    def _declared(self, hook: str, _type: type[T]) -> Mapping[str, T]:
        return MappingProxyType(self._items[hook])

    # ── while the hub runs ────────────────────────────────────────────────────────────────────

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` whenever destination types come or go, while the context is open."""
        self._watchers.append(changed)
        try:
            yield
        finally:
            self._watchers.remove(changed)

    def admit(self, name: str, *, points: Iterable[EntryPoint] | None = None) -> str:
        """Take in a plugin that was installed, and allowed, since the hub started.

        Returns:
            Why that takes a new start of the hub; "" when it was taken in, or disabled.
        """
        importlib.invalidate_caches()
        installed = entry_points(group=GROUP) if points is None else points
        point = next((one for one in installed if one.name == name), None)
        if point is None:
            self._disable(_Found(name, "", "", None), "it is not installed")
            return ""
        known = self._plugins.pop(name, None)
        if known is not None and (known.status == "active" or known.provides):
            self._plugins[name] = known
            return "another state of it is loaded already"
        needs = self._take_in(_found(point), only=LIVE)
        if needs:
            self._plugins |= {name: known} if known is not None else {}
            return needs
        self._changed()
        return ""

    def disable(self, name: str, reason: str) -> None:
        """Stop a plugin: what it declares is there no more. It stays so until a new start."""
        plugin = self._plugins[name]
        for hook, key in [of for of, owner in self._owners.items() if owner == name]:
            del self._items[hook][key]
            del self._owners[hook, key]
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self._plugins[name] = replace(plugin, status="disabled", reason=redact(reason))
        self._log.error("plugin disabled", plugin=name, reason=reason)
        self._changed()

    def why_without(self, destination: str) -> str:
        """Say why there is no such destination type, where it is a plugin's fault; or ""."""
        item = f"destination {destination}"
        for plugin in self.disabled:
            if item in plugin.provides:
                return f"the plugin {plugin.name} is disabled: {plugin.reason}"
        return ""

    def _changed(self) -> None:
        for changed in tuple(self._watchers):
            changed()

    # ── taking in one plugin ──────────────────────────────────────────────────────────────────

    def _take_in(self, found: _Found, *, only: Collection[str] | None = None) -> str:
        """Load one, and take in what it declares.

        Args:
            only: hooks that it may implement; if there are others, it is left out, and the
                first thing that it declares by one of them is given.
        """
        try:
            if found.name in self._plugins:
                taken_by = self._plugins[found.name].distribution or "another plugin"
                found.name = f"{found.name} ({found.distribution})"
                raise PluginError(f"its name is taken by {taken_by}")
            plugin = self._imported(found.target)
            self._register(found.name, plugin)
            items = self._collect(found, plugin)
        except PluginError as error:
            self._disable(found, error.detail, cause=error.__cause__)
            return ""
        for kind, item in items:
            if only is not None and kind.hook not in only:
                self._manager.unregister(name=found.name)
                return f"it provides the {kind.word} {kind.key(item)}"
        for kind, item in items:
            key = kind.key(item)
            self._items[kind.hook][key] = item
            self._owners[kind.hook, key] = found.name
        self._plugins[found.name] = found.plugin("active")
        return ""

    @staticmethod
    def _imported(target: EntryPoint | object) -> object:
        if not isinstance(target, EntryPoint):
            return target
        try:
            return target.load()
        except (Exception, SystemExit) as error:  # the code of strangers may do anything
            raise PluginError(f"importing {target.value} failed: {_in_words(error)}") from error

    def _register(self, name: str, plugin: object) -> None:
        """Let pluggy find the hooks; refuse what it would overlook."""
        known = {kind.hook for kind in KINDS}
        for attribute in dir(plugin):
            marked = self._manager.parse_hookimpl_opts(plugin, attribute) is not None
            if marked and attribute not in known:
                raise PluginError(f"{attribute} is not a hook{_suggestion(attribute, known)}")
            if not marked and _looks_like_a_hook(plugin, attribute):
                what = "lacks @hookimpl" if attribute in known else "is not a hook"
                hint = "" if attribute in known else _suggestion(attribute, known)
                raise PluginError(f"{attribute} {what}{hint}")
        try:
            self._manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(_in_words(error)) from error

    def _collect(self, found: _Found, plugin: object) -> list[tuple[Kind, Any]]:
        """Call each of its hooks, once, and check what they return."""
        items: list[tuple[Kind, Any]] = []
        keys: set[tuple[str, str]] = set()
        for kind in KINDS:
            for implementation in getattr(self._manager.hook, kind.hook).get_hookimpls():
                if implementation.plugin is plugin:
                    returned = _called(kind.hook, implementation.function)
                    items += [(kind, item) for item in declared(kind, returned)]
        found.provides = [f"{kind.word} {kind.key(item)}" for kind, item in items]
        for kind, item in items:
            key = kind.key(item)
            owner = self._owners.get((kind.hook, key))
            if owner is not None:
                raise PluginError(f"{kind.word} {key} is declared by {owner} already")
            if (kind.hook, key) in keys:
                raise PluginError(f"{kind.word} {key} is declared twice")
            keys.add((kind.hook, key))
        return items

    def _disable(self, found: _Found, reason: str, *, cause: BaseException | None = None) -> None:
        if self._manager.has_plugin(found.name):
            self._manager.unregister(name=found.name)
        plugin = found.plugin("disabled", redact(reason))
        self._plugins[found.name] = plugin
        if not self._quiet:
            self._log.error(
                "plugin disabled",
                plugin=plugin.name,
                distribution=plugin.distribution,
                reason=plugin.reason,
                exc_info=cause,
            )

    def _not_allowed(self, found: _Found) -> None:
        name = found.name
        if name in self._plugins:
            name = f"{name} ({found.distribution})"
        reason = f'hub.plugins in the config does not list "{found.name}"'
        self._plugins[name] = Plugin(name, found.distribution, found.version, "not allowed", reason)


def _found(point: EntryPoint) -> _Found:
    name = point.dist.name if point.dist else ""
    return _Found(point.name, name, point.dist.version if point.dist else "", point)


def _called(hook: str, function: Any) -> object:
    """Call one hook implementation."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(
            f"{hook} is `async def`; a hook is a plain `def` that returns a list, whose items "
            "may hold async functions"
        )
    try:
        returned: object = function()
    except (Exception, SystemExit) as error:  # the code of strangers may do anything
        raise PluginError(f"{hook} failed: {_in_words(error)}") from error
    return returned


def _looks_like_a_hook(plugin: object, attribute: str) -> bool:
    """Say whether this is a function of the plugin's own that is named as a hook."""
    if not attribute.startswith(f"{hookspecs.PROJECT}_"):
        return False
    function = getattr(plugin, attribute, None)
    home = getattr(plugin, "__name__", None) or type(plugin).__module__
    module = str(getattr(function, "__module__", ""))
    return inspect.isroutine(function) and f"{module}.".startswith(f"{home}.")


def _suggestion(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f" (hooks: {', '.join(sorted(known))})"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
