"""Structs that hold a `Secret` or a `Path`: decoded, described, shown and sealed.

msgspec knows neither type. What is decoded here says where an input is wrong by a JSON pointer
(RFC 6901); what is shown here shows no secret.
"""

import re
import types
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from hub.errors import FieldError, Invalid
from hub.secret import Secret

T = TypeVar("T")

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
"""What `schema` writes: JSON Schema 2020-12."""

_IS_A_MASK: Final = "this is what a secret is shown as; give the secret itself"
_SECRET_SCHEMA: Final = {"type": "string", "format": "password", "writeOnly": True}
_DATETIME_SCHEMA: Final = {"format": "date-time"}

# msgspec ends a message with "- at `$.a[0].b`"; the keys of a dict read "- at `key` in `$.a`".
_AT = re.compile(r" - at (?:`key` in )?`\$(?P<path>.*)`$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_MEMBER = re.compile(r"Object (?P<what>missing required|contains unknown) field `(?P<name>.*?)`")


# ── decoding ──────────────────────────────────────────────────────────────────────────────────


def decode(into: type[T], data: object, *, strict: bool = True) -> T:
    """Make a Struct of JSON values, or of JSON text when `data` is bytes.

    Args:
        strict: False also takes numbers and booleans that are written as strings.

    Raises:
        Invalid: with one FieldError that points at what is wrong. The detail never repeats a
            value, which might be a secret.
    """
    try:
        if isinstance(data, bytes):
            return msgspec.json.decode(data, type=into, dec_hook=_from_json, strict=strict)
        return msgspec.convert(data, into, dec_hook=_from_json, strict=strict)
    except msgspec.ValidationError as error:
        problem = field_error(error)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = FieldError("", "is not JSON in UTF-8")
    raise Invalid(problem.detail, errors=[problem])


def field_error(error: msgspec.ValidationError) -> FieldError:
    """Give msgspec's `… - at `$.a[0].b`` as a JSON pointer, `/a/0/b`, and words."""
    message = str(error)
    at = _AT.search(message)
    steps: list[str] = []
    if at:
        message = message[: at.start()]
        for step in _STEP.finditer(at["path"]):
            if step["index"] == "...":  # msgspec does not say which key of a dict
                break
            steps.append(step["name"] or step["index"])
    member = _MEMBER.match(message)
    if member:
        steps.append(member["name"])
        missing = member["what"] == "missing required"
        message = "is required" if missing else "is not a known field"
    return FieldError(pointer(*steps), message.replace("`", ""))


def pointer(*steps: str | int) -> str:
    """Make a JSON pointer (RFC 6901, section 3)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)


def tokens(pointer: str) -> list[str | int]:
    """Take a JSON pointer apart (section 4); what looks like an index becomes one."""
    names = (step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
    return [int(name) if name.isdecimal() else name for name in names]


def _from_json(into: type, value: object) -> object:
    """msgspec's dec_hook: called for types that it does not know."""
    if into not in {Secret, Path}:
        raise TypeError(f"{into.__name__} cannot be read from JSON")
    if not isinstance(value, str):
        raise ValueError(f"Expected str, got {_json_type(value)}")  # noqa: TRY004 - msgspec's rule
    if into is Path:
        return Path(value)
    if value == Secret.MASK:
        raise ValueError(_IS_A_MASK)
    return Secret(value)


def _json_type(value: object) -> str:
    return {dict: "object", list: "array", type(None): "null"}.get(
        type(value), type(value).__name__
    )


# ── encoding ──────────────────────────────────────────────────────────────────────────────────


def public(struct: msgspec.Struct) -> dict[str, Any]:
    """Give the Struct as JSON values with its secrets masked ("" where none is set)."""
    shown: dict[str, Any] = masked(struct)
    return shown


def masked(value: object) -> Any:
    """Give anything that a Struct's field may hold as JSON values, with its secrets masked."""
    return msgspec.to_builtins(value, enc_hook=_masked, str_keys=True)


def reveal(struct: msgspec.Struct) -> dict[str, Any]:
    """Give the Struct as JSON values with its secrets in clear, to be sealed at once."""
    clear: dict[str, Any] = json_values(struct)
    return clear


def json_values(value: object) -> Any:
    """Give anything that a Struct's field may hold as JSON values; secrets are in clear."""
    return msgspec.to_builtins(value, enc_hook=_in_clear, str_keys=True)


def encode(value: object) -> bytes:
    """Give `json_values` as JSON text; `decode` reads it back."""
    return msgspec.json.encode(value, enc_hook=_in_clear)


def secrets_in(value: object) -> list[str]:
    """Give every secret that is set in a Struct, in clear: to look for it where it must not be."""
    found: list[str] = []

    def note(item: object) -> object:
        if isinstance(item, Secret):
            found.append(item.reveal())
            return ""
        return _in_clear(item)

    msgspec.to_builtins(value, enc_hook=note, str_keys=True)
    return [secret for secret in found if secret]


def _masked(value: object) -> object:
    if isinstance(value, Secret):
        return Secret.MASK if value else ""
    return _in_clear(value)


def _in_clear(value: object) -> object:
    """msgspec's enc_hook: called for types that it does not know."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def merge_secrets(old: msgspec.Struct, new: Mapping[str, Any]) -> dict[str, Any]:
    """Give an update the secrets that it does not repeat, in clear, ready for `decode`.

    A secret that is masked (as `public` shows it) or absent in `new` keeps its old value; ""
    and null clear it. In a list, an item keeps the secrets of the old item that is otherwise
    equal to it, wherever it stands; a mask that has no such item stays, and `decode` refuses it.

    Args:
        old: the config as it stands.
        new: JSON values of the whole config that replaces it.
    """
    return _merge_struct(old, new)


def _merge_struct(old: msgspec.Struct, new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(new)
    for field in msgspec.structs.fields(old):
        value, key = getattr(old, field.name), field.encode_name
        if key in new:
            merged[key] = _merge(value, new[key])
        elif isinstance(value, Secret):
            merged[key] = value.reveal()
    return merged


def _merge(old: object, new: Any) -> Any:
    """Fill in the masks of one value."""
    if isinstance(old, Secret):
        return old.reveal() if new == Secret.MASK else new
    if isinstance(old, msgspec.Struct) and isinstance(new, Mapping):
        return _merge_struct(old, new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {key: _merge(old[key], new[key]) if key in old else new[key] for key in new}
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return [_merge_item(old, item) for item in new]
    return new


def _merge_item(old: Iterable[object], item: Any) -> Any:
    """Fill in the masks of a list's item from the old item that is shown as it is."""
    for candidate in old:
        if masked(candidate) == item:
            return _merge(candidate, item)
    return item


# ── describing ────────────────────────────────────────────────────────────────────────────────


def schema(of: type[msgspec.Struct]) -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of a Struct; what `Args:` says of a field describes it."""
    return {"$schema": DIALECT, **msgspec.json.schema(_Twins().of(of))}


def schema_components(
    of: Iterable[Any], ref_template: str = "#/components/schemas/{name}"
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """Give the schemas of these types and the components that they share, for OpenAPI."""
    twins = _Twins()
    return msgspec.json.schema_components([twins.of(one) for one in of], ref_template=ref_template)


def field_docs(of: type[msgspec.Struct]) -> dict[str, str]:
    """Give what the `Args:` part of a Struct's docstring says, by field."""
    _, _, section = (of.__doc__ or "").partition("Args:\n")
    docs: dict[str, str] = {}
    names: list[str] = []
    known = set(of.__struct_fields__)
    for line in section.splitlines():
        head, colon, rest = line.strip().partition(":")
        heads = [name.strip() for name in head.split(",")]
        if colon and known.issuperset(heads):
            names, text = heads, rest.strip()
        elif line.strip():
            text = line.strip()
        else:
            break
        for name in names:
            docs[name] = f"{docs[name]} {text}" if name in docs else text
    return docs


class _Twins:
    """Makes, of Structs with secrets and paths, twins of strings that msgspec can describe.

    msgspec writes the defaults of fields into a schema and takes no hook for them, so a default
    of `Secret("")` or `Path(…)` would break it.
    """

    def __init__(self) -> None:
        self._made: dict[type, type] = {}

    def of(self, annotation: Any) -> Any:
        """Give the twin of any annotation."""
        if annotation is Secret:
            return Annotated[str, msgspec.Meta(extra_json_schema=_SECRET_SCHEMA)]
        if annotation is Path:
            return str
        if annotation is datetime:
            return Annotated[datetime, msgspec.Meta(extra_json_schema=_DATETIME_SCHEMA)]
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            return self._struct(annotation)
        return self._generic(annotation, get_origin(annotation), get_args(annotation))

    def _generic(self, annotation: Any, origin: Any, args: tuple[Any, ...]) -> Any:
        if origin is Annotated:
            return Annotated[(self.of(args[0]), *args[1:])]
        if origin in {types.UnionType, Union}:
            return Union[tuple(self.of(arg) for arg in args)]  # noqa: UP007 - made at run time
        if origin in {list, dict, tuple, set, frozenset}:
            return origin[tuple(arg if arg is ... else self.of(arg) for arg in args)]
        return annotation

    def _struct(self, cls: type[msgspec.Struct]) -> type:
        if cls not in self._made:
            config, docs = cls.__struct_config__, field_docs(cls)
            self._made[cls] = msgspec.defstruct(
                cls.__name__,
                [self._field(field, docs.get(field.name)) for field in msgspec.structs.fields(cls)],
                namespace={"__doc__": (cls.__doc__ or "").partition("Args:\n")[0].strip()},
                module=cls.__module__,
                tag_field=config.tag_field,
                tag=config.tag,
                forbid_unknown_fields=config.forbid_unknown_fields,
                kw_only=True,
            )
        return self._made[cls]

    def _field(self, field: msgspec.structs.FieldInfo, doc: str | None) -> tuple[str, Any, Any]:
        annotation, name = self.of(field.type), field.encode_name
        if doc:
            annotation = Annotated[annotation, msgspec.Meta(description=doc)]
        if field.required:
            return field.name, annotation, msgspec.field(name=name)
        if field.default is msgspec.NODEFAULT:
            factory = field.default_factory
            return field.name, annotation, msgspec.field(name=name, default_factory=factory)
        default = masked(field.default)
        if isinstance(default, dict):  # a Struct's own defaults are described where it is
            return field.name, annotation, msgspec.field(name=name, default_factory=object)
        default = tuple(default) if isinstance(default, list) else default
        return field.name, annotation, msgspec.field(name=name, default=default)
