"""What the agent takes on a device: memory, processor, and bytes on the network, idle and busy.

`python -m bench.agent [--seconds 60]`: real agents with a real hub (mosquitto with our plugin,
NATS, Postgres) over TLS, each through a proxy that counts what goes either way. Beside them, at the
same time, a bare Python process that is connected with paho and does nothing: the least that an
agent in Python could take. Figures by the hour are those of the seconds that were measured,
multiplied.
"""

import argparse
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent import status
from tests.fixtures.spine import Project, Spine, running_spine

ROOT: Final = Path(__file__).resolve().parent.parent
SETTLE_SECONDS: Final = 12.0  # registration, first session, first lines
HOUR: Final = 3600.0
TICKS: Final = os.sysconf("SC_CLK_TCK")

BARE: Final = """
import ssl, sys
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
port, ca, project, token = sys.argv[1:]
client = paho.Client(CallbackAPIVersion.VERSION2, client_id="new-0123456789abcdef")
client.username_pw_set(project, token)
client.tls_set_context(ssl.create_default_context(cafile=ca))
client.connect("localhost", int(port), 30)
client.loop_forever()
"""
LINES: Final = """
i=0
while sleep {pause}; do
  for _ in {some}; do i=$((i+1)); echo "$i GET /api/v1/rooms/kitchen 200 17 ms"; done
done
"""


class Proxy:
    """Passes TCP on to a port, and counts the bytes either way."""

    def __init__(self, target: int) -> None:
        self.up = self.down = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            inner, _ = self._listener.accept()
            outer = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass, args=(inner, outer), daemon=True).start()

    def _pass(self, inner: socket.socket, outer: socket.socket) -> None:
        with inner, outer, selectors.DefaultSelector() as selector:
            selector.register(inner, selectors.EVENT_READ, outer)
            selector.register(outer, selectors.EVENT_READ, inner)
            while True:
                for key, _ in selector.select():
                    source = inner if key.data is outer else outer
                    try:
                        data = source.recv(65536)
                        key.data.sendall(data)
                    except OSError:  # one of the two ended
                        return
                    if not data:
                        return
                    if source is inner:
                        self.up += len(data)
                    else:
                        self.down += len(data)


@dataclass
class Case:
    """A process that is measured.

    Args:
        state: its state directory; None for one that is no agent.
        rss, pss: the most that was seen, in KiB.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    proxy: Proxy
    state: Path | None = None
    rss: int = 0
    pss: int = 0
    begun: tuple[float, ...] = ()

    def look(self) -> None:
        """Take note of its memory."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()[1:]
        found = {line.split(":")[0]: int(line.split()[1]) for line in rollup}
        self.rss, self.pss = max(self.rss, found["Rss"]), max(self.pss, found["Pss"])

    @property
    def counts(self) -> tuple[float, ...]:
        """Seconds of the processor, bytes up and down, and lines of the app, so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / TICKS
        return seconds, self.proxy.up, self.proxy.down, self._lines

    @property
    def _lines(self) -> int:
        found = None if self.state is None else status.read(self.state)
        return 0 if found is None else found.streams["app"].lines

    def row(self, seconds: float, bare: "Case") -> str:
        """Write what it took, by the hour, and beside the bare process."""
        cpu, up, down, lines = (
            now - then for now, then in zip(self.counts, self.begun, strict=True)
        )
        hours = seconds / HOUR
        return (
            f"{self.name:<30} {self.rss / 1024:>6.1f} {self.pss / 1024:>6.1f} "
            f"{self.pss / bare.pss:>6.2f} {cpu / hours:>8.1f} {cpu / seconds * 100:>7.2f} "
            f"{up / hours / 1024:>9.1f} {down / hours / 1024:>9.1f} "
            f"{lines / hours:>8.0f}"
        )


HEAD: Final = (
    f"{'':<30} {'RSS':>6} {'PSS':>6} {'× bare':>6} {'CPU s/h':>8} {'% core':>7} "
    f"{'KiB/h up':>9} {'down':>9} {'lines/h':>8}"
)


@contextmanager
def running(command: list[str], **variables: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a process with the one heap that the agent's unit asks for."""
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "MALLOC_ARENA_MAX": "1", **variables},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def agent(
    name: str, folder: Path, spine: Spine, project: Project, tables: str, **variables: str
) -> Iterator[Case]:
    """Run an agent with these tables in its configuration."""
    proxy = Proxy(spine.embedded.ports.mqtts)
    config = folder / f"{len(list(folder.iterdir()))}.conf"
    config.write_text(
        f'server = "mqtts://localhost:{proxy.port}"\ncaFile = "{authority(spine)}"\n'
        f'project = "{project.id}"\nprojectToken = "{project.token}"\n'
        f'stateDir = "{config.with_suffix(".state")}"\n{tables}'
    )
    command = [sys.executable, "-P", "-m", "agent.cli", "run", "--config", str(config)]
    with running(command, **variables) as process:
        yield Case(name, process, proxy, config.with_suffix(".state"))


@contextmanager
def bare(spine: Spine, project: Project) -> Iterator[Case]:
    """Run the bare process."""
    proxy = Proxy(spine.embedded.ports.mqtts)
    command = [sys.executable, "-c", BARE, str(proxy.port), str(authority(spine))]
    with running([*command, project.id, project.token]) as process:
        yield Case("Python with paho, connected", process, proxy)


def authority(spine: Spine) -> Path:
    """Give the file with the authority of the hub's certificate."""
    return spine.folder / "data" / "tls" / "ca.pem"


def app(pause: str, some: int) -> str:
    """Make the table of an app that writes so many lines after each pause."""
    script = LINES.format(pause=pause, some=" ".join("1" * some))
    return f"[app]\ncommand = {json.dumps(script)}\n"


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    seconds = parser.parse_args().seconds
    metrics = (
        "[metrics]\ndevice = true\ncpu = true\nmemory = true\ndisk = true\nnetwork = true\n"
        "ps = true\n"
    )
    quiet = '[app]\ncommand = "exec sleep 100000"\n'
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        spine = stack.enter_context(running_spine())
        project = spine.project()

        def one(name: str, tables: str, **variables: str) -> Case:
            made = agent(name, folder, spine, project, tables, **variables)
            return stack.enter_context(made)

        least = stack.enter_context(bare(spine, project))
        cases = [
            least,
            one("agent, idle", quiet),
            one("agent, idle, many heaps", quiet, MALLOC_ARENA_MAX="8"),
            one("agent, all metrics each minute", quiet + metrics),
            one("agent, a line a second", app("1", 1)),
            one("agent, 100 lines a second", app("0.1", 10)),
        ]
        time.sleep(SETTLE_SECONDS)
        for case in cases:
            case.begun = case.counts
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            for case in cases:
                case.look()
            time.sleep(1.0)
        print(f"{passed:.0f} s measured; memory in MiB, the most that was seen\n{HEAD}")
        for case in cases:
            print(case.row(passed, least))


if __name__ == "__main__":
    main()
