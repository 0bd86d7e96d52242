"""The demo's variables, those that every project begins with and one that arrives; and a script."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from hub.embedded.demo.api import Api
from hub.embedded.demo.screen import Screen
from hub.errors import IsaaxError

PAUSE: Final = 0.05
NAME: Final = "GREETING"
VALUE: Final = "hello from ${DEVICE_LABEL}"
SCRIPT: Final = 'echo "a script says: $GREETING"'


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
        defaults = await _defaults(api, project)
        shown = ", ".join(f"{name}={value}" for name, value in defaults.items())
        screen.say(f"Every project begins with these variables: {shown}")
        await _taken_up(api, project)
        began = time.monotonic()
        await api.set_variable(project, NAME, VALUE)
        version = await _taken_up(api, project)
        took = time.monotonic() - began
        screen.say(
            f"{NAME}={VALUE} is set; {took:.2f} s later the device says that its app has started "
            f"with it (version {version} of its variables)."
        )
        wrote = await _output(api, project, await api.run_script(project, SCRIPT))
        screen.say(f"The script {SCRIPT} was run on the device, and wrote: {wrote.strip()}")
    except (IsaaxError, aiohttp.ClientError) as error:
        screen.say(f"Variables and scripts cannot be shown: {error}")


async def _defaults(api: Api, project: str) -> dict[str, str]:
    """Wait for a new project's variables."""
    while not (found := await api.variables(project)):  # noqa: ASYNC110 - the hub makes them
        await asyncio.sleep(PAUSE)
    return found


async def _output(api: Api, project: str, command: str) -> str:
    """Wait until a script has ended on the device, and give what it wrote."""
    while not (found := await api.script_outputs(project, command)):  # noqa: ASYNC110 - it runs there
        await asyncio.sleep(PAUSE)
    return found[0]


async def _taken_up(api: Api, project: str) -> int:
    """Wait until the device uses the newest, and give its version."""
    while True:
        for version, applied in await api.variable_versions(project):
            if version == applied:
                return version
        await asyncio.sleep(PAUSE)
