"""The agent as a process, against the real broker and a small hub."""

import itertools
import json
import re
import shutil
import signal
import socket
import stat
import tomllib
from collections import Counter
from pathlib import Path

import psutil
import pytest

from agent.spool import Spool
from hub.embedded.mosquitto import Mosquitto
from hub.protocol import Mark, Refused
from tests.deadline import until
from tests.fixtures.agents import AgentMaker, AgentProcess, SmallHub

COUNT = """
[app]
command = ["/bin/sh", "-c", "i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo line $i; done; sleep 600"]
restart = "never"
stopSeconds = 0.2
"""  # noqa: E501


def numbered(count: int) -> list[str]:
    return [f"line {n}" for n in range(1, count + 1)]


def count_to(path: Path) -> str:
    """An app that goes on counting where it was when it was killed."""
    script = (
        f"i=$(cat {path} 2>/dev/null || echo 0); "
        f"while true; do i=$((i+1)); echo $i > {path}; echo line $i; sleep 0.002; done"
    )
    return f'[app]\ncommand = ["/bin/sh", "-c", {json.dumps(script)}]\nstopSeconds = 0.2\n'


async def test_registers_and_keeps_the_rest_of_its_configuration(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    agent = make_agent("# mine\n[spool]\nflushMs = 20 # quick\n", enrolled=False)
    before = agent.config.read_text()
    agent.start()
    await until(lambda: len(small_hub.hellos) == 1, what="a session")
    text = agent.config.read_text()
    tree = tomllib.loads(text)
    assert small_hub.keys[tree["deviceID"]] == tree["deviceKey"]
    assert [line for line in text.splitlines() if "device" not in line] == before.splitlines()
    assert stat.S_IMODE(agent.config.stat().st_mode) == 0o600
    assert tree["deviceKey"] not in agent.log
    assert small_hub.token not in agent.log

    assert agent.stop() == 0
    agent.start()
    await until(lambda: len(small_hub.hellos) == 2, what="a session after a restart")
    assert len(small_hub.registrations) == 1
    assert agent.config.read_text() == text


async def test_lines_of_all_streams_arrive_over_tls(
    make_agent: AgentMaker, small_hub: SmallHub, mosquitto_broker: Mosquitto, tmp_path: Path
) -> None:
    sock, file = tmp_path / "log", tmp_path / "some.log"
    file.write_text("from before\n")
    agent = make_agent(
        COUNT.format(count=1200)
        + f'[syslog]\nsocket = "{sock}"\nfiles = ["{file}"]\njournald = false\n',
        server=f"mqtts://localhost:{mosquitto_broker.listeners.tls_port}",
        caFile=str(mosquitto_broker.ca),
    )
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) == 1200, what="the app's lines")
    assert small_hub.lines["app"] == numbered(1200)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"<13>Nov 23 10:00:00 me[7]: by the socket", str(sock))
    with file.open("a") as followed:
        followed.write("by the file\n")
    await until(lambda: len(small_hub.lines["sys"]) == 2, what="the system's lines")
    assert sorted(small_hub.lines["sys"]) == ["by the file", "by the socket"]
    await until(lambda: any("the app started" in line for line in small_hub.lines["agent"]))


async def test_refuses_a_certificate_of_somebody_else(
    make_agent: AgentMaker, small_hub: SmallHub, mosquitto_broker: Mosquitto
) -> None:
    agent = make_agent(server=f"mqtts://localhost:{mosquitto_broker.listeners.tls_port}")
    agent.start()
    await until(lambda: "CERTIFICATE_VERIFY_FAILED" in agent.log, what="the refusal")
    assert small_hub.said["Begin"] == 0


