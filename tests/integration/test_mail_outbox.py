"""The local outbox as its readers have it: pages in a browser on this machine, and the terminal."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from hub.settings import MailSettings
from services.mail.commands import app
from services.mail.routes import routes
from tests.fixtures.gateway import OnBus, RunSite, Site
from tests.fixtures.mail import mail_server
from tests.fixtures.office import Office, through

HOSTILE = "<script>alert('1')</script>"
LINK = "https://hub.example.com/verify?a=1&b=2"


@asynccontextmanager
async def outbox(run_site: RunSite, office: Office) -> AsyncIterator[Site]:
    """Run a gateway with the pages, beside a hub without a mail server."""
    async with (
        office.hub(MailSettings()),
        run_site(outbox=OnBus(routes(), office.bus)) as site,
    ):
        yield site


async def test_the_page_lists_what_stays_and_leads_to_each(
    run_site: RunSite, office: Office
) -> None:
    """The newest first, escaped, and without a script."""
    async with outbox(run_site, office) as site:
        async with site.http.get(f"{site.url}/outbox") as answer:
            assert "There is no mail" in await answer.text()
        first = await office.send(subject="one")
        await office.until_state(first, "kept")
        second = await office.send(subject=HOSTILE, kind="accounts.verify")
        await office.until_state(second, "kept")
        async with site.http.get(f"{site.url}/outbox") as answer:
            page = await answer.text()
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Cache-Control"] == "no-store"
            policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert re.findall(r'href="/outbox/(\w+)"', page) == [second, first]
    assert "&lt;script&gt;" in page
    assert "<script" not in page


async def test_a_mail_is_shown_as_text_with_its_links_and_as_html_in_a_sandbox(
    run_site: RunSite, office: Office
) -> None:
    """The frame has no origin, and runs nothing."""
    async with outbox(run_site, office) as site:
        identifier = await office.send(
            text=f"Open {LINK} now.\n{HOSTILE}\n", html=f'<a href="{LINK}">{HOSTILE}</a>'
        )
        await office.until_state(identifier, "kept")
        async with site.http.get(f"{site.url}/outbox/{identifier}") as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "frame-src 'self'" in answer.headers["Content-Security-Policy"]
        async with site.http.get(f"{site.url}/outbox/{identifier}/html") as answer:
            html = await answer.text()
            policy = answer.headers["Content-Security-Policy"].split("; ")
    assert f'href="{LINK.replace("&", "&amp;")}"' in page
    assert "<script" not in page
    (frame,) = re.findall(r"<iframe [^>]*>", page)
    assert f'src="/outbox/{identifier}/html"' in frame
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in frame
    assert html == f'<a href="{LINK}">{HOSTILE}</a>'
    assert "sandbox allow-popups allow-popups-to-escape-sandbox" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("path", ["", "/{id}", "/{id}/html"])
@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "evil.example"},  # a page of that name, whose name turned into our address
        {"Host": "evil.example:7800"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost@evil.example"},
        {"Host": "[::1"},
    ],
    ids=lambda headers: " ".join(next(iter(headers.items()))),
)
async def test_nobody_elsewhere_reads_a_mail(
    run_site: RunSite, office: Office, path: str, headers: dict[str, str]
) -> None:
    """Neither through a proxy, nor by a browser that was lured to another name."""
    async with outbox(run_site, office) as site:
        identifier = await office.send()
        await office.until_state(identifier, "kept")
        url = f"{site.url}/outbox{path.format(id=identifier)}"
        async with site.http.get(url) as answer:
            assert answer.status == 200
        async with site.http.get(url, headers=headers) as answer:
            text = await answer.text()
            assert answer.status in {400, 403}
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert "s3cr3t" not in text
    assert "reader@example.com" not in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7800", "127.0.0.1:1", "[::1]:7800"])
async def test_this_machine_may_name_itself_as_it_likes(
    run_site: RunSite, office: Office, host: str
) -> None:
    """By a name or an address that is the loopback's."""
    async with (
        outbox(run_site, office) as site,
        site.http.get(f"{site.url}/outbox", headers={"Host": host}) as answer,
    ):
        assert answer.status == 200


