"""What the services keep in step when a project goes while something in it is made."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest

from hub.audit.deeds import HUB
from hub.audit.log import Audit, Recorder
from hub.broker import BrokerRefusal
from hub.contracts import Endpoint, EventInfo, Nothing
from hub.database import Database
from hub.errors import NotFound
from hub.memory_bus import MemoryBus
from hub.migrations import migrate
from hub.outbox import Outbox
from hub.plugins import PluginHost
from hub.protocol import Register, register_proof_from_digest
from hub.relay import contracts as relay
from hub.settings import PostgresSettings
from hub.telemetry import Metrics
from hub.vault import Vault
from services.auth import deeds
from services.auth import peers as auth_peers
from services.auth.contracts import DEVICE, DeviceEvent, RevokeDevice
from services.auth.registration import Registration
from services.auth.rules import Rules
from services.auth.settings import AuthSettings
from services.auth.tokens import TokenTable
from services.auth.versions import Versions
from services.messages import contracts as m
from services.messages import peers as messages_peers
from services.messages.rules import Messages
from services.projects import contracts as p
from services.projects.rules import Projects
from services.projects.tokens import Tokens
from tests.fixtures.audit import Log

ACCOUNT = "acc_1"


@dataclass(frozen=True, slots=True)
class Hub:
    """What the services share."""

    database: Database
    outbox: Outbox
    vault: Vault
    bus: MemoryBus
    plugins: PluginHost

    async def said(self, subject: str) -> list[bytes]:
        """Give the events of a topic that are on their way, in order."""
        async with self.database.system() as tx:
            rows = await tx.raw.fetch(
                "SELECT payload FROM outbox WHERE subject = $1 ORDER BY id", subject
            )
        return [cast("bytes", row["payload"]) for row in rows]


@pytest.fixture
async def hub(database_settings: PostgresSettings) -> AsyncIterator[Hub]:
    """A database with every plugin's tables, and a bus."""
    plugins = PluginHost.load(quiet=True)
    await migrate(database_settings, plugins.migrations)
    async with Database.open(database_settings) as database:
        yield Hub(database, Outbox(None), Vault(secrets.token_bytes(32)), MemoryBus(), plugins)


async def test_a_deleted_project_revokes_its_tokens_in_their_order(hub: Hub) -> None:
    """Tokens have a topic of their own: its last word on each must be that it is void.

    Else one that was made just before is heard of after the project's end, and let devices in.
    """
    projects, tokens = Projects(hub.database, hub.outbox), Tokens(hub.database, hub.outbox)
    project = (await projects.create(p.CreateProject(ACCOUNT, "short-lived"))).id
    for name in ("one", "two"):
        await tokens.create(p.CreateToken(ACCOUNT, project, name))
    await projects.delete(p.DeleteProject(ACCOUNT, project))
    table = TokenTable()
    for payload in await hub.said(p.TOKEN_CHANGED.wire_subject):
        table.apply(msgspec.json.decode(payload, type=auth_peers.TokenChanged))
    assert not table.of(project)


async def test_an_integration_does_not_outlive_the_project_it_was_made_in(hub: Hub) -> None:
    """The project goes between the look at it and the integration: there is no such project."""
    there = True

    async def get(request: messages_peers.GetProject) -> messages_peers.Project:
        nonlocal there
        if not there:
            raise NotFound("no such project")
        there = False
        gone = messages_peers.ProjectChanged(request.account, request.project)
        await messages.project_deleted(gone, EventInfo("e", request.project, 1))
        return messages_peers.Project(request.project)

    applied: list[relay.ApplyIntegration] = []

    async def apply(request: relay.ApplyIntegration) -> Nothing:
        applied.append(request)
        return Nothing()

    dropped: list[relay.SomeDead] = []

    async def drop(request: relay.SomeDead) -> relay.Counted:
        dropped.append(request)
        return relay.Counted(0, 0)

    messages = Messages(hub.database, hub.outbox, hub.vault, hub.bus, hub.plugins.destinations)
    endpoints: list[Endpoint[Any, Any]] = [
        Endpoint(relay.DROP_DEAD, drop),
        Endpoint(messages_peers.GET_PROJECT, get),
        Endpoint(relay.APPLY_INTEGRATION, apply),
    ]
    config = {"host": "127.0.0.1", "port": 9}
    wanted = m.CreateIntegration(ACCOUNT, "prj_1", "syslog", "late", True, config)
    async with hub.bus.serve("peers", "1.0.0", endpoints):
        with pytest.raises(NotFound):
            await messages.create(wanted)
    assert (await messages.list_specs(relay.ListIntegrations())).items == []
    assert [request.spec for request in applied] == [None]


