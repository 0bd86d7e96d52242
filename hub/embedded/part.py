"""What Postgres, NATS and mosquitto have in common as children."""

from abc import ABC, abstractmethod
from typing import ClassVar

from hub.embedded.process import Child


class Part(ABC):
    """An embedded server: prepared once, then started, stopped and started again on its data."""

    name: ClassVar[str]
    start_budget: ClassVar[float] = 60.0
    stop_budget: ClassVar[float] = 20.0
    child: Child

    @abstractmethod
    async def prepare(self) -> None:
        """Bring its folder, its configuration and what it needs into being."""

    @abstractmethod
    async def ready(self) -> bool:
        """Say whether it answers."""

    async def start(self) -> None:
        """Prepare, spawn, and wait until it answers.

        Raises:
            StartError: why it could not start.
        """
        await self.prepare()
        await self.child.spawn()
        await self.child.until(self.ready, timeout=self.start_budget)
        await self.settle()

    async def settle(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what needs the running server, before anybody else uses it."""

    async def stop(self) -> None:
        """End it in good order."""
        await self.child.stop(self.stop_budget)

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would."""
        self.child.kill()

    async def restart(self) -> None:
        """Start it again on the same data and port, however it ended."""
        await self.stop()
        await self.start()
