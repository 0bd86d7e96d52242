"""Sources besides devices, whole: real senders reach a running hub, and what it took is stored."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures import http_receivers, receivers
from tests.fixtures.certificates import Pair, TestAuthority
from tests.fixtures.parts import run_now
from tests.fixtures.receivers import find_rsyslog, find_syslog_ng, kept
from tests.fixtures.spine import Project, Spine, running_spine
from tests.fixtures.telemetry_receivers import OtlpServer, attributes, records_of


@dataclass(slots=True)
class Sources:
    """A hub with listeners, all for one project."""

    spine: Spine
    project: Project
    folder: Path
    ports: dict[str, int]

    def lines(self, host: str) -> list[dict[str, Any]]:
        """Give the stored lines that this host sent."""
        found: list[dict[str, Any]] = []
        path = f"/projects/{self.project.id}/logs?limit=1000"
        while path:  # a slow start is a long list
            page = self.spine.api.ask("GET", path)
            assert page.status == 200, page
            found = page.body + found
            path = page.headers.get("Link", "").partition("/api/v1")[2].partition(">")[0]
        return [line for line in found if line["host"] == host]

    def messages(self, host: str) -> list[str]:
        """Give their texts."""
        return [line["message"] for line in self.lines(host)]

    def integrate(self, kind: str, config: dict[str, Any]) -> None:
        """Have the lines that come from now on delivered."""
        body = {"type": kind, "name": kind, "config": config}
        self.spine.api.make(f"/projects/{self.project.id}/integrations", body)

    async def arrive(self, host: str, expected: list[str]) -> None:
        """Wait until there are as many lines of this host, and see that they are these."""
        await until(lambda: len(self.messages(host)) >= len(expected), what=f"the lines of {host}")
        assert self.messages(host) == expected


@pytest.fixture(scope="module")
def sources(
    authority: TestAuthority, local_certificate: Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sources]:
    """A hub whose listeners the environment configures, as `isaax up`'s users do."""
    folder = tmp_path_factory.mktemp("sources")
    certificate, key = local_certificate.write(folder, "listener")
    (folder / "ca.pem").write_text(authority.pem)
    ports = {
        "udp": free_port(kind=socket.SOCK_DGRAM),
        **{name: free_port() for name in ("tcp", "tls", "http")},
    }
    held = kept(*(ports[name] for name in ("tcp", "tls", "http")))
    with running_spine() as spine, held, pytest.MonkeyPatch.context() as patched:
        project = spine.project()
        one = {"token": project.token, "host": "127.0.0.1"}
        listeners = {
            "udp": {**one, "transport": "udp", "port": ports["udp"]},
            "tcp": {**one, "transport": "tcp", "port": ports["tcp"]},
            "tls": {
                **one, "transport": "tls", "port": ports["tls"],
                "certificate": str(certificate), "key": str(key),
            },
        }  # fmt: skip
        patched.setenv("ISAAX_SYSLOG_LISTENER_LISTENERS", json.dumps(listeners))
        patched.setenv("ISAAX_HTTP_LISTENER_PORT", str(ports["http"]))
        patched.setenv("ISAAX_HTTP_LISTENER_HOST", "127.0.0.1")
        assert spine.stop_hub() == 0
        spine.start_hub()
        yield Sources(spine, project, folder, ports)


@contextmanager
def running(*command: str | Path, environment: dict[str, str]) -> Iterator[None]:
    """Run a sender while the context is open."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
    finally:
        process.kill()
        process.wait()


def log(path: Path, *texts: str) -> None:
    """Write to a local syslog socket, as programs do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        deadline = time.monotonic() + 20
        while True:
            try:
                sender.connect(str(path))
                break
            except OSError:
                assert time.monotonic() < deadline, f"nothing listens at {path}"
                time.sleep(0.02)
        for text in texts:
            sender.send(f"<38>Nov 23 15:04:05 shop[7]: {text}".encode())


