"""`isaax` as a client, as a person at a terminal and a program in a pipe use it."""

import json
import os
import re
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from hub.embedded.ports import free_port
from tests.deadline import until
from tests.fixtures.client import Isaax
from tests.fixtures.spine import Device, Spine


@pytest.fixture
def me(isaax: Isaax, spine: Spine) -> Isaax:
    """Somebody who is logged in, and has a project in use."""
    isaax.log_in(spine.api.base, spine.token)
    isaax.said("projects", "create", f"garden of {time.time_ns()}", "--use")
    return isaax


def project_of(isaax: Isaax) -> str:
    """Give the id of the project in use."""
    return str(json.loads(isaax.said("projects", "show", "--json"))["id"])


# ── logging in ────────────────────────────────────────────────────────────────────────────────


def test_at_a_terminal_everything_is_asked_for_and_the_token_is_not_shown(
    isaax: Isaax, spine: Spine
) -> None:
    with isaax.at_terminal("login") as terminal:
        terminal.read_until("URL of the hub")
        terminal.type(spine.api.base)
        terminal.read_until("Your e-mail address (empty: use an API token): ")
        terminal.type("")
        terminal.read_until("API token: ")  # its blank comes when nothing is echoed any more
        terminal.type(spine.token)
        assert terminal.end() == 0
    assert spine.token not in terminal.shown
    assert f"{spine.token[:10]}…" in terminal.shown
    assert isaax.run("whoami").returncode == 0


def test_a_token_that_the_hub_does_not_take_is_not_kept(isaax: Isaax, spine: Spine) -> None:
    wrong = "isx_" + "x" * 43
    done = isaax.run("login", spine.api.base, "--token-stdin", given=wrong)
    assert done.returncode == 3
    assert "isaax login" in done.stderr
    assert wrong not in done.stdout + done.stderr
    assert not (isaax.home / ".config").exists()


def test_who_is_not_logged_in_is_told_what_to_do(isaax: Isaax, spine: Spine) -> None:
    done = isaax.run("projects", "list")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "isaax: You are not logged in: log in to a hub first: isaax login URL\n"
    assert isaax.run("login", spine.api.base).returncode == 2, "nobody can be asked"
    revoked = isaax.run("projects", "list", ISAAX_URL=spine.api.base, ISAAX_TOKEN="isx_revoked")
    assert revoked.returncode == 3
    assert "isx_revoked" not in revoked.stderr


def test_the_environment_is_enough(isaax: Isaax, spine: Spine) -> None:
    project = spine.project("of the environment").id
    variables = {"ISAAX_URL": spine.api.base, "ISAAX_TOKEN": spine.token, "ISAAX_PROJECT": project}
    shown = json.loads(isaax.said("projects", "show", "--json", **variables))
    assert shown == spine.api.get(f"/projects/{project}")
    assert not (isaax.home / ".config").exists()


def test_where_no_hub_is_it_is_told_at_once(isaax: Isaax) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = isaax.run("projects", "list", ISAAX_URL=url, ISAAX_TOKEN="isx_x")
    assert done.returncode == 1
    assert done.stderr == (
        f"isaax: No hub answers: nothing listens at {url}: is the hub running, and is this its"
        " address?\n"
    )


# ── what is printed ───────────────────────────────────────────────────────────────────────────


def test_json_is_the_apis_own_with_all_pages_in_one(me: Isaax, spine: Spine) -> None:
    project = project_of(me)
    for name in ("one", "two"):
        me.said("integrations", "create", "file", "--name", name, "--json")
    shown = json.loads(me.said("integrations", "list", "--json"))
    assert [one["name"] for one in shown] == ["one", "two"]
    listed = spine.api.get(f"/projects/{project}/integrations")
    assert [one["config"] for one in shown] == [one["config"] for one in listed]
    answer = spine.api.ask("GET", f"/projects/{project}")
    assert json.loads(me.said("projects", "show", project, "--json")) == answer.body


def test_a_terminal_gets_colours_and_a_pipe_or_no_color_none(me: Isaax) -> None:
    me.said("integrations", "create", "file", "--name", "file", "--paused")
    with me.at_terminal("integrations", "list") as terminal:
        assert terminal.end() == 0
    assert "\x1b[2mpaused" in terminal.shown
    with me.at_terminal("integrations", "list", NO_COLOR="1") as plain:
        assert plain.end() == 0
    assert "paused" in plain.shown
    assert "\x1b" not in plain.shown
    assert max(map(len, plain.shown.splitlines())) <= 80
    assert "\x1b" not in me.said("integrations", "list")


