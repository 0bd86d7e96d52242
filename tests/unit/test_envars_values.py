"""What a variable may be called and hold, and what is filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import Invalid
from hub.protocol import MAX_PAYLOAD_BYTES
from services.envars.contracts import Value
from services.envars.templates import LONGEST, expand, longest, names_in
from services.envars.variables import AGENTS, LEVEL_BYTES, MOST, VALUE_BYTES, check, check_name

VALUES = {"DEVICE_ID": "dev_1", "DEVICE_LABEL": "pump", "GROUP": "canary", "PROJECT_ID": "prj_1"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain $ and $$ and {x}", "plain $ and $$ and {x}"),
        ("${DEVICE_ID}@${GROUP}", "dev_1@canary"),
        ("$${DEVICE_ID}", "${DEVICE_ID}"),
        ("$$${DEVICE_ID}", "$${DEVICE_ID}"),
        ("${DEVICE_LABEL}${PROJECT_ID}$", "pumpprj_1$"),
    ],
)
def test_what_is_filled_in(text: str, filled: str) -> None:
    names_in(text)
    assert expand(text, VALUES) == filled


@pytest.mark.parametrize(
    "text", ["${}", "${NAME}", "${device_id}", "${DEVICE_ID", "a${", "${ GROUP}"]
)
def test_a_name_that_there_is_not_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"none of \$\{DEVICE_ID\}, .*; a plain \$\{ is written"):
        names_in(text)


@given(st.text(alphabet="${}ADEVICE_ID xé", max_size=40))
def test_whatever_is_taken_is_filled_in_within_its_bound(text: str) -> None:
    """And no value that is filled in brings names of its own."""
    values = {name: "${GROUP}"[:size] * (size // 8) for name, size in LONGEST.items()}
    try:
        names = names_in(text)
    except Invalid:
        return
    assert set(names) <= set(LONGEST)
    assert len(expand(text, values).encode()) <= longest(text)


@pytest.mark.parametrize(
    "name", ["", "1A", "A-B", "A B", "Ä", "A\n", "A=B", "A" * 129, "ISAAX_NEW"]
)
def test_a_name_that_cannot_be_one(name: str) -> None:
    with pytest.raises(Invalid):
        check_name(name)


@pytest.mark.parametrize("name", ["A", "_", "a_1", "A" * 128, *AGENTS])
def test_a_name_that_can_be_one(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("name", "value", "pointer"),
    [
        ("A", Value("\0"), "/variables/A/value"),
        ("A", Value("x" * (VALUE_BYTES + 1)), "/variables/A/value"),
        ("A", Value("${DEVICE_LABEL}" * 100), "/variables/A/value"),
        ("A", Value("${X}"), "/variables/A/value"),
        ("A-B", Value("x"), "/variables/A-B"),
        ("ISAAX_LOG_APP", Value("yes"), "/variables/ISAAX_LOG_APP/value"),
        ("ISAAX_LOG_APP", Value("true", secret=True), "/variables/ISAAX_LOG_APP/value"),
    ],
)
def test_what_is_wrong_is_pointed_at_and_never_repeated(
    name: str, value: Value, pointer: str
) -> None:
    with pytest.raises(Invalid) as refused:
        check({"GOOD": Value("x"), name: value})
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_a_level_is_bounded_so_that_a_device_gets_all_of_it_in_one_message() -> None:
    check({f"V{n}": Value("x") for n in range(MOST)})
    with pytest.raises(Invalid, match="not valid"):
        check({f"V{n}": Value("x") for n in range(MOST + 1)})
    with pytest.raises(Invalid) as refused:
        check({f"V{n}": Value('"' * VALUE_BYTES) for n in range(4)})
    assert [error.pointer for error in refused.value.errors] == ["/variables"]
    each = len('{"name":"","value":"","restart":true,"secret":true},')
    assert 3 * (LEVEL_BYTES + MOST * each) < MAX_PAYLOAD_BYTES


def test_no_value_is_in_a_repr() -> None:
    assert "t0p" not in repr(Value("t0p-s3cr3t", secret=True))
