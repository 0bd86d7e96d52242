"""The file destination passes the suite that we give to every author."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hub import structs
from hub.destinations import Destination, DestinationType
from hub.net import tools_for
from hub.testing import DestinationConformance, Receiver
from plugins.file import isaax_destinations as file
from tests.fixtures.folders import folder_receiver


class TestFile(DestinationConformance):
    """JSON lines in a folder."""

    type: ClassVar[DestinationType[Any]] = file()[0]

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "int_conformance"

    @asynccontextmanager
    async def receiver(self) -> AsyncIterator[Receiver]:
        """Give a folder."""
        with folder_receiver(self.folder) as receiver:
            yield receiver

    @asynccontextmanager
    async def built(self, config: dict[str, Any]) -> AsyncIterator[Destination]:
        """Build it with that folder."""
        decoded = structs.decode(self.type.config, config)
        async with tools_for("int_conformance", private_hosts=True, folder=self.folder) as tools:
            assert self.type.build is not None
            destination = self.type.build(decoded, tools)
            try:
                yield destination
            finally:
                await self.closed(destination)
