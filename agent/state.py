"""What the agent knows across restarts, besides its spools."""

import fcntl
import logging
import os
import secrets
from pathlib import Path

import msgspec

from agent.config import ConfigError
from agent.files import check_writable, write_atomic
from agent.identity import write_device
from agent.settings import AgentConfig
from hub.protocol import UNDECODABLE

log = logging.getLogger(__name__)


class StateError(Exception):
    """The state directory cannot be used."""


class StateFolder:
    """The state directory, locked: one agent at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def lock(self) -> None:
        """Make the directory if need be, and keep other agents out of it.

        Raises:
            StateError: it cannot be used, or another agent uses it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise StateError(f"{self.path}: another agent runs on this directory") from None
        self._lock = descriptor

    def unlock(self) -> None:
        """Let another agent in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def spool(self, stream: str) -> Path:
        """Give the folder of a stream's spool."""
        return self.path / "spool" / stream


class Identity:
    """Who this device is: from the configuration, or from its registration.

    Args:
        path: the configuration file, which a registration is written to.
    """

    def __init__(self, path: Path, config: AgentConfig, state: Path) -> None:
        self.project = config.project
        self.token = str(config.project_token)
        self.device = config.device_id
        self.key = str(config.device_key)
        self._path = path
        self._known = state / "device"

    def check(self) -> None:
        """Refuse to become a new device by accident, and remember this one.

        Raises:
            ConfigError: this state directory belongs to another device than the configuration.
        """
        known = self._known.read_text().strip() if self._known.exists() else ""
        if known and known != self.device:
            raise ConfigError(
                self._path,
                f"{self._known.parent} belongs to the device {known}, and this names "
                f"{self.device or 'none'}: put deviceID and deviceKey back (was the file cut "
                "off?), or remove that directory to begin as another device",
                key="deviceID",
            )
        if self.device and not known:
            write_atomic(self._known, f"{self.device}\n".encode())

    def check_writable(self) -> None:
        """Make sure that a registration can be kept, before it is asked for.

        Raises:
            OSError: the configuration file cannot be replaced.
        """
        check_writable(self._path)

    def register(self, device: str, key: str) -> None:
        """Become a device, and keep that in the configuration file.

        If it cannot be kept the agent goes on as that device, and says so.
        """
        self.device, self.key = device, key
        try:
            write_device(self._path, device, key)
            write_atomic(self._known, f"{device}\n".encode())
        except (OSError, ConfigError) as error:
            log.error(  # noqa: TRY400 - the reason is enough
                "the registration as %s cannot be kept, it ends with this process: %s",
                device, error,
            )  # fmt: skip


class _SessionState(msgspec.Struct):
    last: str = ""
    ended: bool = True


class SessionFile:
    """The id of the last session: the proof that may take a half-open connection over."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "session"
        try:
            self._state = msgspec.json.decode(self._path.read_bytes(), type=_SessionState)
        except (OSError, *UNDECODABLE):
            self._state = _SessionState()

    @property
    def last(self) -> str:
        """Give the id of the last session; "" before the first."""
        return self._state.last

    @property
    def unfinished(self) -> str:
        """Give the id of a session that did not end in order; "" when there is none."""
        return "" if self._state.ended else self._state.last

    def begin(self, session: str) -> None:
        """Remember a session; it is on the disk when this returns, unless the disk failed."""
        self._save(_SessionState(session, ended=False))

    def end(self) -> None:
        """Remember that it ended in order."""
        self._save(_SessionState(self._state.last, ended=True))

    def _save(self, state: _SessionState) -> None:
        self._state = state
        try:
            write_atomic(self._path, msgspec.json.encode(state))
        except OSError as error:  # go on: a full disk is emptied by sending what is on it
            log.warning("the session cannot be kept: %s", error)


def new_client() -> str:
    """Make the client id of a device that is not registered yet."""
    return f"new-{secrets.token_hex(8)}"
