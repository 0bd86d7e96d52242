"""docs/integrations.md as its reader follows it: each command is run, and says what is shown."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.guides import as_told, blocks, copied
from tests.fixtures.http_receivers import TOKEN, BetterStackServer, running
from tests.fixtures.spine import ONE, Spine, running_spine

GUIDE = Path(__file__).parents[2] / "docs" / "integrations.md"
HOSTED = "https://s1234567.eu-nbg-2.betterstackdata.com"


class Reader:
    """Copies commands into a shell, and ids from its answers.

    Args:
        replaced: what this reader's machine has instead of what the guide says.
    """

    def __init__(self, replaced: dict[str, str], token: str) -> None:
        self._replaced = replaced
        self._said = [token]
        self._typed: list[str] = []

    def type(self, block: str) -> str:
        """Run the commands of a block, one by one; give what the last one said."""
        for old, new in self._replaced.items():
            block = block.replace(old, new)
        said = ""
        for command in re.split(r"\n(?=export|api [A-Z]|curl)", block.strip()):
            if re.match(r"export|api\(\)", command):
                self._typed.append(copied(command, self._said[-1]))
                if "api()" in command:
                    self._typed[-1:] = re.split(r"\n(?=api\(\))", self._typed[-1])
                continue
            said = self._run(command)
            self._said.append(said)
        return said

    def _run(self, command: str) -> str:
        script = "\n".join([*self._typed, command])
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            capture_output=True, text=True, check=False, timeout=30,
            env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        assert done.stderr == "", command
        return done.stdout.strip()


@pytest.fixture
def listening() -> Iterator[tuple[Spine, int]]:
    """A hub as the guide starts it, and the port at which it takes lines over HTTP."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ISAAX_HTTP_LISTENER_PORT", str(port))
        # `/metrics` tells of the gateway's own process, and the guide reads the relay's there.
        with running_spine(layout=ONE) as spine:
            yield spine, port


async def test_each_command_does_what_is_told(listening: tuple[Spine, int]) -> None:
    """In their order, from the first to the last."""
    spine, port = listening
    async with running(BetterStackServer()) as server:
        await _follow(spine, server, port)
        await until(lambda: len(server.lines) == 2, what="the lines that were delivered")
    assert server.lines == ["bob@example.com has come", "this waits"]
    (file,) = spine.files.glob("prj_*/int_*/lines.log")
    texts = [json.loads(line)["message"] for line in file.read_text().splitlines()]
    assert texts[:3] == ["it is warm", "bob@example.com has come", "this waits"]


async def _follow(spine: Spine, server: BetterStackServer, port: int) -> None:
    replaced = {
        "http://127.0.0.1:7800": spine.api.base,
        "http://127.0.0.1:4318": f"http://127.0.0.1:{port}",
        HOSTED: server.config["url"],
        "source-token": TOKEN,
    }
    reader = Reader(replaced, spine.token)
    said = ""
    for kind, block in blocks(GUIDE):
        if kind == "sh":
            command = block
            said = await asyncio.to_thread(reader.type, block)
            continue

        async def is_so(block: str = block, command: str = command) -> bool:
            nonlocal said
            if not as_told(block, said) and "GET" in command:
                said = await asyncio.to_thread(reader.type, command)
            return as_told(block, said)

        await until(is_so, what=f"{block} of {command}, which says {said}")
