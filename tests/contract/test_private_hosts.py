"""No setting of any integration leads into the hub's own network, however the host is written.

The destinations come from the plugins, and every text in their configs is tried as a host and as an
address: a new destination, or a new key of one, cannot escape. What is watched is the system call.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import pytest
from aiohttp import web

from hub import structs
from hub.destinations import DestinationType
from hub.errors import Invalid
from hub.net import Resolved, forbidden, tools_for
from hub.outcomes import NotConnected, Rejected, Retry
from hub.plugins import PluginHost
from hub.testing import make_batch, make_metric_batch

KINDS: Final = PluginHost.load(quiet=True).destinations.values()
LOCAL: Final = frozenset({"file"})
"""Kinds that reach no host at all."""

PROBE: Final = "probe.example"
NAMES: Final = {
    "localhost": "127.0.0.1",
    "inside.example": "10.0.0.1",
    "metadata.example": "169.254.169.254",
    "six.example": "fd00::1",
}
"""Names, and the addresses that they lead to."""
HOSTS: Final = [
    "127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "0",
    "10.0.0.1", "169.254.169.254", "0xa9fea9fe", "\uff11\uff12\uff17.0.0.1", "192.168.1.1",
    "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "fe80::1", "fd00:ec2::254", *NAMES, "LOCALHOST", "flips.example",
]  # fmt: skip
FORMS: Final = ("{}", "http://{}:9/x", "https://{}/x")
SAID: Final = ("may not be connected to", "cannot be resolved", "refused the connection", "URL")
"""What a user is told of a host: it is inside, it is none, or (`flips.example`) nobody is there."""
TEXT: Final = "Permission denied: no space left on device"


@dataclass
class Net:
    """A network that lets nothing out: it notes where somebody wanted to go, and what was asked."""

    asked: list[str] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    _flip: int = 0

    async def resolve(self, host: str, port: int) -> list[Resolved]:
        """Resolve as the system does, but for names: those it makes up."""
        name = host.rstrip(".").lower()
        self.asked.append(name)
        if name == "flips.example":  # public, private, public, … (DNS rebinding)
            self._flip += 1
            address = "8.8.8.8" if self._flip % 2 else "127.0.0.1"
        elif name in NAMES:
            address = NAMES[name]
        else:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
            return [Resolved(family, where) for family, _, _, _, where in found]  # type: ignore[arg-type]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [Resolved(family, (address, port))]

    def connecting(self) -> Callable[[socket.socket, Any], None]:
        """Give what sockets connect with instead."""

        def connect(_: socket.socket, address: Any) -> None:
            self.reached.append(str(address[0]))
            raise ConnectionRefusedError

        return connect

    def sending(self) -> Callable[..., int]:
        """Give what datagrams are sent with instead."""

        def sendto(_: socket.socket, data: bytes, *more: Any) -> int:
            self.reached.append(str(more[-1][0]))
            return len(data)

        return sendto


@contextmanager
def net() -> Iterator[Net]:
    """Have one, and nothing else, while the context is open."""
    made = Net()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", made.connecting())
        patch.setattr(socket.socket, "sendto", made.sending())
        yield made


@dataclass(frozen=True)
class Way:
    """One key of a config that a host can be put into, and how.

    Args:
        config: all the others.
        form: of the value, with the host in it.
    """

    kind: DestinationType[Any]
    config: dict[str, Any]
    key: str
    form: str

    def __str__(self) -> str:
        return f"{self.kind.name}.{self.key}={self.form}"

    def with_host(self, host: str) -> dict[str, Any]:
        """Give the config with this host in it."""
        shown = f"[{host}]" if ":" in host and "://" in self.form else host
        return self.config | {self.key: self.form.format(shown)}

    async def send(self, host: str, times: int = 1) -> tuple[Net, list[BaseException]]:
        """Have it send; give what was tried on the way, and how it failed.

        Raises:
            Invalid: this is not taken for a host at all.
        """
        config = structs.decode(self.kind.config, self.with_host(host))
        failures: list[BaseException] = []
        with net() as seen:
            async with tools_for("int_x", private_hosts=False, resolve=seen.resolve) as tools:
                for build, batch in (
                    (self.kind.build, make_batch(*[TEXT] * 5)),
                    (self.kind.metrics, make_metric_batch()),
                ):
                    if build is None:
                        continue
                    destination: Any = build(config, tools)
                    for _ in range(times):
                        try:
                            async with asyncio.timeout(10):
                                await destination.send(batch)
                        except (Retry, NotConnected, Rejected) as error:
                            failures.append(error)
                    try:
                        await destination.close()
                    except (Retry, NotConnected) as error:  # it could not tell what it had
                        failures.append(error)
        return seen, failures


def candidates(kind: DestinationType[Any]) -> Iterator[Way]:
    """Put a host into every key of every example that may be a text."""
    for example in kind.examples:
        for one in msgspec.structs.fields(kind.config):
            for form in FORMS:
                yield Way(kind, example, one.encode_name, form)


async def ways_into(kind: DestinationType[Any]) -> list[Way]:
    """Find the keys by which a host is really asked for."""
    found = []
    for way in candidates(kind):
        try:
            seen, _ = await way.send(PROBE)
        except Invalid:
            continue
        if PROBE in seen.asked:
            found.append(way)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_no_integration_reaches_a_private_host(kind: DestinationType[Any]) -> None:
    ways = await ways_into(kind)
    assert bool(ways) == (kind.name not in LOCAL), "no key of its config was found to name a host"
    for way in ways:
        for host in HOSTS:
            try:
                seen, failures = await way.send(host, times=3)
            except Invalid:
                continue
            inside = [one for one in seen.reached if forbidden(one, private_hosts=False)]
            assert inside == [], f"{way} reaches {host}"
            assert failures, f"{way} says nothing of {host}"
            if host != "flips.example":
                assert seen.reached == []
            words = " ".join(getattr(one, "reason", str(one)) for one in failures)
            assert any(said in words for said in SAID), f"{way} with {host}: {words}"


@asynccontextmanager
async def redirecting(to: int) -> AsyncIterator[int]:
    """Answer every request with a redirect to another port here; give one's own."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{to}/"})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_no_integration_follows_a_redirect(kind: DestinationType[Any]) -> None:
    """Not even where private hosts are allowed: what answers there chooses no other."""
    ways = [way for way in await ways_into(kind) if way.form.startswith("http:")]
    visits: list[int] = []

    async def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        writer.close()

    async with (
        await asyncio.start_server(visited, "127.0.0.1", 0) as inner,
        redirecting(inner.sockets[0].getsockname()[1]) as port,
    ):
        for way in ways:
            config = structs.decode(
                kind.config, way.config | {way.key: f"http://127.0.0.1:{port}/x"}
            )
            async with tools_for("int_x", private_hosts=True) as tools:
                make = kind.build or kind.metrics
                assert make is not None
                destination: Any = make(config, tools)
                batch = make_batch(*[TEXT] * 5) if kind.build else make_metric_batch()
                with pytest.raises(Rejected, match="redirects are not followed"):
                    await destination.send(batch)
                await destination.close()
    assert visits == []


def test_the_watch_sees_a_connection() -> None:
    """Else everything above would prove nothing."""
    with net() as seen, socket.socket() as raw, pytest.raises(ConnectionRefusedError):
        raw.connect(("127.0.0.1", 9))
    assert seen.reached == ["127.0.0.1"]