# ── logger ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "options",
    [
        ("--udp", "--rfc5424"),
        ("--udp", "--rfc3164"),
        ("--tcp", "--rfc5424"),
        ("--tcp", "--rfc5424", "--octet-count"),
        ("--tcp", "--rfc3164"),
    ],
)
def test_logger(sources: Sources, options: tuple[str, ...]) -> None:
    """util-linux's, in each of its forms."""
    text = f"logged with {' '.join(options)}, größer"
    port = sources.ports[options[0].removeprefix("--")]
    command = ["logger", *options, "--server", "127.0.0.1", "--port", str(port)]
    subprocess.run([*command, "-p", "local0.err", "-t", "shop", text], check=True)
    host = os.uname().nodename

    def found() -> list[dict[str, Any]]:
        stored = sources.spine.api.get(f"/projects/{sources.project.id}/logs?limit=1000")
        return [line for line in stored if line["message"].endswith(text)]

    asyncio.run(until(lambda: len(found()) == 1, what="the line"))
    (line,) = found()
    assert line["program"] == "shop"
    assert (line["facility"], line["severity"]) == ("local0", "err")
    assert line["stream"] == "sys"
    assert line["host"].split(".")[0] == host.split(".")[0]


# ── rsyslog and syslog-ng ─────────────────────────────────────────────────────────────────────

RSYSLOG = {
    "udp": 'protocol="udp" template="RSYSLOG_TraditionalForwardFormat"',
    "tcp": 'protocol="tcp" template="RSYSLOG_ForwardFormat"',
    "tcp-counted": 'protocol="tcp" tcp_framing="octet-counted"'
    ' template="RSYSLOG_SyslogProtocol23Format"',
    "tls": 'protocol="tcp" tcp_framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format"'
    ' streamDriver="ossl" streamDriverMode="1" streamDriverAuthMode="x509/certvalid"',
}
SYSLOG_NG = {
    "udp": 'network("127.0.0.1" port({port}) transport("udp"))',
    "tcp": 'network("127.0.0.1" port({port}) transport("tcp"))',
    "tcp-counted": 'syslog("127.0.0.1" port({port}) transport("tcp"))',
    "tls": 'syslog("localhost" port({port}) transport("tls") tls(ca-file("{folder}/ca.pem")))',
}
TEXTS = ["first", "größer 温度 🌡️", "x" * 2_000, "last"]


def forwarding(
    sources: Sources, folder: Path, form: str, host: str
) -> AbstractContextManager[None]:
    """Run an rsyslog that forwards what programs write to `log` in its folder.

    It processes its own messages: where it has to open /dev/log for each, and there is none, it can
    come to wait for ever on a descriptor that a thread closed and another was given (ossl driver).
    """
    program = find_rsyslog()
    port = sources.ports[form.partition("-")[0]]
    (folder / "rsyslog.conf").write_text(f"""
global(workDirectory="{folder}" localHostname="{host}" maxMessageSize="64k" net.enableDNS="off"
  processInternalMessages="on"
  defaultNetstreamDriverCAFile="{sources.folder}/ca.pem")
module(load="imuxsock" sysSock.use="off")
input(type="imuxsock" socket="{folder}/log" useSpecialParser="on" parseHostname="off"
  useSysTimeStamp="off")
if $programname == "shop" then
  action(type="omfwd" target="127.0.0.1" port="{port}" {RSYSLOG[form]}
  queue.type="LinkedList" action.resumeRetryCount="-1" action.resumeInterval="1")
""")
    command = (program.path, "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid",
               "-M", program.modules)  # fmt: skip
    return running(*command, environment=program.environment | {"TZ": "UTC"})


@pytest.mark.parametrize("form", RSYSLOG)
async def test_rsyslog(sources: Sources, tmp_path: Path, form: str) -> None:
    """It forwards what its programs write, exactly."""
    host = f"rsyslog-{form}"
    with forwarding(sources, tmp_path, form, host):
        log(tmp_path / "log", *TEXTS)
        # Its template for RFC 5424 sends the space after RFC 3164's tag as part of the text.
        space = " " if "Protocol23" in RSYSLOG[form] else ""
        await sources.arrive(host, [f"{space}{text}" for text in TEXTS])
    line = sources.lines(host)[0]
    assert (line["program"], line["facility"], line["severity"]) == ("shop", "auth", "info")


