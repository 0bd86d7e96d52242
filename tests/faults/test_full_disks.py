"""A disk that is full, under NATS and under Postgres: no false promise, said so, and healed.

A limit on the size of their files (RLIMIT_FSIZE) makes every write that needs room fail, as a
full disk does, and needs no file system of its own nor any privilege.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.embedded.account import unprivileged
from hub.embedded.part import Part
from tests.deadline import until
from tests.fixtures.spine import Device, Spine, running_spine


@contextmanager
def full(part: Part) -> Iterator[None]:
    """Let no file of a part grow, nor be written to at all."""
    _limit(part, "1")
    try:
        yield
    finally:
        _limit(part, "unlimited")


def _limit(part: Part, size: str) -> None:
    """Set the soft limit of a part and of all its processes; whoever runs them may."""
    account = unprivileged()
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account.uid, "group": account.gid, "extra_groups": ()}
    for pid in _family(part.child.pid):
        command = ["prlimit", "--pid", str(pid), f"--fsize={size}:unlimited"]
        done = subprocess.run(command, check=False, capture_output=True, **identity)
        # A child of Postgres may end meanwhile.
        assert done.returncode == 0 or not Path(f"/proc/{pid}").exists(), done.stderr


def _family(pid: int) -> list[int]:
    """Give a process and its children; a part has no grandchildren."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [pid, *map(int, file.read().split())]


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """A hub of this module's own."""
    with running_spine() as running:
        yield running


@asynccontextmanager
async def printing(spine: Spine, folder: Path) -> AsyncIterator[str]:
    """Run a device whose app prints a number now and then; give its project."""
    project = spine.project()
    app = "n=0; while n=$((n+1)); do echo line $n; sleep 0.05; done"
    device = Device.make(folder / "device", spine, project, app)
    device.start()
    try:
        await until(lambda: len(numbers(spine, project.id)) > 5, what="lines", timeout=30)
        yield project.id
    finally:
        device.kill()


def numbers(spine: Spine, project: str, limit: int = 1_000) -> list[int]:
    """Give the newest numbers that are stored, in order."""
    lines = spine.api.get(f"/projects/{project}/logs?stream=app&limit={limit}")
    return [int(line["message"].split()[1]) for line in lines]


def ailing(spine: Spine) -> dict[str, str]:
    """Give what `/readyz` says is not well, and why."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{spine.http}/readyz", timeout=10) as answer:
            body = answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            body = refused.read()
    checks = json.loads(body)["checks"]
    return {check["name"]: check["detail"] for check in checks if not check["ok"]}


async def goes_on(spine: Spine, project: str) -> None:
    """See that lines are stored anew, and that not one is missing."""
    last = numbers(spine, project)[-1]
    await until(lambda: numbers(spine, project)[-1] > last + 20, what="new lines", timeout=40)
    found = numbers(spine, project)
    assert found == [*range(1, len(found) + 1)]


async def test_a_full_disk_under_nats(spine: Spine, tmp_path: Path) -> None:
    nats = spine.embedded.nats
    async with printing(spine, tmp_path) as project:
        with full(nats):
            await until(lambda: "jetstream" in ailing(spine), what="a red light", timeout=30)
            await until(lambda: "intake" in ailing(spine), what="another", timeout=30)
            assert "RELAY_0 stores nothing" in ailing(spine)["intake"]
            assert "not stored yet" in spine.log
            stored = numbers(spine, project)
        # There is room again, yet nats-server gives a stream up whose files it could not write.
        if numbers(spine, project) == stored:
            assert ailing(spine), "it must not look healthy while it takes nothing"
        await nats.restart()
        await until(lambda: not ailing(spine), what="green lights", timeout=30)
        await goes_on(spine, project)


async def test_a_full_disk_under_postgres(spine: Spine, tmp_path: Path) -> None:
    """Lines need no Postgres: they go on. What does need it says so, and heals."""
    postgres = spine.embedded.postgres
    async with printing(spine, tmp_path) as project:
        with full(postgres):
            await until(lambda: "postgres" in ailing(spine), what="a red light", timeout=30)
            assert spine.api.ask("POST", "/projects", {"name": "late"}).status == 503
        await postgres.restart()
        await until(lambda: not ailing(spine), what="green lights", timeout=30)
        assert spine.api.ask("POST", "/projects", {"name": "late"}).status == 201
        await goes_on(spine, project)
