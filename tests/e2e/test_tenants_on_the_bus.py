"""One account against all that another one has, on the bus: every request that names an account.

The contracts come from the services' own modules, so a new one is tested by being there.
"""

import importlib
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.bus import NatsBus
from hub.contracts import Contract
from hub.errors import IsaaxError, Unavailable
from hub.messaging.nats_transport import connect
from hub.secret import Secret
from hub.settings import NatsSettings
from tests.fixtures.parts import run_now
from tests.fixtures.spine import Spine
from tests.fixtures.tenants import PUBLIC, Tenant, mentions, nobodys, token_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stranger(spine: Spine) -> str:
    """An account that has nothing, and may lose what it has."""
    return token_of(spine, name="stranger")[0]


def contracts() -> Iterator[Contract[Any, Any]]:
    """Give every request that a service of ours answers on behalf of an account."""
    for folder in ("services", "plugins"):
        for module in sorted((ROOT / folder).glob("**/*contracts.py")):
            name = ".".join(module.relative_to(ROOT).with_suffix("").parts)
            found = vars(importlib.import_module(name))
            for one in found.values():
                if isinstance(one, Contract) and "account" in one.request.__struct_fields__:
                    yield one


CONTRACTS = list(contracts())
STREAMS = {"accounts.exports.read"}
"""Those that are answered by one item after the other."""
_PLAIN: Mapping[type, Any] = {
    msgspec.inspect.IntType: 1,
    msgspec.inspect.FloatType: 1.0,
    msgspec.inspect.BoolType: True,
    msgspec.inspect.DictType: {},
    msgspec.inspect.DateTimeType: "2026-11-30T00:00:00Z",
    msgspec.inspect.DateType: "2026-11-30",
    msgspec.inspect.NoneType: None,
}


def fill(kind: type[msgspec.Struct], ids: Mapping[str, str]) -> dict[str, Any]:
    """Make JSON values of a Struct, with these ids where their names stand."""
    return {
        one.encode_name: _value(one.encode_name, one.type, ids)
        for one in msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
        if one.required or one.encode_name.removesuffix("s") in ids
    }


def _value(name: str, info: Any, ids: Mapping[str, str]) -> Any:
    value: Any = "x"
    match info:
        case _ if name in ids:
            value = ids[name]
        case msgspec.inspect.StructType():
            tag = {info.tag_field: info.tag} if info.tag_field else {}
            value = {**tag, **fill(info.cls, ids)}
        case msgspec.inspect.ListType() | msgspec.inspect.VarTupleType():
            value = [_value(name.removesuffix("s"), info.item_type, ids)]
        case msgspec.inspect.UnionType():
            value = _value(name, info.types[0], ids)
        case msgspec.inspect.Metadata():
            value = _value(name, info.type, ids)
        case msgspec.inspect.EnumType():
            value = next(iter(info.cls)).value
        case msgspec.inspect.LiteralType():
            value = info.values[0]
        case msgspec.inspect.CustomType() if info.cls is Secret:
            value = Secret("x")
        case _ if type(info) in _PLAIN:
            value = _PLAIN[type(info)]
    return value


def asked(spine: Spine, contract: Contract[Any, Any], request: Any) -> tuple[str, Any]:
    """Ask on the bus as another process of the hub does; give the error's code, or the answer."""
    outcome: list[tuple[str, Any]] = []

    async def ask() -> None:
        async with connect(spine.embedded.nats.settings) as client:
            try:
                bus = NatsBus(client)
                found = (
                    [item async for item in bus.stream(contract, request)]
                    if contract.subject in STREAMS
                    else await bus.request(contract, request)
                )
            except IsaaxError as error:
                outcome.append((error.code, error.detail))
            else:
                outcome.append(("", msgspec.to_builtins(found)))

    run_now(ask())
    return outcome[0]


def test_without_the_hubs_password_nobody_is_on_the_bus(spine: Spine) -> None:
    """Devices and people have other doors: no subject is theirs."""
    known = spine.embedded.nats.settings
    for user, password in (("", ""), (known.user, "wrong")):
        settings = NatsSettings(known.url, user, Secret(password))

        async def knock(settings: NatsSettings = settings) -> None:
            async with connect(settings):
                pass

        with pytest.raises(Unavailable):
            run_now(knock())


def test_contracts_are_found() -> None:
    assert len(CONTRACTS) > 15


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.subject)
def test_what_is_anothers_is_not_there_on_the_bus_either(
    contract: Contract[Any, Any], spine: Spine, owner: Tenant, stranger: str
) -> None:
    """A service looks at the account by itself, whoever asks it."""
    before = owner.everything()
    hers = {**owner.ids, "account": stranger}
    wanted = fill(contract.request, hers)
    named = [id_ for name, id_ in owner.ids.items() if name not in PUBLIC | {"letter"}]
    code, answer = asked(spine, contract, msgspec.convert(wanted, contract.request))
    assert mentions(answer, owner, but=json.dumps(wanted, default=repr)) == []
    if any(id_ in json.dumps(wanted, default=repr) for id_ in named):
        nobody = fill(contract.request, {**nobodys(owner), "type": "syslog", "account": stranger})
        assert asked(spine, contract, msgspec.convert(nobody, contract.request))[0] == code
        assert code == "not-found" or _is_empty(answer)
    assert owner.everything() == before


def _is_empty(answer: Any) -> bool:
    """Say whether nothing is in it, or only that each single thing was not found."""
    values = answer.values() if isinstance(answer, dict) else [answer]
    lists = [one for one in values if isinstance(one, list)]
    return all(
        item.get("status") == 404 for item in itertools.chain(*lists) if isinstance(item, dict)
    ) and bool(lists)