def collecting(
    sources: Sources, folder: Path, form: str, host: str
) -> AbstractContextManager[None]:
    """Run a syslog-ng that does the same."""
    program = find_syslog_ng()
    port = sources.ports[form.partition("-")[0]]
    destination = SYSLOG_NG[form].format(port=port, folder=sources.folder)
    (folder / "syslog-ng.conf").write_text(f"""@version: {program.modules.name}
options {{ use-dns(no); dns-cache(no); stats-freq(0); log-msg-size(65536); time-reopen(1); }};
source s {{ unix-dgram("{folder}/log"); }};
rewrite r {{ set("{host}" value("HOST")); }};
destination d {{ {destination}; }};
log {{ source(s); rewrite(r); destination(d); }};
""")
    command = (program.path, "-F", "--no-caps", "-f", folder / "syslog-ng.conf",
               f"--module-path={program.modules}", "-R", folder / "persist",
               f"--pidfile={folder}/pid", f"--control={folder}/control")  # fmt: skip
    return running(*command, environment=program.environment | {"TZ": "UTC"})


@pytest.mark.parametrize("form", SYSLOG_NG)
async def test_syslog_ng(sources: Sources, tmp_path: Path, form: str) -> None:
    """The same, with its own formats and framing."""
    host = f"syslog-ng-{form}"
    with collecting(sources, tmp_path, form, host):
        log(tmp_path / "log", *TEXTS)
        # It numbers the messages of RFC 5424, and structured data is kept.
        numbered = [f'[meta sequenceId="{n}"] {text}' for n, text in enumerate(TEXTS, 1)]
        is_numbered = SYSLOG_NG[form].startswith("syslog")
        await sources.arrive(host, numbered if is_numbered else TEXTS)
    line = sources.lines(host)[0]
    assert (line["program"], line["facility"], line["severity"]) == ("shop", "auth", "info")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("sends", "form"),
    [(forwarding, "tcp"), (forwarding, "tls"), (collecting, "tcp")],
    ids=["rsyslog-tcp", "rsyslog-tls", "syslog-ng-tcp"],
)
async def test_a_hub_that_starts_anew_costs_a_sender_no_line(
    sources: Sources,
    tmp_path: Path,
    sends: Callable[[Sources, Path, str, str], AbstractContextManager[None]],
    form: str,
) -> None:
    """It looks for the end before it writes, and what it wrote until then is taken.

    (syslog-ng does not look over TLS: what it writes in the moment when it is cut off is lost.)
    """
    host = f"restarted-{sends.__name__}-{form}"
    sent: list[str] = []
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.02):
            sent.append(f"numbered {len(sent)}")
            log(tmp_path / "log", sent[-1])

    with sends(sources, tmp_path, form, host):
        sender = threading.Thread(target=send)
        sender.start()
        try:
            await until(lambda: len(sources.lines(host)) > 20, what="lines")
            assert await asyncio.to_thread(sources.spine.stop_hub) == 0
            await asyncio.to_thread(sources.spine.start_hub)
            before = len(sent)
            await until(lambda: len(sent) > before + 20, what="more lines")
        finally:
            done.set()
            sender.join()
        await until(lambda: sent[-1] in sources.messages(host)[-1], what="the last", timeout=60)
    found = [text.rpartition("] ")[2].strip() for text in sources.messages(host)]
    assert list(dict.fromkeys(found)) == sent


# ── through the hub ───────────────────────────────────────────────────────────────────────────


async def test_rsyslog_to_rsyslog(
    sources: Sources, tmp_path: Path, authority: TestAuthority, local_certificate: Pair
) -> None:
    """What one forwards arrives at the other as it was: host, program, severity, time, text."""
    with receivers.running(receivers.rsyslog, authority, local_certificate) as receiver:
        config = {
            "host": "localhost", "port": receiver.ports["tls-rfc5424-octet-counting"],
            "framing": "octet-counting", "ca": authority.pem,
        }  # fmt: skip
        sources.integrate("syslog", config)
        with forwarding(sources, tmp_path, "tls", "through"):
            log(tmp_path / "log", *TEXTS)
            await until(lambda: len(receiver.lines("through")) == len(TEXTS), what="all lines")
        lines = receiver.lines("through")
        assert receiver.complaints() == ""
    assert [line["message"].strip() for line in lines] == TEXTS
    assert {(line["program"], line["pri"]) for line in lines} == {("shop", "38")}
    stored = [line["time"][:23] for line in sources.lines("through")]
    assert [line["time"][:23] for line in lines] == stored


