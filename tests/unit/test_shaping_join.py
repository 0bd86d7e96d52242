"""Lines that belong together become one, and which lines that finishes is exact."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import Chunk
from hub.errors import Invalid
from hub.shaping.join import Joined, Joiner
from hub.shaping.rules import Join
from hub.testing import make_chunk


def joined(*messages: str, rule: Join | None = None, **chunk: Any) -> list[str]:
    """Give what these lines become when they come in one chunk."""
    joiner: Joiner[str] = Joiner(rule or Join())
    done = joiner.add(make_chunk(messages, **chunk), "s", 0.0) + joiner.flush(None)
    return [message for one in done for message in one.chunk.lines.messages]


# ── traces ──

TRACES = {
    "java": """\
Exception in thread "main" java.lang.IllegalStateException: no pump
	at com.example.Pump.start(Pump.java:12)
	at com.example.Main.main(Main.java:5)
	Suppressed: java.io.IOException: close
		at com.example.Pump.close(Pump.java:20)
Caused by: java.io.IOException: no device
	at com.example.Device.open(Device.java:7)
	... 2 more""",
    "python": """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    start()
    ~~~~~^^
ValueError: no pump""",
    "python, chained": """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in start
    open("x")
FileNotFoundError: x

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/main.py", line 9, in <module>
    start()
RuntimeError: no pump

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/main.py", line 12, in <module>
SystemError""",
    "python, group": """\
  + Exception Group Traceback (most recent call last):
  |   File "/app/main.py", line 3, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: a
    +------------------------------------""",
    "go": """\
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.(*Pump).Start(0xc0000b2000, {0x1, 0x2})
	/app/pump.go:12 +0x1d
main.main()
	/app/main.go:5 +0x18
created by main.init in goroutine 1
	/app/main.go:3 +0x25

goroutine 18 [select, 2 minutes]:
net/http.(*conn).serve(0xc0000b2000)
	/usr/lib/go/net/http/server.go:1930 +0x5d
exit status 2""",
    "go, signal": """\
fatal error: unexpected signal during runtime execution
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47b5c1]

goroutine 1 [running]:
main.main()
	/app/main.go:5 +0x18""",
    "node": """\
/app/main.js:3
    throw new Error('no pump');
    ^

Error: no pump
    at start (/app/main.js:3:11)
    at node:internal/main/run_main_module:28:49 {
  code: 'ENOENT'
}

Node.js v20.1.0""",
    "node, not indented": """\
file:///app/main.mjs:1
throw new TypeError('x')
^

TypeError: x
    at file:///app/main.mjs:1:7""",
    "node, logged": """\
TypeError: x is not a function
    at start (/app/main.js:3:11)
    at Object.<anonymous> (/app/main.js:9:1)""",
    "ruby": """\
/app/main.rb:3:in 'start': no pump (RuntimeError)
	from /app/main.rb:7:in 'block in run'
	from /app/main.rb:9:in '<main>'""",
    "ruby, rails": """\
RuntimeError (no pump):
app/models/pump.rb:3:in `start'
app/controllers/pumps_controller.rb:12:in `create'""",
    "dotnet": """\
Unhandled exception. System.InvalidOperationException: no pump
 ---> System.IO.IOException: no device
   at Device.Open() in /app/Device.cs:line 7
   --- End of inner exception stack trace ---
   at Pump.Start() in /app/Pump.cs:line 12
--- End of stack trace from previous location ---
   at Program.Main() in /app/Program.cs:line 5""",
    "php": """\
PHP Fatal error:  Uncaught RuntimeException: no pump in /app/main.php:3
Stack trace:
#0 /app/main.php(7): start()
#1 {main}

Next LogicException: no start in /app/main.php:9
Stack trace:
#0 {main}
  thrown in /app/main.php on line 3""",
    "rust": """\
thread 'main' panicked at src/main.rs:2:5:
no pump
stack backtrace:
   0: rust_begin_unwind
             at /rustc/x/library/std/src/panicking.rs:645:5
   1: demo::main
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace""",
}


