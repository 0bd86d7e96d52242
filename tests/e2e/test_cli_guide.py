"""docs/cli.md as its reader follows it: each command is run, and says what is shown."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.client import commands
from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.guides import as_told, blocks, copied
from tests.fixtures.http_receivers import TOKEN, BetterStackServer, running
from tests.fixtures.spine import Device, Project, Spine, running_spine

GUIDE = Path(__file__).parents[2] / "docs" / "cli.md"
HOSTED = "https://s1234567.eu-nbg-2.betterstackdata.com"
_END = "that was all"


def leaves(name: str, command: Any) -> Iterator[str]:
    """Give every command that can be run, with all its words."""
    if hasattr(command, "commands"):
        for word, one in command.commands.items():
            yield from leaves(f"{name} {word}", one)
    else:
        yield name


ALL = [leaf for name in commands.COMMANDS for leaf in leaves(name, commands.load(name))]


ELSEWHERE = {
    "factors add-app", "factors confirm-app", "factors new-codes", "factors remove-app",
    "passkeys rename", "passkeys remove", "members remove", "account require-factor",
    "metrics show",
}  # fmt: skip
"""What takes an app, a browser or one person more (test_cli_people.py, test_cli_teams.py), or a
minute of measuring (test_metrics.py)."""


@pytest.mark.parametrize("command", sorted(set(ALL) - ELSEWHERE))
def test_every_command_has_an_example(command: str) -> None:
    typed = "\n".join(text for kind, text in blocks(GUIDE) if kind == "sh")
    assert re.search(rf"\bisaax {command}\b", typed)


@pytest.mark.parametrize("command", ALL)
def test_every_command_gives_json(command: str) -> None:
    words = command.split()
    found = commands.load(words[0])
    for word in words[1:]:
        found = found.commands[word]
    if command != "completion":
        assert "--json" in [option for one in found.params for option in one.opts]
        assert "json" in {one.name.removeprefix("as_") for one in found.params}


class Reader:
    """Types into a shell that stays open.

    Args:
        replaced: what this reader's machine has instead of what the guide says.
    """

    def __init__(self, isaax: Isaax, replaced: dict[str, str]) -> None:
        self._replaced = replaced
        self.last = self.typed = ""
        self.shell = subprocess.Popen(
            ["/bin/bash", "--norc"],
            env=isaax.environ, cwd=isaax.home, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def own(self, block: str) -> str:
        """Give a block as it is on this reader's machine."""
        for old, new in self._replaced.items():
            block = block.replace(old, new)
        return block

    def type(self, block: str) -> str:
        """Run the commands of a block, one by one; give what the last one said."""
        for command in re.split(r"\n(?=\S)", self.own(block)):
            self.typed = copied(command, self.last)
            self.last = self._run(self.typed)
        return self.last

    def again(self) -> str:
        """Run the last command again."""
        self.last = self._run(self.typed)
        return self.last

    def value(self, variable: str) -> str:
        """Give a variable of the shell."""
        return self._run(f'echo "${variable}"')

    def _run(self, command: str) -> str:
        assert self.shell.stdin is not None
        assert self.shell.stdout is not None
        self.shell.stdin.write(f"{command}\nstatus=$?; echo; echo {_END} $status\n")
        said = ""
        for line in self.shell.stdout:
            if line.startswith(_END):
                assert line == f"{_END} 0\n", (command, said)
                return said.strip()
            said += line
        raise AssertionError(f"the shell ended: {said}")

    def end(self) -> None:
        """Leave the shell."""
        self.shell.kill()
        self.shell.communicate()


@pytest.fixture
def listening() -> Iterator[tuple[Spine, int]]:
    """A hub as the guide starts it, and the port at which it takes lines over HTTP."""
    port = free_port()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ISAAX_HTTP_LISTENER_PORT", str(port))
        with running_spine() as spine:
            yield spine, port


@pytest.mark.timeout(600)  # a hundred programs, one after the other
async def test_each_command_does_what_is_told(
    listening: tuple[Spine, int], isaax: Isaax, tmp_path: Path
) -> None:
    """In their order, from the first to the last."""
    spine, port = listening
    (isaax.home / "token").write_text(f"{spine.token}\n")
    isaax = Isaax(isaax.home, {"EDITOR": "sed -i s/archive/archive-2/"})
    async with running(BetterStackServer()) as server:
        replaced = {
            "http://127.0.0.1:7800": spine.api.base,
            "http://127.0.0.1:4318": f"http://127.0.0.1:{port}",
            "~/.local/share/isaax/secrets/api-token": "token",
            HOSTED: server.config["url"],
            "source-token": TOKEN,
            "--config hub.toml": f"--config {spine.folder / 'hub.toml'}",
        }
        reader = Reader(isaax, replaced)
        guest = Guest(spine, reader, tmp_path / "device")
        try:
            await _follow(isaax, reader, guest)
            await until(lambda: server.lines[:1] == ["Bob has come"], what="the letter")
        finally:
            guest.leave()
            reader.end()
    kept = (isaax.home / ".config/isaax/credentials.toml").read_text()
    assert "[hubs.other]" in kept, "the one that ended elsewhere"
    assert "[hubs.home]" not in kept
    assert "[hubs.ada]" not in kept


class Guest:
    """The device of the guide; it comes when the guide speaks of it."""

    def __init__(self, spine: Spine, reader: Reader, folder: Path) -> None:
        self._spine = spine
        self._reader = reader
        self._folder = folder
        self._device: Device | None = None

    def come(self) -> None:
        """Connect with the token that the reader made."""
        if self._device is None:
            with self._spine.client() as hub:
                (project,) = hub.list_projects()
            known = Project(project.id, self._reader.value("DEVICES"))
            self._device = Device.make(self._folder, self._spine, known, "echo hello; sleep 1000")
            self._device.start()

    def leave(self) -> None:
        """End it, if it is there."""
        if self._device is not None:
            self._device.kill()


async def _follow(isaax: Isaax, reader: Reader, guest: Guest) -> None:
    command = said = ""
    for kind, block in blocks(GUIDE):
        if kind == "sh":
            command = block
            if "devices list" in command:
                guest.come()
            if "--follow" not in command:
                said = await asyncio.to_thread(reader.type, command)
            continue
        if "--follow" in command:
            with isaax.following(*command.split()[1:]) as following:
                said = "\n".join(await asyncio.to_thread(following.read, 1))
                assert following.interrupt() == 130

        async def is_so(block: str = reader.own(block)) -> bool:
            nonlocal said
            if not as_told(block, said) and re.search(
                r" (list|show|status|logs|firing)", reader.typed
            ):
                said = await asyncio.to_thread(reader.again)
            return as_told(block, said)

        await until(is_so, what=f"{block}\nof {command}, which says\n{said}")
