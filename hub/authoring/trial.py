"""Tries a plugin in a process of its own: `-m hub.authoring.trial SUBJECT RESULT`.

SUBJECT is a file with a `Subject`, RESULT one to write a `Result` to, both in JSON.
"""

import asyncio
import logging
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import structlog

from hub.authoring.trial_report import Case, Result, Subject
from hub.destinations import DestinationType
from hub.outcomes import NotConnected, Partial, Rejected, Retry
from hub.plugins import GROUP, PluginHost
from hub.testing import DestinationConformance, MetricConformance, eventually
from hub.testing.suite import Conformance

_BASELINE: Final = 5.0  # seconds that a first batch may take

_OPTIONS: Final = (
    "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "-W", "default",
    "-o", "asyncio_default_fixture_loop_scope=function",
)  # fmt: skip

_MODULE: Final = """\
import pathlib
import msgspec
from hub.authoring.trial import suites
from hub.authoring.trial_report import Subject

globals().update(suites(msgspec.json.decode(pathlib.Path({path!r}).read_bytes(), type=Subject)))
"""


def main(arguments: list[str]) -> None:
    """Load the plugin, try each of its destination types, and write down what came of it."""
    given, result_path = map(Path, arguments)
    subject = msgspec.json.decode(given.read_bytes(), type=Subject)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    result = Result()
    host = _load(subject)
    for plugin in host.plugins:
        if plugin.name in subject.plugins:
            result.plugins[plugin.name] = plugin.provides
            if plugin.status != "active":
                result.problems[plugin.name] = plugin.reason
    tried: dict[str, int] = {}
    for name, base, kind in _suites(subject, host):
        why = "its type has no `examples`"
        for number, _ in enumerate(kind.examples):
            why = asyncio.run(_baseline(_suite(base, kind, number)))
            if not why:
                tried[name] = number
                break
        if why:
            result.untried[name] = why
    if tried:
        result.cases = _run(msgspec.structs.replace(subject, suites=tried))
    result_path.write_bytes(msgspec.json.encode(result))


def suites(subject: Subject) -> dict[str, type[Conformance[Any]]]:
    """Give the test classes for a subject, by the names that pytest collects them by."""
    return {
        f"Test {name}": _suite(base, kind, subject.suites[name])
        for name, base, kind in _suites(subject, _load(subject))
        if name in subject.suites
    }


def _load(subject: Subject) -> PluginHost:
    sys.path[:0] = [path for path in subject.paths if path not in sys.path]
    points = [EntryPoint(name, module, GROUP) for name, module in subject.plugins.items() if module]
    return PluginHost.load(list(subject.plugins), points=points or None, quiet=True)


def _suites(
    subject: Subject, host: PluginHost
) -> Iterator[tuple[str, type[Any], DestinationType[Any]]]:
    for name, kind in host.destinations.items():
        if host.plugin_of(kind) in subject.plugins:
            if kind.build is not None:
                yield name, DestinationConformance, kind
            if kind.metrics is not None:
                yield f"{name} (metrics)", MetricConformance, kind


def _suite(base: type[Any], kind: DestinationType[Any], example: int) -> type[Conformance[Any]]:
    return type(f"Test{kind.name}", (base,), {"type": kind, "config": kind.examples[example]})


async def _baseline(suite: type[Conformance[Any]]) -> str:
    """Send one batch where all is well; say why that does not work, if so."""
    case = suite()
    try:
        async with (
            asyncio.timeout(_BASELINE),
            case.receiver() as receiver,
            case.built(receiver.config) as destination,
        ):
            await destination.send(case.batch(case.text("one")))
            await destination.close()
            await eventually(lambda: "one" in receiver.taken(), "it arrived")
    except (Retry, Rejected, NotConnected) as failure:
        return f"a server that answers 200 is not enough for it ({failure.reason})"
    except Partial as partial:
        return f"a server that answers 200 is not enough for it ({partial})"
    except TimeoutError:
        return "the line that was sent to it did not arrive, as it was, at any server or file"
    except Exception as error:  # noqa: BLE001 - the code of strangers may do anything
        return f"{type(error).__name__}: {error}"
    return ""


class _Collector:
    """A plugin of pytest that notes what came of each case."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self._holds: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for item in items:
            self._holds[item.nodeid] = (item.function.__doc__ or "").strip().partition("\n")[0]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        subject, name = report.nodeid.split("::")[-2:]
        self.cases.append(
            Case(
                subject.removeprefix("Test").strip(),
                name,
                self._holds.get(report.nodeid, ""),
                "" if report.passed else _complaint(report),
            )
        )


def _complaint(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return text.removeprefix("AssertionError: ").partition("\nassert ")[0].strip()


def _run(subject: Subject) -> list[Case]:
    collector = _Collector()
    with tempfile.TemporaryDirectory(prefix="isaax-check-") as folder:
        given = Path(folder) / "subject.json"
        given.write_bytes(msgspec.json.encode(subject))
        module = Path(folder) / "test_plugin.py"
        module.write_text(_MODULE.format(path=str(given)))
        pytest.main([*_OPTIONS, "--rootdir", folder, str(module)], plugins=[collector])
    return collector.cases


if __name__ == "__main__":
    main(sys.argv[1:])