async def test_nothing_is_lost_or_doubled_when_it_is_killed(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    agent = make_agent(count_to(tmp_path / "count") + "[spool]\nflushMs = 20\n")
    agent.start()
    for _ in range(3):
        so_far = len(small_hub.lines["app"])
        await until(lambda so_far=so_far: len(small_hub.lines["app"]) >= so_far + 50)
        agent.kill()
        spooled = _spooled(agent)
        hellos = len(small_hub.hellos)
        agent.start()
        await until(lambda hellos=hellos: len(small_hub.hellos) > hellos)
        await until(lambda spooled=spooled: _mark(small_hub) >= spooled, what="the spooled lines")
    assert agent.stop() == 0
    numbers = [int(line.split()[1]) for line in small_hub.lines["app"]]
    assert numbers == sorted(set(numbers)), "each line once, in order"
    # a line may only be missing where the agent was killed before it reached the disk
    assert sum(b - a > 1 for a, b in itertools.pairwise(numbers)) <= 3
    assert all(len(forms) == 1 for forms in small_hub.payloads.values()), "the same bytes again"


def _mark(hub: SmallHub) -> int:
    return next((m["app"].seq for m in hub.marks.values() if "app" in m), 0)


def _spooled(agent: AgentProcess) -> int:
    spool = Spool.open(agent.state / "spool" / "app", max_bytes=1 << 26)
    spool.close()
    return spool.last


async def test_spools_while_there_is_no_hub_and_sends_it_later(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    small_hub.mute = True
    agent = make_agent(COUNT.format(count=700))
    agent.start()
    await until(lambda: _status(agent).get("lines") == 700, what="700 spooled lines")
    assert agent.stop() == 0
    assert small_hub.lines["app"] == []
    small_hub.mute = False
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) >= 700, what="the spooled lines")
    assert small_hub.lines["app"][:700] == numbered(700)


def _status(agent: AgentProcess) -> dict[str, int]:
    path = agent.state / "status.json"
    return json.loads(path.read_text())["streams"]["app"] if path.exists() else {}


async def test_a_hole_is_filled_after_resume(make_agent: AgentMaker, small_hub: SmallHub) -> None:
    small_hub.drop = 2
    agent = make_agent(COUNT.format(count=3000) + "[spool]\nmaxBatchLines = 50\n")
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) == 3000, what="all lines")
    assert small_hub.lines["app"] == numbered(3000)
    assert small_hub.said["Resume"] >= 1


