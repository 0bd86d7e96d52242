"""What the service `audit` answers on the bus."""

import msgspec

from hub import Contract
from hub.audit.export import Export
from hub.audit.reading import Page, Wanted

READ = Contract("audit.read", Wanted, Page)


class OfAccount(msgspec.Struct, frozen=True):
    """Names an account."""

    account: str


class Send(msgspec.Struct, frozen=True):
    """Send an account's log into one of its projects; "": nowhere."""

    account: str
    project: str


GET_EXPORT = Contract("audit.export.get", OfAccount, Export)
PUT_EXPORT = Contract("audit.export.put", Send, Export)
