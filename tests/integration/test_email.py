"""E-mail digests through a real mail server: what is mailed, and what each answer means."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import pytest

from hub import structs
from hub.batches import Batch
from hub.errors import Invalid
from hub.net import tools_for
from hub.outcomes import Partial, Rejected, Retry
from hub.testing import make_batch, make_chunk
from plugins.email import isaax_destinations
from plugins.email.config import EmailConfig
from plugins.email.destination import Email
from plugins.email.pace import BURST, EVERY, Pace
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.destinations import server_tls
from tests.fixtures.mail import MailServer, mail_server, shown

START = 1_795_446_245_123_456  # 2026-11-23T15:04:05Z
LOGIN = {"username": "alerts", "password": "hush-hush"}


@asynccontextmanager
async def mailing(
    context: ssl.SSLContext | None = None,
    *,
    user: tuple[str, str] | None = None,
    private_hosts: bool = True,
    **config: Any,
) -> AsyncIterator[tuple[MailServer, Email]]:
    """Give a mail server, and a destination that mails through it."""
    async with (
        mail_server(context, user=user, **config) as server,
        tools_for("int_x", private_hosts=private_hosts) as tools,
    ):
        decoded = structs.decode(EmailConfig, server.config)
        yield server, Email(decoded, tools, clock=lambda: START / 1e6)


def texts(mail: EmailMessage) -> tuple[str, str]:
    """Give a mail's text and HTML."""
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


# ── what is mailed ────────────────────────────────────────────────────────────────────────────


async def test_a_digest_tells_how_many_lines_matched_what_and_where() -> None:
    """Subject, addresses, an id that stays, and the lines as text and as HTML."""
    batch = Batch(
        "batch-7",
        (
            make_chunk(["disk full on /dev/sda1", "all is well"], time_us=START),
            make_chunk(["<b>Disk full</b>"], device="dev_b", host="pump-2", time_us=START),
        ),
    )
    rules = [{"name": "disk full", "regex": "(?i)disk full"}]
    async with mailing(rules=rules, to=["a@example.com", "b@example.com"]) as (server, to):
        await to.send(batch)
        await to.send(batch)
    first, again = server.mails
    assert first["Subject"] == '[isaax] 2 lines match "disk full" on 2 devices'
    assert first["From"] == "hub@example.com"
    assert first["To"] == "a@example.com, b@example.com"
    assert first["Date"] == "Mon, 23 Nov 2026 15:04:05 +0000"
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["Message-ID"].endswith("@example.com>")
    assert again["Message-ID"] == first["Message-ID"]
    assert server.recipients == [["a@example.com", "b@example.com"]] * 2
    assert server.hello == "[127.0.0.1]"
    text, html = texts(first)
    assert "2026-11-23T15:04:05Z pump-1 info demo [disk full]" in text
    assert shown(first) == ["disk full on /dev/sda1", "<b>Disk full</b>"]
    assert "&lt;b&gt;Disk full&lt;/b&gt;" in html
    assert "<b>" not in html


async def test_nothing_that_matches_is_no_mail() -> None:
    """And no connection either."""
    async with mailing(rules=[{"name": "x", "text": "never"}]) as (server, to):
        await server.end()
        await to.send(make_batch("one", "two"))
    assert server.mails == []


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"severity": "err"}, ["kernel panic", "oom"]),
        ({"text": "oo"}, ["oom", "good"]),
        ({"regex": "^o+m$"}, ["oom"]),
        ({"programs": ["kernel", "x"]}, ["kernel panic", "oom"]),
        ({"programs": ["kernel"], "severity": "crit"}, ["kernel panic"]),
        ({}, ["kernel panic", "oom", "good"]),
    ],
)
async def test_a_line_has_to_satisfy_all_of_a_rule(
    rule: dict[str, Any], expected: list[str]
) -> None:
    """Severity, text, regular expression and program."""
    batch = make_batch(
        "kernel panic", "oom", "good", priorities=[0, 3, 6], programs=["kernel", "kernel", "app"]
    )
    async with mailing(rules=[{"name": "rule", **rule}]) as (server, to):
        await to.send(batch)
    assert server.taken() == expected


