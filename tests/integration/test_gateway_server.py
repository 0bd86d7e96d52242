"""Binding, TLS, the gateway's own pages, the request log, and an end that cuts nobody off."""

import asyncio
import json
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from hub import hookimpl
from hub.embedded.ports import free_port
from hub.errors import StartError, Unavailable
from hub.gateway.service import Tuning
from hub.routes import Call, NoQuery, Reply, Route
from hub.secret import Secret
from hub.settings import HttpSettings
from hub.testing import eventually
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.gateway import PATIENCE, RunSite, Site, Tick

WAIT = b"GET /trouble/wait HTTP/1.1\r\nHost: x\r\n\r\n"


# ── the end ───────────────────────────────────────────────────────────────────────────────────


async def test_a_request_at_work_is_answered_while_the_gateway_drains(run_site: RunSite) -> None:
    reader, writer, answer = None, None, b""
    async with run_site() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
        writer.write(WAIT)
        async with asyncio.timeout(PATIENCE):
            await site.notes.started.wait()
        asyncio.get_running_loop().call_later(0.05, site.notes.go_on.set)
    async with asyncio.timeout(PATIENCE):
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in head
    assert json.loads(body) == {"number": 1, "padding": ""}


async def test_nobody_new_is_let_in_while_the_gateway_drains(run_site: RunSite) -> None:
    refused = asyncio.Event()

    async def knock(port: int, go_on: asyncio.Event) -> None:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                break
            writer.close()
            await asyncio.sleep(0.005)
        refused.set()
        go_on.set()

    async with run_site() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
        writer.write(WAIT)
        async with asyncio.timeout(PATIENCE):
            await site.notes.started.wait()
        knocking = asyncio.create_task(knock(site.at.port, site.notes.go_on))
    await knocking
    assert refused.is_set()
    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_handler_that_never_ends_does_not_hold_up_the_end(run_site: RunSite) -> None:
    async with asyncio.timeout(PATIENCE), run_site(tuning=Tuning(drain=0.05)) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
        writer.write(WAIT)
        await site.notes.started.wait()
    writer.close()
    assert not site.notes.go_on.is_set()


async def test_idle_connections_do_not_hold_up_the_end(run_site: RunSite) -> None:
    async with asyncio.timeout(PATIENCE):
        async with run_site(tuning=Tuning(drain=60)) as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        await reader.read()
        assert reader.at_eof()
        writer.close()


# ── the start ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (HttpSettings(host="192.0.2.1", port=0), "http.host"),
        (HttpSettings(host="no such host.invalid", port=0), "http.host"),
        (HttpSettings(port=70_000), "http.port"),
        (HttpSettings(port=0, certificate=Path("/nowhere.pem")), "http.certificate"),
        (HttpSettings(port=0, key=Path("/nowhere.pem")), "http.certificate"),
        (
            HttpSettings(port=0, certificate=Path("/nowhere.pem"), key=Path("/nowhere.key")),
            "/nowhere.pem",
        ),
        (
            HttpSettings(port=0, certificate=Path(__file__), key=Path(__file__)),
            "cannot be used",
        ),
    ],
)
async def test_a_wrong_setting_is_named(
    run_site: RunSite, settings: HttpSettings, words: str
) -> None:
    with pytest.raises(StartError) as failed:
        async with run_site(settings):
            pass
    assert words in failed.value.detail


async def test_a_taken_port_is_named(run_site: RunSite) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"http\.port: 127\.0\.0\.1:{port} is taken"):
            async with run_site(HttpSettings(port=port)):
                pass


async def test_the_port_is_free_again_at_once(run_site: RunSite) -> None:
    settings = HttpSettings(port=free_port())
    for _ in range(2):
        async with run_site(settings) as site, site.http.get(f"{site.url}/healthz") as response:
            assert response.status == 200


async def test_https(run_site: RunSite, tmp_path: Path) -> None:
    certificate, key = await _certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))
    settings = HttpSettings(port=0, certificate=certificate, key=key)
    async with run_site(settings) as site:
        assert site.url.startswith("https://127.0.0.1:")
        async with site.http.get(f"{site.url}/healthz", ssl=trust) as response:
            assert response.status == 200
            assert response.headers["Strict-Transport-Security"].startswith("max-age=")
        with pytest.raises(aiohttp.ClientError):
            await site.http.get(site.url.replace("https", "http") + "/healthz")
        async with site.http.get(f"{site.url}/healthz", ssl=trust) as response:
            assert response.status == 200


async def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", str(key), "-out", str(certificate),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    return certificate, key


