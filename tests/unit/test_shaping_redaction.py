"""What is hidden, and that none of it survives anywhere."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.batches import Chunk, MetricChunk
from hub.protocol import Samples
from hub.shaping.join import Joiner
from hub.shaping.rules import Join, Shape
from hub.shaping.secret_forms import card_numbers
from hub.shaping.shaper import Shaper
from hub.structs import decode
from hub.testing import make_chunk

ALL = {"tokens": True, "cards": True, "emails": True}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP_mB92K27uhbUJU1p1r"


def shaper(**redact: Any) -> Shaper:
    """Compile a shape that redacts."""
    return Shaper(decode(Shape, json.dumps({"redact": redact}).encode()))


def redacted(*messages: str, **redact: Any) -> list[str]:
    """Give the messages as they are sent."""
    chunk = shaper(**(redact or ALL)).apply(make_chunk(messages), "")
    assert chunk is not None
    return list(chunk.lines.messages)


SECRETS = (
    # access keys and tokens, made up
    "AKIAIOSFODNN7EXAMPLE",
    "ASIA" + "B" * 16,
    "ghp_" + "a1B2" * 9,
    "gho_" + "a1B2" * 9,
    "github_pat_" + "11ABCDEFG0_" + "a" * 59,
    "glpat-" + "x" * 20,
    "gldt-" + "x" * 20,
    "xoxb-" + "123456789012-abcdefghij",
    "xapp-1-" + "A0123456789",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "rk_test_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "whsec_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "AIza" + "Sy" + "a" * 33,
    "ya29." + "a0AfH6SMBx" * 3,
    "GOCSPX-" + "a" * 28,
    "sk-" + "a" * 48,
    "sk-proj-" + "a" * 48,
    "sk-ant-api03-" + "a" * 48,
    "npm_" + "a" * 36,
    "pypi-" + "AgEIcHlwaS5vcmc" * 4,
    "hf_" + "a" * 34,
    "hvs." + "a" * 24,
    "dop_v1_" + "a" * 64,
    "SG." + "a" * 22 + "." + "b" * 43,
    "isp_" + "a" * 43,
    "isx_" + "b" * 43,
    JWT,
)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "using {} now", "key={}", '"{}"', "[{}],", "x:{};", "https://a/?k={}&b=1"]
)
def test_a_token_is_hidden_wherever_it_stands(secret: str, around: str) -> None:
    (message,) = redacted(around.format(secret))
    assert secret not in message
    assert "[redacted]" in message


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("password=hunter2", "password=[redacted]"),
        ("PASSWORD = hunter2 ok", "PASSWORD = [redacted] ok"),
        ("password: hunter2, user: bob", "password: [redacted], user: bob"),
        ("passwd=a,b;c)d rest", "passwd=[redacted] rest"),
        ('{"password": "hun\\"ter 2", "a": 1}', '{"password": "[redacted]", "a": 1}'),
        ("{'secret': 'two words'}", "{'secret': '[redacted]'}"),
        ('{"token":12345}', '{"token":[redacted]}'),
        ('"{\\"password\\": \\"hunter2\\"}"', '"{\\"password\\": \\"[redacted]\\"}"'),
        ('"password": "cut off in the mid', '"password": "[redacted]'),
        ("token: abc", "token: [redacted]"),
        ("client_secret=abc&scope=all", "client_secret=[redacted]&scope=all"),
        ("api_key=abc", "api_key=[redacted]"),
        ("x-api-key: abc", "x-api-key: [redacted]"),
        ("apiKey => 'abc'", "apiKey => '[redacted]'"),
        ("DB_PASSWORD=abc", "DB_PASSWORD=[redacted]"),
        ("aws_secret_access_key = wJalr/K7MDENG+x", "aws_secret_access_key = [redacted]"),
        ("secretAccessKey: wJalr/K7MDENG+x", "secretAccessKey: [redacted]"),
        ("AccountKey=abc==;Endpoint=x", "AccountKey=[redacted]"),
        ("run --password hunter2 --dry", "run --password [redacted] --dry"),
        ("run --api-key 'a b'", "run --api-key '[redacted]'"),
        ("<password>hunter2</password>", "<password>[redacted]</password>"),
        ("params[token]=abc", "params[token]=[redacted]"),
        ("Authorization: Bearer x", "Authorization: Bearer [redacted]"),
        ("authorization: Basic dTpw", "authorization: Basic [redacted]"),
        ('"Authorization": "Token abc"', '"Authorization": "Token [redacted]"'),
        ("Authorization: abc", "Authorization: [redacted]"),
        (
            'Authorization: Digest username="u", response="6629fae4"',
            "Authorization: Digest [redacted]",
        ),
        (
            "Authorization: AWS4-HMAC-SHA256 Credential=A/b, Signature=fe5f",
            "Authorization: AWS4-HMAC-SHA256 [redacted]",
        ),
        ("sent bearer 0123456789abcdef", "sent bearer [redacted]"),
        ("postgres://app:hunter2@db/x", "postgres://app:[redacted]@db/x"),
        ("amqps://u:p@ss@mq:5671", "amqps://u:[redacted]@mq:5671"),
        ("redis://:hunter2@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("mysql://u:p/w#1@db/x", "mysql://u:[redacted]@db/x"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\\nMIIEow\\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----[redacted]-----END RSA PRIVATE KEY-----",
        ),
    ],
)  # fmt: skip
def test_what_follows_a_name_is_hidden_and_the_name_is_not(message: str, sent: str) -> None:
    assert redacted(message) == [sent]


@pytest.mark.parametrize(
    "message",
    [
        "tokens=512 max_tokens: 100 token_type: bearer",
        "the token is not valid",
        "password changed",
        "bearer of bad news",
        "basic authentication is on",
        "http://host:8080/path?x=@y",
        "see http://host/a:b@c",
        "-----BEGIN CERTIFICATE-----",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
        "at 1795446245123456 and 2026-11-23T15:04:05.123456Z",
        "npm install lodash@4.17.21",
        "user@localhost",
        "4111 1111 1111 1112 is no card",
        "monkey=banana keyboard: qwerty",
        "",
    ],
)
def test_what_is_no_secret_stays(message: str) -> None:
    chunk = make_chunk([message])
    one = shaper(**ALL)
    assert one.apply(chunk, "") is chunk
    assert one.take_counts() == {}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("4111111111111111", "[card]"),
        ("pay 4111 1111 1111 1111.", "pay [card]."),
        ("5500-0000-0000-0004", "[card]"),
        ("378282246310005", "[card]"),
        ("3782 822463 10005", "[card]"),
        ("4222222222222", "[card]"),
        ("6304000000000000000", "[card]"),
        ("no12 4111 1111 1111 1111 35", "no12 [card] 35"),
        ("card4111111111111111x", "card[card]x"),
        ("4111111111111111 5500000000000004", "[card] [card]"),
        ("41111111111111111111111111", "41111111111111111111111111"),
    ],
)
def test_card_numbers(message: str, sent: str) -> None:
    assert redacted(message, cards=True) == [sent]


@settings(deadline=None)
@given(st.text("0123456789 -", min_size=1, max_size=60))
def test_a_card_is_found_whatever_digits_are_around_it(around: str) -> None:
    text = f"{around} 4111-1111-1111-1111 {around}"
    assert "4111-1111-1111-1111" not in redacted(text, cards=True)[0]


def test_the_search_for_cards_is_linear() -> None:
    assert list(card_numbers(b"1 " * 30_000)) == []
    assert redacted("1 " * 32_000, cards=True) == ["1 " * 32_000]


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        ("from bob@example.com", "from [email]"),
        ("<bob.o'hara+x@mail.example.co.uk>, ok", "<bob.o'[email]>, ok"),
        ("mailto:bob@example.com?subject=x", "mailto:[email]?subject=x"),
        ("u=bob%40example.com&x=1", "u=[email]&x=1"),
        ("jürgen@müller.example", "[email]"),
        ("bob@example.com.", "[email]."),
    ],
)
def test_email_addresses(message: str, sent: str) -> None:
    assert redacted(message, emails=True) == [sent]


# ── the user's own ──


def test_own_patterns() -> None:
    own = [{"regex": r"cust-\d+", "replacement": "cust-*"}, {"regex": "(?i)internal .*$"}]
    assert redacted("cust-42 and cust-7", "Internal stuff", "x", patterns=own) == [
        "cust-* and cust-*", "[redacted]", "x",
    ]  # fmt: skip


def test_a_replacement_is_taken_literally() -> None:
    own = [{"regex": r"(\d)(\d)", "replacement": r"\2\g<1>$1"}]
    assert redacted("a12b", patterns=own) == [r"a\2\g<1>$1b"]


def test_one_pattern_cannot_keep_another_from_what_it_hides() -> None:
    """All of them search the original, and all that any of them finds is hidden."""
    own = [{"regex": "user=", "replacement": "u"}, {"regex": r"user=\S+ id=\S+"}]
    assert redacted("user=bob id=7 x", patterns=own) == ["u x"]
    own = [{"regex": r"blob: [\w@.-]+", "replacement": "gone"}]
    assert redacted("blob: a@b.example-REST", patterns=own, emails=True) == ["gone"]


def test_a_pattern_that_matches_nothing_in_particular_changes_nothing() -> None:
    assert redacted("abc", patterns=[{"regex": "x*"}]) == ["abc"]


# ── nothing is left out ──


def test_otel_contrib_50801_no_part_of_a_line_escapes() -> None:
    """What users complain of elsewhere: values leak where nobody looked.

    Messages, labels that came with the lines (by value and by name), the names of programs, and
    the labels of samples are all redacted.
    """
    chunk = replace(
        make_chunk([f"a {JWT}", "b"], programs=["demo", "token=abc"]),
        labels={"note": "password=hunter2", "api_key": "abc", "zone": "eu"},
    )
    sent = shaper(**ALL).apply(chunk, "")
    assert sent is not None
    assert sent.lines.messages == ["a [redacted]", "b"]
    assert sent.lines.programs == ["demo", "token=[redacted]"]
    assert sent.labels == {"note": "password=[redacted]", "api_key": "[redacted]", "zone": "eu"}
    samples = Samples([1, 1], "ps_cpu", [0.1, 0.2], [{"cmd": "x --token abc"}, {"cmd": "y"}])
    metric = MetricChunk("prj_a", "dev_a", "pump-1", "metric.ps", 1, 1, 1, samples)
    sent_metric = shaper(**ALL).apply_metrics(metric, "")
    assert sent_metric is not None
    assert sent_metric.samples.labels == [{"cmd": "x --token [redacted]"}, {"cmd": "y"}]


def test_what_is_clean_stays_the_same_object() -> None:
    one = shaper(**ALL)
    chunk = make_chunk(["a", "b"], programs=["demo", "cron"])
    assert one.apply(chunk, "") is chunk
    samples = Samples([1], "ps_cpu", [0.1], [{"cmd": "y"}])
    metric = MetricChunk("prj_a", "dev_a", "pump-1", "metric.ps", 1, 1, 1, samples)
    assert one.apply_metrics(metric, "") is metric


def test_a_label_of_all_samples() -> None:
    samples = Samples([1, 2], "ps_cpu", [0.1, 0.2], {"password": "x", "core": "1"})
    metric = MetricChunk("prj_a", "dev_a", "pump-1", "metric.ps", 1, 1, 1, samples)
    one = shaper(tokens=True)
    sent = one.apply_metrics(metric, "")
    assert sent is not None
    assert sent.samples.labels == {"password": "[redacted]", "core": "1"}
    assert one.take_counts() == {"redact": 2}


def test_lines_are_counted_once_however_much_is_hidden() -> None:
    one = shaper(**ALL)
    one.apply(make_chunk([f"{JWT} password=a a@b.example", "ok", "token=x"]), "")
    assert one.take_counts() == {"redact": 2}


# ── joined lines ──


def joined(*messages: str) -> Chunk:
    """Give the one line that these become."""
    (whole,) = _joiner_of(messages)
    return whole


def _joiner_of(messages: tuple[str, ...]) -> list[Chunk]:
    joiner: Joiner[int] = Joiner(Join(continues="."))
    return [one.chunk for one in [*joiner.add(make_chunk(messages), 1, 0.0), *joiner.flush(None)]]


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (("password:", "  hunter2"), "password:\n  [redacted]"),
        (("using ghp_a1B2a1B2a1B2a1B2", "    a1B2a1B2a1B2a1B2a1B2 x"), "using [redacted] x"),
        (("card 4111 1111", "  1111 1111 ok"), "card [card] ok"),
        ((JWT[:30], JWT[30:60], JWT[60:]), "[redacted]"),
        (
            ("-----BEGIN PRIVATE KEY-----", "MIIEow", "-----END PRIVATE KEY-----", "  rest"),
            "-----BEGIN PRIVATE KEY-----[redacted]-----END PRIVATE KEY-----\n  rest",
        ),
        (("-----BEGIN EC PRIVATE KEY-----", "MIIEow"), "-----BEGIN EC PRIVATE KEY-----[redacted]"),
    ],
)
def test_a_secret_that_is_split_over_the_lines_of_a_join(lines: tuple[str, ...], sent: str) -> None:
    chunk = shaper(**ALL).apply(joined(*lines), "")
    assert chunk is not None
    assert chunk.lines.messages == [sent]


def test_beginnings_and_ends_of_lines_hold_within_a_joined_line() -> None:
    chunk = shaper(patterns=[{"regex": "^  secret: .*$"}]).apply(
        joined("a", "  secret: x", "b"), ""
    )
    assert chunk is not None
    assert chunk.lines.messages == ["a\n[redacted]\nb"]


PIECES = st.sampled_from(
    [
        "", "ok", "  indented", f"a {JWT}", "password=S3CRET", "token:", "S3CRET=password",
        "4111 1111 1111 1111", "bob@s3cret.example", "x --secret S3CRET", "own S3CRET", '"',
        "own", "-----BEGIN PRIVATE KEY-----", "https://u:S3CRET@h", "'password': '",
    ]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, min_size=2, max_size=8))
def test_what_is_hidden_in_a_line_is_hidden_once_it_is_joined(lines: list[str]) -> None:
    """What a line by itself would not show, no line that it is part of shows either."""
    one = shaper(**ALL, patterns=[{"regex": "^own .*$"}])

    def sent(chunk: Chunk) -> str:
        shaped = one.apply(chunk, "")
        assert shaped is not None
        return "\n".join(shaped.lines.messages)

    alone = sent(make_chunk(lines))
    together = "\n".join(sent(chunk) for chunk in _joiner_of(tuple(lines)))
    for secret in ("S3CRET", "s3cret", JWT, "4111 1111 1111 1111"):
        assert together.count(secret) <= alone.count(secret)


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=20), min_size=1, max_size=8))
def test_lines_are_redacted_alike_alone_and_among_others(messages: list[str]) -> None:
    alone = [redacted(message)[0] for message in messages]
    assert redacted(*messages) == alone