def _auth_of(hub: Hub) -> Rules:
    versions = Versions(hub.bus, ())
    return Rules(AuthSettings(), hub.database, hub.outbox, hub.vault, hub.bus, Audit(), versions)


async def test_a_device_of_a_deleted_project_is_dropped_after_it_was_registered(hub: Hub) -> None:
    """The last word on it comes in its own order, so a late registration is undone by it."""
    tokens, token = TokenTable(), secrets.token_bytes(32)
    tokens.replace([auth_peers.TokenDigest(1, ACCOUNT, "prj_1", token.hex())])
    rules = _auth_of(hub)
    registration = Registration(hub.database, hub.vault, tokens, rules)
    nonce = rules.nonces.give("new-1")
    proof = register_proof_from_digest(token, "prj_1", "new-1", nonce)
    device = (await registration.register("new-1", Register("prj_1", nonce, proof))).device
    assert await rules.forget_project(auth_peers.ProjectChanged(ACCOUNT, "prj_1")) == [device]
    said = [msgspec.json.decode(e, type=DeviceEvent) for e in await hub.said(DEVICE.wire_subject)]
    assert [event.kind for event in said] == ["registered", "dropped"]
    with pytest.raises(NotFound):
        await rules.revoke(RevokeDevice(ACCOUNT, device))


async def test_what_becomes_of_devices_is_in_the_audit_log(hub: Hub) -> None:
    """In the transaction in which it is done; whoever registers is on record by its own words."""
    tokens, token = TokenTable(), secrets.token_bytes(32)
    tokens.replace([auth_peers.TokenDigest(1, ACCOUNT, "prj_1", token.hex())])
    rules = _auth_of(hub)
    registration = Registration(hub.database, hub.vault, tokens, rules)
    nonce = rules.nonces.give("new-1")
    proof = register_proof_from_digest(token, "prj_1", "new-1", nonce)
    register = Register("prj_1", nonce, proof, label="greenhouse")
    device = (await registration.register("new-1", register)).device
    await rules.revoke(RevokeDevice(ACCOUNT, device))
    async with Recorder.open(hub.database, Metrics()):
        registered, revoked = await Log(hub.database, ACCOUNT).until(2)
    assert (registered.action, revoked.action) == ("device.registered", "device.revoked")
    assert {(one.project, one.object["device"]) for one in (registered, revoked)} == {
        ("prj_1", device)
    }
    assert (registered.actor.kind, registered.after["label"]) == ("device", "greenhouse")


@pytest.mark.parametrize(
    ("what", "project", "account"),
    [("publish", "prj_1", ACCOUNT), ("publish", "prj_9", HUB), ("connect", "prj_1", HUB)],
)
def test_whose_log_a_refusal_of_the_broker_is_in(what: str, project: str, account: str) -> None:
    """Who was not let in may name any project: nobody else's log is filled by it."""
    tokens = TokenTable()
    tokens.replace([auth_peers.TokenDigest(1, ACCOUNT, "prj_1", "00" * 32)])
    refusal = BrokerRefusal(what, "dev_1", project, "d/x", silent=4)
    deed = deeds.of_refusal(refusal, tokens)
    assert (deed.account, deed.action, deed.count) == (account, f"broker.{what}", 5)
    assert deed.project == ("prj_1" if account == ACCOUNT else "")