async def test_a_new_certificate_is_taken_up_and_connections_stay(
    run_site: RunSite, tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """One that cannot be used is complained of, and the old one goes on."""
    certificate, key = local_certificate.write(tmp_path, "http")
    settings = HttpSettings(port=0, certificate=certificate, key=key)
    trust = ssl.create_default_context(cadata=authority.pem)

    async def serial(site: Site) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", site.at.port, ssl=trust)
        shown = str(writer.get_extra_info("peercert")["serialNumber"])
        writer.transport.abort()
        return shown

    async with run_site(settings, Tuning(look=0.01, drain=PATIENCE)) as site:
        first = await serial(site)
        reader, writer = await asyncio.open_connection("127.0.0.1", site.at.port, ssl=trust)
        with capture_logs() as logs:
            certificate.write_text("not a certificate")
            await eventually(
                lambda: any("the old one stays" in log["event"] for log in logs), "a complaint"
            )
        assert await serial(site) == first
        new = authority.issue("localhost", "127.0.0.1")
        key.write_text(new.key)
        certificate.write_text(new.certificate)
        seen = {first}
        async with asyncio.timeout(PATIENCE):
            while seen == {first}:
                seen.add(await serial(site))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.transport.abort()


# ── pages ─────────────────────────────────────────────────────────────────────────────────────


async def test_alive(site: Site) -> None:
    async with site.http.get(f"{site.url}/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "alive"})


async def test_ready_says_which_part_is_not_and_why(site: Site) -> None:
    async def fine() -> None:
        pass

    async def broken() -> None:
        raise Unavailable("no answer at https://me:hunter2@db/")

    with site.health.add("nats", fine):
        async with site.http.get(f"{site.url}/readyz") as response:
            assert response.status == 200
            assert (await response.json())["status"] == "ready"
        with site.health.add("postgres", broken):
            async with site.http.get(f"{site.url}/readyz") as response:
                assert response.status == 503
                body = await response.json()
    assert body["status"] == "not ready"
    states = {check["name"]: check["ok"] for check in body["checks"]}
    assert states == {"nats": True, "postgres": False}
    assert "no answer" in body["checks"][1]["detail"]
    assert "hunter2" not in json.dumps(body)


async def test_metrics_are_for_this_machine_alone(site: Site) -> None:
    async with site.request("GET", "/api/v1/notes/none") as response:
        assert response.status == 404
    async with site.http.get(f"{site.url}/metrics") as response:
        assert response.status == 200
        text = await response.text()
    assert (
        'isaax_http_requests_total{method="GET",route="/api/v1/notes/{note}",status="404"} 1.0'
        in text
    )
    for header in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
        async with site.http.get(f"{site.url}/metrics", headers={header: "x"}) as response:
            assert response.status == 403
            assert (await response.json(content_type=None))["type"] == "/problems/metrics-forbidden"


async def test_with_a_token_metrics_need_the_token(run_site: RunSite) -> None:
    settings = HttpSettings(port=0, metrics_token=Secret("prometheus"))
    async with run_site(settings) as site:
        for credential, status in (("prometheus", 200), ("writer", 403), ("", 403)):
            headers = {"Authorization": f"Bearer {credential}", "X-Forwarded-For": "192.0.2.7"}
            async with site.http.get(f"{site.url}/metrics", headers=headers) as response:
                assert response.status == status


# ── the log ───────────────────────────────────────────────────────────────────────────────────


async def test_the_log_says_who_did_what_and_no_secret(site: Site) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with capture_logs() as logs:
        headers = {"traceparent": trace, "Idempotency-Key": "a-key"}
        path = "/api/v1/notes/n1?token=hunter2"
        async with site.request("GET", path, headers=headers) as response:
            assert response.status == 422
            request_id = response.headers["X-Request-Id"]
    line = next(log for log in logs if log["event"] == "request")
    assert line["route"] == "/api/v1/notes/{note}"
    assert (line["method"], line["status"]) == ("GET", 422)
    assert (line["account"], line["actor"]) == ("acc_one", "apt_writer")
    assert request_id
    for secret in ("hunter2", "writer'", "a-key"):
        assert secret not in repr(logs).replace("apt_writer", "")


async def test_a_crash_is_logged_with_its_reason(site: Site) -> None:
    with capture_logs() as logs:
        async with site.request("GET", "/trouble/crash") as response:
            assert response.status == 500
    assert any(log["event"] == "request failed" and log.get("exc_info") for log in logs)


# ── plugins ───────────────────────────────────────────────────────────────────────────────────


class Rude:
    """A plugin whose routes cannot be served."""

    @hookimpl
    def isaax_routes(self) -> list[Route[Any, Any]]:
        async def answer(call: Call[None, NoQuery]) -> Reply:
            return Reply(Tick(7))

        def route(method: str, path: str, **more: Any) -> Route[Any, Any]:
            options = {"response": Tick, **more}
            return Route(
                method=method, path=path, summary="x", tag="x", handler=answer, permission=None,
                **options,
            )  # fmt: skip

        return [
            route("GET", "/healthz"),
            route("GET", "/rude/{a}/{a}"),
            route("GET", "/rude/"),
            route("GET", "/rude/body", body=Tick),
            route("PUT", "/rude/no-body"),
            route("POST", "/rude/stream", stream=Tick),
            route("GET", "/rude/status", status=404),
            route("GET", "/rude/nothing", response=None),
            route("GET", "/polite"),
        ]


async def test_a_route_that_cannot_be_served_takes_no_other_away(run_site: RunSite) -> None:
    with capture_logs() as logs:
        async with run_site(rude=Rude()) as site:
            async with site.http.get(f"{site.url}/polite") as response:
                assert (await response.json())["number"] == 7
            async with site.http.get(f"{site.url}/healthz") as response:
                assert (await response.json())["status"] == "alive"
            async with site.http.get(f"{site.url}/rude/body") as response:
                assert response.status == 404
    refused = [log for log in logs if log["event"] == "route not served"]
    assert len(refused) == 8
    assert {log["plugin"] for log in refused} == {"rude"}
    assert all(log["reason"] for log in refused)