def test_a_question_is_asked_before_something_is_lost(me: Isaax) -> None:
    me.said("integrations", "create", "file", "--name", "kept")
    refused = me.run("integrations", "delete", "kept")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    for answer, code in (("n", 1), ("y", 0)):
        with me.at_terminal("integrations", "delete", "kept") as terminal:
            terminal.read_until("Delete kept and its dead letters? [y/N]")
            terminal.type(answer)
            assert terminal.end() == code
    assert "kept" not in me.said("integrations", "list")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["projects", "show", "gardn"], "there is garden of"),
        (["integrations", "create", "papertrial"], "there is papertrail"),
        (["integrations", "create", "syslog", "--set", "hots=x"], "/config/hots: is not a known"),
        (["integrations", "show", "int_" + "a" * 20], "the command `list` beside this one"),
        (["tokens", "revoke", "nothing", "--yes"], "there are no tokens yet"),
    ],
)
def test_an_error_says_what_to_do(me: Isaax, command: list[str], told: str) -> None:
    done = me.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_of_many_changes_those_that_cannot_be_made_are_told(me: Isaax) -> None:
    done = me.run("devices", "group", "canary", "dev_" + "a" * 20, "dev_" + "b" * 20)
    assert done.returncode == 1
    assert done.stdout.count("no such device") == 2


def test_somebody_elses_change_is_not_overwritten(me: Isaax, spine: Spine) -> None:
    """What is edited for a while is written only if nobody else wrote meanwhile; it is kept."""
    made = json.loads(me.said("integrations", "create", "file", "--name", "both", "--json"))
    editor = me.home / "editor"
    editor.write_text(
        "#!/bin/sh\n"
        f"curl -sS -X PATCH {spine.api.base}/api/v1/integrations/{made['id']} -d "
        """'{"name": "theirs"}' -H 'Content-Type: application/merge-patch+json' """
        f'-H "Authorization: Bearer {spine.token}" >/dev/null\n'
        'sed -i s/both/mine/ "$1"\n'
    )
    editor.chmod(0o755)
    done = me.run("integrations", "edit", "both", EDITOR=str(editor))
    assert done.returncode == 1
    assert "look at it again" in done.stderr
    (kept,) = re.findall(r"kept in (\S+)\.\n", done.stderr)
    assert '"mine"' in Path(kept).read_text()
    Path(kept).unlink()
    assert "theirs" in me.said("integrations", "list")
    unchanged = me.run("integrations", "edit", "theirs", EDITOR="true")
    assert (unchanged.returncode, unchanged.stderr) == (0, "Nothing was changed.\n")


def test_what_an_account_has_is_taken_along(me: Isaax) -> None:
    file = me.home / "all.zip"
    me.said("account", "export", str(file))
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert "garden of" in archive.read("projects.ndjson").decode()
    again = me.run("account", "export", str(file))
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    shown = json.loads(me.said("account", "export", str(file), "--force", "--json"))
    assert shown["id"].startswith("exp_")
    nowhere = me.run("account", "export", str(me.home / "no" / "all.zip"))
    assert nowhere.returncode == 2
    assert "No such file or directory" in nowhere.stderr
    assert [one.name for one in me.home.glob("*all.zip*")] == ["all.zip"]


# ── logs ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_log_is_followed_over_the_end_of_the_hub(
    me: Isaax, spine: Spine, tmp_path: Path
) -> None:
    """Each line once and in order, whenever the hub is killed: the first time before any came."""
    project = spine.project("followed")
    gates = [tmp_path / f"gate{n}" for n in range(3)]
    app = "; ".join(
        f"while [ ! -e {gate} ]; do sleep 0.05; done; seq {n * 200 + 1} {n * 200 + 200}"
        for n, gate in enumerate(gates)
    )
    device = Device.make(tmp_path / "device", spine, project, f"echo 0; {app}; sleep 1000")
    device.start()
    command = ("logs", "--json", "--stream", "app", "--project", project.id, "--follow")
    wanted = ["0"]
    try:
        with spine.client() as hub:
            stored = hub.read_logs(project.id, stream="app")
            await until(lambda: len(list(stored)) == 1, what="the first line")
        with me.following(*command) as following:
            assert [json.loads(line)["message"] for line in following.read(1)] == wanted
            for number, gate in enumerate(gates):
                spine.kill_hub()
                gate.touch()
                spine.start_hub()
                wanted += [str(n) for n in range(number * 200 + 1, number * 200 + 201)]
                lines = following.read(len(wanted))
                assert [json.loads(line)["message"] for line in lines] == wanted
            assert following.interrupt() == 130
    finally:
        assert device.stop() == 0


