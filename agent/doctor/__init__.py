"""`isaax-agent doctor`: looks at everything that the agent needs, and says what to do."""

from collections.abc import Iterator
from pathlib import Path

from agent import status
from agent.config import ConfigError, load
from agent.doctor import device, hub, running
from agent.doctor.findings import Finding, failed, is_well, ok, render, render_json

__all__ = ["Finding", "examine", "is_well", "render", "render_json"]


def examine(path: Path) -> Iterator[Finding]:
    """Look at an agent's configuration, its device, its hub, and how it runs.

    Nothing is changed, and the running agent goes on undisturbed.

    Args:
        path: its configuration file.
    """
    try:
        config = load(path)
    except ConfigError as error:
        yield failed("configuration", str(error), "correct the file; docs/agent.md lists the keys")
        return
    yield ok("configuration", f"{path} is valid")
    yield device.permissions(path)
    found = status.read(config.state_dir)
    yield device.state_folder(config)
    yield device.disk(config)
    yield device.clock(found)
    yield device.unit()
    yield device.journal_of(config)
    yield from device.programs(config)
    yield from hub.examine(config)
    yield from running.examine(config, found)
