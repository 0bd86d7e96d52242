"""A stranger's package, from its folder to a delivered line, beside a hub that runs."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hub.authoring import scaffold
from hub.testing import Loopback
from tests.deadline import until
from tests.fixtures.environments import ROOT, Environment, build_wheel
from tests.fixtures.spine import ONE, Device, Project, Spine, running_spine

EXAMPLE = ROOT / "examples" / "isaax-ntfy"
COUNT = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(EXAMPLE, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def hub(environment: Environment) -> Iterator[Spine]:
    # `isaax plugins` tells the one process whose config it is given.
    with running_spine(python=environment.python, layout=ONE) as running:
        yield running


def messages(loopback: Loopback) -> list[int]:
    """The numbers that a webhook took, in the order of their first arrival."""
    bodies = [r.body for r in loopback.requests if r.url.endswith("/hook")]
    lines = [line["message"] for body in bodies for line in msgspec.json.decode(body)]
    return list(dict.fromkeys(int(line) for line in lines if line.isdecimal()))


def notifications(loopback: Loopback) -> list[dict[str, Any]]:
    return [json.loads(r.body) for r in loopback.requests if not r.url.endswith("/hook")]


def integrate(hub: Spine, project: Project, kind: str, config: dict[str, Any]) -> str:
    body = {"type": kind, "name": kind, "config": config}
    made = hub.api.make(f"/projects/{project.id}/integrations", body)
    return str(made["id"])


def types(hub: Spine) -> set[str]:
    return {one["name"] for one in hub.api.get("/integration-types")}


async def test_a_package_is_installed_used_and_removed_while_the_hub_runs(
    hub: Spine, environment: Environment, wheel: Path, tmp_path: Path
) -> None:
    config = ("--config", str(hub.folder / "hub.toml"))
    assert hub.hub is not None
    pid = hub.hub.pid
    project = hub.project()
    async with Loopback.start() as loopback:
        url = f"http://127.0.0.1:{loopback.ports['http']}"
        integrate(hub, project, "webhook", {"url": f"{url}/hook"})
        device = Device.make(tmp_path / "device", hub, project, COUNT)
        device.start()
        try:
            await until(lambda: len(messages(loopback)) > 20, what="lines before")

            done = await asyncio.to_thread(
                environment.isaax, "plugins", "install", str(wheel), *config
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "isaax-ntfy 1.0.0 is installed: ntfy" in done.stdout
            assert "The hub that runs has loaded it: ntfy." in done.stdout
            assert 'plugins = ["ntfy"]' in (hub.folder / "hub.toml").read_text()
            assert "ntfy" in types(hub)

            ntfy = integrate(hub, project, "ntfy", {"topic": "pumps", "url": f"{url}/"})
            await until(lambda: len(notifications(loopback)) > 3, what="notifications")
            assert notifications(loopback)[0]["topic"] == "pumps"

            done = await asyncio.to_thread(
                environment.isaax, "plugins", "uninstall", "ntfy", *config
            )
            assert done.returncode == 0, done.stdout + done.stderr
            assert "The hub was started anew in" in done.stdout
            hub.await_ready()
            assert "ntfy" not in types(hub)
            status = hub.api.get(f"/integrations/{ntfy}")
            assert status["type"] == "ntfy"

            last = messages(loopback)[-1]
            await until(lambda: messages(loopback)[-1] > last + 50, what="lines after")
        finally:
            device.stop()
        taken = messages(loopback)
        assert taken == list(range(taken[0], taken[0] + len(taken)))
    assert hub.hub.pid == pid
    assert hub.hub.poll() is None


def _without_its_module(folder: Path) -> None:
    module = folder / "isaax_broken.py"
    module.write_text("import a_module_that_is_missing\n" + module.read_text())


def _with_a_name_of_ours(folder: Path) -> None:
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace('broken = "isaax', 'webhook = "isaax'))


def _with_an_older_msgspec(folder: Path) -> None:
    project = folder / "pyproject.toml"
    project.write_text(project.read_text().replace("isaax[hub]", "msgspec<0.1"))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_its_module, "No module named 'a_module_that_is_missing'"),
        (_with_a_name_of_ours, "its name is taken by isaax"),
        (_with_an_older_msgspec, "msgspec"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_left_behind(
    environment: Environment, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    folder = scaffold.write("broken", tmp_path / "isaax-broken")
    spoil(folder)
    config = tmp_path / "hub.toml"
    config.write_text("# mine\n[hub]\nname = 'x'\n")
    wheel = build_wheel(folder, tmp_path / "wheel")
    done = environment.isaax("plugins", "install", str(wheel), "--config", str(config))
    assert done.returncode == 1
    assert told in done.stderr
    assert environment.run("-c", "import isaax_broken").returncode == 1
    assert config.read_text() == "# mine\n[hub]\nname = 'x'\n"


def test_the_example_passes_its_own_tests(environment: Environment, tmp_path: Path) -> None:
    wheel = build_wheel(EXAMPLE, tmp_path)
    done = environment.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"),
        "--rootdir", str(EXAMPLE), "-c", str(EXAMPLE / "pyproject.toml"),
        "-o", f"pythonpath={EXAMPLE}", "-p", "no:schemathesis",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert wheel.name == "isaax_ntfy-1.0.0-py3-none-any.whl"


def test_isaax_up_takes_it_in_too(environment: Environment, wheel: Path, tmp_path: Path) -> None:
    """The list of the allowed is then in the data folder; its servers stay up."""
    data = Path(tempfile.mkdtemp(prefix="isaax-e2e-"))
    ports = (f"--{name}-port=0" for name in ("http", "mqtts", "mqtt", "nats", "postgres"))
    command = [environment.python, "-P", "-m", "hub.cli", "up", f"--data={data}", *ports]
    with (tmp_path / "log").open("wb") as log:
        up = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while "Data " not in (tmp_path / "log").read_text():
            assert up.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        done = environment.isaax("plugins", "install", str(wheel), f"--data={data}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "The hub that runs has loaded it: ntfy." in done.stdout
        listed = environment.isaax("plugins", f"--data={data}").stdout
        assert "isaax-ntfy" in listed
        done = environment.isaax("plugins", "uninstall", "isaax-ntfy", f"--data={data}")
        assert "The hub was started anew in" in done.stdout, done.stdout + done.stderr
        assert "plugins = []" in (data / "hub.toml").read_text()
        up.terminate()
        assert up.wait(60) == 0
    finally:
        if up.poll() is None:
            up.kill()
            up.wait()
        shutil.rmtree(data)
