"""schemathesis holds the whole REST API to its own description, on a real hub."""

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hub.permissions import Role
from tests.fixtures.spine import Spine
from tests.fixtures.tenants import Tenant, member

CHECKS = """
[output.sanitization]
enabled = false

[checks]
# Beyond the schemas: NUL in a string, a cursor that nobody gave out (422), an ETag that the thing
# does not have (412), and one from which schemathesis has taken the quotes (400).
positive_data_acceptance.expected-statuses = [
    "2xx", "304", "400", "401", "403", "404", "409", "412", "422", "429",
]
negative_data_rejection.expected-statuses = [
    "400", "401", "403", "404", "405", "406", "409", "412", "415", "422", "428", "429",
]
missing_required_header.expected-statuses = ["400", "401", "403", "406", "415", "422", "428"]
"""


@pytest.fixture
def described(spine: Spine, tmp_path: Path) -> Path:
    """The API's description, without the problem that may always come: each must be named."""
    with urllib.request.urlopen(f"http://127.0.0.1:{spine.http}/openapi.json") as response:
        document: dict[str, Any] = json.load(response)
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["responses"].pop("default")
            # No description can say that a header takes the body away, or is left alone if unknown.
            operation["parameters"] = [p for p in operation["parameters"] if p["name"] != "Prefer"]
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document))
    return file


def tell_shapes_once(described: Path) -> None:
    """Leave the parts of a shape out of the description, but where an integration is made.

    Five operations take one and decode it alike; to try each part's every bound takes 500 requests.
    """
    document = json.loads(described.read_text())
    schemas = document["components"]["schemas"]
    patch = document["paths"]["/api/v1/integrations/{integration}"]["patch"]
    bodies = [schemas[name] for name in ("IntegrationChange", "TestConfigBody", "DryRunBody")]
    bodies += [kind["schema"] for kind in patch["requestBody"]["content"].values()]
    for body in bodies:
        assert "Shape" in json.dumps(body["properties"]["shape"])
        body["properties"]["shape"] = {"type": "object", "maxProperties": 0}
    described.write_text(json.dumps(document))


def run(
    spine: Spine, described: Path, *options: str, parameters: Mapping[str, str] | None = None
) -> str:
    """Run schemathesis as its users do, with a seed, and check that it found nothing.

    Args:
        parameters: of paths, in place of generated ones.
    """
    folder = described.parent
    fixed = "".join(f'"path.{name}" = "{value}"\n' for name, value in (parameters or {}).items())
    (folder / "schemathesis.toml").write_text(f"[parameters]\n{fixed}\n{CHECKS}")
    command = [
        str(Path(sys.executable).with_name("st")), "--config-file", "schemathesis.toml",
        "run", str(described), "--url", f"http://127.0.0.1:{spine.http}",
        "--seed", "7", "--no-color", "--warnings", "off", "--request-timeout", "20", *options,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=150
    )
    assert done.returncode == 0, done.stdout[-15_000:] + done.stderr[-2_000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout
    assert int(found[1]) > 50
    return done.stdout


def shown(token: str) -> tuple[str, str]:
    """Give the header that shows a token."""
    return "--header", f"Authorization: Bearer {token}"


def test_of_things_that_exist(spine: Spine, described: Path) -> None:
    """Everything but the deletion of what the paths name."""
    project = spine.project("fuzzed")
    config = {"host": "127.0.0.1", "port": 9, "transport": "udp"}
    made = spine.api.ask(
        "POST",
        f"/projects/{project.id}/integrations",
        {"type": "syslog", "name": "nowhere", "config": config},
    )
    assert made.status == 201, made.body
    tell_shapes_once(described)
    run(
        spine, described, *shown(spine.token), "--max-examples", "3", "--phases",
        "examples,coverage,fuzzing", "--exclude-operation-id-regex", "^delete_",
        parameters={
            "project": project.id, "integration": made.body["id"], "type": "syslog", "letter": "1",
        },
    )  # fmt: skip


def test_of_whatever_the_description_allows(spine: Spine, described: Path) -> None:
    """Ids that nobody gave out, and sequences of requests that make, change and delete."""
    options = ("--max-examples", "3", "--phases", "fuzzing,stateful")
    run(spine, described, *shown(spine.token), *options)


GOES = "^(delete|remove|withdraw|revoke|drop|leave|end)_"
"""Operations after which there would be less to try the others on."""
WHO = {
    **{role.value: (role, ("*",)) for role in Role if role is not Role.OWNER},
    "token with one scope": (Role.OWNER, ("projects:read",)),
}


@pytest.mark.parametrize("who", WHO)
def test_as_each_role_and_by_a_token_with_one_scope(
    who: str, spine: Spine, described: Path, owner: Tenant
) -> None:
    """On things that exist: what some may not do is refused as the description says."""
    role, scopes = WHO[who]
    theirs = member(spine, owner.account, role, scopes=scopes)
    run(
        spine, described, *shown(theirs.token), "--max-examples", "1", "--phases", "fuzzing",
        "--exclude-operation-id-regex", GOES, parameters=owner.ids,
    )  # fmt: skip


def test_without_a_credential_there_is_nothing_to_see(spine: Spine, described: Path) -> None:
    """Every operation is 401, whatever else is wrong with the request."""
    output = run(
        spine, described, "--max-examples", "2", "--phases", "fuzzing",
        "--checks", "not_a_server_error,status_code_conformance,response_schema_conformance",
        "--header", "Authorization: Bearer isx_nobody",
    )  # fmt: skip
    assert "❌" not in output
    project = spine.project("mine")
    for path in ("/projects", f"/projects/{project.id}/tokens"):
        stranger = spine.api.ask("GET", path, headers={"Authorization": "Bearer isx_nobody"})
        assert stranger.status == 401


def test_the_hub_is_as_ready_as_before(spine: Spine) -> None:
    """After all of that nothing has failed, and nothing was logged as a failure."""
    assert spine.is_ready()
    failures = [
        line
        for line in spine.log.splitlines()
        if '"request failed"' in line or '"stream failed"' in line
    ]
    assert failures == []
