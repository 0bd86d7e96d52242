"""The embedded parts' helpers: ports, secrets, certificates, programs, folders."""

import socket
import ssl
from pathlib import Path

import pytest

from hub.embedded import tls
from hub.embedded.account import (
    Account,
    closed_folder,
    make_folder,
    open_to_all,
    unprivileged,
    write_private,
)
from hub.embedded.mosquitto import build_plugin
from hub.embedded.parts import certificate_names
from hub.embedded.ports import Ports, check_free, fill, free_port
from hub.embedded.process import Child, Command
from hub.embedded.runtime import Runtime
from hub.embedded.secrets import SecretFiles
from hub.embedded.tls import Authority
from hub.errors import StartError
from hub.secret import Secret
from hub.settings import reachable

SOMEBODY = Account("somebody", 65534, 65534)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


# ── ports ──


def test_a_free_port_is_fine() -> None:
    port = free_port()
    check_free("127.0.0.1", port, "NATS", "--nats-port")
    assert port > 0


def test_a_taken_port_is_named_with_its_option() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"NATS: port {port} .* --nats-port PORT"):
            check_free("127.0.0.1", port, "NATS", "--nats-port")


def test_an_address_that_is_not_ours_is_told_from_a_taken_port() -> None:
    with pytest.raises(StartError, match="cannot be used"):
        check_free("192.0.2.1", 7800, "HTTP", "--http-port")


def test_a_host_that_is_no_address_is_a_clear_error() -> None:
    with pytest.raises(StartError, match=r"HTTP: no such address: nowhere\.invalid"):
        check_free("nowhere.invalid", 7800, "HTTP", "--http-port")


def test_zero_becomes_a_free_port_and_others_stay() -> None:
    filled = fill(Ports(http=0, nats=4222))
    assert filled.http != 0
    assert filled.nats == 4222


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")]
)
def test_every_address_is_reached_at_the_local_one(host: str, address: str) -> None:
    assert reachable(host) == address


# ── files ──


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    secrets = SecretFiles(tmp_path / "secrets")
    password = secrets.password("nats")
    assert len(password.reveal()) >= 32
    assert SecretFiles(tmp_path / "secrets").password("nats") == password
    assert secrets.password("mqtt") != password
    assert mode(tmp_path / "secrets") == 0o700
    assert mode(secrets.path("nats")) == 0o600


def test_a_key_is_32_bytes_and_stays(tmp_path: Path) -> None:
    secrets = SecretFiles(tmp_path)
    content = secrets.key("vault.key").read_bytes()
    assert len(content.strip()) == 44
    assert secrets.key("vault.key").read_bytes() == content


def test_a_token_is_kept_for_us_alone(tmp_path: Path) -> None:
    path = SecretFiles(tmp_path).keep("api-token", Secret("isx_1"))
    assert path.read_text() == "isx_1\n"
    assert mode(path) == 0o600


def test_a_private_file_replaces_what_was_open_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_that_is_closed_is_named(tmp_path: Path) -> None:
    outer = make_folder(tmp_path / "outer", None, 0o711)
    closed = make_folder(outer / "closed", None, 0o700)
    inner = make_folder(closed / "inner", None, 0o755)
    tmp_path.chmod(0o755)
    assert not open_to_all(inner)
    closed.chmod(0o711)
    assert closed_folder(inner) != closed


def test_an_ordinary_user_stays_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert unprivileged("mosquitto") is None


def test_root_becomes_the_first_account_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    chosen = unprivileged("no-such-user", "daemon")
    assert chosen is not None
    assert chosen.name == "daemon"
    assert chosen.uid != 0


# ── programs that another user can run ──


def test_what_everybody_can_read_is_used_where_it_is(tmp_path: Path) -> None:
    source = Path("/bin/sh")
    assert Runtime(tmp_path / "runtime").file(source, SOMEBODY) == source
    assert not (tmp_path / "runtime").exists()


