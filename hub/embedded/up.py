"""`isaax up`: a whole hub from one command, with its Postgres, NATS and mosquitto as children."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.console import Console

from hub.embedded.parts import is_abandoned
from hub.embedded.ports import Ports, fill
from hub.embedded.running import StuckError
from hub.embedded.upkeep import INTERRUPTED, Options, Upkeep
from hub.errors import IsaaxError
from hub.process import default_data
from hub.registry import ServiceDied

PORTS: Final = Ports()
DEMO: Final = "isaax-demo-"
CANNOT_START: Final = 2


def up(
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of everything it keeps; by default /var/lib/isaax for root,"
            " ~/.local/share/isaax for others.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve devices and HTTP at.")] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name or address that devices reach this hub by, for its certificate."
            " Can be given more than once.",
            show_default=False,
        ),
    ] = None,
    http_port: Annotated[int, typer.Option(help="Of REST and web.")] = PORTS.http,
    mqtts_port: Annotated[int, typer.Option(help="Of devices, over TLS.")] = PORTS.mqtts,
    mqtt_port: Annotated[int, typer.Option(help="Of the broker, for the hub.")] = PORTS.mqtt,
    nats_port: Annotated[int, typer.Option(help="Of NATS, for the hub.")] = PORTS.nats,
    postgres_port: Annotated[int, typer.Option(help="Of Postgres.")] = PORTS.postgres,
    demo: Annotated[
        bool, typer.Option("--demo", help="With a device and a receiver; it keeps nothing.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for", min=0.1, help="End the demo after so many seconds.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a hub with its own Postgres, NATS and mosquitto, until Ctrl-C.

    A port of 0 means any free one. With --demo and --for, exit code 0 says that every line that
    was sent was delivered.
    """
    if seconds is not None and not demo:
        raise typer.BadParameter("it goes with --demo", param_hint="--for")
    if data is not None and demo:
        raise typer.BadParameter("--demo keeps nothing", param_hint="--data")
    ports = Ports(http_port, mqtts_port, mqtt_port, nats_port, postgres_port)

    async def run() -> int:
        folder = _demo_folder() if demo else contextlib.nullcontext(data or default_data())
        try:
            with folder as path:
                options = Options(path, host, tuple(name or ()), fill(ports), demo, seconds)
                return await Upkeep(options, Console()).run()
        except StuckError as error:
            os._exit(_failed(error, 1))  # the end of the loop would wait for what is stuck

    raise typer.Exit(_exit_code(run()))


def _exit_code(work: Coroutine[Any, Any, int]) -> int:
    try:
        return uvloop.run(work)
    except ServiceDied as error:
        return _failed(error, 1)
    except IsaaxError as error:
        return _failed(error, CANNOT_START)
    except asyncio.CancelledError:  # told to end while it was starting
        return INTERRUPTED


def _failed(error: IsaaxError, code: int) -> int:
    Console(stderr=True).print(f"isaax: {error}", markup=False, highlight=False, soft_wrap=True)
    return code


@contextlib.contextmanager
def _demo_folder() -> Iterator[Path]:
    """Give a folder that is removed in the end; those of demos that were killed go as well."""
    for old in Path(tempfile.gettempdir()).glob(f"{DEMO}*"):
        if old.lstat().st_uid == os.geteuid() and is_abandoned(old):
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=DEMO))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
