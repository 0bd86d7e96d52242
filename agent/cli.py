"""`isaax-agent`: run, status, version."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.config import DEFAULT_PATH, ConfigError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit status: 0, 1 (not running), 2 (cannot start)."""
    parser = argparse.ArgumentParser(prog="isaax-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("run", "relay this device's logs to the hub until SIGTERM"),
        ("status", "show how the running agent fares"),
        ("check", "check the configuration file"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="PATH")
    commands.add_parser("version", help="show the version")
    options = parser.parse_args(arguments)
    if options.command == "version":
        return _version()
    try:
        config = load(options.config)
        match options.command:
            case "run":
                return _run(options.config, config)
            case "status":
                return _status(config.state_dir)
            case _:
                print(f"{options.config}: valid")
                return 0
    except ConfigError as error:
        print(f"isaax-agent: {error}", file=sys.stderr)
        return 2


def _run(path: Path, config: object) -> int:
    from agent.agent import Agent
    from agent.config import AgentConfig
    from agent.state import StateError

    assert isinstance(config, AgentConfig)
    try:
        agent = Agent(path, config)
    except (StateError, OSError) as error:
        print(f"isaax-agent: {error}", file=sys.stderr)
        return 2
    asyncio.run(agent.run())
    return 0


def _status(folder: Path) -> int:
    from agent import status

    found = status.read(folder)
    if found is None:
        print("isaax-agent does not run", file=sys.stderr)
        return 1
    print(status.render(found))
    return 0


def _version() -> int:
    from agent.system import agent_version

    print(agent_version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
