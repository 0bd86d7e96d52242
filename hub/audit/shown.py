"""What the audit log keeps of a thing: what the API shows of it, less what is a secret."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, get_args

import msgspec

from hub.secret import Secret
from hub.shaping.checks import Problems
from hub.shaping.redaction import Redactor
from hub.shaping.rules import Redact
from hub.structs import masked, pointer
from hub.telemetry import looks_secret

MOST: Final = 16 * 1024
"""Bytes of JSON that are kept of what was before, and as many of what was after."""
_MOST_CHANGED: Final = 100  # fields that are named

_MARK: Final = "audit"
_ONCE: Final = "shown once"
_PASSES: Final = "passing"
SHOWN_ONCE: Final = msgspec.Meta(extra={_MARK: _ONCE})
"""Marks a field of an answer that holds a secret, such as a new token: it is masked in the log."""
PASSING: Final = msgspec.Meta(extra={_MARK: _PASSES})
"""Marks a field that changes by itself, such as how something fares: it is left out of the log."""


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was before, what was after, and what changed.

    Args:
        before, after: JSON values.
        changed: JSON pointers (RFC 6901) of what differs.
    """

    before: Any = None
    after: Any = None
    changed: list[str] = []
    notes: list[str] = []


def shown(before: object, after: object, notes: Sequence[str] = ()) -> Shown:
    """Give what is kept of a thing before and after a change, in a bounded size."""
    told = list(notes)
    old, old_size = _measured(before, "before", told)
    new, new_size = _measured(after, "after", told)
    changed = list(_differences(old, new)) if old is not None and new is not None else []
    if old_size > MOST:
        old = None
    if new_size > MOST:
        new = None
    return Shown(old, new, changed[:_MOST_CHANGED], told)


def _measured(value: object, what: str, notes: list[str]) -> tuple[Any, int]:
    """Give what may be kept, and how many bytes it has; whatever it is, the deed is recorded."""
    try:
        tree = kept(value)
        size = len(msgspec.json.encode(tree))
    except (TypeError, ValueError, RecursionError) as error:
        notes.append(f"{what} cannot be written as JSON: {type(error).__name__}")
        return None, 0
    if size > MOST:
        notes.append(f"{what} has {size} bytes: too many to keep")
    return tree, size


def kept(value: object) -> Any:
    """Give the JSON values of a thing without what no log may hold.

    A `Secret` is masked as the API does it, and so is what is marked as `SHOWN_ONCE`, what has
    the name of a secret, and what has the form of a token.
    """
    if value is None:
        return None
    tree = _without_marked(value, masked(value))
    found = list(_strings(tree))
    hidden = _redactor().texts([text for _, _, text in found]) if found else []
    for (holder, key, old), new in zip(found, hidden, strict=True):
        secret = bool(old) and isinstance(key, str) and looks_secret(key)
        holder[key] = Secret.MASK if secret else new
    return tree


def _without_marked(value: object, tree: Any) -> Any:
    """Walk a thing and its JSON values together, and heed the marks of its Structs."""
    if isinstance(value, msgspec.Struct) and isinstance(tree, dict):
        for name, encoded, mark in _fields(type(value)):
            if encoded in tree and mark == _PASSES:
                del tree[encoded]
            elif tree.get(encoded) and mark == _ONCE:
                tree[encoded] = Secret.MASK
            elif encoded in tree:
                tree[encoded] = _without_marked(getattr(value, name), tree[encoded])
        return tree
    if isinstance(value, Mapping):
        pairs = zip(value.values(), tree.items(), strict=True)
        return {key: _without_marked(one, of) for one, (key, of) in pairs}
    if isinstance(value, list | tuple):
        return [_without_marked(one, of) for one, of in zip(value, tree, strict=True)]
    return tree


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[tuple[str, str, str], ...]:
    """Give each field's name, its name in JSON, and its mark or ""."""
    return tuple(
        (field.name, field.encode_name, _mark_of(field.type))
        for field in msgspec.structs.fields(struct)
    )


def _mark_of(annotation: Any) -> str:
    """Find the mark in an annotation, also in a member of a union."""
    if isinstance(annotation, msgspec.Meta):
        return str((annotation.extra or {}).get(_MARK, ""))
    within = getattr(annotation, "__metadata__", ()) + get_args(annotation)
    return next((mark for mark in map(_mark_of, within) if mark), "")


def shows_once(struct: type[msgspec.Struct]) -> bool:
    """Say whether a field is marked as one that is shown once."""
    return any(mark == _ONCE for _, _, mark in _fields(struct))


def _strings(tree: Any) -> Iterator[tuple[Any, str | int, str]]:
    """Give every string of JSON values, with where it is."""
    places: Iterable[Any] = tree if isinstance(tree, dict) else ()
    if isinstance(tree, list):
        places = range(len(tree))
    for key in places:
        item = tree[key]
        if isinstance(item, str):
            yield tree, key, item
        else:
            yield from _strings(item)


@cache
def _redactor() -> Redactor:
    return Redactor(Redact(tokens=True), Problems())


def _differences(old: Any, new: Any, *at: str) -> Iterator[str]:
    """Give where two things differ: a list counts as one, what is an object on both sides not."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        if old != new:
            yield pointer(*at)
        return
    for key in dict.fromkeys((*old, *new)):
        if key in old and key in new:
            yield from _differences(old[key], new[key], *at, key)
        else:
            yield pointer(*at, key)
