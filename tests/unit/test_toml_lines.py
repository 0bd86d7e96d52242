"""Finding the line of each key of a TOML text."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.toml_lines import Path, key_lines

TEXT = '''\
a = 1 # b = 2
"q.r" . 'c' = """
x = 1
[no]
\\"""""" # closed by the last three of five
d = { e = [1, { f = 2 }], g = "}" }
e = [
  "]", # ]
  \'\'\'
# not a comment\'\'\',
  [1,
   2],
]
[t.u]
when = 1979-05-27 07:32:00
empty = ""
[[t.v]]
x = 1
[[t.v]]
y = []
[t.v.w]
z = {}
[[t.v.w.k]]
deep = true
'''


def paths_of(value: Any, path: Path = ()) -> set[Path]:
    """Every path of a document as tomllib reads it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    found: set[Path] = set()
    for key, item in items:
        found.add((*path, key))
        if isinstance(item, dict | list):
            found |= paths_of(item, (*path, key))
    return found


def test_every_key_has_its_line() -> None:
    lines = key_lines(TEXT)
    assert set(lines) == paths_of(tomllib.loads(TEXT))
    expected = {
        ("a",): 1, ("q.r", "c"): 2, ("d", "e", 1, "f"): 6, ("d", "g"): 6, ("e", 0): 8,
        ("e", 1): 9, ("e", 2, 1): 12, ("t", "u", "when"): 15, ("t", "v", 0, "x"): 18,
        ("t", "v"): 17, ("t", "v", 1): 19, ("t", "v", 1, "w", "z"): 22,
        ("t", "v", 1, "w", "k", 0, "deep"): 24,
    }  # fmt: skip
    assert {path: lines[path] for path in expected} == expected


@given(st.text(alphabet="ab.[]{}=\"'\\#,\n 1_-tn\r\u00e9", max_size=60))
def test_whatever_tomllib_reads_is_found_whole(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(key_lines(text)) == paths_of(document)


VALUES = st.recursive(
    st.sampled_from(["1", '"a]"', "'b}'", '""', '"""x\n"y"""', "'''\n]'''", "true", "1.5"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"k{n}={item}" for n, item in enumerate(items)) + "}"
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(["", "[t%d]\n", "[[s]]\n", "[s.x%d]\n"]), VALUES)))
def test_values_within_values_are_found_whole(parts: list[tuple[str, str]]) -> None:
    text = "".join(
        (head % n if "%" in head else head) + f"k{n} = {value}\n"
        for n, (head, value) in enumerate(parts)
    )
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # [s.x] before the first [[s]], for one
        return
    assert set(key_lines(text)) == paths_of(document)
