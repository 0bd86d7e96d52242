"""A person's life on a hub as it is run, and nothing secret of it in the log or the database."""

import re
import secrets
from collections.abc import Iterator

import pytest

from hub.database import Database
from hub.mail.postbox import Postbox
from hub.outbox import Outbox
from hub.settings import Settings
from hub.vault import Vault
from services.mail.contracts import MailShown
from services.mail.rules import Mails
from tests.deadline import until
from tests.fixtures.lobby import Visitor
from tests.fixtures.spine import Spine, running_spine

_LINK = re.compile(r"https?://[^/\s]+(/links/(\w+)/([\w-]+)\?lang=\w+)")
ADA = "ada@example.com"
FIRST, SECOND, THIRD = "tired violet lantern", "nine purple envelopes", "a thirsty brass kettle"


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """A hub behind a proxy on this machine, as the tests are."""
    extra = {"http": {"trusted_proxies": ["127.0.0.0/8"]}, "hub": {"log_level": "debug"}}
    with running_spine(extra) as running:
        yield running


async def mails(spine: Spine, kind: str) -> list[MailShown]:
    """Give Ada's mails of a kind, the oldest first."""
    vault = Vault.open_keys(spine.embedded.settings(Settings()).vault)
    async with Database.open(spine.embedded.postgres.settings) as database:
        found = Mails(database, Postbox(Outbox(None), vault))
        heads = (await found.list(["kept"], 1000)).items
        wanted = [head.id for head in reversed(heads) if head.kind == f"accounts.{kind}"]
        return [await found.show(identifier) for identifier in wanted]


async def links(spine: Spine, kind: str, number: int = 1) -> list[tuple[str, str]]:
    """Wait for the so-manieth mail of a kind, and give path and token of its links."""

    async def is_there() -> bool:
        return len(await mails(spine, kind)) >= number

    await until(is_there, what=f"mail {number} {kind}")
    text = (await mails(spine, kind))[number - 1].text
    return [(path, token) for path, _, token in _LINK.findall(text)]


async def test_a_life(spine: Spine) -> None:
    """Sign up, verify, log in, make a token, be locked out, unlock, forget, move, leave."""
    ada = Visitor(spine.http, "203.0.113.7", email=ADA, password=FIRST)
    hidden = [FIRST, SECOND, THIRD]
    signed_up = ada.ask("POST", "/users", {"email": ADA, "password": FIRST, "name": "Ada"})
    assert signed_up.status == 202
    ((verify, token),) = await links(spine, "verify")
    hidden.append(token)
    for method in ("GET", "HEAD", "OPTIONS"):
        assert ada.send(method, verify).status in {200, 204}
    assert ada.send("GET", verify.replace("?", "/?")).status == 404
    assert ada.send("GET", verify.replace("/links", "/link")).status == 404
    assert ada.form(verify).status == 200
    assert ada.log_in(cookie=True).status == 201
    hidden += [ada.cookies["session"], ada.cookies["known"], ada.csrf]
    made = ada.ask("POST", "/api-tokens", {"name": "program", "scopes": ["*"]})
    assert made.status == 201
    hidden.append(made.body["token"])
    program = Visitor(spine.http, "203.0.113.8", token=made.body["token"])
    assert program.ask("POST", "/projects", {"name": "greenhouse"}).status == 201
    assert ada.ask("DELETE", "/sessions/current").status == 204
    await locked_and_unlocked(spine, hidden)
    await forgotten(spine, hidden)
    await moved(spine, hidden)
    assert program.ask("GET", "/projects").status == 200
    assert '"path":"/links/{kind}/{link}"' in spine.log
    assert [secret for secret in hidden if secret[:24] in spine.log] == []
    dump = await dumped(spine)
    assert [secret for secret in hidden if secret[:24] in dump] == []
    assert "Ada" in dump


async def locked_and_unlocked(spine: Spine, hidden: list[str]) -> None:
    stranger = Visitor(spine.http, "198.51.100.1", email=ADA)
    for _ in range(10):
        answer = stranger.log_in(secrets.token_hex(8))
        await let_time_pass(spine)
    assert (answer.status, answer.body["type"]) == (403, "/problems/locked")
    ada = Visitor(spine.http, "203.0.113.9", email=ADA, password=FIRST)
    assert ada.log_in().status == 403
    (unlock, token), (_, reset_token) = await links(spine, "locked")
    hidden += [token, reset_token]
    assert ada.send("GET", unlock).status == 200
    assert ada.log_in().status == 403
    assert ada.form(unlock).status == 200
    assert ada.log_in().status == 201
    hidden += [ada.token, ada.cookies["known"]]


async def forgotten(spine: Spine, hidden: list[str]) -> None:
    ada = Visitor(spine.http, "203.0.113.7", email=ADA, password=SECOND)
    assert ada.ask("POST", "/password-resets", {"email": ADA}).status == 202
    ((reset, token),) = await links(spine, "reset")
    hidden.append(token)
    assert ada.form(reset, password="short").status == 422
    assert ada.form(reset, password=SECOND).status == 200
    assert ada.log_in().status == 201
    body = {"current_password": SECOND, "new_password": THIRD}
    assert ada.ask("PUT", "/users/me/password", body).status == 204
    hidden.append(ada.token)


async def moved(spine: Spine, hidden: list[str]) -> None:
    ada = Visitor(spine.http, "203.0.113.7", email=ADA, password=THIRD)
    assert ada.log_in().status == 201
    body = {"email": "ada@example.org", "password": THIRD}
    assert ada.ask("POST", "/email-changes", body).status == 202
    ((_, token),) = await links(spine, "email-new")
    assert ada.ask("POST", "/email-changes/redeem", {"token": token}).status == 204
    hidden += [token, ada.token]
    assert ada.ask("GET", "/users/me").body["email"] == "ada@example.org"


async def let_time_pass(spine: Spine) -> None:
    """Let the waits between attempts be over, but not a lock."""
    async with (
        Database.open(spine.embedded.postgres.settings) as database,
        database.system() as tx,
    ):
        await tx.raw.execute("UPDATE accounts_attempt SET until = now() WHERE failures < 10")


async def dumped(spine: Spine) -> str:
    """Give all rows of all tables as text."""
    async with (
        Database.open(spine.embedded.postgres.settings) as database,
        database.system() as tx,
    ):
        tables = await tx.raw.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'schema_migrations'"
        )
        names = [str(table["relname"]) for table in tables]
        return "\n".join([str(await tx.raw.fetch(f'SELECT * FROM "{one}"')) for one in names])