@pytest.mark.parametrize("language", TRACES)
def test_a_stack_trace_becomes_one_line(language: str) -> None:
    trace = TRACES[language]
    lines = trace.split("\n")
    assert joined("before", *lines, "after one", "after two") == (
        ["before", trace, "after one", "after two"]
        if not lines[0].startswith(" ")
        else [f"before\n{trace}", "after one", "after two"]
    )


@pytest.mark.parametrize("language", TRACES)
def test_a_stack_trace_becomes_one_line_whatever_batches_it_comes_in(language: str) -> None:
    joiner: Joiner[int] = Joiner(Join())
    lines = ["before", *TRACES[language].split("\n"), "after"]
    done = list[Joined[int]]()
    for number, line in enumerate(lines, 1):
        done += joiner.add(make_chunk([line], first=number), number, 0.0)
    done += joiner.flush(None)
    assert [one.chunk.lines.messages for one in done] == [[text] for text in joined(*lines)]
    assert [number for one in done for number, _ in one.finishes] == list(range(1, len(lines) + 1))


def test_two_traces_are_two_lines() -> None:
    python = TRACES["python"]
    assert joined(*python.split("\n"), *python.split("\n")) == [python, python]
    java = TRACES["java"]
    assert joined(*java.split("\n"), *java.split("\n")) == [java, java]


@pytest.mark.parametrize(
    "lines",
    [
        ("a", "b", "c"),
        ("", "", ""),
        ("main.main()", "net/http.serve(x)"),
        ("GET /a:3 200", "POST /b"),
        ("note that", "Next: x", "# comment"),
        ("ValueError: x", "Error: y"),
        ("created by me", "exit status 1"),
    ],
)
def test_what_is_no_trace_stays_apart(lines: tuple[str, ...]) -> None:
    assert joined(*lines) == list(lines)


@pytest.mark.parametrize(
    "message",
    [
        "goroutine 1 " + "[" * 65_000,
        "/" + ":1" * 32_000 + "x",
        " " * 65_000,
        "^" * 65_000 + "x",
        "a" * 65_000 + ":1:in 'x",
        "thread 'x' panicked at " + ":" * 65_000 + "x",
        "f" + "(" * 65_000,
    ],
)
def test_no_line_takes_long_to_be_looked_at(message: str) -> None:
    """Each of these would take a pattern that backtracks twice over minutes."""
    lines = ("panic: x", message, "/app/x.js:3", message, message, message)
    assert "".join(joined(*lines)).replace("\n", "") == "".join(lines)


# ── rules ──


def test_own_rule_for_what_continues() -> None:
    rule = Join(continues=r"^(\+|\|)")
    assert joined("a", "+b", "|c", "  d", "+e", rule=rule) == ["a\n+b\n|c", "  d\n+e"]


def test_own_rule_for_what_starts() -> None:
    rule = Join(starts=r"^\d{4}-")
    assert joined("x", "2026-1", "a", "", "2026-2", "b", rule=rule) == [
        "x", "2026-1\na\n", "2026-2\nb",
    ]  # fmt: skip
    assert joined("2026-1", "2026-2", rule=rule) == ["2026-1", "2026-2"]
    assert joined("a", "b", rule=rule) == ["a\nb"]


