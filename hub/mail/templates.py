"""Mails from templates: text and HTML, in each language, checked when they are loaded.

A package keeps them in its folder `mails`: `<name>.<locale>.txt`, whose first line is the subject
and whose second is empty, and `<name>.<locale>.html`, which extends `layout.html` and has its links
as `{{ button(link, "…") }}`. What values each takes is declared, with an example of each, in
`mails/examples.json`: `{"<name>": {"<value>": …}}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

import msgspec
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template, TemplateError
from jinja2.meta import find_undeclared_variables
from markupsafe import Markup

from hub.errors import StartError
from hub.mail.postbox import GIVE_UP, Mail
from hub.mail.text import one_line

LOCALES: Final = ("en", "ja")
"""Languages that every mail is written in; the first is for whoever reads none of them."""

EXAMPLES: Final = "examples.json"
_SHARED: Final = ("layout.html", "parts.html")
_OURS: Final = frozenset({"locale", "subject"})
"""What the HTML knows besides the values."""

_PARTS: Final = ("button",)
"""What the HTML is built of: the macros of `parts.html`."""

_LONGEST_SUBJECT: Final = 200  # characters; RFC 5322, 2.1.1 has lines of 998, screens are smaller
_LONGEST_VALUE: Final = 2_000


class MailTemplateError(StartError):
    """A template of a mail cannot be used."""

    code = "mail-template"


@dataclass(frozen=True, slots=True)
class _Form:
    """One mail in one language."""

    subject: Template
    text: Template
    html: Template


class MailTemplates:
    """The mails of one package."""

    def __init__(
        self,
        topic: str,
        forms: Mapping[tuple[str, str], _Form],
        examples: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._topic = topic
        self._forms = forms
        self._examples = examples

    @classmethod
    def load(cls, package: str) -> "MailTemplates":
        """Read and check all mails of an importable package, such as `services.accounts`.

        Raises:
            MailTemplateError: names the file, and says what is wrong there.
        """
        folder = resources.files(package) / "mails"
        reader = _Reader(folder, f"{package.replace('.', '/')}/mails")
        examples = reader.examples()
        forms = {
            (name, locale): reader.form(name, locale, declared.keys())
            for name, declared in examples.items()
            for locale in LOCALES
        }
        reader.check_strangers(examples)
        return cls(package.rpartition(".")[2], forms, examples)

    @property
    def names(self) -> tuple[str, ...]:
        """The mails that there are."""
        return tuple(self._examples)

    def write(
        self,
        name: str,
        *,
        to: str,
        values: Mapping[str, Any],
        locale: str = LOCALES[0],
        valid_for: float = GIVE_UP,
    ) -> Mail:
        """Write a mail.

        Args:
            to: its address.
            values: exactly those that are declared; each is shown as one line of text.
            locale: of its reader, such as `ja` or `ja-JP`; English for one that is not there.
            valid_for: seconds after which it is not worth sending.

        Raises:
            ValueError: a value is missing, or one is not declared.
        """
        declared = self._examples[name]
        if values.keys() != declared.keys():
            differing = ", ".join(sorted(values.keys() ^ declared.keys()))
            raise ValueError(f"the mail {name}: missing or not declared: {differing}")
        spoken = locale_of(locale)
        form = self._forms[name, spoken]
        subject = one_line(form.subject.render(values), _LONGEST_SUBJECT)
        return Mail(
            to=to,
            subject=subject,
            text=form.text.render(values).strip("\n") + "\n",
            html=form.html.render({**values, "subject": subject, "locale": spoken}),
            locale=spoken,
            kind=f"{self._topic}.{name}",
            valid_for=valid_for,
        )

    def example(self, name: str, locale: str) -> Mail:
        """Write a mail with the values that its declaration has as an example."""
        values = self._examples[name]
        return self.write(name, to="reader@example.com", values=values, locale=locale)


def locale_of(wanted: str) -> str:
    """Give the language that comes closest to a locale such as `ja-JP` or `ja_JP.UTF-8`."""
    language = wanted.replace("_", "-").partition("-")[0].lower()
    return language if language in LOCALES else LOCALES[0]


class _Reader:
    """Reads the files of one folder."""

    def __init__(self, folder: Traversable, shown: str) -> None:
        self._folder = folder
        self._shown = shown
        self._text = _environment(escape=False)
        self._html = _environment(escape=True)
        parts = self._html.get_template("parts.html").module
        self._html.globals.update({name: getattr(parts, name) for name in _PARTS})

    def examples(self) -> dict[str, dict[str, Any]]:
        """Read what is declared."""
        try:
            found = msgspec.json.decode(self._read(EXAMPLES), type=dict[str, dict[str, Any]])
        except msgspec.MsgspecError as error:
            raise self._bad(EXAMPLES, str(error)) from None
        for name, values in found.items():
            if taken := sorted(_OURS.union(_PARTS) & values.keys()):
                raise self._bad(EXAMPLES, f"{name}: {taken[0]} is a name of the layout's own")
        return found

    def form(self, name: str, locale: str, declared: Any) -> _Form:
        """Read one mail in one language."""
        text, html = f"{name}.{locale}.txt", f"{name}.{locale}.html"
        subject, _, rest = self._read(text).partition("\n")
        blank, _, body = rest.partition("\n")
        if not subject.strip() or blank.strip():
            raise self._bad(text, "the first line is the subject, the second is empty")
        return _Form(
            self._compile(self._text, text, subject, declared),
            self._compile(self._text, text, body, declared),
            self._compile(self._html, html, self._read(html), declared | _OURS.union(_PARTS)),
        )

    def check_strangers(self, examples: Mapping[str, Any]) -> None:
        """Refuse a file of no declared mail, which is one that was misspelt.

        Raises:
            MailTemplateError: names it.
        """
        known = {f"{n}.{one}.{kind}" for n in examples for one in LOCALES for kind in _KINDS}
        for entry in self._folder.iterdir():
            if entry.name.endswith(_ENDINGS) and entry.name not in known:
                raise self._bad(entry.name, f"{EXAMPLES} declares no such mail")

    def _read(self, file: str) -> str:
        try:
            return (self._folder / file).read_text(encoding="utf-8")
        except OSError:
            raise self._bad(file, "there is no such file") from None

    def _compile(self, environment: Environment, file: str, source: str, known: Any) -> Template:
        try:
            used = find_undeclared_variables(environment.parse(source))
            template = environment.from_string(source)
        except TemplateError as error:
            raise self._bad(file, str(error)) from None
        if unknown := used - known:
            raise self._bad(file, f"{EXAMPLES} declares no {', '.join(sorted(unknown))}")
        return template

    def _bad(self, file: str, reason: str) -> MailTemplateError:
        return MailTemplateError(f"{self._shown}/{file}: {reason}")


_KINDS: Final = ("txt", "html")
_ENDINGS: Final = tuple(f".{kind}" for kind in _KINDS)


def _environment(*, escape: bool) -> Environment:
    return Environment(
        autoescape=escape,  # noqa: S701 - plain text has nothing to escape
        undefined=StrictUndefined,
        loader=FunctionLoader(_shared),
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shared(name: str) -> str | None:
    """Give a file that the mails of all packages share."""
    if name not in _SHARED:
        return None
    return (resources.files("hub.mail") / name).read_text(encoding="utf-8")


def _plain(value: object) -> object:
    """Let no value begin a line of its own in a mail; what is HTML already stays."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return one_line(value, _LONGEST_VALUE)
    return value
