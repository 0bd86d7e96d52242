"""How the agent that runs fares, by what it has written down."""

from collections.abc import Iterator
from typing import Final

from agent.doctor.findings import Finding, failed, ok, warning
from agent.settings import AgentConfig
from agent.status import Status
from hub.protocol import STREAMS

FULL: Final = 0.8  # of what a spool may take


def examine(config: AgentConfig, found: Status | None) -> Iterator[Finding]:
    """Look at session, spools and programs.

    Args:
        found: None when no agent runs.
    """
    if found is None:
        yield warning("agent", "it does not run", "systemctl start isaaxd")
        return
    yield ok("agent", f"{found.version} runs, process {found.pid}")
    yield _session(found)
    yield from _spools(config, found)
    yield from _programs(config, found)


def _session(found: Status) -> Finding:
    if found.state == "open" and found.error:
        return warning("session", f"it is open, but {found.error}", "isaax-agent status says more")
    if found.state == "open":
        return ok("session", f"the hub knows it as {found.device}")
    seen = f"{found.state}: {found.error}" if found.error else found.state
    if found.state == "refused":
        advice = "see on the hub what became of this device: isaax devices show"
        return failed("session", seen, advice)
    return warning("session", seen, "it tries again by itself; if this stays look at the above")


def _spools(config: AgentConfig, found: Status) -> Iterator[Finding]:
    for name, stream in found.streams.items():
        check = f"spool {name}"
        most = config.spool.max_bytes if name in STREAMS else config.metrics.max_bytes
        waiting = stream.lines - stream.acknowledged
        seen = f"{waiting} lines wait, {stream.bytes * 100 // most} % full"
        if stream.error:
            yield failed(check, stream.error, "see that the disk has room and is sound")
        elif stream.missing:
            seen = f"{seen}; {stream.missing} lines are missing since the agent began"
            advice = "they came quicker than disk or hub took them: write less, or raise maxBytes"
            yield warning(check, seen, advice)
        elif waiting and stream.bytes > FULL * most:
            advice = "lines are about to give way: see that the hub can be reached"
            yield warning(check, seen, advice)
        else:
            yield ok(check, seen)


def _programs(config: AgentConfig, found: Status) -> Iterator[Finding]:
    for name, state in found.programs.items():
        check = f"program {name}"
        seen = f"{state.state}, restarted {state.restarts} times"
        advice = "isaax-agent logs shows what it wrote"
        if state.state in {"failed", "waiting"}:
            last = state.error or f"it ended with {state.exit}"
            yield warning(check, f"{seen}: {last}", advice)
        else:
            yield ok(check, seen)
        limited = config.supervised.get(name)
        if limited is not None and (limited.memory_max or limited.cpu_percent):
            if state.unlimited:
                problem, _, what_to_do = state.unlimited.partition(". ")
                yield warning(f"limits {name}", problem, what_to_do)
            else:
                yield ok(f"limits {name}", "the kernel enforces them")
