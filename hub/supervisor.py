"""The hub in this process, through changes of its plugins: taken in as it runs, or started anew.

What surrounds it (the signals of `isaax serve`, the servers of `isaax up`) stays up meanwhile.
"""

import asyncio
import importlib
import os
import sys
import time
from collections.abc import Callable, Collection
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Final

import structlog

from hub.control import Ask, Outcome, PluginState, Told
from hub.errors import IsaaxError, StartError
from hub.guard import Notes
from hub.parts import PARTS
from hub.plugins import GROUP, OWN, Plugin, PluginHost
from hub.process import Prepared, allowed_plugins, prepare
from hub.registry import Drained, run, steps_of
from hub.settings import Settings

_START: Final = 60.0  # seconds that a new start may take

_log = structlog.stdlib.get_logger(__name__)


class Supervisor:
    """Runs the hub, and sees to its plugins.

    Args:
        config: the config file, which need not be there; None where there is none.
        prepared: what it starts with.
        adapt: makes what the hub runs with of what the config says.
    """

    def __init__(
        self,
        config: Path | None,
        prepared: Prepared,
        *,
        adapt: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> None:
        self._config = config
        self._prepared = prepared
        self._adapt = adapt
        self._next: Prepared | None = None
        self._came: asyncio.Future[str] | None = None
        self._leave = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    @property
    def plugins(self) -> PluginHost:
        """The plugins of the hub that runs."""
        return self._prepared.plugins

    # ── running ───────────────────────────────────────────────────────────────────────────────

    async def run(self, *, stop: asyncio.Event, ready: asyncio.Event | None = None) -> Drained:
        """Run the hub until `stop`, over as many starts as it takes; as `hub.registry.run`.

        A new start that fails is followed by one with what ran before.
        """
        before: Prepared | None = None
        while True:
            try:
                drained = await self._run_once(stop, ready or asyncio.Event())
            except StartError as error:
                if before is None or stop.is_set():
                    raise
                self._tell(error.detail)
                self._prepared, before = before, None
                continue
            following, self._next = self._next, None
            if following is None or stop.is_set() or drained.stuck:
                self._tell("the hub ended")
                return drained
            before, self._prepared = self._prepared, following

    async def _run_once(self, stop: asyncio.Event, ready: asyncio.Event) -> Drained:
        self._leave = leave = asyncio.Event()
        started = asyncio.Event()

        async def end() -> None:
            await stop.wait()
            leave.set()

        async def tell() -> None:
            await started.wait()
            ready.set()
            self._tell("")

        watching = [asyncio.create_task(end()), asyncio.create_task(tell())]
        settings = self._adapt(self._prepared.settings)
        try:
            return await run(
                settings, self._prepared.plugins, parts=PARTS, ready=started, stop=leave
            )
        finally:
            ready.clear()
            for task in watching:
                task.cancel()

    def _tell(self, failure: str) -> None:
        """Tell whoever waits for a new start what came of it; "" when it is ready."""
        if self._came is not None and not self._came.done():
            self._came.set_result(failure)

    # ── what the command line asks for ────────────────────────────────────────────────────────

    async def handle(self, request: Ask) -> Told:
        """Answer the command line (hub/control.py)."""
        if request.what == "status":
            return self._told("status")
        async with self._one_at_a_time:
            began = time.monotonic()
            outcome, detail = await self._reload(request.changed)
            _log.info("plugins looked at", outcome=outcome, detail=detail)
            return self._told(outcome, detail, time.monotonic() - began)

    async def _reload(self, changed: Collection[str]) -> tuple[Outcome, str]:
        importlib.invalidate_caches()
        points = entry_points(group=GROUP)
        try:
            allowed = allowed_plugins(self._file(), os.environ)
        except IsaaxError as error:
            return "failed", error.detail
        host = self._prepared.plugins
        strangers = {
            plugin.name: plugin
            for plugin in host.plugins
            if plugin.distribution not in {"", OWN} and plugin.status != "not allowed"
        }
        for plugin in strangers.values():
            if plugin.name in changed or plugin.name not in allowed or _is_another(plugin, points):
                return await self._start_anew(f"{plugin.name} is another, or gone", changed)
        new = [name for name in allowed if name not in strangers]
        for name in new:
            needs = host.admit(name, points=points)
            if needs:
                return await self._start_anew(f"{name}: {needs}", new)
        failed = [f"{one.name}: {one.reason}" for one in host.disabled if one.name in new]
        if failed:
            return "failed", "; ".join(failed)
        return ("loaded" if new else "unchanged"), ", ".join(new)

    async def _start_anew(self, why: str, changed: Collection[str]) -> tuple[Outcome, str]:
        """Drain the hub, and start it with what there is now; if that is sound."""
        _forget_modules(self._prepared.plugins)
        try:
            following = prepare(self._file(), os.environ, quiet=True)
            steps_of(self._adapt(following.settings), following.plugins, parts=PARTS)
        except IsaaxError as error:
            return "failed", error.detail
        broken = [one for one in following.plugins.disabled if one.name in changed]
        if broken:
            return "failed", "; ".join(f"{one.name}: {one.reason}" for one in broken)
        self._came = asyncio.get_running_loop().create_future()
        self._next = following
        self._leave.set()
        try:
            async with asyncio.timeout(_START):
                failure = await self._came
        except TimeoutError:
            return "failed", f"it is not ready after {_START:g} s; see its log"
        return ("failed", failure) if failure else ("restarted", why)

    def _file(self) -> Path | None:
        return self._config if self._config is not None and self._config.exists() else None

    def _told(self, outcome: Outcome, detail: str = "", seconds: float = 0.0) -> Told:
        host = self._prepared.plugins
        states = [_state(plugin, host.guard.notes.get(plugin.name)) for plugin in host.plugins]
        return Told(outcome, sys.prefix, detail, seconds, tuple(states))


def _state(plugin: Plugin, notes: Notes | None) -> PluginState:
    notes = notes or Notes()
    return PluginState(
        plugin.name, plugin.status, plugin.reason, notes.blocked, notes.leaked, notes.last
    )


def _is_another(plugin: Plugin, points: EntryPoints) -> bool:
    """Say whether what is installed is not what is loaded."""
    for point in points.select(name=plugin.name):
        if point.dist is not None and point.dist.name == plugin.distribution:
            return point.dist.version != plugin.version
    return True


def _forget_modules(host: PluginHost) -> None:
    """Let the modules of other people's plugins be imported anew.

    What runs keeps those that it has.
    """
    roots = {
        plugin.module.partition(".")[0]
        for plugin in host.plugins
        if plugin.distribution not in {"", OWN} and plugin.module
    }
    for name in [name for name in sys.modules if name.partition(".")[0] in roots]:
        del sys.modules[name]
