"""The agent as a whole: makes its parts, starts them, and ends them in order."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec

from agent import journal, ownlog, status
from agent.applying import Applier
from agent.appreport import AppReport
from agent.batcher import Batcher, Limits
from agent.commands import Commands
from agent.config import server_of
from agent.connection import tls_context
from agent.doing import Allowed, Doer, boot_id, do_commands
from agent.first_start import FirstStart
from agent.linequeue import LineQueue
from agent.link import Link
from agent.metrics.metering import Metering
from agent.moments import Moments, ProjectScripts
from agent.programs import Programs
from agent.script import ScriptRunner
from agent.sender import Sender
from agent.settings import AgentConfig
from agent.spool import Spool
from agent.spooler import Feed, Spooler
from agent.state import Identity, SessionFile, StateFolder
from agent.status import Status, StreamStatus
from agent.syslog import SyslogSocket
from agent.system import agent_version
from agent.tail import Tail
from agent.variables import Variables, environment_of
from hub.protocol import STREAMS

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 1.0
STORE_SECONDS: Final = 5.0  # for the last lines to reach the disk
SEND_SECONDS: Final = 5.0  # for the hub to take what is spooled, at the end


class Agent:
    """All parts of the agent. The sources run on the event loop, disk and network in threads.

    Args:
        path: the configuration file, which a registration is written to.

    Raises:
        ConfigError: the configuration does not fit the state directory.
        StateError: the state directory cannot be used.
        OSError: the disk failed, or `caFile` cannot be read.
    """

    def __init__(self, path: Path, config: AgentConfig) -> None:
        self._config = config
        self._state = StateFolder(config.state_dir)
        self._state.lock()
        self._identity = Identity(path, config, config.state_dir)
        self._identity.check()
        server = server_of(config)
        tls = tls_context(config.ca_file) if server.tls else None
        limits = Limits(
            config.spool.max_batch_lines,
            config.spool.max_batch_bytes,
            config.spool.flush_ms / 1000,
        )
        self._queues = {
            stream: LineQueue(self._wake_spooler, enabled=config.logs.relays(stream))
            for stream in STREAMS
        }
        spools = {
            stream: Spool.open(self._state.spool(stream), max_bytes=config.spool.max_bytes)
            for stream in STREAMS
        }
        self._metering = Metering(config.metrics, self._state, self._wake_spooler)
        self._feeds: list[Feed[Any]] = [
            Feed(s, self._queues[s], spools[s], Batcher(limits)) for s in STREAMS
        ]
        self._feeds += self._metering.feeds
        senders = [Sender(s, spools[s], self._state.spool(s)) for s in STREAMS]
        senders += self._metering.senders
        sessions = SessionFile(config.state_dir)
        self._variables = Variables(config.state_dir, self._variables_received)
        self._commands = Commands(
            config.state_dir, self._command_received, boot_id(config.boot_id_file)
        )
        self._commanded = asyncio.Event()
        self._scripts = ProjectScripts(config.state_dir, self._scripts_received)
        self._programs = Programs(
            config.supervised, self._queues["app"], config.state_dir / "programs",
            changed=self._program_changed, before_first_start=self._before_first_start,
        )  # fmt: skip
        self._app = AppReport(self._programs.states, config.directory, self._wake_link)
        self._link = Link(
            server, tls, self._identity, sessions, senders, [self._variables, self._scripts],
            self._commands, self._app,
        )  # fmt: skip
        self._spooler = Spooler(self._feeds, self._link.wake)
        self._moments = Moments(
            config.state_dir, self._scripts, self._runner("moments"), self._of_moments,
            self._commands.tell,
        )  # fmt: skip
        self._first_start = FirstStart(
            config.state_dir, self._scripts, self._moments,
            wait=config.scripts.wait_seconds, told=self._link.wake,
        )  # fmt: skip
        self._applier = Applier(
            self._variables, self._queues, config.logs, self._programs, self._metering.switch,
            self._link.wake,
        )  # fmt: skip
        self._syslog = self._make_syslog()
        self._readers = self._make_readers(spools["sys"].positions)
        self._reported: Status | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then end the programs, and store and send what is left."""
        ending = asyncio.Event()
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        ownlog.configure(self._queues["agent"])
        self._moments.settle()
        self._spooler.start()
        self._link.start()
        log.info("%s started", agent_version())
        if self._syslog is not None:
            self._open_syslog(self._syslog)
        self._metering.start()
        tasks = [asyncio.create_task(reader) for reader in self._readers]
        tasks.append(asyncio.create_task(self._report()))
        tasks.append(asyncio.create_task(self._applier.run()))
        tasks.append(asyncio.create_task(self._run_commands()))
        tasks.append(asyncio.create_task(self._app.run()))
        programs = asyncio.create_task(self._programs.run())
        await ending.wait()
        await self._end(tasks, programs)

    async def _end(self, tasks: "list[asyncio.Task[None]]", programs: "asyncio.Task[None]") -> None:
        log.info("the agent ends")
        self._metering.close()
        self._programs.end()
        await programs
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._syslog is not None:
            self._syslog.close()
        if not await asyncio.to_thread(self._spooler.finish, STORE_SECONDS):
            log.error("the disk is too slow: the last lines are lost")
        await asyncio.to_thread(self._link.finish, SEND_SECONDS)
        self._write_status()
        for feed in self._feeds:
            feed.spool.close()
        self._state.unlock()

    def _variables_received(self) -> None:
        self._soon(self._applier.wake)

    def _command_received(self) -> None:
        self._soon(self._commanded.set)

    def _soon(self, work: Callable[[], None]) -> None:
        """Have the event loop do something; called from the link's thread."""
        assert self._loop is not None  # the link starts after it
        with contextlib.suppress(RuntimeError):  # the loop has ended: the next start does it
            self._loop.call_soon_threadsafe(work)

    def _scripts_received(self) -> None:
        self._soon(self._first_start.wake)

    async def _before_first_start(self) -> None:
        if self._config.supervised:
            await self._first_start.passed()

    def _of_moments(self) -> dict[str, str]:
        """Give the variables of scripts in their moments."""
        own = {"ISAAX_PROJECT": self._identity.project, "ISAAX_DEVICE": self._identity.device}
        return environment_of(self._variables.current) | own

    def _runner(self, folder: str) -> ScriptRunner:
        state = self._config.state_dir
        directory = self._config.directory or state
        return ScriptRunner(state / folder, directory, self._queues["agent"])

    async def _run_commands(self) -> None:
        config = self._config
        doer = Doer(
            self._runner("scripts"),
            self._programs,
            Allowed(config.commands, config.reboot_command),
            lambda: environment_of(self._variables.current),
        )
        await do_commands(self._commands, doer, self._commanded, self._link.wake)

    def _program_changed(self) -> None:
        self._app.changed()

    def _wake_link(self) -> None:
        self._link.wake()

    def _wake_spooler(self) -> None:
        self._spooler.wake()

    def _make_syslog(self) -> SyslogSocket | None:
        path = self._config.syslog.socket
        return None if path is None else SyslogSocket(path, self._queues["sys"])

    def _make_readers(self, positions: dict[str, str]) -> list[Coroutine[Any, Any, None]]:
        settings, queue = self._config.syslog, self._queues["sys"]
        if not self._config.logs.relays("sys"):
            return []
        readers = []
        for path in settings.files:
            tail = Tail(path, queue, positions.get(f"file:{path}", ""))
            readers.append(tail.run())
        if settings.journald is True or (settings.journald == "auto" and journal.is_running()):
            readers.append(journal.Journal(queue, positions.get(journal.SOURCE, "")).run())
        return readers

    @staticmethod
    def _open_syslog(socket: SyslogSocket) -> None:
        try:
            socket.open()
        except OSError as error:
            log.error("the syslog socket cannot be served: %s", error)  # noqa: TRY400

    async def _report(self) -> None:
        while True:
            self._write_status()
            await asyncio.sleep(STATUS_SECONDS)

    def _write_status(self) -> None:
        """Write the status file, when anything has changed: a device's disk wears out."""
        present = self._status()
        if self._reported is None or present != msgspec.structs.replace(
            self._reported, time=present.time
        ):
            with contextlib.suppress(OSError):  # a full disk; the log says so elsewhere
                status.write(self._config.state_dir, present)
                self._reported = present

    def _status(self) -> Status:
        streams = {
            feed.stream: StreamStatus(
                lines=feed.spool.last,
                acknowledged=feed.spool.acked,
                bytes=feed.spool.size,
                missing=feed.queue.dropped + feed.spool.evicted,
                error=feed.error,
            )
            for feed in self._feeds
            if feed.stream in STREAMS or feed.spool.last
        }
        return Status(
            pid=os.getpid(),
            time=time.time(),
            version=agent_version(),
            device=self._identity.device,
            server=self._config.server,
            state=self._link.state,
            error=self._link.error or self._first_start.problem,
            variables=self._variables.used,
            programs=self._programs.states(),
            streams=streams,
            skew=self._link.skew,
        )