@pytest.mark.parametrize("field", ["continues", "starts"])
def test_a_bad_rule_is_refused(field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        Joiner(Join(**{field: "("}))  # type: ignore[arg-type]
    assert refusal.value.errors[0].pointer == f"/join/{field}"


def test_a_joined_line_is_its_first_with_the_worst_severity() -> None:
    joiner: Joiner[str] = Joiner(Join())
    chunk = make_chunk(["x", "a", " b", " c", "d"], priorities=[14, 38, 35, 37, 14], first=5)
    (one,) = joiner.add(chunk, "s", 0.0)
    assert one.chunk.lines.messages == ["x", "a\n b\n c"]
    assert one.chunk.lines.priorities == [14, 35]  # auth, as the first; err, as the worst
    assert one.chunk.lines.times == chunk.lines.times[:2]
    assert (one.chunk.first, one.chunk.seqs) == (5, [5, 6])
    assert one.finishes == (("s", 4),)


def test_lines_of_different_programs_stay_apart() -> None:
    assert joined("a", " b", " c", " d", programs=["x", "x", "y", "y"]) == ["a\n b", " c\n d"]


def test_a_joined_line_is_bounded() -> None:
    lines = [" x"] * 10
    assert joined("a", *lines, rule=Join(max_lines=4)) == ["a\n x\n x\n x", *[
        "\n".join([" x"] * 4)], "\n".join([" x"] * 3)]  # fmt: skip
    wide = " " + "é" * 30  # 61 bytes
    assert joined(wide, wide, wide, rule=Join(max_bytes=124)) == [f"{wide}\n{wide}", wide]
    assert joined(wide, wide, wide, rule=Join(max_bytes=122)) == [wide, wide, wide]


def test_a_trace_that_is_cut_by_a_bound_goes_on_in_the_next_line() -> None:
    lines = TRACES["python"].split("\n")
    assert joined(*lines, rule=Join(max_lines=4)) == ["\n".join(lines[:4]), lines[4]]
    assert joined(*lines, "x", rule=Join(max_lines=3)) == [
        "\n".join(lines[:3]), "\n".join(lines[3:]), "x",
    ]  # fmt: skip


# ── holding ──


def test_the_last_line_waits_for_what_may_continue_it() -> None:
    joiner: Joiner[str] = Joiner(Join(wait=2))
    assert joiner.due() is None
    assert joiner.add(make_chunk(["a"]), "1", 10.0) == []
    assert joiner.due() == 12.0
    assert joiner.flush(11.9) == []
    assert joiner.add(make_chunk([" b"], first=2), "2", 11.9) == []
    assert joiner.due() == pytest.approx(13.9)
    (one,) = joiner.flush(13.9)
    assert one.chunk.lines.messages == ["a\n b"]
    assert one.finishes == (("1", 1), ("2", 1))
    assert joiner.due() is None


def test_what_comes_too_late_is_a_line_of_its_own() -> None:
    joiner: Joiner[str] = Joiner(Join())
    joiner.add(make_chunk(["a"]), "1", 0.0)
    assert len(joiner.flush(1.0)) == 1
    joiner.add(make_chunk([" b"], first=2), "2", 2.0)
    (late,) = joiner.flush(None)
    assert late.chunk.lines.messages == [" b"]


def test_devices_streams_and_lives_are_held_each_by_itself() -> None:
    joiner: Joiner[str] = Joiner(Join())
    base = make_chunk(["a"])
    joiner.add(base, "1", 0.0)
    joiner.add(make_chunk([" b"], device="dev_b"), "2", 1.0)
    joiner.add(make_chunk([" c"], stream="sys"), "3", 2.0)
    (old,) = joiner.add(replace(make_chunk([" d"]), boot=2), "4", 3.0)
    assert old.chunk.lines.messages == ["a"]
    assert old.finishes == (("1", 1),)
    assert [one.chunk.lines.messages for one in joiner.flush(3.0)] == [[" b"], [" c"]]
    assert joiner.due() == 4.0


def test_a_source_may_end_in_the_middle_of_a_line() -> None:
    joiner: Joiner[str] = Joiner(Join())
    (first,) = joiner.add(make_chunk(["x", "a", " b"]), "1", 0.0)
    assert (first.chunk.lines.messages, first.finishes) == (["x"], (("1", 1),))
    assert joiner.add(make_chunk([" c"], first=4), "2", 0.0) == []
    held, rest = joiner.add(make_chunk([" d", "e", "f"], first=5), "3", 0.0)
    assert held.chunk.lines.messages == ["a\n b\n c\n d"]
    assert held.chunk.ids() == make_chunk(["a"], first=2).ids()
    assert held.finishes == (("1", 3), ("2", 1), ("3", 1))
    assert (rest.chunk.lines.messages, rest.finishes) == (["e"], (("3", 2),))


def test_lines_without_anything_to_join_are_given_as_they_are() -> None:
    joiner: Joiner[str] = Joiner(Join())
    chunk = make_chunk(["a", "b", "c"])
    (one,) = joiner.add(chunk, "1", 0.0)
    assert one.chunk == chunk.part(0, 2)
    assert joiner.add(make_chunk([]), "2", 0.0) == []


# ── nothing is lost, doubled or finished too early ──


@dataclass
class Source:
    """One batch: its lines by number, and how many of them are finished."""

    chunk: Chunk
    finished: int = 0


MESSAGES = st.sampled_from(
    ["a", "b", " indented", "\tat x", "", "Traceback (most recent call last):", "ValueError: x",
     "During handling of the above exception, another exception occurred:", "panic: x",
     "main.main()", "goroutine 1 [running]:", "/x.js:3", "^", "Caused by: y", "x" * 60]
)  # fmt: skip
ADD = st.tuples(
    st.sampled_from(["dev_a", "dev_b"]),
    st.lists(st.tuples(MESSAGES, st.sampled_from(["p", "p", "p", "q"])), min_size=1, max_size=6),
    st.booleans(),
)
RULES = st.builds(
    Join,
    continues=st.sampled_from(["", "", "^ ", "x"]),
    max_lines=st.integers(2, 5),
    max_bytes=st.sampled_from([100, 32_768]),
) | st.builds(Join, starts=st.just("^[ab]$"), max_lines=st.integers(2, 5))


@settings(max_examples=300, deadline=None)
@given(
    rule=RULES,
    events=st.lists(ADD | st.sampled_from([0.3, 1.0, None]), max_size=20),
    one_program=st.booleans(),
)
def test_each_line_is_finished_exactly_when_what_holds_it_is_given(
    rule: Join, events: list[Any], one_program: bool
) -> None:
    joiner: Joiner[int] = Joiner(rule)
    sources = list[Source]()
    position = dict.fromkeys(("dev_a", "dev_b"), (1, 1))
    given_lines: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
    now = 0.0

    def take(done: list[Joined[int]]) -> None:
        for one in done:
            before = sum(source.finished for source in sources)
            for index, count in one.finishes:
                assert sources[index].finished < count <= len(sources[index].chunk)
                sources[index].finished = count
            after = sum(source.finished for source in sources)
            messages = one.chunk.lines.messages
            assert after - before == sum(message.count("\n") + 1 for message in messages)
            key = one.chunk.device, one.chunk.boot
            given_lines[key] += zip(one.chunk.numbers(), messages, strict=True)

    for event in events:
        if event is None or isinstance(event, float):
            now += event or 0
            take(joiner.flush(None if event is None else now))
            due = joiner.due()
            assert due is None or (event is not None and due > now)
            continue
        device, rows, again = event
        boot, first = position[device]
        if again and first > 1:
            boot, first = boot + 1, 1
        position[device] = (boot, first + len(rows))
        programs = "p" if one_program else [program for _, program in rows]
        chunk = make_chunk(
            [message for message, _ in rows], device=device, first=first, programs=programs
        )
        sources.append(Source(replace(chunk, boot=boot)))
        take(joiner.add(sources[-1].chunk, len(sources) - 1, now))
    take(joiner.flush(None))

    assert joiner.due() is None
    assert all(source.finished == len(source.chunk) for source in sources)
    expected: dict[tuple[str, int], list[str]] = defaultdict(list)
    for source in sources:
        expected[source.chunk.device, source.chunk.boot] += source.chunk.lines.messages
    for key, lines in expected.items():
        numbers = [number for number, _ in given_lines[key]]
        pieces = [message.split("\n") for _, message in given_lines[key]]
        assert numbers == [1 + sum(map(len, pieces[:index])) for index in range(len(pieces))]
        assert [line for piece in pieces for line in piece] == lines
        assert all(len(piece) <= rule.max_lines for piece in pieces)
