"""Mails on real parts: what is sent, what each answer means, and what a crash leaves."""

import asyncio
import base64
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from hub.contracts import EventInfo
from hub.database import Query
from hub.embedded.postgres import Postgres
from hub.errors import Invalid, NotFound, Unavailable
from hub.mail.postbox import MAIL_REQUESTED, MailRequested, Postbox
from hub.messaging.jetstream import EVENTS
from hub.outbox import Outbox
from hub.secret import Secret
from hub.settings import MailSettings
from hub.vault import SealBroken, Vault
from services.mail import contracts as c
from services.mail.carriers import Letter, SmtpCarrier
from services.mail.store import MOST_KEPT, Store
from tests.deadline import until
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import server_tls
from tests.fixtures.mail import MailServer, mail_server
from tests.fixtures.office import HTTP, QUICK, Office, mail, through

NOWHERE = MailSettings()
LINK = "https://hub.example.com/unlock?token=s3cr3t-in-the-link"
SEALED = Query.parse("sealed", "SELECT sealed FROM mail_message WHERE id = :id")


def texts(server: MailServer, index: int = 0) -> tuple[str, str]:
    """Give a mail's text and HTML."""
    plain, html = (server.mails[index].get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


# ── what is sent ──────────────────────────────────────────────────────────────────────────────


async def test_a_mail_leaves_with_its_transaction_and_its_content_is_deleted(
    office: Office,
) -> None:
    """Headers, both forms, and afterwards a row that says no more than that it was sent."""
    async with mail_server() as server, office.hub(through(server, reply_to="ops@example.com")):
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a transaction is a block
            async with office.database.system() as tx:
                await office.postbox.send(tx, mail(subject="undone"), key="reader")
                raise ZeroDivisionError
        identifier = await office.send()
        head = await office.until_state(identifier, "sent")
        assert await office.head(identifier) == head
    (sent,) = server.mails
    assert sent["From"] == "Isaax <hub@example.com>"
    assert sent["To"] == "reader@example.com"
    assert sent["Reply-To"] == "ops@example.com"
    assert sent["Subject"] == "Unlock your account"
    assert sent["Message-ID"] == f"<{identifier}@example.com>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Content-Language"] == "en"
    assert server.recipients == [["reader@example.com"]]
    text, html = texts(server)
    assert LINK in text
    assert f'href="{LINK}"' in html
    async with office.database.system() as tx:
        assert await tx.one(SEALED, bytes, id=identifier) == b""
    shown = await office.mails.show(identifier)
    assert (shown.text, shown.html, shown.head.to) == ("", "", "")
    assert office.counted('isaax_mail_sent_total{kind="accounts.unlock"}') == 1
    assert office.counted("isaax_mail_server_up") == 1


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_it_logs_in_over_tls(
    office: Office,
    mode: str,
    authority: TestAuthority,
    local_certificate: Pair,
    tmp_path: Path,
) -> None:
    """With the operator's own authority."""
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    tls = server_tls(local_certificate)
    async with mail_server(tls, user=("hub", "hush-hush"), tls=mode) as server:
        settings = through(
            server, security=mode, username="hub", password=Secret("hush-hush"), ca=ca
        )
        async with office.hub(settings):
            await office.until_state(await office.send(), "sent")
    assert len(server.logins) == 1


async def test_a_mail_of_an_account_is_sealed_by_its_key(office: Office) -> None:
    """With that key gone, nothing that is left of the mail anywhere can be opened."""
    identifier = await office.send("acc_one")
    other = await office.send()
    async with mail_server() as server:
        await server.end()
        async with office.hub(through(server)):
            assert (await office.until_tried(identifier)).account == "acc_one"
            assert (await office.until_tried(other)).account == ""
            async with office.database.system() as tx:
                await tx.raw.execute("DELETE FROM vault_data_keys WHERE account = 'acc_one'")
            with pytest.raises(SealBroken):
                await office.mails.show(identifier)
            assert LINK in (await office.mails.show(other)).text


async def test_one_that_is_no_address_is_refused_at_once(office: Office) -> None:
    """It would never arrive, and might bring a header of its own."""
    for address in ("nobody", "a@example.com\nBcc: b@example.com", "a@b, c@d", "<a@b>"):
        with pytest.raises(Invalid):
            await office.send(to=address)


# ── what is answered ──────────────────────────────────────────────────────────────────────────


