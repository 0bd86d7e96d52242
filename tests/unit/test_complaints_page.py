"""docs/complaints.md names every complaint that has a test, with its test, and no other."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "complaints.md").read_text()
ROW = re.compile(r"^\| \[([a-z-]+)#(\d+)\]\((\S+)\) \| .+ \| ((?:`\w+`(?:, )?)+) \|$", re.M)
NAMED = re.compile(r"test_([a-z]+)_(\d+)_\w+")
REPOSITORIES = {
    "vector": "vectordotdev/vector",
    "fluent-bit": "fluent/fluent-bit",
    "otel-contrib": "open-telemetry/opentelemetry-collector-contrib",
    "otel": "open-telemetry/opentelemetry-collector",
    "syslog-ng": "syslog-ng/syslog-ng",
    "rsyslog": "rsyslog/rsyslog",
}


def named_tests() -> dict[str, str]:
    """Give the tests that are named after a complaint, with their docstrings."""
    found = {}
    for path in (ROOT / "tests" / "faults").glob("test_complaints_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and NAMED.fullmatch(node.name):
                found[node.name] = ast.get_docstring(node) or ""
    return found


def test_every_complaint_has_its_tests_and_every_test_its_complaint() -> None:
    rows = ROW.findall(PAGE)
    listed = [test for row in rows for test in re.findall(r"`(\w+)`", row[3])]
    assert sorted(listed) == sorted(named_tests())
    for relay, number, _, tests in rows:
        prefix = f"test_{relay.replace('-', '')}_{number}_"
        assert all(test.startswith(prefix) for test in re.findall(r"`(\w+)`", tests))


def test_every_complaint_is_listed_once_with_its_address() -> None:
    rows = ROW.findall(PAGE)
    assert len(rows) == PAGE.count("https://github.com/") == len({row[:2] for row in rows})
    for relay, number, address, _ in rows:
        assert address == f"https://github.com/{REPOSITORIES[relay]}/issues/{number}"


def test_every_test_says_what_happened_there() -> None:
    assert [name for name, words in named_tests().items() if not words] == []
