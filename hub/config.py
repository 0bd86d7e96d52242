"""`hub.toml` and the environment, made into typed settings, with errors that say where.

Precedence: environment, then file, then the default in the section's Struct. Relative paths,
wherever they were set, are meant from the file's folder.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from hub import structs
from hub.errors import ConfigError, FieldError, Invalid
from hub.secret import Secret
from hub.services import ConfigSection
from hub.settings import Settings
from hub.toml_lines import key_lines

PREFIX = "ISAAX_"

CORE: tuple[ConfigSection, ...] = tuple(
    ConfigSection(field.name, field.type)
    for field in msgspec.structs.fields(Settings)
    if field.name != "plugins"
)
"""The sections that belong to the hub itself."""

# tomllib ends its messages with the place: "(at line 3, column 7)" or "(at end of document)".
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")


class Setting(msgspec.Struct, frozen=True):
    """One setting, to be shown; secrets are masked.

    Args:
        env: the environment variables that set it.
        source: "default", "environment" or `<file>:<line>`.
    """

    section: str
    name: str
    type: str
    default: str
    env: str
    value: str
    source: str
    doc: str


def load(
    path: Path | None,
    environ: Mapping[str, str],
    sections: Sequence[ConfigSection],
    *,
    ignore: Collection[str] = (),
) -> Settings:
    """Read the whole configuration.

    Args:
        path: `hub.toml`; None for defaults and environment alone.
        environ: usually `os.environ`.
        sections: of plugins; the core's own need not be given.
        ignore: names of sections that may be there without being known, because the plugin
            that would know them could not be loaded.

    Raises:
        ConfigError: with everything that is wrong, each with its file, line and key.
    """
    return Source.read(path, environ).settings(sections, ignore=ignore)


class Source:
    """The file and the environment, read but not yet checked against any type."""

    def __init__(
        self,
        path: Path | None,
        tables: Mapping[str, Any],
        lines: Mapping[tuple[str | int, ...], int],
        environ: Mapping[str, str],
    ) -> None:
        self._path = path
        self._tables = tables
        self._lines = lines
        self._environ = environ

    @classmethod
    def read(cls, path: Path | None, environ: Mapping[str, str]) -> "Source":
        """Read the file, when there is one.

        Raises:
            ConfigError: it cannot be read, or is not TOML.
        """
        if path is None:
            return cls(None, {}, {}, environ)
        text = _text(path)
        try:
            return cls(path, tomllib.loads(text), key_lines(text), environ)
        except tomllib.TOMLDecodeError as error:
            place = _PLACE.search(str(error))
            line = int(place["line"]) if place and place["line"] else text.count("\n") + 1
            raise ConfigError(f"{path}:{line}: {_PLACE.sub('', str(error))}") from None
        except RecursionError:
            raise ConfigError(f"{path}:1: arrays or tables are nested too deep") from None

    def settings(
        self, sections: Sequence[ConfigSection], *, ignore: Collection[str] = ()
    ) -> Settings:
        """Check all of it against the types of its sections: see `load`."""
        problems: list[FieldError] = []
        values: dict[str, msgspec.Struct] = {}
        every = (*CORE, *sections)
        names = [section.name for section in every]
        for section in every:
            try:
                values[section.name] = self.section(section, others=names)
            except ConfigError as error:
                problems.extend(error.errors)
        problems.extend(self._unknown({section.name for section in every} | set(ignore)))
        if problems:
            raise _config_error(problems)
        core: dict[str, Any] = {section.name: values[section.name] for section in CORE}
        return Settings(
            **core,
            plugins={section.struct: values[section.name] for section in sections},
        )

    def section(self, section: ConfigSection, *, others: Collection[str] = ()) -> msgspec.Struct:
        """Check one section.

        Args:
            others: names of sections whose variables may begin as this one's: `http_listener`
                beside `http`.

        Raises:
            ConfigError: as `load`.
        """
        table = self._tables.get(section.name, {})
        if not isinstance(table, dict):
            raise _config_error([self._problem((section.name,), "must be a table: [section]")])
        overrides, problems = self._overrides(section, others)
        try:
            struct = structs.decode(section.struct, {**table, **overrides})
        except Invalid as error:
            problems += [
                self._problem((section.name, *structs.tokens(one.pointer)), one.detail)
                for one in error.errors
            ]
        if problems:
            raise _config_error(problems)
        folder = (self._path.parent if self._path else Path()).absolute()
        resolved: msgspec.Struct = _resolved(struct, folder)
        return resolved

    def describe(self, section: ConfigSection, value: msgspec.Struct) -> Iterator[Setting]:
        """Tell of every setting of a section what it is, and who set it."""
        shown, docs = structs.public(value), structs.field_docs(section.struct)
        for field in msgspec.structs.fields(section.struct):
            variable = next((v for v in _variables(section, field) if v in self._environ), None)
            line = self._lines.get((section.name, field.encode_name))
            in_file = f"{self._path}:{line}" if line else "default"
            default = structs.masked(_default(field))
            yield Setting(
                section=section.name,
                name=field.encode_name,
                type=_type_name(field.type),
                default=json.dumps(default),
                env=" or ".join(_variables(section, field)),
                value=json.dumps(shown[field.encode_name]),
                source="environment" if variable else in_file,
                doc=docs.get(field.name, ""),
            )

    def _overrides(
        self, section: ConfigSection, others: Collection[str]
    ) -> tuple[dict[str, Any], list[FieldError]]:
        """Give what the environment sets in a section, as JSON values, and what is wrong there."""
        values: dict[str, Any] = {}
        problems: list[FieldError] = []
        known: set[str] = set()
        for field in msgspec.structs.fields(section.struct):
            variables = _variables(section, field)
            known.update(variables)
            present = [variable for variable in variables if variable in self._environ]
            if not present:
                continue
            where = structs.pointer(section.name, field.encode_name)
            try:
                if len(present) > 1:
                    raise Invalid(f"only one of {' and '.join(present)} may be set")
                values[field.encode_name] = _from_environment(
                    field, self._environ[present[0]], from_file=present[0] != variables[0]
                )
            except Invalid as error:
                detail = error.errors[0].detail if error.errors else error.detail
                problems.append(FieldError(where, f"environment variable {present[0]}: {detail}"))
        prefix = _prefix(section.name)
        longer = tuple(
            one for one in map(_prefix, others) if one != prefix and one.startswith(prefix)
        )
        problems += [
            FieldError("", f"environment variable {variable}: there is no such setting")
            for variable in sorted(self._environ)
            if variable.startswith(prefix)
            and not variable.startswith(longer)
            and variable not in known
        ]
        return values, problems

    def _unknown(self, known: set[str]) -> Iterator[FieldError]:
        for name in self._tables:
            if name not in known:
                yield self._problem(
                    (name,), f"is not a known section (known: {', '.join(sorted(known))})"
                )

    def _problem(self, key: tuple[str | int, ...], detail: str) -> FieldError:
        """Say what is wrong with a key, at its line or that of the nearest table around it."""
        around = (key[:length] for length in range(len(key), 0, -1))
        line = next((self._lines[part] for part in around if part in self._lines), None)
        place = [str(part) for part in (self._path, line) if part is not None]
        return FieldError(
            structs.pointer(*key),
            ": ".join([":".join(place), ".".join(map(str, key)), detail]).lstrip(": "),
        )


def _config_error(problems: list[FieldError]) -> ConfigError:
    return ConfigError("\n".join(problem.detail for problem in problems), errors=problems)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8") from None


# ── the environment ───────────────────────────────────────────────────────────────────────────


def _prefix(section: str) -> str:
    return f"{PREFIX}{section}_".upper()


def _variables(section: ConfigSection, field: msgspec.structs.FieldInfo) -> tuple[str, ...]:
    """Name the variables of a setting: `…`, and for a secret also `…_FILE`."""
    name = f"{PREFIX}{section.name}_{field.encode_name}".upper()
    return (name, f"{name}_FILE") if Secret in _alternatives(field.type) else (name,)


def _from_environment(field: msgspec.structs.FieldInfo, text: str, *, from_file: bool) -> Any:
    """Read a setting from a variable's text, and give it as JSON values.

    A list is separated by commas; tables are written as JSON; an empty text is `None` where that
    is allowed.
    """
    if from_file:
        try:
            text = Path(text).read_text().removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            raise Invalid(f"{text}: {reason}") from None
    kinds = {get_origin(kind) or kind for kind in _alternatives(field.type)}
    if type(None) in kinds and not text:
        return None
    value: object = text
    if kinds & {list, tuple, set, frozenset}:
        value = [item.strip() for item in text.split(",") if item.strip()]
    elif any(kind is dict or _is_struct(kind) for kind in kinds):
        value = structs.decode(dict[str, Any], text.encode())
    elif bool in kinds:
        value = text.lower()
    return structs.json_values(structs.decode(field.type, value, strict=False))


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Give the members of a union, or the type itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    return get_args(annotation) if origin in {UnionType, Union} else (annotation,)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


# ── values ────────────────────────────────────────────────────────────────────────────────────


def _resolved(value: Any, folder: Path) -> Any:
    """Give the same value with its relative paths made absolute."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, msgspec.Struct):
        changed = {
            name: _resolved(getattr(value, name), folder) for name in value.__struct_fields__
        }
        return msgspec.structs.replace(value, **changed)
    if isinstance(value, list | tuple):
        return type(value)(_resolved(item, folder) for item in value)
    if isinstance(value, dict):
        return {key: _resolved(item, folder) for key, item in value.items()}
    return value


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    return None if field.required else field.default_factory()


def _type_name(annotation: Any) -> str:
    """Give a type as people write it in a Struct: `int`, `Path | None`, `tuple[str, ...]`."""
    name = (
        annotation.__name__
        if isinstance(annotation, type) and not get_origin(annotation)
        else str(annotation)
    )
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", name)
