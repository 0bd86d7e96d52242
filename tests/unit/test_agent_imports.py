"""The agent runs on the base install, and knows nothing of the hub but the protocol."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import agent.agent, agent.cli, agent.status
print(json.dumps(sorted(sys.modules)))
"""


def test_the_agent_imports_the_protocol_and_its_own_packages_only() -> None:
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    ).stdout
    modules = [name for name in json.loads(output) if not name.startswith("__editable__")]
    ours = {name for name in modules if name.split(".")[0] == "hub"}
    assert {name for name in ours if not name.startswith("hub.protocol")} == {"hub"}
    tops = {name.split(".")[0] for name in modules}
    others = {top for top in tops if top not in sys.stdlib_module_names and not top.startswith("_")}
    optional = {"sitecustomize", "typing_extensions"}  # imported where they happen to be installed
    assert others - optional <= {"agent", "hub", "msgspec", "paho", "psutil"}


def test_the_command_line() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agent.cli", *arguments]
        return subprocess.run(command, capture_output=True, check=False, text=True)

    assert run("version").stdout.startswith("isaax-agent/")
    missing = run("run", "--config", "/no/such/file")
    assert missing.returncode == 2
    assert missing.stderr == "isaax-agent: /no/such/file: No such file or directory\n"
