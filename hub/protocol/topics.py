"""The topics of a device."""

import re
from typing import Final

import msgspec

from hub.protocol.limits import METRICS, STREAMS, ProtocolError

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Session(msgspec.Struct, frozen=True):
    """A device's session and the topics that it opens."""

    project: str
    device: str
    id: str

    @property
    def up(self) -> str:
        """Prefix of what the device publishes."""
        return f"d/{self.project}/{self.device}/{self.id}"

    @property
    def down(self) -> str:
        """Prefix of what the hub publishes to the device."""
        return f"c/{self.project}/{self.device}/{self.id}"

    def log(self, stream: str) -> str:
        """Topic of the batches of one log stream."""
        return f"{self.up}/log/{stream}"

    def batches(self, stream: str) -> str:
        """Topic of the batches of any stream, as marks name it: `app`, `metric.cpu`."""
        return (
            f"{self.up}/metric/{stream[7:]}" if stream.startswith("metric.") else self.log(stream)
        )

    @property
    def state(self) -> str:
        """Topic of what the device says that it has."""
        return f"{self.up}/state"

    @property
    def ack(self) -> str:
        """Topic of the hub's acknowledgements."""
        return f"{self.down}/ack"

    def command(self, name: str) -> str:
        """Topic of a command; `name` is its id."""
        return f"{self.down}/command/{name}"

    def reply(self, name: str) -> str:
        """Topic of the replies to a command."""
        return f"{self.up}/reply/{name}"

    def wanted(self, kind: str) -> str:
        """Topic of what the device is to have; `kind` is one of `KINDS`."""
        return f"{self.down}/{kind}"


class DeviceTopic(msgspec.Struct, frozen=True):
    """A parsed topic `d/<project>/<device>/<session>/<kind>/<name>`; `name` is "" for `state`."""

    session: Session
    kind: str
    name: str


def auth_up(client: str) -> str:
    """Topic on which a client asks for a registration or a session."""
    return f"auth/{client}/up"


def auth_down(client: str) -> str:
    """Topic on which it is answered."""
    return f"auth/{client}/down"


def parse_device_topic(topic: str) -> DeviceTopic:
    """Take a device's topic apart.

    Raises:
        ProtocolError: `unknown-topic`.
    """
    match topic.split("/"):
        case ["d", project, device, session, "log" as kind, name] if name in STREAMS:
            pass
        case ["d", project, device, session, "metric" as kind, name] if name in METRICS:
            pass
        case ["d", project, device, session, "reply" as kind, name] if _ID.fullmatch(name):
            pass
        case ["d", project, device, session, "state" as kind]:
            name = ""
        case _:
            raise ProtocolError("unknown-topic", f"no such topic: {topic!r}")
    if not all(_ID.fullmatch(part) for part in (project, device, session)):
        raise ProtocolError("unknown-topic", f"no such topic: {topic!r}")
    return DeviceTopic(Session(project, device, session), kind, name)
