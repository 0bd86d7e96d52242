"""Every example of the reference, run by a shell as it stands in the page, on a real hub."""

import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hub.client.generator.shipped import document
from hub.gateway.reference.operations import variable
from tests.fixtures.html import Page
from tests.fixtures.scenes import set_up, told
from tests.fixtures.spine import Spine, running_spine
from tests.fixtures.tenants import ROUTES, AnyRoute, Tenant, dead_letter, name_of

API = [route for route in ROUTES if route.path.startswith("/api/")]
_ORDER = {"GET": 1, "POST": 4, "PUT": 2, "PATCH": 3, "DELETE": 5}
PUBLIC = "https://hub.example.com"
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

    def play(self, route: AnyRoute, example: str, number: int) -> str:
        """Run one that concerns people, as Ada whom it speaks of."""
        stage, given = set_up(self.spine, name_of(route), number)
        return self._run(told(example, given), {**self.ids, **stage.ids}, stage.who.token)

    def run(self, route: AnyRoute, example: str) -> str:
        """Run one; give the status of the answer."""
        if "{letter}" in route.path:  # those before may have replayed or dropped it
            self.ids["letter"] = dead_letter(
                self.spine, self.ids["project"], self.ids["integration"], self.ids["device"]
            )
        status = self._run(example, self.ids, self.spine.token)
        self._remember((self.folder / "head").read_text())
        return status

    def _run(self, example: str, ids: Mapping[str, str], token: str) -> str:
        known = {variable(name): value for name, value in ids.items()}
        hub = {"ISAAX_HUB": self.spine.api.base, "ISAAX_TOKEN": token}
        done = subprocess.run(
            ["/bin/bash", "-uc", CURL + example],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": os.environ["PATH"], **known, **hub},
        )  # fmt: skip
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        return done.stdout

    def _remember(self, head: str) -> None:
        made = re.search(r"(?mi)^location: \S*/([a-z-]+)s/([^/\s]+)\s*$", head)
        if made and made[1] in self.ids and made[1] not in {"project", "group"}:
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
    """Say whether it takes a very person, or what only their mail holds."""
    of_a_link = route.path.endswith(("/redeem", "/undo"))
    return route.anonymous or route.interactive or of_a_link or route.path == "/api/v1/users/me"


@pytest.fixture(scope="module")
def spine() -> Iterator[Spine]:
    """A hub with a name, which passkeys need, that lets one address try as much as it likes."""
    accounts = {"tries_per_address": 0, "tries_per_network": 0}
    with running_spine({"http": {"public_url": PUBLIC}, "accounts": accounts}) as running:
        yield running


def check(shell: Shell, route: AnyRoute, example: str, status: str) -> None:
    """See that an example was answered with what its page says."""
    answer = (shell.folder / "answer").read_bytes() if status != "204" else b""
    assert status == str(route.status), f"{example}\n{answer.decode()}"


def test_every_example_does_what_it_says(spine: Spine, owner: Tenant, tmp_path: Path) -> None:
    shown = examples(spine)
    assert set(shown) == {name_of(route) for route in API}
    shell = Shell(spine, tmp_path, dict(owner.ids))
    for route in sorted((one for one in API if not of_people(one)), key=turn):
        for example in shown[name_of(route)]:
            check(shell, route, example, shell.run(route, example))


def test_every_example_of_people_does_what_it_says(spine: Spine, tmp_path: Path) -> None:
    """Each by an Ada of its own, to whom happened before what has to."""
    shown = examples(spine)
    shell = Shell(spine, tmp_path)
    for route in filter(of_people, API):
        for number, example in enumerate(shown[name_of(route)]):
            check(shell, route, example, shell.play(route, example, number))


def test_operations_are_called_here_as_the_client_calls_them(spine: Spine) -> None:
    """Whatever the hub does with a route before it serves it."""
    with urllib.request.urlopen(f"{spine.api.base}/openapi.json") as response:
        served = json.load(response)
    assert names_of(served) == names_of(document())


def names_of(description: Any) -> dict[str, str]:
    """Give the names of all operations, by method and path."""
    return {
        f"{method} {path}": operation["operationId"]
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


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
