"""What each hook may return, what tells two items apart, and when an item cannot be used."""

import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from hub import structs
from hub.account_data import AccountData
from hub.config import CORE
from hub.destinations import DestinationType
from hub.errors import PluginError
from hub.permissions import Permission, Role
from hub.routes import Authenticator, Route
from hub.services import Command, ConfigSection, Migrations, Service

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PERMISSION: Final = re.compile(r"[a-z][a-z0-9-]{0,39}:[a-z][a-z-]{0,19}")
_PARAMETER: Final = re.compile(r"\{[^{}]*\}")
_CORE_SECTIONS: Final = {section.name for section in CORE}


@dataclass(frozen=True, slots=True)
class Kind:
    """What one hook declares.

    Args:
        word: for people.
        type: of each item.
        key: what no two items may share.
        check: raises ValueError when an item cannot be used.
    """

    hook: str
    word: str
    type: type
    key: Callable[[Any], str]
    check: Callable[[Any], None]


def declared(kind: Kind, returned: object) -> list[Any]:
    """Check what a hook returned, and give its items.

    Raises:
        PluginError: it is not a list of usable items of the right type.
    """
    if not isinstance(returned, list | tuple):
        raise PluginError(
            f"{kind.hook} returned {type(returned).__name__}, not a list of {kind.type.__name__}"
        )
    for item in returned:
        if not isinstance(item, kind.type):
            raise PluginError(
                f"{kind.hook} returned a list with {type(item).__name__} in it, "
                f"not {kind.type.__name__}"
            )
        try:
            kind.check(item)
        except (ValueError, TypeError) as error:
            raise PluginError(f"{kind.word} {kind.key(item)}: {error}") from None
    return list(returned)


def _named(
    item: Service
    | Authenticator
    | Permission
    | DestinationType[Any]
    | Command
    | ConfigSection
    | AccountData,
) -> str:
    return str(item.name)


def _owner(item: Migrations) -> str:
    return str(item.owner)


def _method_and_path(item: Route[Any, Any]) -> str:
    """What parameters are called tells no two paths apart."""
    return f"{item.method} {_PARAMETER.sub('{}', item.path)}"


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError("a name is lower-case letters, digits, - and _, at most 40")


def _check_destination(item: DestinationType[Any]) -> None:
    _check_name(item.name)
    _check_struct(item.config)
    if item.build is None and item.metrics is None:
        raise ValueError("it takes neither lines (`build`) nor `metrics`")
    for name in ("build", "metrics"):
        make = getattr(item, name)
        if make is not None and (not callable(make) or inspect.iscoroutinefunction(make)):
            raise ValueError(f"`{name}` is a plain function")
    for number in ("max_lines", "max_bytes", "timeout"):
        if getattr(item, number) <= 0:
            raise ValueError(f"`{number}` is more than 0")


def _check_service(item: Service) -> None:
    _check_name(item.name)
    if not callable(item.start) or asyncio.iscoroutinefunction(item.start):
        raise ValueError("`start` is an async context manager: decorate it @asynccontextmanager")
    if inspect.isasyncgenfunction(item.start):
        raise ValueError("`start` lacks its decorator @asynccontextmanager")


def _check_route(item: Route[Any, Any]) -> None:
    if item.method not in {"GET", "POST", "PUT", "PATCH", "DELETE"}:
        raise ValueError("`method` is GET, POST, PUT, PATCH or DELETE")
    if not item.path.startswith("/"):
        raise ValueError("`path` begins with /")


def _check_permission(item: Permission) -> None:
    if not _PERMISSION.fullmatch(item.name):
        raise ValueError("a permission is named <what>:<verb>, such as notes:read")
    if Role.OWNER not in item.roles:
        raise ValueError("an owner has every permission: `roles` lacks Role.OWNER")


def _check_authenticator(item: Authenticator) -> None:
    _check_name(item.name)


def _check_account_data(item: AccountData) -> None:
    _check_name(item.name)
    if item.name in item.after:
        raise ValueError("it cannot come after itself")


def _check_migrations(item: Migrations) -> None:
    _check_name(item.owner)


def _check_section(item: ConfigSection) -> None:
    _check_name(item.name)
    if item.name in _CORE_SECTIONS:
        raise ValueError("this section belongs to the hub")
    _check_struct(item.struct)
    for one in msgspec.structs.fields(item.struct):
        if one.required:
            raise ValueError(f"field `{one.name}` has no default")


def _check_command(item: Command) -> None:
    _check_name(item.name)


def _check_struct(struct: object) -> None:
    """Refuse what could not be decoded, or described, later on."""
    if not isinstance(struct, type) or not issubclass(struct, msgspec.Struct):
        raise TypeError("its config is a msgspec.Struct")
    config = struct.__struct_config__
    if not config.frozen or not config.forbid_unknown_fields:
        raise TypeError(f"{struct.__name__} lacks frozen=True, forbid_unknown_fields=True")
    structs.schema(struct)


KINDS: Final = (
    Kind("isaax_config", "section", ConfigSection, _named, _check_section),
    Kind("isaax_migrations", "migrations", Migrations, _owner, _check_migrations),
    Kind("isaax_account_data", "account-data", AccountData, _named, _check_account_data),
    Kind("isaax_services", "service", Service, _named, _check_service),
    Kind("isaax_destinations", "destination", DestinationType, _named, _check_destination),
    Kind("isaax_permissions", "permission", Permission, _named, _check_permission),
    Kind("isaax_authenticators", "authenticator", Authenticator, _named, _check_authenticator),
    Kind("isaax_routes", "route", Route, _method_and_path, _check_route),
    Kind("isaax_commands", "command", Command, _named, _check_command),
)
"""One for each hook of `hub/hookspecs.py`."""
