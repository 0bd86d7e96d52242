"""What a service declares of others fits what they offer (ADR 0007)."""

import importlib
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hub.contracts import Contract, Topic

ROOT = Path(__file__).parents[2]
PROVIDERS = [
    "hub.relay.contracts",
    *(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted(ROOT.glob("services/**/*contracts.py"))
    ),
]
CONSUMERS = sorted(
    f"{home}.{path.parent.name}.peers"
    for home in ("plugins", "services")
    for path in ROOT.glob(f"{home}/*/peers.py")
)
Declared = Contract[Any, Any] | Topic[Any]


def _declared(module: ModuleType) -> list[Declared]:
    return [value for value in vars(module).values() if isinstance(value, Contract | Topic)]


def _provided() -> dict[str, Declared]:
    found = [item for name in PROVIDERS for item in _declared(importlib.import_module(name))]
    return {item.wire_subject: item for item in found}


CASES = [
    pytest.param(item, id=f"{name.split('.')[1]}-{item.subject}")
    for name in CONSUMERS
    for item in _declared(importlib.import_module(name))
]


@pytest.mark.parametrize("mine", CASES)
def test_a_peer_declaration_fits_its_provider(mine: Declared) -> None:
    """The subject is served, and each side can read what the other writes."""
    theirs = _provided()[mine.wire_subject]
    if isinstance(mine, Topic):
        assert isinstance(theirs, Topic)
        _assert_readable(written=theirs.payload, read=mine.payload)
        return
    assert isinstance(theirs, Contract)
    _assert_readable(written=mine.request, read=theirs.request)
    _assert_readable(written=theirs.response, read=mine.response)


def test_a_subject_is_provided_once() -> None:
    """No two services answer the same contract, or say the same event, differently."""
    found = [item for name in PROVIDERS for item in _declared(importlib.import_module(name))]
    subjects = [item.wire_subject for item in found]
    assert len(subjects) == len(set(subjects)) > 20


def _assert_readable(*, written: Any, read: Any) -> None:
    """Each field that is read is written, of a type that fits, or has a default."""
    written, read = _plain(written), _plain(read)
    if not (isinstance(read, type) and issubclass(read, msgspec.Struct)):
        read_args, written_args = typing.get_args(read), typing.get_args(written)
        if read_args and len(read_args) == len(written_args):
            for inner_read, inner_written in zip(read_args, written_args, strict=True):
                _assert_readable(written=inner_written, read=inner_read)
        else:
            assert read is written or typing.get_origin(written) is typing.Literal, (read, written)
        return
    offered = {field.encode_name: field for field in msgspec.structs.fields(written)}
    for field in msgspec.structs.fields(read):
        if field.encode_name not in offered:
            assert not field.required, f"{read.__name__}.{field.name} is written by nobody"
            continue
        _assert_readable(written=offered[field.encode_name].type, read=field.type)


def _plain(annotation: Any) -> Any:
    origin = typing.get_origin(annotation)
    return typing.get_args(annotation)[0] if origin is typing.Annotated else annotation
