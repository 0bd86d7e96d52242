"""What the demo does over REST: variables, scripts, a command and a metric, as they arrive."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from typing import Final, TypeVar

import aiohttp

from hub.embedded.demo.api import Api
from hub.embedded.demo.screen import Screen
from hub.errors import IsaaxError

F = TypeVar("F", bound=Sized)

PAUSE: Final = 0.05
NAME: Final = "GREETING"
VALUE: Final = "hello from ${DEVICE_LABEL}"
SCRIPT: Final = 'echo "a script says: $GREETING"'
SWITCHES: Final = ("ISAAX_METRICS", "ISAAX_METRICS_CPU")
METRIC: Final = "cpu_usage_ratio"


@contextlib.asynccontextmanager
async def variables_shown(api: Api, project: str, screen: Screen) -> AsyncIterator[None]:
    """Show them, as soon as they are there, while the context is open."""
    showing = asyncio.create_task(_show(api, project, screen))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)


async def _show(api: Api, project: str, screen: Screen) -> None:
    try:
        defaults = await _there(lambda: api.variables(project))
        shown = ", ".join(f"{name}={value}" for name, value in defaults.items())
        screen.say(f"Every project begins with these variables: {shown}")
        scripts = await _there(lambda: api.scripts(project))
        shown = "; ".join(f"{moment}: {_shown(body)}" for moment, body in scripts.items())
        screen.say(f"Every project begins with these scripts: {shown}")
        await _taken_up(api, project)
        began = time.monotonic()
        await api.set_variable(project, NAME, VALUE)
        version = await _taken_up(api, project)
        took = time.monotonic() - began
        screen.say(
            f"{NAME}={VALUE} is set; {took:.2f} s later the device says that its app has started "
            f"with it (version {version} of its variables)."
        )
        command = await api.run_script(project, SCRIPT)
        ((_, wrote), *_) = await _there(lambda: api.results(project, command))
        screen.say(f"The script {SCRIPT} was run on the device, and wrote: {wrote.strip()}")
        (device, *_) = await _there(lambda: api.devices(project))
        await _measured(api, project, device, screen)
        command = await api.restart(device)
        ((status, _), *_) = await _there(lambda: api.results(project, command))
        screen.say(f"The device was told to start its app anew, and says: {status}.")
    except (IsaaxError, aiohttp.ClientError) as error:
        screen.say(f"Variables, scripts and commands cannot be shown: {error}")


async def _measured(api: Api, project: str, device: str, screen: Screen) -> None:
    """Switch a metric on, and show the first sample that the hub gives."""
    began = time.monotonic()
    await api.switch_on(project, *SWITCHES)

    async def newest() -> dict[str, float]:
        values = await api.values(device, "cpu")
        return values if METRIC in values else {}

    values = await _there(newest)
    took = time.monotonic() - began
    switches = ", ".join(f"{name}=true" for name in SWITCHES)
    screen.say(
        f"{switches} switch metrics on; {took:.2f} s later the hub has its first sample: "
        f"{METRIC} {values[METRIC]:.2f}"
    )


def _shown(body: str) -> str:
    """Give the last line of a script, which is what it does."""
    return body.strip().splitlines()[-1]


async def _there(ask: Callable[[], Awaitable[F]]) -> F:
    """Ask until there is something: the hub makes it, or the device has yet to answer."""
    while not (found := await ask()):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(PAUSE)
    return found


async def _taken_up(api: Api, project: str) -> int:
    """Wait until the device uses the newest, and give its version."""
    while True:
        for version, applied in await api.variable_versions(project):
            if version == applied:
                return version
        await asyncio.sleep(PAUSE)
