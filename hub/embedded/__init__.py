"""Postgres, NATS and mosquitto as children of one process, on one folder of data."""

from hub.embedded.parts import Embedded
from hub.embedded.ports import Ports

__all__ = ["Embedded", "Ports"]