async def test_a_mail_that_is_not_there_is_404(run_site: RunSite, office: Office) -> None:
    """As is one that waits, is sent, or was given up."""
    async with (
        outbox(run_site, office) as site,
        site.http.get(f"{site.url}/outbox/mai_none") as answer,
    ):
        assert answer.status == 404


# ── at the terminal ───────────────────────────────────────────────────────────────────────────

Isaax = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def isaax(office: Office, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Isaax:
    """Run `isaax mail …` as the operator of the office."""
    key = tmp_path / "vault.key"
    key.write_bytes(base64.b64encode(office.key))
    key.chmod(0o600)
    for name in ("host", "port", "database", "user"):
        monkeypatch.setenv(f"ISAAX_POSTGRES_{name.upper()}", str(getattr(office.settings, name)))
    monkeypatch.setenv("ISAAX_POSTGRES_PASSWORD", office.settings.password.reveal())
    monkeypatch.setenv("ISAAX_VAULT_KEY_FILE", str(key))

    async def run(*arguments: str) -> tuple[int, str]:
        with capture_logs():  # those of the hubs beside it are not the command's
            result = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return result.exit_code, result.output or str(result.exception)

    return run


async def test_the_operator_sends_a_test_mail_and_learns_what_came_of_it(
    office: Office, isaax: Isaax, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept, taken, or refused with the server's words."""
    async with office.hub(MailSettings()):
        code, said = await isaax("test", "ops@example.com", "--locale", "ja")
    assert code == 0
    found = re.search(r"it waits at http://127\.0\.0\.1:7800/outbox/(mai_\w+)", said)
    assert found
    assert "Isaaxハブ" in (await office.mails.show(found[1])).head.subject
    async with mail_server() as server:
        settings = through(server)
        for name in ("host", "port", "security", "sender"):
            monkeypatch.setenv(f"ISAAX_MAIL_{name.upper()}", str(getattr(settings, name)))
        async with office.hub(settings):
            code, said = await isaax("test", "ops@example.com")
            assert (code, said.endswith(f"localhost:{settings.port} took it\n")) == (0, True)
            server.answers = [("DATA", "554 no thanks")]
            code, said = await isaax("test", "ops@example.com")
            assert (code, "was given up: localhost" in said) == (1, True)
            assert "554 no thanks" in said
            await server.end()
            code, said = await isaax("test", "ops@example.com")
            assert (code, "refused the connection" in said) == (1, True)
    assert (await isaax("test", "no address"))[0] == 1


async def test_the_operator_lists_shows_and_retries(office: Office, isaax: Isaax) -> None:
    """All of it without the hub."""
    assert await isaax("list") == (0, "no mails\n")
    async with mail_server() as server:
        async with office.hub(through(server)):
            server.answers = [("DATA", "550 nobody\x1b[31m here")]
            lost = await office.send(subject="lost\x1b[31m")
            await office.until_state(lost, "failed")
            await server.end()
            waits = await office.send()
            await office.until_tried(waits)
        code, said = await isaax("list")
        assert code == 0
        assert "\x1b" not in said
        rows = [line.split() for line in said.splitlines()]
        assert [row[:2] for row in rows[::2]] == [[waits, "waiting"], [lost, "failed"]]
        assert {row[0] for row in rows[1::2]} == {"attempt"}
        assert said.endswith("answered 550 nobody␛[31m here\n")
        _, said = await isaax("list", "--state", "failed")
        assert said.startswith(f"{lost}  failed ")
        assert waits not in said
        assert (await isaax("list", "--state", "lost"))[0] == 2
        code, said = await isaax("show", waits)
        assert code == 0
        assert "token=s3cr3t-in-the-link" in said
        assert "next try:" in said
        assert (await isaax("show", waits, "--html"))[1].startswith("<p><a href=")
        assert (await isaax("show", "mai_none"))[0] == 1
        assert (await isaax("retry"))[0] == 2
        assert (await isaax("retry", waits, "--all"))[0] == 2
        assert (await isaax("retry", "mai_none"))[0] == 1
        assert await isaax("retry", "--all") == (0, "2 to be tried again\n")
        await server.start(None, "none", server.config["port"])
        async with office.hub(through(server)):
            for one in (lost, waits):
                await office.until_state(one, "sent")
    assert "(its content is deleted)" in (await isaax("show", waits))[1]
