"""mosquitto as a child: Debian's broker with our plugin `broker_auth`.

We give up root before we exec it, and not by its own `user` setting: a change of the user id
would clear the request to die with us.
"""

import asyncio
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.embedded.account import hand_over, make_folder, unprivileged, write_private
from hub.embedded.part import Part
from hub.embedded.process import Child, Command
from hub.embedded.tls import Authority, ServerFiles
from hub.errors import StartError
from hub.secret import Secret
from hub.settings import MqttSettings, reachable

HOST: Final = "127.0.0.1"
SOURCE: Final = Path(__file__).resolve().parents[2] / "broker_auth"
PLUGIN: Final = "broker_auth.so"
BUILD_NEEDS: Final = "it needs Debian's packages mosquitto-dev, gcc, make and libc6-dev"


@dataclass(frozen=True, slots=True)
class Listeners:
    """Where the broker listens.

    Args:
        port: plaintext on the loopback, for the hub.
        tls_host, tls_port: TLS, for devices.
        names: that devices know us by; the certificate is for them.
    """

    port: int
    tls_host: str
    tls_port: int
    names: tuple[str, ...] = ("localhost", HOST)


class Mosquitto(Part):
    """One broker.

    Args:
        folder: its configuration, certificate, plugin and the plugin's snapshot.
        build: where the plugin is compiled; kept, so that the next start finds it ready.
    """

    name = "mosquitto"

    def __init__(
        self,
        folder: Path,
        *,
        listeners: Listeners,
        password: Secret,
        authority: Authority,
        build: Path,
    ) -> None:
        self._folder = folder
        self.listeners: Final = listeners
        self._password = password
        self._authority = authority
        self._build = build
        self._account = unprivileged("mosquitto")
        self._config = folder / "mosquitto.conf"
        self.child = Child(
            Command(
                name=self.name,
                argv=(_program(), "-c", str(self._config)),
                folder=folder,
                account=self._account,
            )
        )

    @property
    def settings(self) -> MqttSettings:
        """How the hub reaches it."""
        return MqttSettings(HOST, self.listeners.port, "hub", self._password)

    @property
    def ca(self) -> Path:
        """PEM file of the authority that devices check our certificate with."""
        return self._authority.certificate_file

    async def prepare(self) -> None:
        """Build the plugin, issue the certificate and write the configuration."""
        make_folder(self._folder, self._account)
        built = await build_plugin(self._build)
        plugin = self._folder / PLUGIN
        draft = plugin.with_suffix(".new")
        shutil.copyfile(built, draft)
        hand_over(draft, self._account, 0o600)
        draft.replace(plugin)  # a broker that still runs keeps the file that it has mapped
        digest = self._folder / "hub.sha256"
        hexadecimal = hashlib.sha256(self._password.reveal().encode()).hexdigest()
        write_private(digest, f"{hexadecimal}\n", self._account)
        names = list(self.listeners.names)
        tls = self._authority.server(self._folder, names, self._account)
        write_private(self._config, self._configuration(plugin, digest, tls), self._account)

    def _configuration(self, plugin: Path, digest: Path, tls: ServerFiles) -> str:
        listeners = self.listeners
        return f"""\
# Written at each start of `isaax up`; the reasons are in broker_auth/README.md.
per_listener_settings false
allow_anonymous false
allow_zero_length_clientid false
plugin {plugin}
plugin_opt_hub_password_sha256_file {digest}
plugin_opt_snapshot_file {self._folder / "broker_auth.snapshot"}

persistence false
set_tcp_nodelay true
queue_qos0_messages false
check_retain_source false
message_size_limit 1048576
max_packet_size 1114112
max_keepalive 600
max_inflight_messages 1000
max_queued_messages 100000
max_queued_bytes 268435456

connection_messages false
log_dest stderr
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_type error
log_type warning
log_type notice

listener {listeners.port} {HOST}

listener {listeners.tls_port} {listeners.tls_host}
certfile {tls.certificate}
keyfile {tls.key}
tls_version tlsv1.2
"""

    async def ready(self) -> bool:
        """Say whether both listeners take connections."""
        listeners = self.listeners
        devices = reachable(listeners.tls_host)
        return await _accepts(HOST, listeners.port) and await _accepts(devices, listeners.tls_port)


async def _accepts(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def build_plugin(folder: Path) -> Path:
    """Compile `broker_auth`, unless what is in `folder` is up to date.

    Raises:
        StartError: what the compiler said.
    """
    make_folder(folder, None)
    try:
        make = await asyncio.create_subprocess_exec(
            "flock", "--no-fork", str(folder / ".lock"),
            "make", "-C", str(SOURCE), f"BUILD={folder}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    except FileNotFoundError:
        raise StartError("flock is not installed: apt-get install util-linux") from None
    try:
        output, _ = await make.communicate()
    finally:
        if make.returncode is None:  # we were cancelled
            make.kill()
    if make.returncode != 0:
        raise StartError(
            f"broker_auth cannot be built ({BUILD_NEEDS}):\n{output.decode(errors='replace')}"
        )
    return folder / PLUGIN


def _program() -> str:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        raise StartError("mosquitto is not installed: apt-get install mosquitto")
    return found
