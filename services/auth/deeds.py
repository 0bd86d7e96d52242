"""What goes into the audit log of devices, and of what the broker refuses."""

from typing import Final

from hub import HUB, Actor, Deed
from hub.broker import BrokerRefusal
from services.auth.contracts import DeviceEvent
from services.auth.tokens import TokenTable

SUMMARIES: Final = {
    "registered": "A device registered with a project token",
    "revoked": "A device was revoked",
    "quarantined": "Two machines used the identity of one device, which is closed to both",
}
"""By kind of event: those that are recorded. Sessions come and go too often."""


def of_device(event: DeviceEvent) -> Deed:
    """Record what happened to a device's identity."""
    told = {"label": event.label, "agent": event.agent, "system": event.system}
    by_itself = event.kind == "registered"
    return Deed(
        action=f"device.{event.kind}",
        summary=SUMMARIES[event.kind],
        account=event.account,
        project=event.project,
        object={"device": event.device},
        actor=Actor("device", event.device) if by_itself else Actor(),
        after=told if by_itself else None,
    )


def of_refusal(refusal: BrokerRefusal, tokens: TokenTable) -> Deed:
    """Record what the broker did not let a client do.

    It is in the log of the account whose project the client came in with. Who was not even let in
    could have named any: that is in the hub's own.
    """
    account = HUB if refusal.what == "connect" else tokens.account_of(refusal.project) or HUB
    return Deed(
        action=f"broker.{refusal.what}",
        summary="The broker refused what a client asked for",
        account=account,
        project=refusal.project if account != HUB else "",
        object={"project": refusal.project, "client": refusal.client},
        actor=Actor("device", refusal.client),
        outcome="refused",
        code=refusal.what,
        after={"refused": refusal.detail},
        count=refusal.silent + 1,
    )
