"""What the hub is told of the app: when, and in how many bytes."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from agent import appreport
from agent.appreport import AppReport, revision_in
from agent.programs import ProgramState
from hub.protocol import MAX_STATE_BYTES, ProgramReport, State, decode_state, encode_state
from tests.deadline import until


def state(name: str = "running", **more: object) -> ProgramState:
    fields = {"pid": 7, "since": time.monotonic(), "restarts": 0, "exit": None, "error": ""} | more
    return ProgramState(name, **fields)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appreport, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(appreport, "PAUSE_SECONDS", 0.0)


async def test_changes_are_told_once_and_all_of_it_in_each_session() -> None:
    states, calls = {"app": state("starting")}, []
    report = AppReport(lambda: dict(states), None, lambda: calls.append(1))
    task = asyncio.create_task(report.run())
    await until(lambda: len(calls) == 1)
    assert report.report() == State(programs={"app": ProgramReport("starting")})
    assert report.report() is None
    states["app"] = state("waiting", since=time.monotonic() - 30, exit=-9, error="e" * 300)
    report.changed()
    await until(lambda: len(calls) == 2)
    told = report.report()
    assert told is not None
    assert told.programs is not None
    assert told.programs["app"].seconds >= 30
    assert told.programs["app"].error == "e" * 100
    report.changed()
    await until(lambda: len(calls) == 3)
    assert report.report() is None, "nothing is new"
    report.begin()
    assert report.report() is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("manifest", "revision"),
    [
        (b'{"name": "thermostat", "version": "1.4.2"}', "1.4.2"),
        (b'{"version": "' + b"9" * 200 + b'"}', "9" * 100),
        (b'{"version": 3}', ""),
        (b"[]", ""),
        (b"\xff", ""),
        (b'{"version":"\xff"}', ""),
        (b'{"a":' + b"[" * 10_000, ""),
        (None, ""),
    ],
)
def test_the_revision_is_what_the_manifest_says(
    tmp_path: Path, manifest: bytes | None, revision: str
) -> None:
    if manifest is not None:
        (tmp_path / "isaax.json").write_bytes(manifest)
    assert revision_in(tmp_path) == revision


def test_the_longest_report_fits_without_words() -> None:
    one = ProgramReport("stopping", 123456789.5, (1 << 53) - 1, -(1 << 31), "\x1b" * 100, True)
    programs = {f"{number:02}{'n' * 30}": one for number in range(16)}
    payload = encode_state(State(programs=programs, revision="\x1b" * 100))
    assert len(payload) <= MAX_STATE_BYTES
    told = decode_state(payload).programs
    assert told == {name: msgspec.structs.replace(one, error="") for name in programs}
    short = State(programs={"app": one})
    assert decode_state(encode_state(short)) == short