async def test_otlp_to_otlp(sources: Sources) -> None:
    """A record that was posted leaves as one: resource, severity, body, time."""
    async with http_receivers.running(OtlpServer()) as server:
        await asyncio.to_thread(sources.integrate, "otlp", server.config)
        resource = {"host.name": "otlp-through", "service.name": "shop"}
        attributes_of = [
            {"key": key, "value": {"stringValue": value}} for key, value in resource.items()
        ]
        record = {
            "timeUnixNano": "1795446245123456000", "severityNumber": 17,
            "body": {"stringValue": "größer"},
        }  # fmt: skip
        logs = {"resource": {"attributes": attributes_of}, "scopeLogs": [{"logRecords": [record]}]}
        body = {"resourceLogs": [logs]}
        assert await asyncio.to_thread(post, sources, body, "/v1/logs") == 200
        await until(lambda: "größer" in server.lines, what="the record")
    (whole,) = (one for one in server.logs if "otlp-through" in str(one))
    found = attributes(whole.resource_logs[0].resource.attributes)
    assert resource.items() <= found.items()
    (arrived,) = records_of(whole)
    assert (arrived.severity_number, arrived.time_unix_nano) == (17, 1795446245123456000)


# ── OpenTelemetry, and a NATS that is killed ──────────────────────────────────────────────────


async def test_the_opentelemetry_collector(sources: Sources, tmp_path: Path) -> None:
    """Its filelog receiver and OTLP exporter, compressed, with a token."""
    bundled = Path(str(files("otel_collector"))) / "bin" / "otelcol-contrib_linux_amd64"
    program = tmp_path / "otelcol"
    shutil.copy(bundled, program)
    program.chmod(0o755)
    lines = [f"line {number} größer" for number in range(500)]
    (tmp_path / "app.log").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "config.yaml").write_text(f"""
receivers:
  filelog:
    include: [{tmp_path}/app.log]
    start_at: beginning
    include_file_name: false
    resource: {{host.name: collector, service.name: shop}}
exporters:
  otlphttp:
    endpoint: http://127.0.0.1:{sources.ports["http"]}
    headers: {{Authorization: "Bearer {sources.project.token}"}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{logs: {{receivers: [filelog], exporters: [otlphttp]}}}}
""")
    command = (program, "--config", tmp_path / "config.yaml")
    with running(*command, environment=dict(os.environ)):
        await until(lambda: len(sources.lines("collector")) >= len(lines), what="the lines")
    # It sends several batches at a time.
    assert sorted(sources.messages("collector")) == sorted(lines)
    assert {line["program"] for line in sources.lines("collector")} == {"shop"}


@pytest.mark.timeout(120)
def test_what_was_answered_by_200_is_stored_whatever_dies(sources: Sources) -> None:
    """NATS is killed in the middle of it; what was answered by 503 may be repeated."""
    taken: list[str] = []
    refused: list[int] = []
    done = threading.Event()

    def send() -> None:
        number = 0
        while not done.is_set():
            number += 1
            text = f"numbered {number}"
            status = post(sources, [{"message": text, "host": "poster"}])
            if status == 200:
                taken.append(text)
            else:
                refused.append(status)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        asyncio.run(until(lambda: len(taken) > 20, what="answers"))
        sources.spine.embedded.nats.kill()
        before = len(taken)
        run_now(sources.spine.embedded.nats.restart())
        more = until(lambda: len(taken) > before + 20, what="answers again", timeout=60)
        asyncio.run(more)
    finally:
        done.set()
        sender.join()
    assert set(refused) <= {503}
    stored = sources.messages("poster")
    assert set(taken) <= set(stored)
    first = list(dict.fromkeys(stored))
    assert first == sorted(first, key=lambda text: int(text.split()[1]))


def post(sources: Sources, body: Any, path: str = "/v1/lines") -> int:
    """Post lines, or what another path takes; give the status."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{sources.ports['http']}{path}",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {sources.project.token}", "Content-Type": "application/json",
        },
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=40) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
