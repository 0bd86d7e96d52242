"""`isaax-agent`: runs the agent, and says how it fares."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from agent.config import DEFAULT_PATH, ConfigError, load
from agent.settings import AgentConfig


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give its exit status: 0, 1 (not running, not well), 2 (cannot start)."""
    options = _parser().parse_args(arguments)
    if options.command == "version":
        return _version()
    if options.command == "doctor":
        return _doctor(options.config, as_json=options.json)
    try:
        return _do(options, load(options.config))
    except ConfigError as error:
        print(f"isaax-agent: {error}", file=sys.stderr)
        return 2


def _do(options: argparse.Namespace, config: AgentConfig) -> int:
    match options.command:
        case "run":
            return _run(options.config, config)
        case "status":
            return _status(config.state_dir)
        case "logs":
            return _logs(config.state_dir, options.stream, options.lines, follow=options.follow)
        case _:
            print(f"{options.config}: valid")
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="isaax-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = {}
    for name, text in (
        ("run", "relay this device's logs to the hub until SIGTERM"),
        ("status", "show how the running agent fares"),
        ("logs", "show the newest lines, as they are sent"),
        ("doctor", "look for what is wrong, and say what to do"),
        ("check", "check the configuration file"),
    ):
        made[name] = commands.add_parser(name, help=text)
        made[name].add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="PATH")
    commands.add_parser("version", help="show the version")
    made["doctor"].add_argument("--json", action="store_true", help="for programs")
    logs = made["logs"]
    logs.add_argument("--stream", choices=("app", "sys", "agent"), default="app")
    logs.add_argument("-n", "--lines", type=int, default=50, help="so many of the last ones")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    return parser


def _run(path: Path, config: AgentConfig) -> int:
    from agent.agent import Agent
    from agent.state import StateError

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


def _logs(folder: Path, stream: str, count: int, *, follow: bool) -> int:
    from agent.recent import Recent

    recent = Recent(folder / "spool" / stream)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            for line in recent.last(max(0, count)):
                print(line)
            sys.stdout.flush()  # what follows may be long in coming
            for line in recent.follow() if follow else ():
                print(line, flush=True)
        except PermissionError as error:
            print(f"isaax-agent: {error.filename}: {error.strerror}: try sudo", file=sys.stderr)
            return 1
        except BrokenPipeError:  # as `head` does it; nothing is left to be written
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _doctor(path: Path, *, as_json: bool) -> int:
    from agent.doctor import examine, is_well, render, render_json

    findings = list(examine(path))
    print(render_json(findings) if as_json else render(findings))
    return 0 if is_well(findings) else 1


def _version() -> int:
    from agent.system import agent_version

    print(agent_version())
    return 0


if __name__ == "__main__":
    sys.exit(main())
