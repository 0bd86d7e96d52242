"""Complaints of TCP and TLS: sessions that are dead, handshakes that hang, certificates renewed."""

import asyncio
import functools
import ssl
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

import hub.net
from hub import structs
from hub.certificate import ServerCertificate
from hub.relay.ingest import Ingest
from hub.telemetry import Metrics
from plugins.http_listener.config import HttpListenerSettings
from plugins.http_listener.service import http_listener
from plugins.syslog_listener.config import SyslogListenerSettings
from plugins.syslog_listener.service import syslog_listener
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.complaints import Plant, deafen, mute_server, texts, unique
from tests.fixtures.destinations import server_tls, syslog_receiver
from tests.fixtures.ingest import RecordingIngest
from tests.fixtures.relay import until


async def test_vector_4933_a_dead_session_is_given_up_and_its_lines_come_again(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a firewall that forgot the connection, Vector's TCP sink sent the same for ever.

    Neither an acknowledgement nor a reset comes back: the kernel has to be told when to give up.
    """
    monkeypatch.setattr(hub.net, "DEAD_PEER_TIMEOUT", 1.0)  # 30 s
    config: dict[str, Any] = {"host": "127.0.0.1", "transport": "tcp"}
    async with syslog_receiver(config) as receiver:
        await plant.configure(kind="syslog", config=config)
        await plant.store(1, 5)
        await until(lambda: receiver.taken() == texts(1, 5))
        [writer] = receiver._writers
        deafen(writer.get_extra_info("socket"))
        await plant.store(6, 10)
        await until(lambda: receiver.connections == 2)
        await until(lambda: set(receiver.taken()) == set(texts(1, 10)))
        assert unique(receiver.taken()) == texts(1, 10)


# ── certificates that are renewed ─────────────────────────────────────────────────────────────


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are looked at more often than every 5 s."""
    often = functools.partialmethod(ServerCertificate.following, every=0.02)
    monkeypatch.setattr(ServerCertificate, "following", often)


async def shown(port: int, trust: ssl.SSLContext) -> str:
    """Give the serial number of the certificate that a listener shows."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trust, server_hostname="localhost"
    )
    serial = str(writer.get_extra_info("peercert")["serialNumber"])
    writer.close()
    return serial


async def renewed(port: int, authority: TestAuthority, folder: Path) -> None:
    """Renew a listener's certificate and wait until it is shown."""
    trust = ssl.create_default_context(cadata=authority.pem)
    before = await shown(port, trust)
    authority.issue("localhost").write(folder, "in")

    async def is_new() -> bool:
        return await shown(port, trust) != before

    await until(is_new)


async def test_vector_22900_a_renewed_certificate_stops_no_listener(
    looks_often: None, tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """After its certificate's files changed, Vector's HTTP sink got no event any more.

    Here both listeners go on with the new one, and the connections that are open stay.
    """
    certificate, key = local_certificate.write(tmp_path, "in")
    files = {"certificate": str(certificate), "key": str(key)}
    trust = ssl.create_default_context(cadata=authority.pem)
    ingest = RecordingIngest({"t0ken": "prj_mine"})
    one = {"transport": "tls", "port": 0, "token": "t0ken", "host": "127.0.0.1", **files}
    syslog = structs.decode(SyslogListenerSettings, {"listeners": {"in": one}})
    http = structs.decode(HttpListenerSettings, {"port": 0, "host": "127.0.0.1", **files})
    async with (
        syslog_listener(syslog, cast("Ingest", ingest), Metrics()) as ports,
        http_listener(http, cast("Ingest", ingest), Metrics()) as port,
        aiohttp.ClientSession() as client,
    ):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", ports["in"], ssl=trust, server_hostname="localhost"
        )
        writer.write(b"<13>a: before\n")
        await until(lambda: ingest.messages == ["before"])
        await renewed(ports["in"], authority, tmp_path)
        writer.write(b"<13>a: after\n")
        await until(lambda: ingest.messages == ["before", "after"])
        writer.close()
        assert port is not None
        await renewed(port, authority, tmp_path)
        async with client.post(
            f"https://localhost:{port}/v1/lines",
            data=b'{"message":"over http"}',
            headers={"Authorization": "Bearer t0ken", "Content-Type": "application/json"},
            ssl=trust,
        ) as answer:
            assert answer.status == 200
        assert ingest.messages[-1] == "over http"


async def test_vector_22900_a_changed_authority_stops_no_integration(plant: Plant) -> None:
    """The same for who sends: the receiver's authority is replaced, and the integration told."""
    old, new = TestAuthority(), TestAuthority()
    config: dict[str, Any] = {"host": "localhost", "ca": old.pem}
    async with syslog_receiver(config, tls=server_tls(old.issue("localhost"))) as receiver:
        await plant.configure(kind="syslog", config=config)
        await plant.store(1, 3)
        await until(lambda: receiver.taken() == texts(1, 3))
    async with syslog_receiver(config, tls=server_tls(new.issue("localhost"))) as receiver:
        await plant.configure(kind="syslog", config=config)
        await plant.store(4, 6)
        await plant.until(lambda s: "is not trusted" in s.error)
        await plant.configure(kind="syslog", config=config | {"ca": new.pem})
        await until(lambda: receiver.taken()[-3:] == texts(4, 6))
        assert unique(receiver.taken())[-3:] == texts(4, 6)


# ── handshakes that hang ──────────────────────────────────────────────────────────────────────


async def test_rsyslog_5539_a_server_that_never_says_hello_is_given_up(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, authority: TestAuthority
) -> None:
    """omfwd waited for ever for a SERVER_HELLO, and with it all of rsyslog."""
    monkeypatch.setattr(hub.net, "CONNECT_TIMEOUT", 0.2)  # 10 s
    async with mute_server() as port:
        config = {"host": "localhost", "port": port, "ca": authority.pem}
        await plant.configure("int_mute", "syslog", config)
        await plant.configure("int_other")
        await plant.store(1, 100)
        await until(lambda: plant.recorder("int_other").texts == texts(1, 100))
        status = await plant.until(lambda s: "did not answer in time" in s.error, "int_mute")
        assert status.lag_lines == 100
        async with asyncio.timeout(5):
            await plant.integrations.stop()


async def test_rsyslog_5539_a_client_that_never_says_hello_is_let_go(
    tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """The same from the other side: it takes its place for a moment, and nobody waits for it."""
    certificate, key = local_certificate.write(tmp_path, "in")
    one = {
        "transport": "tls", "port": 0, "token": "t0ken", "host": "127.0.0.1",
        "certificate": str(certificate), "key": str(key),
    }  # fmt: skip
    settings = structs.decode(
        SyslogListenerSettings, {"listeners": {"in": one}, "handshake": 0.2, "connections": 2}
    )
    ingest, metrics = RecordingIngest({"t0ken": "prj_mine"}), Metrics()
    trust = ssl.create_default_context(cadata=authority.pem)
    async with syslog_listener(settings, cast("Ingest", ingest), metrics) as ports:
        silent, _silent = await asyncio.open_connection("127.0.0.1", ports["in"])
        _, writer = await asyncio.open_connection(
            "127.0.0.1", ports["in"], ssl=trust, server_hostname="localhost"
        )
        writer.write(b"<13>a: served\n")
        await until(lambda: ingest.messages == ["served"])
        async with asyncio.timeout(5):
            assert await silent.read() == b"", "it was closed"
        _silent.close()
        writer.close()
        row = 'isaax_syslog_listener_refused_total{listener="in",reason="no handshake"} 1.0'
        await until(lambda: row.encode() in metrics.render())
