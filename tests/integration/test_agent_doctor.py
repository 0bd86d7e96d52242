"""`isaax-agent doctor` and `logs` against the real broker, and with set-ups that are broken."""

import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.doctor.device import holder_of, judge_unit
from hub.embedded.mosquitto import Mosquitto
from tests.deadline import until
from tests.fixtures.agents import AgentMaker, AgentProcess, SmallHub

TALKER = '[app]\ncommand = "echo one; echo two; exec sleep 600"\nstopSeconds = 0.2\n'


def diagnosis(agent: AgentProcess, *, exit_code: int) -> dict[str, Any]:
    """Give what was found, by check; no secret is in it."""
    done = agent.ask("doctor", "--json")
    assert done.returncode == exit_code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["well"] is (exit_code == 0)
    text = agent.config.read_text()
    for key in ("projectToken", "deviceKey"):
        secret = text.partition(f'{key} = "')[2].partition('"')[0]
        assert not secret or secret not in done.stdout + agent.ask("doctor").stdout
    return {one["check"]: one for one in told["findings"]}


async def test_a_device_that_is_well(
    make_agent: AgentMaker, small_hub: SmallHub, mosquitto_broker: Mosquitto
) -> None:
    agent = make_agent(
        TALKER,
        server=f"mqtts://localhost:{mosquitto_broker.listeners.tls_port}",
        caFile=str(mosquitto_broker.ca),
    )
    agent.config.chmod(0o600)
    agent.start()
    await until(lambda: small_hub.lines["app"] == ["one", "two"], what="its lines")
    await until(lambda: '"state":"open"' in (agent.state / "status.json").read_text())
    hellos = len(small_hub.hellos)
    found = diagnosis(agent, exit_code=0)
    quiet = ("configuration", "permissions", "name", "port", "certificate", "login", "hub", "agent")
    assert {name: found[name]["verdict"] for name in quiet} == dict.fromkeys(quiet, "ok")
    assert found["session"]["verdict"] == "ok"
    assert found["state"]["detail"].endswith(f"process {agent.pid} uses it")
    assert found["clock"]["verdict"] == "ok"
    assert found["program app"]["detail"] == "running, restarted 0 times"
    assert len(small_hub.hellos) == hellos, "the session of the agent goes on"
    assert small_hub.gone == []
    assert small_hub.registrations == [], "no device was made"


async def test_a_wrong_token_and_a_folder_that_others_read(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    agent = make_agent(projectToken="f" * 24)
    agent.config.chmod(0o644)
    found = diagnosis(agent, exit_code=1)
    assert found["login"]["verdict"] == "failed"
    assert "refuses project and token" in found["login"]["detail"]
    assert "projectToken" in found["login"]["advice"]
    assert "hub" not in found
    assert (found["permissions"]["verdict"], found["permissions"]["advice"]) == (
        "warning", f"chmod 600 {agent.config}",
    )  # fmt: skip
    assert found["agent"]["verdict"] == "warning"
    assert small_hub.said["Begin"] == 0


async def test_nobody_at_the_port(make_agent: AgentMaker) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        agent = make_agent(server=f"mqtt://127.0.0.1:{free.getsockname()[1]}")
        found = diagnosis(agent, exit_code=1)
    assert "Connection refused" in found["port"]["detail"]
    assert "login" not in found


async def test_a_name_that_is_nobodys(make_agent: AgentMaker) -> None:
    agent = make_agent(server="mqtts://hub.invalid")
    found = diagnosis(agent, exit_code=1)
    assert found["name"]["verdict"] == "failed"
    assert found["name"]["detail"].startswith("hub.invalid: ")


async def test_a_hub_that_does_not_answer(
    make_agent: AgentMaker, small_hub: SmallHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_hub.mute = True
    from agent.config import load
    from agent.doctor import hub

    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.5)
    agent = make_agent()
    *_, login, last = hub.examine(load(agent.config))
    assert (login.check, login.verdict) == ("login", "ok")
    assert (last.check, last.verdict) == ("hub", "failed")
    assert "no answer" in last.detail


@pytest.mark.usefixtures("small_hub")
async def test_certificates_that_are_not_accepted(
    make_agent: AgentMaker, mosquitto_broker: Mosquitto, tmp_path: Path
) -> None:
    tls = mosquitto_broker.listeners.tls_port
    stranger = diagnosis(make_agent(server=f"mqtts://localhost:{tls}"), exit_code=1)
    assert stranger["certificate"]["verdict"] == "failed"
    assert "caFile" in stranger["certificate"]["advice"]
    absent = make_agent(server=f"mqtts://localhost:{tls}", caFile=str(tmp_path / "none.pem"))
    assert "No such file" in diagnosis(absent, exit_code=1)["certificate"]["detail"]
    plain = make_agent(server=f"mqtts://localhost:{mosquitto_broker.listeners.port}")
    assert "not that for mqtt://" in diagnosis(plain, exit_code=1)["certificate"]["advice"]
    for days, verdict, words in ((-1, "failed", "expired"), (3, "warning", "2 more days")):
        with tls_server(tmp_path, days) as (port, authority):
            agent = make_agent(server=f"mqtts://localhost:{port}", caFile=str(authority))
            certificate = diagnosis(agent, exit_code=1)["certificate"]
        assert (certificate["verdict"], words in certificate["detail"]) == (verdict, True)
        assert "renew the hub's certificate" in certificate["advice"]


async def test_a_state_folder_that_cannot_be_written(make_agent: AgentMaker) -> None:
    agent = make_agent()
    text = agent.config.read_text()
    agent.config.write_text(text.replace(str(agent.state), "/proc/isaax-agent"))
    found = diagnosis(agent, exit_code=1)
    assert found["state"]["verdict"] == "failed"
    assert "stateDir" in found["state"]["advice"]


async def test_a_file_that_is_not_valid(make_agent: AgentMaker) -> None:
    agent = make_agent("colour = 1\n")
    found = diagnosis(agent, exit_code=1)
    assert list(found) == ["configuration"]
    assert "colour: there is no such key" in found["configuration"]["detail"]


@pytest.mark.usefixtures("small_hub")
async def test_programs_that_cannot_run_or_fail(make_agent: AgentMaker) -> None:
    agent = make_agent(
        '[programs.absent]\ncommand = ["no-such-program"]\n'
        '[programs.stranger]\ncommand = "true"\nuser = "no-such-user"\n'
        '[programs.lost]\ncommand = "true"\ndirectory = "/no/such/folder"\n'
    )
    found = diagnosis(agent, exit_code=1)
    assert "no-such-program is no program" in found["program absent"]["detail"]
    assert "no user no-such-user" in found["program stranger"]["detail"]
    assert "/no/such/folder is not there" in found["program lost"]["detail"]
    failing = make_agent('[app]\ncommand = "exit 3"\n')
    failing.start()
    await until(lambda: "starts again" in failing.log, what="its failure")
    await until(lambda: '"waiting"' in (failing.state / "status.json").read_text())
    shown = failing.ask("doctor").stdout
    assert "program app" in shown
    assert "it ended with 3" in shown
    assert "isaax-agent logs shows what it wrote" in shown


@pytest.mark.parametrize(
    ("shown", "verdict", "words"),
    [
        ({"LoadState": "not-found"}, "warning", "there is no unit isaaxd"),
        (
            {"LoadState": "loaded", "ActiveState": "failed", "UnitFileState": "enabled"},
            "failed", "isaaxd is failed",
        ),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"},
            "warning", "disabled",
        ),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled",
             "NRestarts": "2"},
            "ok", "restarted 2 times",
        ),
    ],
)  # fmt: skip
def test_what_systemd_says_of_the_unit(shown: dict[str, str], verdict: str, words: str) -> None:
    finding = judge_unit(shown)
    assert (finding.verdict, words in finding.detail) == (verdict, True)