async def test_451_comes_again_as_the_same_mail(office: Office) -> None:
    """RFC 5321, 4.2.1; greylisting answers so."""
    async with mail_server() as server, office.hub(through(server)):
        server.answers = [
            ("RCPT reader@example.com", "450 greylisted"), ("DATA", "451 try later"),
        ]  # fmt: skip
        identifier = await office.send()
        head = await office.until_state(identifier, "sent")
    assert head.attempts == 3
    assert len(server.mails) == 1
    assert office.counted('isaax_mail_failures_total{kind="accounts.unlock"}') == 2
    assert office.counted('isaax_mail_given_up_total{kind="accounts.unlock"}') == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("RCPT reader@example.com", "reader@example.com was refused: 550 nobody here"),
        ("DATA", "answered 550 nobody here"),
    ],
)
async def test_550_is_final_and_says_so(office: Office, command: str, said: str) -> None:
    """It is given up, and stays for the operator, who may have it tried again."""
    async with mail_server() as server, office.hub(through(server)):
        server.answers = [(command, "550 nobody here")]
        with capture_logs() as logs:
            identifier = await office.send()
            head = await office.until_state(identifier, "failed")
        assert said in head.error
        assert head.attempts == 1
        assert [one["log_level"] for one in logs if one["event"] == "mail given up"] == ["error"]
        assert office.counted('isaax_mail_given_up_total{kind="accounts.unlock"}') == 1
        await until(lambda: office.counted('isaax_mail_messages{state="failed"}') == 1)
        assert LINK in (await office.mails.show(identifier)).text
        assert await office.mails.retry(identifier) == 1
        await office.until_state(identifier, "sent")
    assert len(server.mails) == 1


async def test_a_wrong_password_is_the_operators_to_mend_and_mails_wait(
    office: Office, authority: TestAuthority, local_certificate: Pair, tmp_path: Path
) -> None:
    """535 says nothing of the mail; the password is in no error."""
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.pem)
    tls = server_tls(local_certificate)
    async with mail_server(tls, user=("hub", "right-one"), tls="starttls") as server:

        def settings(password: str) -> MailSettings:
            return through(
                server, security="starttls", username="hub", password=Secret(password), ca=ca
            )

        async with office.hub(settings("wrong-one")):
            identifier = await office.send()
            head = await office.until_tried(identifier, 2)
            assert head.state == "waiting"
            assert "535" in head.error
            assert "wrong-one" not in head.error
            assert office.counted("isaax_mail_server_up") == 0
        async with office.hub(settings("right-one")):
            await office.until_state(identifier, "sent")


async def test_a_server_that_was_away_gets_what_waited(office: Office) -> None:
    """Every mail, each once."""
    async with mail_server() as server:
        port = server.config["port"]
        await server.end()
        async with office.hub(through(server)):
            identifiers = [await office.send() for _ in range(6)]
            for one in identifiers:
                assert "refused the connection" in (await office.until_tried(one)).error
            await server.start(None, "none", port)
            for one in identifiers:
                await office.until_state(one, "sent")
    assert Counter(str(one["Message-ID"]) for one in server.mails) == Counter(
        f"<{one}@example.com>" for one in identifiers
    )


async def test_a_mail_whose_link_has_expired_is_given_up(office: Office) -> None:
    """It is tried once more when its time is over, and never again."""
    async with mail_server() as server:
        await server.end()
        async with office.hub(through(server)):
            identifier = await office.send(valid_for=0.5)
            head = await office.until_state(identifier, "failed")
    assert "refused the connection" in head.error
    assert server.mails == []


async def test_one_that_does_not_open_holds_up_no_other(office: Office) -> None:
    """Sealed by a key that this hub does not have."""
    stranger = Postbox(Outbox(None), Vault(b"x" * 32))
    async with mail_server() as server:
        async with office.database.transaction(account="acc_other") as tx:
            shut = await stranger.send(tx, mail(subject="shut"), key="k")
        async with office.hub(through(server)):
            other = await office.send()
            await office.until_state(other, "sent")
            head = await office.until_tried(shut)
            assert (head.state, head.subject) == ("waiting", "")
            assert "does not open" in head.error
            listed = await office.mails.list(["waiting", "sent"], 10)
            assert {one.id for one in listed.items} == {shut, other}
    assert len(server.mails) == 1


# ── crashes, and several hubs ─────────────────────────────────────────────────────────────────


class _Crash(BaseException):
    """The process ends here: nothing after this is done."""


class _DiesAfterwards(SmtpCarrier):
    """Hands over its first mail, and does not live to note it."""

    lived = False

    async def carry(self, letter: Letter) -> None:
        await super().carry(letter)
        if not self.lived:
            self.lived = True
            raise _Crash


