"""Mails before they leave: templates, headers, settings, and where the local outbox is."""

import asyncio
import email
import email.policy
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hub import structs
from hub.errors import Invalid, StartError
from hub.mail.local import local_outbox
from hub.mail.postbox import GIVE_UP, Mail, MailRequested
from hub.mail.templates import LOCALES, MailTemplateError, MailTemplates, locale_of
from hub.mail.text import is_address, mailbox_of, one_line, printable
from hub.settings import HttpSettings, MailSettings
from services.mail.carriers import SmtpCarrier
from services.mail.message import compose

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    ".".join(path.parent.parent.relative_to(ROOT).parts)
    for home in ("services", "plugins")
    for path in ROOT.glob(f"{home}/*/mails/examples.json")
)
FORMS = [
    pytest.param(package, name, locale, id=f"{package}-{name}-{locale}")
    for package in PACKAGES
    for name in MailTemplates.load(package).names
    for locale in LOCALES
]
URL = re.compile(r"https?://[^\s<>\"]+")


class Page(HTMLParser):
    """What of a mail's HTML concerns its readers, and what it may not have."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.language = ""
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = {name: value or "" for name, value in attrs}
        self.attributes |= found.keys()
        if tag == "html":
            self.language = found.get("lang", "")
        if "href" in found:
            self.links.add(found["href"])

    def handle_data(self, data: str) -> None:
        self.text += data


# ── every mail that there is ──────────────────────────────────────────────────────────────────


def test_there_are_mails() -> None:
    assert "services.mail" in PACKAGES
    assert len(FORMS) >= 2


def test_every_folder_of_mails_says_what_is_in_it() -> None:
    """One without a declaration would be tested by nobody."""
    folders = [path for home in ("services", "plugins") for path in ROOT.glob(f"{home}/*/mails")]
    assert [path for path in folders if not (path / "examples.json").is_file()] == []


@pytest.mark.parametrize(("package", "name", "locale"), FORMS)
def test_a_mail_says_the_same_as_text_and_as_html(package: str, name: str, locale: str) -> None:
    """With the same links, in its own language, and without what mail programs take out."""
    mail = MailTemplates.load(package).example(name, locale)
    page = Page(mail.html)
    assert mail.locale == page.language == locale
    assert mail.kind == f"{package.rpartition('.')[2]}.{name}"
    assert mail.subject.strip() == mail.subject != ""
    assert mail.subject in page.text
    assert set(URL.findall(mail.text)) == page.links
    assert not page.tags & {"script", "form", "iframe", "img", "link", "object"}
    assert not {one for one in page.attributes if one.startswith("on")}
    assert all(len(line) <= 998 for line in mail.text.splitlines())
    for form in (mail.subject, mail.text, mail.html):
        assert not re.search(r"\{[{%#]|[}%#]\}", form)


@pytest.mark.parametrize(("package", "name", "locale"), FORMS)
def test_every_value_of_a_mail_is_in_its_text(package: str, name: str, locale: str) -> None:
    """Whoever reads plain text reads no less."""
    templates = MailTemplates.load(package)
    values = json.loads((ROOT / package.replace(".", "/") / "mails" / "examples.json").read_text())
    mail = templates.example(name, locale)
    for value in values[name].values():
        if isinstance(value, str):
            assert value in mail.subject + mail.text


@pytest.mark.parametrize("package", PACKAGES)
def test_the_languages_differ(package: str) -> None:
    """Nobody has copied one over the other."""
    templates = MailTemplates.load(package)
    for name in templates.names:
        english, japanese = (templates.example(name, locale) for locale in ("en", "ja"))
        assert english.subject != japanese.subject
        assert english.text.isascii() or not re.search(r"[ぁ-ん]", english.text)
        assert re.search(r"[ぁ-ん]", japanese.text)


# ── templates of a package of one's own ───────────────────────────────────────────────────────

GOOD = {
    "examples.json": '{"unlock": {"link": "https://hub.example.com/u?t=a&b=c", "team": "Ops"}}',
    "unlock.en.txt": "Unlock {{ team }}\n\nOpen {{ link }} now.\n",
    "unlock.ja.txt": "{{ team }}のロック解除\n\n{{ link }} を開いてください。\n",
    **{
        f"unlock.{locale}.html": '{% extends "layout.html" %}'
        "{% block body %}<p>{{ team }}</p>{{ button(link, 'Unlock') }}{% endblock %}"
        for locale in LOCALES
    },
}
Make = Callable[..., MailTemplates]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Load the templates of a package that has these files."""

    def load(**change: str | None) -> MailTemplates:
        folder = tmp_path / "stranger" / "mails"
        folder.mkdir(parents=True)
        (folder.parent / "__init__.py").touch()
        for name, text in (GOOD | change).items():
            if text is not None:
                (folder / name).write_text(text)
        importlib.invalidate_caches()
        return MailTemplates.load("stranger")

    monkeypatch.syspath_prepend(tmp_path)
    yield load
    sys.modules.pop("stranger", None)


