"""Making destinations: from an integration's sealed config to an object with its tools."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from hub.batches import Batch, MetricBatch
from hub.database import Database
from hub.destinations import Destination, DestinationType, MetricDestination, Tools
from hub.errors import Unavailable
from hub.guard import fence
from hub.plugins import PluginHost
from hub.relay.contracts import IntegrationSpec
from hub.relay.cutting import AnyBatch
from hub.structs import decode
from hub.vault import Vault

_FOLDER: Final = re.compile(r"[a-z0-9_]+")  # what an id looks like, and no way out of the folder

Wanted = Literal["lines", "samples", "both"]


class MakeTools(Protocol):
    """Gives a destination its tools (hub/net.py)."""

    def __call__(
        self, integration: str, *, project: str, private_hosts: bool, folder: Path | None
    ) -> AbstractAsyncContextManager[Tools]:
        """Open the tools of one integration."""
        ...


class Workshop:
    """Makes destinations: opens the sealed config, checks it, and builds with fresh tools.

    Args:
        plugins: whose destination types there are, as they come and go.
        files: where each integration gets a folder of its own; None where none does.
    """

    def __init__(
        self,
        plugins: PluginHost,
        database: Database,
        vault: Vault,
        tools: MakeTools,
        *,
        private_hosts: bool,
        files: Path | None = None,
    ) -> None:
        self._plugins = plugins
        self._database = database
        self._vault = vault
        self._tools = tools
        self._private_hosts = private_hosts
        self._files = files

    def type_of(self, spec: IntegrationSpec) -> DestinationType[Any] | None:
        """Give the kind of destination, when its plugin is here."""
        return self._plugins.destinations.get(spec.type)

    def why_without(self, spec: IntegrationSpec) -> str:
        """Say why its kind of destination is not here, in words a user understands."""
        why = self._plugins.why_without(spec.type)
        return why or f"there is no destination type {spec.type!r} here"

    async def config_of(self, spec: IntegrationSpec, kind: DestinationType[Any]) -> msgspec.Struct:
        """Open the sealed config of an integration.

        Raises:
            IsaaxError: it cannot be opened, or is not valid.
        """
        async with self._database.transaction(account=spec.account) as tx:
            plain = await self._vault.open(
                tx,
                spec.sealed,
                account=spec.account,
                project=spec.project,
                name=f"integration/{spec.id}",
            )
        config: msgspec.Struct = decode(kind.config, plain)
        return config

    def tools_of(self, spec: IntegrationSpec) -> AbstractAsyncContextManager[Tools]:
        """Open the tools of an integration."""
        folder = self._files / spec.project / spec.id if self._files is not None else None
        return self._tools(
            spec.id, project=spec.project, private_hosts=self._private_hosts, folder=folder
        )

    async def remove_files(self, project: str) -> int:
        """Remove the folders of a project's integrations; say how many files there were.

        Raises:
            Unavailable: the disk does not let us.
        """
        if self._files is None or not _FOLDER.fullmatch(project):
            return 0
        try:
            return await asyncio.to_thread(_remove, self._files / project)
        except OSError as error:
            raise Unavailable(f"files are not removed: {error.strerror}") from None

    @asynccontextmanager
    async def build(
        self,
        spec: IntegrationSpec,
        kind: DestinationType[Any],
        config: msgspec.Struct,
        wanted: Wanted,
    ) -> AsyncIterator[Destination | MetricDestination]:
        """Make the destination of an integration; its tools live as long as the context."""
        try:
            plugin = self._plugins.plugin_of(kind)
        except LookupError:  # it went just now
            plugin = spec.type
        owning = self._plugins.guard.owning(spec.id, plugin)
        async with owning as owner, self.tools_of(spec) as tools:
            yield fence(lambda: _made(kind, config, tools, wanted), owner)


def _remove(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    files = sum(path.is_file() for path in folder.rglob("*"))
    shutil.rmtree(folder)
    return files


def _made(
    kind: DestinationType[Any], config: msgspec.Struct, tools: Tools, wanted: Wanted
) -> Destination | MetricDestination:
    if wanted == "both" and kind.build is not None and kind.metrics is not None:
        return cast("Destination", _Both(kind, config, tools))
    if kind.metrics is not None and (wanted == "samples" or kind.build is None):
        return kind.metrics(config, tools)
    assert kind.build is not None
    return kind.build(config, tools)


class _Both:
    """Takes lines and samples, by an object for each that is made when it is first needed."""

    def __init__(self, kind: DestinationType[Any], config: msgspec.Struct, tools: Tools) -> None:
        self._kind = kind
        self._config = config
        self._tools = tools
        self._lines: Destination | None = None
        self._samples: MetricDestination | None = None

    async def send(self, batch: AnyBatch) -> None:
        """Hand a batch to the one that takes its kind."""
        if isinstance(batch, MetricBatch):
            assert self._kind.metrics is not None
            self._samples = self._samples or self._kind.metrics(self._config, self._tools)
            await self._samples.send(batch)
            return
        assert isinstance(batch, Batch)
        assert self._kind.build is not None
        self._lines = self._lines or self._kind.build(self._config, self._tools)
        await self._lines.send(batch)

    async def close(self) -> None:
        """Close both, each whatever becomes of the other."""
        try:
            if self._lines is not None:
                await self._lines.close()
        finally:
            if self._samples is not None:
                await self._samples.close()