async def test_a_crash_after_the_server_took_it_sends_it_twice_with_one_id(
    office: Office,
) -> None:
    """Never lost; and to the byte the same, so that the second can be told."""
    tuning = replace(QUICK, lease=0.3)
    async with mail_server() as server:
        settings = through(server)
        async with office.hub(settings, tuning=tuning, carrier=_DiesAfterwards(settings)):
            identifier = await office.send()
            await office.until_state(identifier, "sent")
    first, again = server.mails
    assert first["Message-ID"] == f"<{identifier}@example.com>"
    assert first.as_bytes() == again.as_bytes()


async def test_many_mails_through_two_hubs_are_each_sent_once(office: Office) -> None:
    """They lease from one table."""
    async with mail_server() as server, AsyncExitStack() as hubs:
        for _ in range(2):
            await hubs.enter_async_context(office.hub(through(server)))
        async with office.database.system() as tx:
            sent = [
                await office.postbox.send(tx, mail(subject=f"number {n}"), key=f"k{n}")
                for n in range(40)
            ]
        for one in sent:
            await office.until_state(one, "sent")
    assert Counter(str(one["Message-ID"]) for one in server.mails) == Counter(
        f"<{one}@example.com>" for one in sent
    )


async def test_a_lease_is_renewed_for_as_long_as_the_server_takes(office: Office) -> None:
    """A slow server gets no mail twice."""
    tuning = replace(QUICK, lease=0.5)
    async with mail_server() as server, AsyncExitStack() as hubs:
        server.stall()
        for _ in range(2):
            await hubs.enter_async_context(office.hub(through(server), tuning=tuning))
        identifier = await office.send()
        await until(lambda: server.waiting == 1)
        first = await office.head(identifier)

        async def renewed() -> bool:
            return ((await office.head(identifier)).due_at - first.due_at).total_seconds() > 1

        await until(renewed, what="a lease that ends a second later")
        assert (await office.head(identifier)).attempts == 1
        server.go_on()
        await office.until_state(identifier, "sent")
    assert len(server.mails) == 1


async def test_a_hub_that_ends_gives_back_what_takes_too_long(office: Office) -> None:
    """Another sends it at once, without waiting for the lease to end."""
    tuning = replace(QUICK, grace=0.1)
    async with mail_server() as server:
        server.stall()
        async with office.hub(through(server), tuning=tuning):
            identifier = await office.send()
            await until(lambda: server.waiting == 1)
        head = await office.head(identifier)
        assert (head.state, head.at_work) == ("waiting", False)
        await server.end()
        await server.start(None, "none", server.config["port"])
        async with office.hub(through(server)):
            await office.until_state(identifier, "sent")


async def test_an_event_that_comes_twice_is_taken_once(office: Office) -> None:
    """Its inbox remembers it, even when the mail is gone already."""
    event = MailRequested("mai_a", "acc_a", "test.kind", 2_000_000_000_000_000, b"sealed")
    info = EventInfo("0b0e7f0c-5a0e-4ab1-9f3c-0f4c3a2b1d00", "k", 1)
    await office.mails.take(event, info)
    await office.mails.forget("acc_b")
    assert await office.mails.head("mai_a") is not None
    await office.mails.forget("acc_a")
    await office.mails.take(event, info)
    assert await office.mails.head("mai_a") is None


async def test_mails_go_on_when_postgres_was_away(
    office: Office, postgres_server: Postgres
) -> None:
    """The hub waits for it, and ends for nothing."""
    async with mail_server() as server, office.hub(through(server)):
        await office.until_state(await office.send(), "sent")
        postgres_server.kill()
        await postgres_server.restart()
        sent: list[str] = []

        async def accepted() -> bool:
            with suppress(Unavailable):
                sent.append(await office.send())
            return bool(sent)

        await until(accepted, what="Postgres")
        await until(lambda: len(server.mails) >= 2, what="the mail")
    assert str(server.mails[-1]["Message-ID"]) == f"<{sent[-1]}@example.com>"


# ── what lies where ───────────────────────────────────────────────────────────────────────────


