"""Every example of the reference, run by a shell as it stands in the page, on a real hub."""

import os
import re
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.gateway.reference.operations import variable
from tests.fixtures.html import Page
from tests.fixtures.spine import Spine
from tests.fixtures.tenants import ROUTES, AnyRoute, Tenant, dead_letter, name_of

API = [route for route in ROUTES if route.path.startswith("/api/")]
_ORDER = {"GET": 1, "POST": 4, "PUT": 2, "PATCH": 3, "DELETE": 5}
CURL = """
set -e
curl() { command curl -sS --max-time 30 -o answer -D head -w '%{http_code}' "$@"; }
"""


def turn(route: AnyRoute) -> tuple[int, int, str]:
    """Say when a route is tried: make, read, change, do, and delete from the inside out."""
    makes = route.method == "POST" and route.status == 201
    wholes = ("/{project}", "/accounts/{account}/members/{user}")
    whole = route.method == "DELETE" and route.path.endswith(wholes)
    return 0 if makes else 6 if whole else _ORDER[route.method], -route.path.count("/"), route.path


@dataclass
class Shell:
    """A shell with the variables that the examples use; what was made is used by later ones."""

    spine: Spine
    folder: Path
    ids: dict[str, str] = field(default_factory=dict)

    def run(self, route: AnyRoute, example: str) -> str:
        """Run one; give the status of the answer."""
        if "{letter}" in route.path:  # those before may have replayed or dropped it
            self.ids["letter"] = dead_letter(
                self.spine, self.ids["project"], self.ids["integration"], self.ids["device"]
            )
        known = {variable(name): value for name, value in self.ids.items()}
        hub = {"ISAAX_HUB": self.spine.api.base, "ISAAX_TOKEN": self.spine.token}
        done = subprocess.run(
            ["/bin/bash", "-uc", CURL + example],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], **known, **hub},
        )  # fmt: skip
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        self._remember((self.folder / "head").read_text())
        return done.stdout

    def _remember(self, head: str) -> None:
        made = re.search(r"(?mi)^location: \S*/([a-z-]+)s/([^/\s]+)\s*$", head)
        if made and made[1] in self.ids and made[1] != "project":
            self.ids[made[1]] = made[2]


def examples(spine: Spine) -> dict[str, list[str]]:
    """Read the examples where people do: in the pages, by operation."""
    found: dict[str, list[str]] = {}
    with urllib.request.urlopen(f"{spine.api.base}/docs") as response:
        first = Page(response.read().decode()).root
    for caption in first.all("caption"):
        address = next(caption.all("a")).attributes["href"]
        with urllib.request.urlopen(f"{spine.api.base}{address}") as response:
            page = Page(response.read().decode()).root
        for article in page.all("article"):
            path = next(one for one in article.all("p") if "path" in one.classes)
            name = " ".join(path.text.split())
            found[name] = [
                one.text for one in article.all("code") if "data-operation" in one.attributes
            ]
    return found


def of_people(route: AnyRoute) -> bool:
    """Say whether it takes a very person, or what only their mail holds: see test_accounts_*.py."""
    of_a_link = route.path.endswith(("/redeem", "/undo"))
    return route.anonymous or route.interactive or of_a_link or route.path == "/api/v1/users/me"


def test_every_example_does_what_it_says(spine: Spine, owner: Tenant, tmp_path: Path) -> None:
    shown = examples(spine)
    assert set(shown) == {name_of(route) for route in API}
    shell = Shell(spine, tmp_path, dict(owner.ids))
    for route in sorted((one for one in API if not of_people(one)), key=turn):
        for example in shown[name_of(route)]:
            status = shell.run(route, example)
            answer = (tmp_path / "answer").read_bytes() if status != "204" else b""
            assert status == str(route.status), f"{example}\n{answer.decode()}"


def test_a_page_that_is_shown_to_nobody_special_tells_nothing_special(spine: Spine) -> None:
    """It is the same for everyone: no token, no id, no address of this hub is in it."""
    with urllib.request.urlopen(f"{spine.api.base}/docs") as response:
        text = response.read().decode()
    for secret in (spine.token, spine.api.base, "127.0.0.1"):
        assert secret not in text


@pytest.mark.parametrize("route", API, ids=name_of)
def test_an_example_needs_only_what_is_told(route: AnyRoute) -> None:
    """Each parameter of a path is the variable of its name."""
    for name in re.findall(r"\{(\w+)\}", route.path):
        assert re.fullmatch(r"[A-Z][A-Z_]*", variable(name))
        assert variable(name) not in {"PATH", "HOME", "SHELL", "IFS"}
