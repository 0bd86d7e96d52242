"""The pure rules of the audit log: what is kept, what is counted, how it is bound."""

import hashlib
import json
from typing import Annotated, Any

import msgspec
import pytest

from hub import PASSING, SHOWN_ONCE
from hub.audit.chain import GENESIS, Head, Value, entry_of, link, read
from hub.audit.deeds import Actor, Deed, Facts, write
from hub.audit.erasure import ranges
from hub.audit.refusals import Refusals
from hub.audit.shown import MOST, Shown, kept, shown
from hub.errors import Invalid
from hub.routes import Client
from hub.secret import Secret


class Inner(msgspec.Struct, frozen=True):
    """Something within."""

    code: Annotated[str, SHOWN_ONCE] = "within"
    lag: Annotated[int, PASSING] = 1
    size: int = 2


class Thing(msgspec.Struct, frozen=True, rename="camel"):
    """Something that the API shows."""

    name: str
    new_code: Annotated[str | None, SHOWN_ONCE] = None
    other_code: Annotated[str, SHOWN_ONCE] | None = None
    status: Annotated[Inner | None, PASSING] = None
    key: Secret = Secret("")
    parts: tuple[Inner, ...] = ()
    by_name: dict[str, Inner] = {}
    labels: dict[str, Any] = {}


# ── what is kept of things ──