async def test_a_session_is_renewed_on_the_same_connection(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    small_hub.lifetime = 3  # long enough for a busy machine to renew it in time
    agent = make_agent(count_to(tmp_path / "count"))
    agent.start()
    await until(lambda: len(small_hub.hellos) >= 3, what="renewals")
    small_hub.lifetime = 3600
    so_far = len(small_hub.lines["app"])
    await until(lambda: len(small_hub.lines["app"]) > so_far + 100)
    numbers = [int(line.split()[1]) for line in small_hub.lines["app"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({hello.connection for hello in small_hub.hellos}) == 1
    assert small_hub.gone == []


async def test_an_orderly_end_says_goodbye_and_the_app_ends_too(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    agent = make_agent(
        "[app]\ncommand = \"trap 'echo bye; exit 0' TERM; echo hi; sleep 600 & wait\"\n"
    )
    agent.start()
    await until(lambda: small_hub.lines["app"] == ["hi"])
    assert agent.stop() == 0
    assert small_hub.lines["app"] == ["hi", "bye"]
    await until(lambda: len(small_hub.gone) == 1)
    assert small_hub.gone == [small_hub.hellos[0].connection]
    assert "the agent ends" in small_hub.lines["agent"]


async def test_two_programs_are_kept_running_and_end_with_the_agent(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    steady = "trap 'echo web ends; exit 0' TERM; echo web; sleep 600 & wait"
    agent = make_agent(
        f"[programs.web]\ncommand = {json.dumps(steady)}\n"
        '[programs.worker]\ncommand = "echo worker; exit 3"\nrestart = "on-failure"\n'
    )
    agent.start()
    await until(lambda: Counter(small_hub.lines["app"])["worker"] == 2, what="a second run")
    assert "web" in small_hub.lines["app"]
    await until(lambda: _told(small_hub).get("web") == "running", what="its state at the hub")
    await until(lambda: _told(small_hub).get("worker") == "waiting", what="that of the other")
    shown = agent.ask("status").stdout
    assert re.search(r"^program    web: running for .* restarted 0 times$", shown, re.MULTILINE)
    assert re.search(r"^program    worker: .* ended last with exit status 3", shown, re.MULTILINE)
    assert agent.stop() == 0
    assert "web ends" in small_hub.lines["app"]
    assert list(agent.state.glob("programs/*")) == []


def _told(hub: SmallHub) -> dict[str, str]:
    """Give the newest that the device said of its programs."""
    said = [one.programs for states in hub.states.values() for one in states if one.programs]
    return {name: one.state for name, one in said[-1].items()} if said else {}


async def test_a_dead_agent_is_announced_by_its_will_and_takes_its_session_over(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    agent = make_agent()
    agent.start()
    await until(lambda: "session" in agent.log)
    agent.kill()
    await until(lambda: len(small_hub.gone) == 1)
    agent.start()
    await until(lambda: len(small_hub.hellos) == 2)
    assert small_hub.hellos[1].previous != ""
    assert small_hub.gone == [small_hub.hellos[0].connection]


async def test_a_half_open_connection_is_taken_over_with_its_session_only(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    frozen = make_agent()
    frozen.start()
    await until(lambda: "session" in frozen.log)
    frozen.signal(signal.SIGSTOP)
    stranger, heir = frozen.twin("stranger"), frozen.twin("heir")
    try:
        stranger.start()
        await until(lambda: "does not accept project and projectToken" in stranger.log)
        assert len(small_hub.hellos) == 1
        stranger.kill()
        heir.state.mkdir()
        shutil.copy(frozen.state / "session", heir.state)
        heir.start()
        await until(lambda: len(small_hub.hellos) == 2, what="the takeover")
    finally:
        frozen.kill()
        stranger.close()
        heir.close()


async def test_a_refusal_is_shown_and_the_lines_stay(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    small_hub.refusal = Refused("revoked", "the device was deleted")
    agent = make_agent(COUNT.format(count=10))
    agent.start()
    await until(lambda: "revoked: the device was deleted" in agent.log)
    await until(lambda: _status(agent).get("lines") == 10)
    assert small_hub.said["Begin"] == 1
    assert agent.stop() == 0


async def test_a_refusal_with_a_delay_is_tried_again(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    small_hub.refusal = Refused("busy", "too many at once", retry=0.1)
    agent = make_agent()
    agent.start()
    await until(lambda: small_hub.said["Begin"] >= 3)
    small_hub.refusal = None
    await until(lambda: len(small_hub.hellos) == 1)
    assert small_hub.gone == [], "on one connection"


async def test_a_hub_that_forgot_everything_gets_a_new_boot(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    agent = make_agent(count_to(tmp_path / "count"))
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) > 20)
    assert agent.stop() == 0
    device = next(iter(small_hub.keys))
    first = small_hub.marks[device]["app"].boot
    small_hub.marks[device].clear()
    small_hub.lines["app"].clear()
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) > 20)
    assert small_hub.marks[device]["app"].boot > first


async def test_a_lost_state_directory_takes_a_boot_of_its_own(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    agent = make_agent(COUNT.format(count=5))
    device = next(iter(small_hub.keys))
    small_hub.marks[device]["app"] = Mark(7, 100)
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) == 5)
    assert small_hub.marks[device]["app"].boot > 7
    assert small_hub.marks[device]["app"].seq == 5


async def test_only_one_agent_runs_on_a_state_directory(
    make_agent: AgentMaker, small_hub: SmallHub
) -> None:
    first = make_agent()
    first.start()
    await until(lambda: len(small_hub.hellos) == 1)
    second = AgentProcess(first.folder, {})
    second.config.write_text("")
    first.write_config({"project": "p", "projectToken": "t", "server": "mqtt://127.0.0.1:1"})
    second.start()
    assert second.wait() == 2
    assert "another agent runs on this directory" in second.log


async def test_an_app_that_writes_too_fast_is_never_made_to_wait(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    script = f"head -c 30000000 /dev/zero | tr '\\\\0' 'x' | fold -w 99; touch {done}; sleep 600"
    agent = make_agent(
        f'[app]\ncommand = "{script}"\nrestart = "never"\nstopSeconds = 0.2\n'
        "[spool]\nmaxBytes = 262144\n"
    )
    small_hub.mute = True
    agent.start()
    await until(done.exists, what="the app to write 30 MB while nobody takes it")
    assert psutil.Process(agent.pid).memory_info().rss < 64 * 1024 * 1024
    assert sum(p.stat().st_size for p in (agent.state / "spool" / "app").iterdir()) < 400_000


@pytest.mark.parametrize("number", [1, 2])
async def test_the_app_of_a_killed_agent_does_not_run_twice(
    make_agent: AgentMaker, small_hub: SmallHub, tmp_path: Path, number: int
) -> None:
    agent = make_agent('[app]\ncommand = "echo $$; exec sleep 600"\nstopSeconds = 0.2\n')
    agent.start()
    await until(lambda: len(small_hub.lines["app"]) == 1)
    for _ in range(number):
        so_far = len(small_hub.lines["app"])
        agent.kill()
        agent.start()
        await until(lambda so_far=so_far: len(small_hub.lines["app"]) == so_far + 1)
    old, new = int(small_hub.lines["app"][-2]), int(small_hub.lines["app"][-1])
    await until(lambda: not _sleeps(old))
    assert _sleeps(new)


def _sleeps(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep")
    except OSError:  # it has ended, perhaps while we read
        return False
