"""The books of dead letters: who holds how much, and who is to make room."""

from hypothesis import given
from hypothesis import strategies as st

from hub.relay.books import Books, Note, Owner, lines_of, owner_of, weight_of
from hub.relay.contracts import MakeRoom
from hub.relay.room import Announced, greatest
from hub.relay.shelf import Shelf, Taken

ONE, TWO = Owner("prj_one", "int_one"), Owner("prj_two", "intake")

actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 40), st.integers(1, 9)),
        st.tuples(st.just("take"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("before"), st.integers(1, 45), st.just(0)),
    ),
    max_size=60,
)


@given(actions)
def test_a_shelf_holds_what_a_plain_table_would(steps: list[tuple[str, int, int]]) -> None:
    shelf, table = Shelf(), dict[int, int]()
    for action, place, weight in steps:
        if action == "put":
            shelf.put(place, weight, 2 * weight)
            table[place] = weight
        elif action == "take":
            gone = table.pop(place, None)
            assert shelf.take(place) == (Taken(1, 2 * gone, gone) if gone else Taken())
        else:
            gone_weight = sum(w for p, w in table.items() if p < place)
            table = {p: w for p, w in table.items() if p >= place}
            assert shelf.take_before(place).weight == gone_weight
        assert list(shelf) == sorted(table)
        held = (shelf.letters, shelf.lines, shelf.weight)
        assert held == (len(table), 2 * sum(table.values()), sum(table.values()))


def test_of_very_many_that_are_gone_nothing_is_kept() -> None:
    shelf = Shelf()
    for place in range(1, 10_001):
        shelf.put(place, 5, 1)
    before = shelf.changes
    assert shelf.take_before(9_000) == Taken(8_999, 8_999, 44_995)
    assert shelf.changes > before
    assert next(iter(shelf)) == 9_000
    assert shelf.before(11) == 9_003
    assert shelf.before(10**9) == 10_001
    assert shelf.take(9_500) == Taken(1, 1, 5)
    assert shelf.take(9_500) == shelf.take(1) == Taken()


def test_an_empty_shelf_has_nothing_before_any_place() -> None:
    assert (Shelf().before(1), Shelf().take_before(9), list(Shelf())) == (0, Taken(), [])


def note(owner: Owner, sequence: int, weight: int = 1_000, *, place: int = 0) -> Note:
    return Note(owner, sequence, place or sequence, weight, 3)


def test_books_know_what_each_project_holds() -> None:
    books = Books()
    for sequence, owner in enumerate((ONE, TWO, ONE, Owner("prj_one", "int_three")), 1):
        books.put(note(owner, sequence))
    assert books.weights == {"prj_one": 3_000, "prj_two": 1_000}
    assert (books.letters, books.letters_in(["prj_one", "prj_none"])) == (4, 3)
    assert books.take(ONE, [1, 2, 99]) == Taken(1, 3, 1_000)
    assert books.take_before(Owner("prj_none", "int_none"), 9) == Taken()
    assert books.take(Owner("prj_none", "int_none"), [1]) == Taken()
    assert books.take_before(TWO, 9) == Taken(1, 3, 1_000)
    assert books.weights == {"prj_one": 2_000}
    books.forget("int_three")
    assert (books.letters, books.weights) == (1, {"prj_one": 1_000})


def test_a_letter_that_was_fixed_stays_one() -> None:
    books = Books()
    for sequence in (1, 2, 3):
        books.put(note(ONE, sequence))
    books.put(note(ONE, 4, 1_500, place=2))
    assert (books.letters, books.weights, books.fixed(ONE)) == (3, {"prj_one": 3_500}, {2: 4})
    books.put(note(ONE, 5, 1_700, place=2))
    assert (books.letters, books.weights, books.fixed(ONE)) == (3, {"prj_one": 3_700}, {2: 5})
    assert books.take_before(ONE, 3) == Taken(2, 6, 2_700)
    assert (books.letters, books.fixed(ONE)) == (1, {})


def test_what_a_letter_is_is_read_from_its_headers() -> None:
    headers = {"Nats-Msg-Size": "5000", "Isaax-Batch": "dev:app:1:7:40", "Isaax-Fixes": "12"}
    found = Note.of("dead.prj_one.int_one.fixed.12", headers, 99)
    assert found[:3] == (ONE, 99, 12)
    assert found.lines == 40
    assert 5_000 < found.weight < 5_400
    assert weight_of("dead.p.i", {}, 1) == 1_024, "however small it is"
    odd = {"Nats-Msg-Size": "many", "Isaax-Batch": "?", "Isaax-Fixes": "-1"}
    assert Note.of("dead.prj_one", odd, 7) == Note(Owner("prj_one", ""), 7, 7, 1_024, 0)
    assert lines_of({}) == 0
    assert owner_of("replay.prj_two.intake") == TWO


def test_who_holds_most_makes_room() -> None:
    """By account first: whoever deals what they hold over many projects gains nothing."""
    weights = {"a1": 40, "a2": 40, "a3": 30, "b1": 100, "c1": 1}
    accounts = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "c1": "c"}
    assert greatest(weights, accounts) in {"a1", "a2"}
    assert greatest(weights | {"b1": 111}, accounts) == "b1"
    assert greatest({}, {}) is None


def test_letters_are_expected_until_they_arrive_or_are_given_up() -> None:
    now = [0.0]
    coming = Announced(clock=lambda: now[0])
    coming.add(MakeRoom("prj_one", {"a": 10, "b": 20}))
    coming.add(MakeRoom("prj_two", {"c": 5}))
    coming.add(MakeRoom("prj_one", {"a": 12}))
    assert coming.weights == {"prj_one": 32, "prj_two": 5}
    coming.arrived("b")
    coming.arrived("b")
    coming.arrived("nobody's")
    assert coming.weights == {"prj_one": 12, "prj_two": 5}
    now[0] = 16.0
    coming.add(MakeRoom("prj_two", {"d": 1}))
    assert coming.weights == {"prj_two": 1}