def test_a_mail_is_written_in_the_language_of_its_reader(make: Make) -> None:
    """In English where it is another."""
    templates = make()
    for locale, spoken, subject in (
        ("en", "en", "Unlock Ops"), ("ja-JP", "ja", "Opsのロック解除"), ("fr", "en", "Unlock Ops"),
    ):  # fmt: skip
        mail = templates.write(
            "unlock", to="a@example.com", locale=locale, values={"link": "https://x", "team": "Ops"}
        )
        assert (mail.locale, mail.subject) == (spoken, subject)
        assert (mail.to, mail.kind, mail.valid_for) == ("a@example.com", "stranger.unlock", GIVE_UP)
        page = Page(mail.html)
        assert (page.language, page.links) == (spoken, {"https://x"})
        assert subject in page.text


def test_a_value_is_neither_html_nor_a_line_of_its_own(make: Make) -> None:
    """What somebody calls their team is no heading, no link and no second subject."""
    hostile = "<a href='https://evil.example'>x</a>\r\nBcc: evil@example.com\n\nhttps://e\x1b[1m"
    mail = make().write("unlock", to="a@b.c", values={"link": "https://x?a=1&b=2", "team": hostile})
    shown = "<a href='https://evil.example'>x</a>␍␊Bcc: evil@example.com␊␊https://e␛[1m"
    assert mail.subject == f"Unlock {shown}"
    assert mail.text == "Open https://x?a=1&b=2 now.\n"
    page = Page(mail.html)
    assert page.links == {"https://x?a=1&b=2"}
    assert shown in page.text


@pytest.mark.parametrize("values", [{}, {"link": "x"}, {"link": "x", "team": "y", "other": "z"}])
def test_a_mail_is_given_exactly_its_values(make: Make, values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the mail unlock: missing or not declared"):
        make().write("unlock", to="a@b.c", values=values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unlock.ja.txt": None}, "stranger/mails/unlock.ja.txt: there is no such file"),
        ({"unlock.ja.html": None}, "unlock.ja.html: there is no such file"),
        ({"examples.json": None}, "examples.json: there is no such file"),
        ({"examples.json": "{"}, "examples.json: Input data was truncated"),
        ({"examples.json": '{"unlock": {"subject": "x"}}'}, "subject is a name of the layout's"),
        (
            {"unlock.en.txt": "Subject\nText\n"},
            "the first line is the subject, the second is empty",
        ),
        ({"unlock.en.txt": "\n\nText\n"}, "the first line is the subject"),
        ({"unlock.en.txt": "Hi {{ nmae }}\n\n"}, "unlock.en.txt: examples.json declares no nmae"),
        ({"unlock.ja.html": "{{ nmae }}"}, "unlock.ja.html: examples.json declares no nmae"),
        ({"unlock.ja.html": "{% if %}"}, "unlock.ja.html: "),
        ({"unlok.en.txt": "Hi\n\n"}, "unlok.en.txt: examples.json declares no such mail"),
        ({"unlock.fr.txt": "Hi\n\n"}, "unlock.fr.txt: examples.json declares no such mail"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_when_it_is_loaded(
    make: Make, change: dict[str, str | None], said: str
) -> None:
    """Not when the first mail of its kind is to be sent."""
    with pytest.raises(MailTemplateError) as failed:
        make(**change)
    assert said in failed.value.detail


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("ja", "ja"), ("ja-JP", "ja"), ("ja_JP.UTF-8", "ja"), ("JA", "ja"), ("", "en"), ("jav", "en")],
)
def test_the_closest_language(wanted: str, given: str) -> None:
    assert locale_of(wanted) == given


def test_neither_a_mail_nor_its_event_shows_what_it_says() -> None:
    """A repr ends up in logs."""
    mail = Mail("a@example.com", "secret", "secret", "secret", "en", "kind")
    assert "secret" not in repr(mail) + repr(MailRequested("mai_a", "", "kind", 0, b"secret"))
    assert "a@example.com" not in repr(mail)


# ── on the wire ───────────────────────────────────────────────────────────────────────────────

SENT = datetime(2026, 11, 23, 15, 4, 5, tzinfo=UTC)


def composed(**change: Any) -> tuple[bytes, EmailMessage]:
    """Give a mail as it is sent, and as its reader's program reads it."""
    fields: dict[str, Any] = {
        "to": "reader@example.com", "subject": "Hello", "text": "Hello.\n", "html": "<p>Hello.</p>",
        "locale": "en", "kind": "test.hello",
    }  # fmt: skip
    sender = Address("Isaax 通知", addr_spec="hub@example.com")
    message = compose(Mail(**fields | change), id="mai_x", sent=SENT, sender=sender, reply_to="")
    raw = message.as_bytes()
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return raw, read


def test_a_mail_in_japanese_is_seven_bits_wide_and_read_back_as_it_was() -> None:
    """Whatever the server can do."""
    text = "アカウントのロックを解除してください。" * 40 + "\n" + ".\nFrom here\n"
    raw, read = composed(subject="アカウントのロック解除" * 5, text=text, html=f"<p>{text}</p>")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert read["Subject"] == "アカウントのロック解除" * 5
    assert read["From"] == "Isaax 通知 <hub@example.com>"
    assert read["Date"].datetime == SENT
    plain, html = read.get_body(("plain",)), read.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == text
    assert html.get_content().replace("\r\n", "\n") == f"<p>{text}</p>\n"


def test_a_mail_is_the_same_to_the_byte_whenever_it_is_tried() -> None:
    assert composed()[0] == composed()[0]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_subject_brings_a_header_of_its_own(end: str) -> None:
    """Nor keeps its mail from being sent: whatever Python takes for the end of a line."""
    _, read = composed(subject=f"Hello{end}Bcc: evil@example.com")
    assert read["Bcc"] is None
    assert re.fullmatch("Hello(␍?␊|[␍␋␌␜])Bcc: evil@example.com", read["Subject"])
    assert [read["To"], *read.get_all("To", [])] == ["reader@example.com"] * 2


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a@example.com", True), ("a+b@x", True), ("a" * 242 + "@example.com", True),
        ("a" * 243 + "@example.com", False), ("", False), ("a", False), ("a@", False),
        ("@b", False), ("a@b\n", False), ("a@b c", False), ("a@b,c@d", False), ("<a@b>", False),
        ("ü@example.com", False), ("a@b..c", False), ("a\0@b", False),
    ],
)  # fmt: skip
def test_what_is_an_address(text: str, good: bool) -> None:
    assert is_address(text) is good


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("hub@example.com", "", "hub@example.com"),
        ("Isaax <hub@example.com>", "Isaax", "hub@example.com"),
        ("通知 係<hub@example.com>", "通知 係", "hub@example.com"),
    ],
)
def test_what_is_a_sender(text: str, name: str, address: str) -> None:
    found = mailbox_of(text)
    assert found is not None
    assert (found.display_name, found.addr_spec) == (name, address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Isaax",
        "Isaax <hub>",
        "a@b, c@d",
        "x\n <a@b>",
        "x\u2028 <a@b>",
        '"x" <a@b>',
        "x <a@b> y",
    ],
)
def test_what_is_no_sender(text: str) -> None:
    assert mailbox_of(text) is None


