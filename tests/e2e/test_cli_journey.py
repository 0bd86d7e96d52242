"""The whole way by the client alone: from nobody to a delivered line, and a lock on the way."""

import asyncio
import re
import secrets
from pathlib import Path

import pytest

from tests.deadline import until
from tests.e2e.test_accounts_journey import let_time_pass
from tests.fixtures.client import Done, Isaax
from tests.fixtures.destinations import http_receiver, webhook_texts
from tests.fixtures.people import PASSWORD
from tests.fixtures.spine import Device, Project, Spine

ADA, GRACE = "ada@example.com", "grace@example.com"
APP = "echo the first line; while [ ! -e {gate} ]; do sleep 0.05; done; echo the second; sleep 1000"


class Traveller:
    """Somebody with nothing but `isaax`, who reads their mails where the hub keeps them."""

    def __init__(self, spine: Spine, home: Path, email: str) -> None:
        home.mkdir()
        self.isaax = Isaax(home)
        self.email = email
        self.url = spine.api.base
        self._config = str(spine.folder / "hub.toml")

    def said(self, *arguments: str, given: str = "") -> str:
        """Run a command that is done, and give what it says."""
        return self.isaax.said(*arguments, given=given)

    async def link(self, kind: str) -> str:
        """Wait for a mail with a link of this kind, and give that."""
        found: list[str] = []

        def is_there() -> bool:
            listed = self.said("mail", "list", "--config", self._config)
            for identifier in re.findall(rf"(mai_\w+) .* {self.email} ", listed):
                mail = self.said("mail", "show", identifier, "--config", self._config)
                found.extend(re.findall(rf"http\S+/links/{kind}/\S+", mail))
            return bool(found)

        await until(is_there, what=f"a mail to {self.email} with a link to {kind}")
        return found[0]

    def log_in(self, password: str = PASSWORD) -> Done:
        """Try to log in."""
        return self.isaax.run(
            "login", self.url, "--email", self.email, "--password-stdin", given=password
        )

    async def sign_up(self, name: str) -> None:
        """Sign up, verify, and log in."""
        self.said("signup", self.url, "--email", self.email, "--name", name, "--password-stdin",
                  given=PASSWORD)  # fmt: skip
        assert self.log_in().returncode == 1, "the address is not verified yet"
        self.said("link", await self.link("verify"))
        assert self.log_in().returncode == 0


@pytest.fixture
def ada(spine: Spine, tmp_path: Path) -> Traveller:
    """Somebody new."""
    return Traveller(spine, tmp_path / "ada", ADA)


@pytest.mark.timeout(400)  # some seventy programs, one after the other
async def test_from_nobody_to_a_delivered_line(
    spine: Spine, ada: Traveller, tmp_path: Path
) -> None:
    await ada.sign_up("Ada")
    await is_locked_out_and_unlocks(spine, ada)
    ada.said("projects", "create", "greenhouse", "--use")
    await a_colleague_comes(spine, ada, tmp_path)
    await a_program_looks_on(ada)
    await a_line_is_delivered(spine, ada, tmp_path)


async def is_locked_out_and_unlocks(spine: Spine, ada: Traveller) -> None:
    ada.said("logout")
    told = []
    for _ in range(10):
        await let_time_pass(spine)
        told.append(ada.log_in(secrets.token_hex(8)))
    assert [one.returncode for one in told] == [3] * 9 + [1]
    assert "9 attempts left" in told[0].stderr
    assert re.search(r"locked until \d\d:\d\d", told[9].stderr)
    assert ada.log_in().returncode == 1, "the right password does not help now"
    ada.said("link", await ada.link("unlock"))
    assert ada.log_in().returncode == 0


async def a_colleague_comes(spine: Spine, ada: Traveller, tmp_path: Path) -> None:
    grace = Traveller(spine, tmp_path / "grace", GRACE)
    ada.said("invitations", "create", GRACE, "--role", "viewer")
    invitation = await grace.link("invitation")
    grace.said("link", invitation, "--name", "Grace", "--password-stdin", given=PASSWORD)
    assert grace.log_in().returncode == 0
    assert "greenhouse" in grace.said("projects", "list")
    assert grace.isaax.run("projects", "create", "mine").returncode == 1
    assert re.search(rf"{GRACE}\s+Grace\s+viewer", ada.said("members", "list"))


async def a_program_looks_on(ada: Traveller) -> None:
    token = ada.said("api-tokens", "create", "program", "--scope", "projects:read").strip()
    program = {"ISAAX_URL": ada.url, "ISAAX_TOKEN": token}
    assert "greenhouse" in ada.isaax.said("projects", "list", **program)
    refused = ada.isaax.run("devices", "list", "--project", "greenhouse", **program)
    assert "Use a token that has devices:read" in refused.stderr


async def a_line_is_delivered(spine: Spine, ada: Traveller, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with http_receiver(webhook_texts, {}) as receiver:
        url = f"url={receiver.config['url']}"
        tried = await asyncio.to_thread(
            ada.said, "integrations", "test", "--type", "webhook", "--set", url
        )
        assert tried.startswith("outcome  taken")
        ada.said("integrations", "create", "webhook", "--set", url)
        (project,) = re.findall(r"prj_\w+", ada.said("projects", "show"))
        token = ada.said("tokens", "create").strip()
        app = APP.format(gate=gate)
        device = Device.make(tmp_path / "device", spine, Project(project, token), app)
        device.start()
        try:
            await until(lambda: "the first line" in ada.said("logs"), what="the first line")
            assert re.search(r"dev_\w+ .* active  online", ada.said("devices", "list"))
            with ada.isaax.following("logs", "--follow", "--stream", "app") as following:
                assert "the first line" in following.read(1)[0]
                gate.touch()
                assert "the second" in following.read(2)[1]
                assert following.interrupt() == 130
            wanted = ["the first line", "the second"]
            await until(
                lambda: [one for one in receiver.taken() if one in wanted] == wanted,
                what="the lines at the receiver",
            )
        finally:
            device.stop()
        listed = await asyncio.to_thread(ada.said, "integrations", "list")
    assert re.search(r"webhook\s+webhook\s+(delivering|waiting)", listed)
