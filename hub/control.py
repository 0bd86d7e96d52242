"""How the command line talks to the hub that runs on this machine: a socket without a file.

Its name (unix(7), abstract sockets) is made of the path of the hub's config file, so each finds
the other without a pid file that may be stale. The kernel says who asks: only the user that the
hub runs as, and root, are listened to. It also says who answers, for anybody can take the name
while no hub runs: only a user who may have this config is believed.
"""

import asyncio
import hashlib
import os
import pwd
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec
import structlog

from hub.errors import Unavailable

_LONGEST: Final = 1024 * 1024  # bytes of a request or an answer
_PATIENCE: Final = 5.0  # seconds that a request may take to be written

Outcome = Literal["status", "unchanged", "loaded", "restarted", "failed"]

_log = structlog.stdlib.get_logger(__name__)


class Ask(msgspec.Struct, frozen=True):
    """What the command line asks for.

    Args:
        what: `status`, or `reload`: take in what changed about plugins.
        changed: plugins whose code is another now, also where name and version are not.
    """

    what: Literal["status", "reload"]
    changed: tuple[str, ...] = ()


class PluginState(msgspec.Struct, frozen=True):
    """One plugin of the running hub; `blocked` and `leaked` as in `hub.guard.Notes`."""

    name: str
    status: str
    reason: str = ""
    blocked: int = 0
    leaked: int = 0
    last: str = ""


class Told(msgspec.Struct, frozen=True):
    """What the hub answers.

    Args:
        outcome: `status`, `unchanged`, `loaded`, `restarted`, or `failed`: all is as it was.
        detail: why it restarted, or what failed.
        seconds: that it took.
        prefix: of the Python environment that the hub runs in.
    """

    outcome: Outcome
    prefix: str
    detail: str = ""
    seconds: float = 0.0
    plugins: tuple[PluginState, ...] = ()


Handle = Callable[[Ask], Awaitable[Told]]


def address_of(config: Path) -> str:
    """Give the name of the socket of the hub that has this config file, be it there or not."""
    digest = hashlib.sha256(os.fsencode(config.resolve())).hexdigest()[:32]
    return f"\0isaax/{digest}"


@asynccontextmanager
async def listening(config: Path | None, handle: Handle) -> AsyncIterator[None]:
    """Answer the command line while the context is open.

    Without a config file, or where another hub with this one listens already, nobody is answered.
    """
    if config is None:
        yield
        return
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address_of(config))
    except OSError as error:
        listener.close()
        _log.warning("this hub cannot be told of plugins", config=str(config), reason=str(error))
        yield
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if _may_ask(writer.get_extra_info("socket")):
                async with asyncio.timeout(_PATIENCE):
                    line = await reader.readline()
                told = await handle(msgspec.json.decode(line, type=Ask))
                writer.write(msgspec.json.encode(told) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("a request of the command line failed", reason=type(error).__name__)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, sock=listener, limit=_LONGEST)
    try:
        yield
    finally:
        server.close()


def _may_ask(peer: socket.socket) -> bool:
    return _user(peer) in {0, os.geteuid()}


def may_answer(user: int, config: Path) -> bool:
    """Say whether a hub with this config may run as this user: root, or one to whom it is given."""
    if user in {0, os.geteuid()}:
        return True
    try:
        about, name = config.stat(), pwd.getpwuid(user)
    except (OSError, KeyError):
        return False
    groups = os.getgrouplist(name.pw_name, name.pw_gid)
    return user == about.st_uid or bool(about.st_mode & stat.S_IRGRP and about.st_gid in groups)


def _user(peer: socket.socket) -> int:
    size = struct.calcsize("3i")  # struct ucred: pid, uid, gid (socket(7), SO_PEERCRED)
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return int(uid)


def ask(config: Path, request: Ask, *, seconds: float = 90.0) -> Told | None:
    """Ask the hub that runs with this config; None when there is none.

    Raises:
        Unavailable: it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(address_of(config))
        except ConnectionRefusedError:
            return None
        user = _user(connection)
        if not may_answer(user, config):
            raise Unavailable(f"the user {user} answers in the place of the hub of {config}")
        try:
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as answer:
                return msgspec.json.decode(answer.readline(_LONGEST), type=Told)
        except (OSError, msgspec.MsgspecError):
            raise Unavailable("the hub that runs does not answer; see its log") from None