def test_words_of_others_are_made_fit() -> None:
    assert printable("a\tb\nc\x1b\x7f\ud800") == "a\tb\nc␛␡\ufffd"
    assert one_line("a\r\nb\u2029", 100) == "a␍␊b␊"
    assert one_line("a" * 10, 5) == "aaaa…"


# ── settings ──────────────────────────────────────────────────────────────────────────────────

SERVER = {"host": "smtp.example.com", "sender": "hub@example.com"}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"host": "a b"}, "/host"),
        ({"host": "a\r\n"}, "/host"),
        ({"port": 0}, "/port"),
        ({"security": "ssl"}, "/security"),
        ({"sender": ""}, ""),
        ({"sender": "hub"}, ""),
        ({"sender": "a@b\nBcc: c@d"}, ""),
        ({"reply_to": "ops"}, ""),
        ({"username": "u"}, ""),
        ({"password": "p"}, ""),
        ({"username": "u", "password": "p", "security": "none"}, ""),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], pointer: str) -> None:
    structs.decode(MailSettings, SERVER)
    with pytest.raises(Invalid) as refused:
        structs.decode(MailSettings, SERVER | change)
    assert refused.value.errors[0].pointer == pointer


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_authority_that_cannot_be_read_is_named(
    tmp_path: Path, content: str | None
) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        await asyncio.to_thread(ca.write_text, content)
    with pytest.raises(StartError, match=r"mail\.ca: .*ca\.pem is not a PEM file"):
        SmtpCarrier(structs.decode(MailSettings, SERVER | {"ca": str(ca)}))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:7800/outbox"),
        ("0.0.0.0", "http://127.0.0.1:7800/outbox"),
        ("::", "http://[::1]:7800/outbox"),
        ("localhost", "http://localhost:7800/outbox"),
        ("192.0.2.1", ""),
        ("hub.example.com", ""),
    ],
)
def test_the_local_outbox_has_an_address_where_this_machine_reaches_it(
    host: str, address: str
) -> None:
    assert local_outbox(HttpSettings(host=host)) == address


def test_the_local_outbox_is_served_as_the_gateway_is() -> None:
    settings = HttpSettings(certificate=Path("c"), key=Path("k"))
    assert local_outbox(settings) == "https://127.0.0.1:7800/outbox"
