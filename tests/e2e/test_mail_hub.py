"""The hub's own mails, by `isaax serve` as an operator runs it."""

import asyncio
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.mail import MailServer
from tests.fixtures.spine import ROOT, Spine, running_spine


async def isaax(spine: Spine, *arguments: str) -> tuple[int, str]:
    """Run `isaax mail …` beside the hub."""
    command = [sys.executable, "-P", "-m", "hub.cli", "mail", *arguments]
    command += ["--config", str(spine.folder / "hub.toml")]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def ask(url: str, headers: Mapping[str, str] = {}) -> tuple[int, str]:
    """Get a page."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers))) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_without_a_server_a_mail_waits_where_the_log_says(spine: Spine) -> None:
    """From the command, through outbox, JetStream and table, to the page."""
    code, said = await isaax(spine, "test", "ops@example.com")
    assert code == 0, said
    (url,) = re.findall(r"it waits at (\S+)", said)
    assert f"a mail to ops@example.com waits at {url}" in spine.log
    status, page = ask(url)
    assert status == 200
    assert "A test mail from your Isaax hub" in page
    assert url.rpartition("/")[2] in ask(url.rpartition("/")[0])[1]
    assert ask(url, {"X-Forwarded-For": "192.0.2.7"})[0] == 403
    assert url.rpartition("/")[2] in (await isaax(spine, "list"))[1]


@pytest.fixture
def mailing() -> Iterator[Spine]:
    """A hub whose mail server is not there yet."""
    mail = {
        "host": "localhost", "port": free_port(), "security": "none",
        "sender": "Isaax <hub@example.com>",
    }  # fmt: skip
    with running_spine({"mail": mail}) as running:
        yield running


async def test_a_hub_that_is_killed_while_the_server_takes_a_mail_sends_it_again(
    mailing: Spine,
) -> None:
    """The server has it, the hub knows nothing of it: it comes twice, as one."""
    server = MailServer({}, None)
    await server.start(None, "none", mailing.extra["mail"]["port"])
    try:
        server.stall()
        testing = asyncio.create_task(isaax(mailing, "test", "ops@example.com"))
        await until(lambda: server.waiting == 1, what="the mail at the server")
        mailing.kill_hub()
        server.go_on()
        await until(lambda: len(server.mails) == 1, what="the server's copy")
        await asyncio.to_thread(mailing.start_hub)
        await until(lambda: len(server.mails) == 2, what="the mail again", timeout=60)
        await testing

        async def is_sent() -> bool:
            return " sent " in (await isaax(mailing, "list"))[1]

        await until(is_sent, what="the mail to be sent")
    finally:
        await server.end()
    first, again = server.mails
    assert first["Message-ID"] == again["Message-ID"]
    assert first.as_bytes() == again.as_bytes()