async def test_a_line_counts_for_the_first_rule_and_many_lines_are_counted_not_shown() -> None:
    """The headline names the rules, a few of them by name."""
    rules = [{"name": name, "text": name} for name in ("one", "two", "three", "four")]
    lines = ["one two", *["two"] * 5, "three", "four"]
    async with mailing(rules=rules, max_shown=3) as (server, to):
        await to.send(make_batch(*lines))
    (mail,) = server.mails
    assert mail["Subject"] == ('[isaax] 8 lines match "one", "two", "three" and 1 more on 1 device')
    assert server.taken() == ["one two", "two", "two"]
    assert "… and 5 more" in texts(mail)[0]


async def test_no_line_and_no_name_gets_into_the_headers() -> None:
    """Line feeds and other control characters are shown as pictures of them."""
    rules = [{"name": "a\r\nBcc: evil@example.com\x07"}]
    batch = make_batch("a\x1b[31m\0\nFrom: x", host="h\r\nX: y", programs="p\n.\n")
    async with mailing(rules=rules) as (server, to):
        await to.send(batch)
    (mail,) = server.mails
    assert server.recipients == [["ops@example.com"]]
    assert mail["Bcc"] is None
    assert mail["X"] is None
    assert mail["Subject"] == '[isaax] 1 line matches "a␍␊Bcc: evil@example.com␇" on 1 device'
    assert "a␛[31m␀" in texts(mail)[0]


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
async def test_what_unicode_calls_the_end_of_a_line_keeps_no_digest_from_being_sent(
    end: str,
) -> None:
    """Python refuses a header with it."""
    async with mailing(rules=[{"name": f"a{end}b"}]) as (server, to):
        await to.send(make_batch("one"))
    assert server.mails[0]["Subject"] == '[isaax] 1 line matches "a␊b" on 1 device'


async def test_an_endless_line_is_cut_and_says_so() -> None:
    """A mail is for people."""
    async with mailing() as (server, to):
        await to.send(make_batch("ü" * 100_000))
    (text,) = server.taken()
    assert text.endswith("ü… [cut: 100000 characters]")
    assert len(text) < 2_100


# ── how it gets there ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_it_logs_in_over_tls(
    mode: str, authority: TestAuthority, local_certificate: Pair
) -> None:
    """In both ways that mail servers have."""
    async with mailing(
        server_tls(local_certificate),
        user=("alerts", "hush-hush"), tls=mode, ca=authority.pem, **LOGIN,
    ) as (server, to):  # fmt: skip
        await to.send(make_batch("one"))
    assert server.taken() == ["one"]
    assert len(server.logins) == 1


@pytest.mark.parametrize("mode", ["starttls", "tls"])
async def test_a_certificate_that_is_not_trusted_ends_it_before_the_password(
    mode: str, local_certificate: Pair
) -> None:
    """The lines wait."""
    tls = server_tls(local_certificate)
    async with mailing(tls, user=("alerts", "hush-hush"), tls=mode, **LOGIN) as (server, to):
        with pytest.raises(Retry, match="certificate") as failed:
            await to.send(make_batch("one"))
    assert server.logins == []
    assert "hush-hush" not in repr(failed.value)


async def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    """Somebody on the way may have removed it."""
    async with mailing() as (server, _):
        config = {**server.config, **LOGIN, "tls": "starttls"}
        async with tools_for("int_x", private_hosts=True) as tools:
            to = Email(structs.decode(EmailConfig, config), tools)
            with pytest.raises(Retry, match="STARTTLS"):
                await to.send(make_batch("one"))
    assert server.logins == []


async def test_a_private_address_needs_the_operators_leave() -> None:
    """As for every host that a user names."""
    async with mailing(private_hosts=False) as (server, to):
        with pytest.raises(Retry, match=r"relay\.private_hosts"):
            await to.send(make_batch("one"))
    assert server.hello == ""


# ── what is answered ──────────────────────────────────────────────────────────────────────────


async def test_a_wrong_password_is_final(authority: TestAuthority, local_certificate: Pair) -> None:
    """With the server's words, and without ours."""
    async with mailing(
        server_tls(local_certificate),
        user=("alerts", "another"), tls="starttls", ca=authority.pem, **LOGIN,
    ) as (server, to):  # fmt: skip
        with pytest.raises(Rejected, match="535") as failed:
            await to.send(make_batch("one"))
    assert server.mails == []
    assert "hush-hush" not in repr(failed.value)


async def test_451_comes_again_and_550_never() -> None:
    """RFC 5321, 4.2.1."""
    async with mailing() as (server, to):
        server.answers = [("DATA", "451 try later"), ("DATA", "550 no spam\r\n")]
        with pytest.raises(Retry, match="answered 451 try later"):
            await to.send(make_batch("one"))
        with pytest.raises(Rejected, match="answered 550 no spam"):
            await to.send(make_batch("one"))
        await to.send(make_batch("one"))
    assert server.taken() == ["one"]


