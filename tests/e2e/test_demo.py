"""`./isaax up`, with and without `--demo`, as somebody types it."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.deadline import until

ISAAX = Path(__file__).resolve().parents[2] / "isaax"
FREE_PORTS = [f"--{name}-port=0" for name in ("http", "mqtts", "mqtt", "nats", "postgres")]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """The only folder that the command may leave something in."""
    folder = Path(tempfile.mkdtemp(prefix="isaax-e2e-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def isaax(scratch: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ./isaax with an environment that has nothing in it but where to put things."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        ISAAX, *arguments,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(scratch)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        limit=1024 * 1024,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def read_until(process: asyncio.subprocess.Process, pattern: str) -> re.Match[str]:
    """Read output up to a line with this pattern in it."""
    assert process.stdout is not None
    seen = ""
    while line := (await process.stdout.readline()).decode():
        seen += line
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"{pattern!r} is not in the output:\n{seen}")


def working_in(folder: Path) -> list[str]:
    """Give the command lines of all processes that work in a folder or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def pid_of(folder: Path, part: str) -> int:
    """Find the process of a part of the demo."""
    (lock,) = folder.glob(f"isaax-demo-*/*/.{part}.lock")
    return int(lock.read_text())


def left_in(folder: Path) -> list[str]:
    """List everything below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


async def test_every_line_of_the_demo_is_delivered_and_nothing_is_left(scratch: Path) -> None:
    async with isaax(scratch, "up", "--demo", "--for", "2", *FREE_PORTS) as process:
        await read_until(process, "demo app line 1: ")
        summary = await read_until(
            process, r"delivered\. sent (\d+), acknowledged (\d+), delivered (\d+)"
        )
        await process.communicate()
    assert process.returncode == 0
    assert int(summary[1]) > 0
    assert summary[1] == summary[2] == summary[3]
    assert working_in(scratch) == []
    assert left_in(scratch) == ["home"]


async def test_the_demo_shows_what_arrives_over_rest(scratch: Path) -> None:
    async with isaax(scratch, "up", "--demo", *FREE_PORTS) as process:
        await read_until(process, "begins with these variables: ISAAX_LOG_AGENT=true, ISAAX_LOG")
        await read_until(process, 'these scripts: pre-install: echo "Hello, I run before')
        some = (
            r"line \d+: hello from \S+$", r"GREETING=hello from .* started with it \(version",
            "on the device, and wrote: a script says: hello from ",
        )  # fmt: skip
        seen = {(await read_until(process, "|".join(some)))[0][:4] for _ in some}
        assert seen == {"line", "GREE", "on t"}, "in whatever order"
        await read_until(process, r"ISAAX_METRICS_CPU=true .* first sample: cpu_usage_ratio \d")
        await read_until(process, "told to start its app anew, and says: done")
        process.send_signal(signal.SIGINT)
        await read_until(process, "Every line was delivered")
        await process.communicate()
    assert process.returncode == 0


async def test_ctrl_c_takes_all_of_the_demo_down(scratch: Path) -> None:
    async with isaax(scratch, "up", "--demo", *FREE_PORTS) as process:
        await read_until(process, "demo sys line 3: ")
        process.send_signal(signal.SIGINT)
        await read_until(process, "Every line was delivered")
        await process.communicate()
    assert process.returncode == 0
    assert working_in(scratch) == []
    assert left_in(scratch) == ["home"]


async def test_nothing_is_lost_when_every_part_is_killed(scratch: Path) -> None:
    async with isaax(scratch, "up", "--demo", "--for", "6", *FREE_PORTS) as process:
        await read_until(process, "demo app line 5: ")
        for part in ("nats", "mosquitto", "postgres"):
            os.kill(pid_of(scratch, part), signal.SIGKILL)
        await read_until(process, "Every line was delivered.* missing 0")
        await process.communicate()
    assert process.returncode == 0
    assert working_in(scratch) == []


async def test_kill_9_of_the_demo_leaves_no_process_and_the_next_tidies_up(scratch: Path) -> None:
    async with isaax(scratch, "up", "--demo", *FREE_PORTS) as process:
        await read_until(process, "demo app line 3: ")
        assert len(working_in(scratch)) > 4
        process.kill()
        await process.wait()
        await until(lambda: working_in(scratch) == [])
    async with isaax(scratch, "up", "--demo", *FREE_PORTS) as process:
        await read_until(process, "Starting Postgres")
        process.terminate()
        await process.communicate()
    assert left_in(scratch) == ["home"]


async def test_a_hub_keeps_its_data_between_starts(scratch: Path) -> None:
    arguments = ("up", "--data", str(scratch / "data"), *FREE_PORTS)
    async with isaax(scratch, *arguments) as process:
        url = (await read_until(process, r"REST API +(\S+)"))[1]
        outbox = (await read_until(process, r"Mails +stay here: (\S+)"))[1]
        token = (await read_until(process, r"API token +(\S+)"))[1]
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{url}/projects", json={"name": "kept"}) as made,
        ):
            assert made.status == 201
            async with session.get(outbox) as page:
                assert "There is no mail" in await page.text()
            project = (await made.json())["id"]
        running = scratch / "data" / "running.toml"
        assert running.stat().st_mode & 0o077 == 0
        async with isaax(scratch, "mail", "list", "--config", str(running)) as listing:
            await read_until(listing, "no mails")
        process.kill()
        await process.wait()
    assert (scratch / "data" / "secrets" / "api-token").read_text().strip() == token
    async with isaax(scratch, *arguments) as process:
        url = (await read_until(process, r"REST API +(\S+)"))[1]
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{url}/projects/{project}") as found,
        ):
            assert (await found.json())["name"] == "kept"
        process.terminate()
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert token not in output.decode()
    assert not running.exists()


async def test_a_taken_http_port_is_a_clear_error(scratch: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        arguments = ["up", "--demo", *FREE_PORTS[1:], f"--http-port={port}"]
        async with isaax(scratch, *arguments) as process:
            output, _ = await process.communicate()
    assert process.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in output.decode()
    assert "--http-port" in output.decode()
    assert "Traceback" not in output.decode()