def test_a_lock_that_nobody_holds(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    assert holder_of(tmp_path / "lock") is None
    assert holder_of(tmp_path / "none") is None


# ── logs ──────────────────────────────────────────────────────────────────────────────────────


async def test_logs_show_what_was_sent_and_follow_what_comes(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    more = tmp_path / "more"
    wait = f"echo one; echo two; while [ ! -e {more} ]; do sleep 0.05; done; echo three; sleep 600"
    agent = make_agent(f"[app]\ncommand = {json.dumps(wait)}\nstopSeconds = 0.2\n")
    assert agent.ask("logs").stdout == "", "before it ever ran"
    agent.start()
    await until(lambda: small_hub.lines["app"] == ["one", "two"], what="its lines")
    await until(lambda: '"acknowledged":2' in (agent.state / "status.json").read_text())
    assert [line.split()[-2:] for line in agent.ask("logs").stdout.splitlines()] == [
        ["app:", "one"], ["app:", "two"],
    ]  # fmt: skip
    assert agent.ask("logs", "-n", "1").stdout.endswith("app: two\n")
    assert "the app started" in agent.ask("logs", "--stream", "agent").stdout
    follower = following(agent)
    assert follower.stdout is not None
    try:
        assert follower.stdout.readline().endswith("app: two\n")
        more.touch()
        assert follower.stdout.readline().endswith("app: three\n")
    finally:
        follower.terminate()
        follower.communicate()
    assert agent.stop() == 0
    assert agent.ask("logs", "-n", "1").stdout.endswith("app: three\n"), "when it does not run"


def following(agent: AgentProcess) -> "subprocess.Popen[str]":
    command = [sys.executable, "-P", "-m", "agent.cli", "logs", "--config", str(agent.config)]
    return subprocess.Popen([*command, "-f", "-n", "1"], stdout=subprocess.PIPE, text=True)


@contextmanager
def tls_server(folder: Path, days: int) -> Iterator[tuple[int, Path]]:
    """Serve TLS with a certificate that is valid for so many days more; give port and authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=90))
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, secret = folder / "server.pem", folder / "server.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, secret)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_handshakes, args=(listener, context), daemon=True).start()
        yield listener.getsockname()[1], public
        listener.shutdown(socket.SHUT_RDWR)


def _handshakes(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with whoever comes, and hang up."""
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        with raw:
            try:
                context.wrap_socket(raw, server_side=True).close()
            except OSError:
                continue