async def test_only_lines_that_were_to_be_mailed_become_dead_letters() -> None:
    """The others were never meant to be."""
    async with mailing(rules=[{"name": "bad", "text": "bad"}]) as (server, to):
        server.answers = [("DATA", "554 refused")]
        with pytest.raises(Partial) as failed:
            await to.send(make_batch("good", "bad", "good", "bad"))
    assert [index for index, _ in failed.value.rejected] == [1, 3]
    assert "554 refused" in failed.value.rejected[0][1]


async def test_a_refused_address_is_reported_and_the_others_get_their_mail_once() -> None:
    """For good, or until it is taken."""
    addresses = ["a@example.com", "b@example.com"]
    async with mailing(to=addresses) as (server, to):
        server.answers = [("RCPT b@example.com", "550 nobody here")]
        with pytest.raises(Partial, match="1 lines rejected") as failed:
            await to.send(make_batch("one"))
        assert failed.value.rejected == ((0, "b@example.com was refused: 550 nobody here"),)
        server.answers = [("RCPT b@example.com", "450 later")]
        with pytest.raises(Retry, match=r"b@example\.com was refused: 450 later"):
            await to.send(make_batch("two", id="batch-2"))
        await to.send(make_batch("two", id="batch-2"))
        await to.send(make_batch("three", id="batch-3"))
    assert server.taken() == ["one", "two", "two", "three"]
    assert server.recipients == [addresses[:1], addresses[:1], addresses[1:], addresses]


async def test_no_address_that_is_taken_is_final_or_not_by_their_answers() -> None:
    """One that may be taken later is waited for."""
    addresses = ["a@example.com", "b@example.com"]
    async with mailing(to=addresses) as (server, to):
        server.answers = [(f"RCPT {one}", "550 no") for one in addresses]
        with pytest.raises(Rejected, match=r"a@example\.com was refused: 550 no; b@"):
            await to.send(make_batch("one"))
        server.answers = [("RCPT a@example.com", "450 later"), ("RCPT b@example.com", "550 no")]
        with pytest.raises(Retry, match="450 later"):
            await to.send(make_batch("one"))
    assert server.mails == []


# ── the config, and the pace ──────────────────────────────────────────────────────────────────

GOOD = {
    "host": "smtp.example.com", "from": "a@example.com", "to": ["b@example.com"],
    "rules": [{"name": "x"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"host": "a b"}, "/host"),
        ({"host": "a\r\n"}, "/host"),
        ({"from": "a@example.com\n"}, "/from"),
        ({"from": "no address"}, "/from"),
        ({"to": []}, "/to"),
        ({"to": ["a@b.c", "x>y@z"]}, "/to/1"),
        ({"rules": []}, "/rules"),
        ({"rules": [{"name": "x"}, {"name": "y", "regex": "(a"}]}, "/rules/1"),
        ({"rules": [{"name": "x", "severity": "bad"}]}, "/rules/0/severity"),
        ({"every": 59}, "/every"),
        ({"username": "u"}, ""),
        ({"username": "u", "password": "p", "tls": "none"}, ""),
        ({"ca": "no pem"}, ""),
    ],
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, Any], pointer: str) -> None:
    """At once, and with the place where it is known."""
    (declared,) = isaax_destinations()
    with pytest.raises(Invalid) as refused:
        structs.decode(declared.config, GOOD | change)
    assert refused.value.errors[0].pointer == pointer


def test_lines_wait_for_their_digest() -> None:
    """The hub holds them, unacknowledged, for as long as the config says."""
    (declared,) = isaax_destinations()
    config = structs.decode(declared.config, GOOD | {"every": 900})
    assert declared.limits_of(config).linger == 900


async def test_a_flood_of_digests_is_slowed_down() -> None:
    """A few at once, and then one a minute; after a pause as many at once again."""
    now = [1_000.0]
    pace = Pace(clock=lambda: now[0])
    for _ in range(BURST):
        assert pace.wait() == 0
        await pace.turn()
    assert pace.wait() == EVERY
    now[0] += EVERY
    assert pace.wait() == 0
    await pace.turn()
    assert pace.wait() == EVERY
    now[0] += EVERY * 1_000
    for _ in range(BURST):
        assert pace.wait() == 0
        await pace.turn()
    assert pace.wait() == EVERY
