"""The demo: set up over REST, a device that writes lines, a receiver that counts them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from hub.embedded.account import make_folder
from hub.embedded.demo.api import Api
from hub.embedded.demo.device import Device, Registration, became_true
from hub.embedded.demo.receiver import Receiver
from hub.embedded.demo.screen import Counts, Screen, open_screen
from hub.embedded.demo.variables import variables_shown
from hub.embedded.tls import Authority
from hub.secret import Secret

TICK: Final = 0.25
SILENCE_BUDGET: Final = 10.0
DRAIN_BUDGET: Final = 30.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What the demo works with.

    Args:
        folder: for the device and the receiver.
        url: of the REST API; token: for it.
        server, ca: where devices connect to, and whom they trust.
    """

    folder: Path
    url: str
    token: Secret
    server: str
    ca: Path


class Result(msgspec.Struct, frozen=True):
    """How it went."""

    counts: Counts
    missing: int
    duplicates: int
    disordered: int
    malformed: int

    @property
    def complete(self) -> bool:
        """Every line that was sent was delivered, once, in order."""
        return self.counts.sent > 0 and not (self.missing or self.disordered or self.malformed)

    def __str__(self) -> str:
        verdict = "Every line was delivered." if self.complete else "NOT every line was delivered."
        return (
            f"{verdict} {self.counts}; missing {self.missing}, duplicates {self.duplicates},"
            f" out of order {self.disordered}, malformed {self.malformed}"
        )


async def show(
    stage: Stage, console: Console, *, seconds: float | None, stop: asyncio.Event
) -> Result:
    """Run the demo.

    Args:
        seconds: after which it ends by itself; None: when told to.
        stop: told to.
    """
    with open_screen(console) as screen:
        receiver = Receiver(screen.line)
        async with _prepared(stage, receiver) as device, device.run():
            follower = _Follower(device, receiver)
            async with follower.shown_on(screen):
                async with (
                    Api.open(stage.url, stage.token) as api,
                    variables_shown(api, device.project, screen),
                ):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await stop.wait()
                screen.say("The app falls silent; waiting for what is under way.")
                await device.fall_silent(SILENCE_BUDGET)
                await follower.drained(DRAIN_BUDGET)
            return follower.result()


@contextlib.asynccontextmanager
async def _prepared(stage: Stage, receiver: Receiver) -> AsyncIterator[Device]:
    """Do over REST what a user would do: a project, a token for the device, an integration."""
    authority = Authority(stage.folder / "receiver-ca", name="Demo receiver CA")
    folder = make_folder(stage.folder / "receiver", None)
    files = authority.server(folder, ["127.0.0.1"], None)
    async with receiver.listen(files) as port:
        async with Api.open(stage.url, stage.token) as api:
            project = await api.create_project("Demo")
            token = await api.create_token(project)
            await api.create_papertrail(project, "127.0.0.1", port, authority.pem)
        registration = Registration(project, token, stage.server, stage.ca)
        yield Device(stage.folder / "device", registration)


class _Follower:
    """Follows the lines from the device to the receiver."""

    def __init__(self, device: Device, receiver: Receiver) -> None:
        self._device = device
        self._tally = receiver.tally

    @property
    def counts(self) -> Counts:
        return Counts(
            sum(self._device.sent.values()),
            self._device.acknowledged,
            self._tally.delivered,
            self._tally.lag,
        )

    @contextlib.asynccontextmanager
    async def shown_on(self, screen: Screen) -> AsyncIterator[None]:
        """Keep the counts on the screen up to date."""

        async def follow() -> None:
            while True:
                screen.counts(self.counts)
                await asyncio.sleep(TICK)

        following = asyncio.create_task(follow())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def drained(self, budget: float) -> None:
        """Wait until all that was sent is delivered, and the device knows that the hub has it."""

        def finished() -> bool:
            sent = self._device.sent
            return not self._tally.missing(sent) and self._device.acknowledged >= sum(sent.values())

        await became_true(finished, budget)

    def result(self) -> Result:
        streams = self._tally.streams.values()
        return Result(
            self.counts,
            self._tally.missing(self._device.sent),
            sum(stream.duplicates for stream in streams),
            sum(stream.disordered for stream in streams),
            self._tally.malformed,
        )