def test_marked_fields_are_masked_or_left_out_wherever_they_are() -> None:
    thing = Thing(
        "a", "once", "once too", Inner(), Secret("s3cret"), (Inner(),), {"x": Inner(code="")}
    )
    assert kept(thing) == {
        "name": "a",
        "newCode": "********",
        "otherCode": "********",
        "key": "********",
        "parts": [{"code": "********", "size": 2}],
        "byName": {"x": {"code": "", "size": 2}},
        "labels": {},
    }
    assert kept(Thing("a"))["newCode"] is None, "what is not set is not hidden"


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ({"token": "abc"}, {"token": "********"}),
        ({"tokens": True, "password": ""}, {"tokens": True, "password": ""}),
        ({"a": ["is" + "x_" + "A" * 43]}, {"a": ["[redacted]"]}),
        ({"url": "https://u:hunter2@h/"}, {"url": "https://u:[redacted]@h/"}),
        ({"token_id": "tok_1", "none": None}, {"token_id": "tok_1", "none": None}),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden_though_nobody_marked_it(
    labels: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert kept(Thing("a", labels=labels))["labels"] == wanted


def test_what_changed_is_named() -> None:
    before = {"name": "a", "labels": {"x": 1, "gone": 2}, "list": [1], "same": {"a": 1}}
    after = {"name": "b", "labels": {"x": 1, "n/e": 3}, "list": [1, 2], "same": {"a": 1}}
    changed = ["/name", "/labels/gone", "/labels/n~1e", "/list"]
    assert shown(before, after) == Shown(before, after, changed, [])
    assert shown(before, before).changed == []
    assert shown(None, after).changed == []
    assert shown(None, None) == Shown()


def test_what_is_too_long_is_left_out_with_a_note() -> None:
    long = {"name": "a", "text": "x" * MOST}
    found = shown(long, {"name": "b", "text": "x" * MOST}, ["first"])
    assert (found.before, found.after, found.changed) == (None, None, ["/name"])
    assert found.notes == [
        "first",
        f"before has {MOST + 22} bytes: too many to keep",
        f"after has {MOST + 22} bytes: too many to keep",
    ]


def test_what_is_no_json_is_left_out_with_a_note() -> None:
    notes = [
        "before cannot be written as JSON: TypeError",
        "after cannot be written as JSON: UnicodeEncodeError",
    ]
    assert shown(object(), {"a": "\ud800"}) == Shown(None, None, [], notes)


def test_a_deed_is_split_into_what_stays_and_what_may_go() -> None:
    deed = Deed(
        action="thing.made", summary="Make", account="acc_1", object={"x": "a\0\ud800b" * 99},
        actor=Actor("person", "ses_1", "usr_1", "owner"), client=Client("192.0.2.1", "curl\udcff"),
        after={"email": "a@example.com"},
    )  # fmt: skip
    written = write(deed)
    assert "192.0.2.1" not in written.deed
    assert "a@example.com" not in written.deed
    assert (written.account, written.user) == ("acc_1", "usr_1")
    assert json.loads(written.origin or "") == {"address": "192.0.2.1", "agent": "curl?"}
    assert json.loads(written.content or "") == {"after": {"email": "a@example.com"}}
    facts = msgspec.json.decode(written.deed, type=Facts)
    assert facts.object["x"].startswith("a\ufffd?b")
    assert len(facts.object["x"]) == 256
    bare = write(Deed(action="a", summary="b"))
    assert (bare.account, bare.origin, bare.content) == ("hub", None, None)


# ── how entries are bound ──


def test_an_entry_is_canonical_and_bound_to_the_one_before() -> None:
    value = Value("content", bytes(32), '{"after":1}')
    facts = Facts("ä.b", "Do it", object={"z": "1", "a": "2"})
    entry = entry_of(facts, account="acc", seq=1, id="aud_1", at=2, sealed_at=3, values=[value])
    bound = link(entry, GENESIS)
    fields = json.loads(bound.text)
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert bound.text == canonical
    assert bound.hash == hashlib.sha256(bytes(32) + bound.text.encode()).digest()
    assert fields["content"] == hashlib.sha256(bytes(32) + b'{"after":1}').hexdigest()
    assert fields["origin"] == ""
    assert read(bound.text) == entry
    assert link(entry, bound.hash).hash != bound.hash


def test_a_head_is_written_and_read() -> None:
    head = Head(12, hashlib.sha256(b"x").digest())
    assert Head.parse(f" {head}\n") == head


@pytest.mark.parametrize(
    "text", ["", "12", "12:", "x:" + "0" * 64, "-1:" + "0" * 64, "1:" + "g" * 64]
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="SEQ:HASH"):
        Head.parse(text)


def test_numbers_as_ranges() -> None:
    assert ranges([5, 1, 2, 3, 7, 8]) == [(1, 3), (5, 5), (7, 8)]
    assert ranges([]) == []


# ── who was not let in ──


def refusal(address: str, *, account: str = "hub", code: str = "unauthenticated") -> Deed:
    return Deed(
        action="GET /x", summary="x", account=account, outcome="refused", status=401, code=code,
        client=Client(address),
    )  # fmt: skip


def test_the_first_of_a_kind_is_told_and_the_rest_is_counted() -> None:
    told: list[Deed] = []
    refusals = Refusals(told.append)
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"):
        refusals.add(refusal(address))
    assert [deed.count for deed in told] == [1, 1]
    refusals.settle()
    assert [(deed.count, deed.client and deed.client.address) for deed in told[2:]] == [
        (2, "192.0.2.1")
    ]
    refusals.add(refusal("192.0.2.1"))
    refusals.settle()
    assert [deed.count for deed in told[3:]] == [1], "a new window"


def test_a_network_of_ipv6_is_one_client() -> None:
    told: list[Deed] = []
    refusals = Refusals(told.append)
    for number in range(100):
        refusals.add(refusal(f"2001:db8::{number:x}"))
    refusals.settle()
    assert [deed.count for deed in told] == [1, 99]


def test_too_many_kinds_are_counted_together_for_each_account() -> None:
    told: list[Deed] = []
    refusals = Refusals(told.append)
    for number in range(5_000):
        refusals.add(refusal(f"198.51.{number % 250}.{number // 250}"))
    refusals.add(refusal("192.0.2.1", account="acc_1"))
    refusals.settle()
    assert len(told) == 1_003
    assert sum(deed.count for deed in told) == 5_001
    assert [deed.account for deed in told if deed.action == "refused"] == ["hub", "acc_1", "hub"]
