"""The core's own plugin: what it runs besides its parts comes in by the door of all plugins."""

from hub.account_data import AccountData
from hub.gateway.service import gateway
from hub.hookspecs import hookimpl
from hub.relay.resting import resting
from hub.relay.service import delivery, relay
from hub.services import Service


@hookimpl
def isaax_services() -> list[Service]:
    """Declare the relay, deliveries beside it, and the gateway."""
    return [
        Service("relay", relay, single=True, resting=resting, drain=30.0),
        Service("delivery", delivery, missed=False, drain=30.0),
        Service("gateway", gateway, drain=30.0),
    ]


@hookimpl
def isaax_account_data() -> list[AccountData]:
    """Declare what the relay keeps: by projects, and so before these are gone."""
    return [AccountData("relay", after=("messages", "auth"))]