async def test_what_devices_send_moves_no_cursor(me: Isaax, spine: Spine, tmp_path: Path) -> None:
    project = spine.project("hostile")
    app = r"printf '\033[31mred\033[0m \033]0;title\007\r\t\302\233H\n\342\200\256x\n'; sleep 1000"
    device = Device.make(tmp_path / "device", spine, project, app)
    device.start()
    command = ("logs", "--stream", "app", "--project", project.id)
    try:
        await until(lambda: me.said(*command).count("\n") == 2, what="its lines")
    finally:
        device.stop()
    first, second = (line.partition(": ")[2] for line in me.said(*command).splitlines())
    assert first == r"red \x1b]0;title\x07\r" "\t" r"\x9bH"
    assert second == r"\u202ex"
    with me.at_terminal(*command) as terminal:
        assert terminal.end() == 0
    assert not re.search(r"\x1b[^\[]|\x1b\[[\d;]*[^\d;m]|\x07|\x9b", terminal.shown)
    raw = json.loads(me.said(*command, "--json"))
    assert raw[0]["message"].startswith("\x1b[31mred")


# ── shells ────────────────────────────────────────────────────────────────────────────────────


def test_a_shell_completes_commands_and_what_the_hub_has(me: Isaax, spine: Spine) -> None:
    spine.project("tulips")
    spine.project("a `name` of $(evil)")
    assert "projects" in me.completed("isaax pro")
    assert me.completed("isaax proj") == ["projects"]
    assert me.completed("isaax projects re") == ["rename"]
    assert me.completed("isaax projects show tul") == ["tulips"]
    assert me.completed("isaax devices list --project tul") == ["tulips"]
    everything = me.completed("isaax projects use ")
    assert all(re.fullmatch(r"[\w.@+-]+", one) for one in everything), everything
    me.said("integrations", "create", "file", "--name", "on-disk")
    assert me.completed("isaax integrations pause on") == ["on-disk"]
    assert me.completed("isaax integrations create papert") == ["papertrail"]
    assert me.completed("isaax projects list --hub h") == ["hub"]
    assert me.completed("isaax logs --stream a") == ["app", "agent"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_in_their_own_way(me: Isaax, spine: Spine, shell: str) -> None:
    spine.project("roses")
    script = me.said("completion", shell)
    assert f"_ISAAX_COMPLETE=complete_{shell}" in script
    asked = {
        "_ISAAX_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "isaax projects show ros",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    said = me.said(**asked)
    assert "roses" in said
    assert "prj_" in said


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://192.0.2.1", "nonsense"])
def test_without_a_hub_a_shell_is_offered_nothing_and_told_nothing(isaax: Isaax, url: str) -> None:
    """192.0.2.1 (RFC 5737) never answers: the shell is not kept waiting for it."""
    variables = {"ISAAX_URL": url, "ISAAX_TOKEN": "isx_x", "ISAAX_PLAIN_HTTP": "1"}
    assert isaax.completed("isaax projects show x", **variables) == [""]
    assert isaax.completed("isaax projects show x") == [""]


def test_a_reader_that_has_enough_ends_it_quietly(me: Isaax) -> None:
    done = subprocess.run(
        "isaax integrations types | head -n 1", shell=True, env=me.environ,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["name", "title", "summary"]
    assert done.stderr == ""


def test_nothing_of_it_needs_a_hub_on_this_machine(me: Isaax) -> None:
    """It is run in a folder whose hub.toml is broken."""
    (me.home / "hub.toml").write_text("[hub\n")
    assert me.said("whoami", "--json")
    assert os.listdir(me.home / ".config" / "isaax") == ["credentials.toml"]
