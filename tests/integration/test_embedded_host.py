"""All embedded parts together, held by a process that ends well, is killed, or cannot start."""

import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.embedded.account import open_to_all, unprivileged
from hub.embedded.ports import free_port
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Place:
    """Where a host keeps its data, and who runs it."""

    data: Path
    build: Path
    ports: tuple[int, ...]
    user: str | None = None


@dataclass(frozen=True)
class Host:
    """A process that holds the parts."""

    process: asyncio.subprocess.Process
    pids: dict[str, int]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="isaax-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def place(folder: Path, parts_folder: Path) -> Place:
    """The same data for each test, so that all but the first start on what is there."""
    ports = tuple(free_port() for _ in range(4))
    return Place(folder / "data", parts_folder / "build", ports)


async def spawn(place: Place) -> asyncio.subprocess.Process:
    arguments = [str(place.data), str(place.build), *map(str, place.ports)]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.programs.embedded_host", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        user=place.user, extra_groups=[] if place.user else None,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(place: Place) -> AsyncIterator[Host]:
    process = await spawn(place)
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            _, errors = await process.communicate()
            pytest.fail(errors.decode())
        yield Host(process, json.loads(line))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end while we read
        return False


def uid_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def test_kill_9_leaves_no_orphan_and_the_next_start_works(place: Place) -> None:
    async with running(place) as host:
        host.process.kill()
        await host.process.wait()
        await until(lambda: not any(alive(pid) for pid in host.pids.values()))
    async with running(place) as again:
        assert again.pids.keys() == host.pids.keys()


async def test_a_start_waits_for_the_shutdown_of_a_killed_one(place: Place) -> None:
    async with running(place) as host:
        os.kill(host.pids["nats"], signal.SIGSTOP)  # it lives on, deaf to its parent's death
        host.process.kill()
        await host.process.wait()
        following = await spawn(place)
        os.kill(host.pids["nats"], signal.SIGCONT)
        assert following.stdout is not None
        assert await following.stdout.readline()
        following.send_signal(signal.SIGTERM)
        await following.communicate()
    assert following.returncode == 0


async def test_an_orderly_end_stops_all_parts(place: Place) -> None:
    async with running(place) as host:
        assert all(alive(pid) for pid in host.pids.values())
    assert host.process.returncode == 0
    assert not any(alive(pid) for pid in host.pids.values())


async def test_a_part_that_dies_is_started_again(place: Place) -> None:
    async with running(place) as host:
        os.kill(host.pids["nats"], signal.SIGKILL)
        await until(lambda: not alive(host.pids["nats"]))
        await until(lambda: _listening(place.ports[2]))
        assert alive(host.pids["postgres"])


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_taken_port_is_named_with_the_option_that_changes_it(place: Place) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", place.ports[2]))
        other.listen()
        process = await spawn(place)
        _, errors = await process.communicate()
    assert process.returncode == 2
    assert f"port {place.ports[2]} on 127.0.0.1 is taken" in errors.decode()
    assert "--nats-port" in errors.decode()


async def test_two_on_one_folder_are_refused(place: Place) -> None:
    async with running(place) as host:
        second = await spawn(place)
        _, errors = await second.communicate()
        assert second.returncode == 2
        assert f"process {host.process.pid} runs a hub on {place.data}" in errors.decode()


async def test_secrets_and_data_are_closed_to_others(place: Place) -> None:
    async with running(place):
        files = [path for path in place.data.rglob("*") if path.is_file()]
        open_files = [path for path in files if path.stat().st_mode & 0o077]
    assert {"nats.conf", "hub.sha256", "server.key", "ca.key", "postgres"} <= {
        path.name for path in files
    }
    assert open_files == []


async def test_nothing_runs_as_root(place: Place) -> None:
    async with running(place) as host:
        uids = {name: uid_of(pid) for name, pid in host.pids.items()}
    ordinary, broker = unprivileged(), unprivileged("mosquitto")
    expected = ordinary.uid if ordinary else os.geteuid()
    of_broker = broker.uid if broker else os.geteuid()
    assert uids == {"postgres": expected, "nats": expected, "mosquitto": of_broker}


async def test_an_ordinary_user_can_run_it(folder: Path, place: Place) -> None:
    us = pwd.getpwuid(os.geteuid())
    needed = (Path(sys.prefix), Path(sys.base_prefix), ROOT)
    can_switch = us.pw_uid == 0 and all(open_to_all(path) for path in needed)
    user = pwd.getpwnam("nobody") if can_switch else us
    own = folder / "own"
    own.mkdir()
    os.chown(own, user.pw_uid, user.pw_gid)
    theirs = Place(own / "data", own / "build", place.ports, user.pw_name if can_switch else None)
    async with running(theirs) as host:
        uids = {uid_of(pid) for pid in host.pids.values()}
        # Where root's Python is closed to others, root itself has to do: its parts are not root.
        assert user.pw_uid in uids if user.pw_uid else 0 not in uids