def files_with(folder: Path, needles: list[bytes]) -> Iterator[bytes]:
    """Give those of the needles that are somewhere in the files of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield from (needle for needle in needles if needle in data)


async def test_a_mail_is_nowhere_in_clear(
    office: Office, nats_client: Client, parts_folder: Path, unique: str
) -> None:
    """Not in the files of Postgres, its log of changes among them, nor in those of JetStream."""
    link, address = f"https://hub.example.com/{unique}-link", f"{unique}@example.com"
    forms = [link, address, f"Subject {unique}", *_in_base64(link)]
    async with mail_server() as server:
        await server.end()
        with capture_logs() as logs:
            async with office.hub(through(server)):
                identifier = await office.send(
                    to=address, text=f"Open {link} now.", html="", subject=f"Subject {unique}"
                )
                await office.until_tried(identifier)
    stored = await nats_client.jetstream().stream_info(
        EVENTS, subjects_filter=MAIL_REQUESTED.wire_subject
    )
    assert stored.state.subjects == {MAIL_REQUESTED.wire_subject: 1}
    async with office.database.system() as tx:
        rows = await tx.raw.fetch("SELECT * FROM mail_message")
    assert identifier in repr(rows)
    needles = [form.encode() for form in (*forms, identifier)]
    for part in ("postgres", "nats"):
        found = await asyncio.to_thread(lambda: {*files_with(parts_folder / part, needles)})  # noqa: B023
        assert found == {identifier.encode()}, part
    said = repr([rows, logs, await office.head(identifier)])
    assert [form for form in forms if form in said] == []


def _in_base64(text: str) -> list[str]:
    """Give what a text looks like in base64, wherever it begins, without its ends."""
    return [
        base64.b64encode(b"." * start + text.encode()).decode()[4:-4].rstrip("=")
        for start in range(3)
    ]


# ── the local outbox ──────────────────────────────────────────────────────────────────────────


async def test_without_a_server_mails_stay_and_the_log_says_where(office: Office) -> None:
    """A line for each, without a secret."""
    with capture_logs() as logs:
        async with office.hub(NOWHERE):
            identifier = await office.send()
            await office.until_state(identifier, "kept")
            await until(lambda: any("waits at" in one["event"] for one in logs))
    (line,) = [one["event"] for one in logs if "waits at" in one["event"]]
    assert line == (
        f"a mail to reader@example.com waits at http://127.0.0.1:{HTTP.port}/outbox/{identifier}"
    )
    assert "s3cr3t" not in repr(logs)
    shown = await office.mails.show(identifier)
    assert LINK in shown.text


async def test_what_stayed_is_sent_when_somebody_says_so_and_never_by_itself(
    office: Office,
) -> None:
    """Its links may be old by the time that there is a server."""
    async with office.hub(NOWHERE):
        first, second = await office.send(), await office.send()
        for one in (first, second):
            await office.until_state(one, "kept")
    assert await office.mails.retry() == 0
    async with mail_server() as server, office.hub(through(server)):
        assert await office.mails.retry(second) == 1
        await office.until_state(second, "sent")
    assert (await office.head(first)).state == "kept"
    assert len(server.mails) == 1


async def test_only_so_many_stay_and_only_so_long(office: Office) -> None:
    """The newest."""
    store = Store(office.database, office.postbox)
    async with office.database.system() as tx:
        await tx.raw.execute(
            "INSERT INTO mail_message (id, account, kind, sealed, state, give_up_at, created_at) "
            "SELECT 'mai_' || n, '', 'k', '', 'kept', now(), now() - make_interval(days => CASE "
            "WHEN n > 250 THEN 8 ELSE 0 END) FROM generate_series(1, 253) AS n"
        )
    await store.tidy()
    kept = (await office.mails.list(["kept"], 1_000)).items
    # Of the newest 200 the last three are too old.
    assert len(kept) == MOST_KEPT - 3
    assert kept[0].id == "mai_250"


async def test_what_was_sent_or_given_up_is_forgotten_in_time(office: Office) -> None:
    """A day, and a week."""
    async with office.database.system() as tx:
        await tx.raw.execute(
            "INSERT INTO mail_message (id, account, kind, sealed, state, give_up_at, changed_at) "
            "SELECT state || n, '', 'k', '', state, now(), now() - make_interval(days => n) "
            "FROM unnest(ARRAY['sent', 'failed', 'waiting']) AS state, generate_series(0, 9) AS n"
        )
    await Store(office.database, office.postbox).tidy()
    left = (await office.mails.list(["sent", "failed", "waiting"], 100)).items
    assert Counter(one.state for one in left) == {"sent": 1, "failed": 7, "waiting": 10}


async def test_who_waits_is_shown_to_nobody_where_mails_do_leave(office: Office) -> None:
    """The page is for hubs without a mail server: elsewhere it would show others' links."""
    async with mail_server() as server:
        await server.end()
        async with office.hub(through(server)):
            identifier = await office.send()
            await office.until_tried(identifier)
            with pytest.raises(NotFound, match="isaax mail list"):
                await office.bus.request(c.OUTBOX_MAIL, c.OneMail(identifier))
    async with office.hub(MailSettings(outbox=False)):
        with pytest.raises(NotFound, match=r"mail\.outbox is off"):
            await office.bus.request(c.OUTBOX_MAIL, c.OneMail(identifier))
