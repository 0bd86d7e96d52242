"""Who may import whom, and what importing may not do."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("hub", "agent", "plugins", "services")

# What a service may import besides the public face: words that are shared, and nothing that acts.
SHARED_WITH_SERVICES = {
    "hub",
    "hub.account_data",  # what is asked of whoever keeps something of accounts
    "hub.relay.contracts",  # the relay's published contracts
    "hub.protocol",  # the wire that devices speak
    "hub.ids",
    "hub.structs",
    "hub.settings",
}
"""See "Who may import whom" in ARCHITECTURE.md."""

# Services that are the hub's side of a core part, and which.
SHARED_WITH_ONE = {
    "services/auth": {"hub.mqtt", "hub.broker"},  # it speaks with devices, and tells the broker
    "services/messages": {"hub.plugins"},  # it checks integrations against their types
    # Its command reads the config, and its API tokens are held to the permissions of all plugins.
    "services/accounts": {"hub.process", "hub.plugins"},
    "services/projects": {"hub.process"},  # so does its own
    "services/mail": {"hub.process"},
    "services/audit": {  # it shows and sends the core's audit log
        "hub.audit",
        "hub.audit.chain",
        "hub.audit.deeds",
        "hub.audit.export",
        "hub.audit.reading",
        "hub.audit.records",
        "hub.audit.verify",
        "hub.process",
    },
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def modules_of(package: str) -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources(package)
        if path.name != "__main__.py"
    ]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, with its whole name."""
    here = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            # `from hub import ids` imports the module `hub.ids`.
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield whole if is_module(ROOT / whole.replace(".", "/")) else module


def is_module(path: Path) -> bool:
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def inside(module: str, package: str) -> bool:
    return f"{module}.".startswith(f"{package}.")


def ours(path: Path) -> list[str]:
    return [name for name in imports(path) if any(inside(name, package) for package in PACKAGES)]


def test_the_walk_sees_imports() -> None:
    seen = {name for path in sources("services") for name in ours(path)}
    assert "hub" in seen
    assert "hub.relay.contracts" in seen


@pytest.mark.parametrize("path", sources("plugins"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_plugin_imports_the_public_face_and_itself(path: Path) -> None:
    own = ".".join(path.relative_to(ROOT).parts[:2]).removesuffix(".py")
    assert {name for name in ours(path) if name != "hub" and not inside(name, own)} == set()


@pytest.mark.parametrize("path", sources("services"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_service_imports_what_is_shared_and_itself(path: Path) -> None:
    folder = "/".join(path.relative_to(ROOT).parts[:2])
    own = folder.replace("/", ".").removesuffix(".py")
    allowed = SHARED_WITH_SERVICES | SHARED_WITH_ONE.get(folder, set())
    assert {name for name in ours(path) if name not in allowed and not inside(name, own)} == set()


def test_the_agent_imports_the_protocol_alone() -> None:
    outside = {
        name for path in sources("agent") for name in ours(path) if not inside(name, "agent")
    }
    assert outside == {"hub.protocol"}


def test_the_hub_imports_no_service_plugin_or_agent() -> None:
    found = {
        (str(path.relative_to(ROOT)), name)
        for path in sources("hub")
        for name in ours(path)
        if not inside(name, "hub")
    }
    assert found == set()


WITHOUT_THE_EXTRA = """
import importlib, sys

BASE = {"msgspec", "paho", "psutil"}
OURS = {"hub", "agent", "plugins", "services"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in BASE | OURS and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)

sys.meta_path.insert(0, Blocker())
for module in sys.argv[1:]:
    importlib.import_module(module)
loaded = {name for name in sys.modules if name.partition(".")[0] in OURS}
print(",".join(sorted(name for name in loaded if name.startswith("hub"))))
"""


@pytest.mark.parametrize("package", ["hub.protocol", "agent"])
def test_the_base_install_is_enough_for_the_device(package: str) -> None:
    wanted = ["hub.protocol"] if package == "hub.protocol" else modules_of(package)
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_EXTRA, *wanted],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    loaded = run.stdout.strip().split(",")
    assert {name for name in loaded if not inside(name, "hub.protocol")} == {"hub"}


WITHOUT_EFFECTS = """
import asyncio, importlib, logging, signal, socket, subprocess, sys, threading

def refuse(*args, **more):
    raise SystemError(f"importing {module} did this: {args}")

handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
threading.Thread.start = socket.socket.connect = socket.socket.bind = refuse
subprocess.Popen.__init__ = asyncio.new_event_loop = refuse
for module in sys.argv[1:]:
    importlib.import_module(module)
assert threading.active_count() == 1, threading.enumerate()
assert not logging.getLogger().handlers, logging.getLogger().handlers
assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}
"""


def test_importing_has_no_side_effects() -> None:
    modules = [module for package in PACKAGES for module in modules_of(package)]
    assert len(modules) > 50
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_EFFECTS, *modules],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr


def test_every_public_name_of_the_hub_is_there() -> None:
    import hub

    assert [name for name in hub.__all__ if not hasattr(hub, name)] == []