def test_what_is_closed_is_copied_once_for_all(tmp_path: Path) -> None:
    package = make_folder(tmp_path / "closed" / "package", None)
    tmp_path.joinpath("closed").chmod(0o700)
    program = package / "bin" / "program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    (package / "data").write_text("x")
    runtime = Runtime(tmp_path / "runtime")
    (copy,) = runtime.tree("package-1", [package], SOMEBODY)
    assert copy.is_relative_to(tmp_path / "runtime")
    assert mode(copy / "bin" / "program") == 0o755
    assert mode(copy / "data") == 0o644
    (copy / "mark").touch()
    assert (runtime.tree("package-1", [package], SOMEBODY)[0] / "mark").exists()
    assert not (runtime.tree("package-2", [package], SOMEBODY)[0] / "mark").exists()
    alone = runtime.file(program, SOMEBODY)
    assert alone.read_text() == "#!/bin/sh\n"
    assert mode(alone) == 0o755


# ── certificates ──


def test_names_of_the_certificate_are_those_that_devices_use() -> None:
    names = certificate_names("10.0.0.7", ("hub.example",))
    assert names[:2] == ("hub.example", "10.0.0.7")
    assert {"localhost", "127.0.0.1", socket.gethostname()} <= set(names)
    assert "0.0.0.0" not in certificate_names("0.0.0.0", ())


def test_a_certificate_is_kept_until_its_names_change(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "server", None)
    authority = Authority(tmp_path / "ca")
    first = authority.server(folder, ["localhost", "127.0.0.1"], None).certificate.read_bytes()
    again = Authority(tmp_path / "ca").server(folder, ["localhost", "127.0.0.1"], None)
    assert again.certificate.read_bytes() == first
    other = authority.server(folder, ["hub.example"], None)
    assert other.certificate.read_bytes() != first
    assert mode(other.key) == 0o600


def test_a_certificate_is_renewed_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    first = authority.server(tmp_path, ["localhost"], None).certificate.read_bytes()
    monkeypatch.setattr(tls, "RENEW", tls.SERVER_LIFE)
    assert authority.server(tmp_path, ["localhost"], None).certificate.read_bytes() != first


def test_a_client_that_trusts_the_authority_trusts_the_server(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    files = authority.server(tmp_path, ["hub.example"], None)
    client = ssl.create_default_context(cadata=authority.pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="hub.example")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    certificate = ours.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("DNS", "hub.example"),)


# ── children ──


async def test_what_a_child_said_last_is_in_the_error(tmp_path: Path) -> None:
    child = Child(Command("part", ("/bin/sh", "-c", "echo no luck; exit 3"), tmp_path))

    async def never() -> bool:
        return False

    await child.spawn()
    with pytest.raises(StartError, match=r"part ended \(3\)(?s:.*)no luck"):
        await child.until(never, timeout=20)


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    child = Child(Command("part", ("/no/such/program",), tmp_path))
    await child.spawn()
    assert await child.wait() == 126
    assert "cannot use /no/such/program: No such file" in child.log_file.read_text()


async def test_a_child_that_does_not_end_is_killed(tmp_path: Path) -> None:
    command = "trap '' TERM; touch deaf; while :; do sleep 0.01; done"
    child = Child(Command("part", ("/bin/sh", "-c", command), tmp_path))

    async def deaf() -> bool:
        return (tmp_path / "deaf").exists()

    await child.spawn()
    await child.until(deaf, timeout=20)
    await child.stop(0.05)
    assert not child.running
    assert await child.wait() == -9


async def test_nothing_of_our_environment_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISAAX_POSTGRES_PASSWORD", "secret")
    child = Child(Command("part", ("/usr/bin/env",), tmp_path))
    await child.spawn()
    assert await child.wait() == 0
    assert "secret" not in child.log_file.read_text()
    assert mode(child.log_file) == 0o600


async def test_a_log_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.embedded.process.LOG_LIMIT", 3)
    child = Child(Command("part", ("/bin/echo", "a line"), tmp_path))
    await child.spawn()
    await child.wait()
    child.trim_log()
    assert child.log_file.read_text() == ""
    assert (tmp_path / "part.log.1").read_text() == "a line\n"


async def test_what_the_compiler_says_is_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Makefile").write_text("all:\n\t@echo no header; exit 1\n")
    monkeypatch.setattr("hub.embedded.mosquitto.SOURCE", tmp_path)
    with pytest.raises(StartError, match=r"broker_auth cannot be built(?s:.*)no header"):
        await build_plugin(tmp_path / "build")
