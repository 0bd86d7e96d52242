"""What users read first leads somewhere, and leaves out nothing that there is."""

import re
import tomllib
from itertools import chain
from pathlib import Path

import msgspec
import pytest

from hub.plugins import PluginHost
from hub.settings import Settings
from hub.structs import decode

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    chain(ROOT.glob("*.md"), ROOT.glob("docs/**/*.md"), ROOT.glob("plugins/*/README.md"))
)
OPERATORS = (ROOT / "docs" / "hub.toml.md").read_text()


def anchors(page: Path) -> set[str]:
    """Give the places in a page, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Within this repository; others change as they like."""
    found = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text())
    targets = [(page.parent / path if path else page, anchor) for path, anchor in found]
    assert [path for path, _ in targets if not path.exists()] == []
    assert [one for one in targets if one[1] and one[1] not in anchors(one[0])] == []


def test_the_readme_lists_every_plugin() -> None:
    listed = re.findall(r"\(plugins/(\w+)/README\.md\)", (ROOT / "README.md").read_text())
    assert sorted(listed) == sorted(page.parent.name for page in PAGES if "plugins" in page.parts)


@pytest.mark.parametrize("section", ["http", "relay", "mail"])
def test_every_setting_is_explained(section: str) -> None:
    fields: tuple[str, ...] = getattr(Settings(), section).__struct_fields__
    unnamed = [
        name
        for name in fields
        if not re.search(rf"`({section}\.)?{name}`|^{name} = ", OPERATORS, re.M)
    ]
    assert unnamed == []


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", OPERATORS, re.DOTALL))
def test_the_examples_are_settings(example: str) -> None:
    core = msgspec.structs.fields(Settings)
    known = {field.name: field.type for field in core if field.name != "plugins"}
    for name, section in tomllib.loads(example).items():
        decode(known[name], section)


def test_the_services_that_the_examples_name_are_there() -> None:
    examples = re.findall(r"```toml\n(.*?)```", OPERATORS, re.DOTALL)
    hubs = [tomllib.loads(example).get("hub", {}) for example in examples]
    named = {name for hub in hubs for name in [*hub.get("services", ()), *hub.get("remote", ())]}
    assert named
    assert named <= set(PluginHost.load().services)
