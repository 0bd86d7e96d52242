"""What hides secrets in the words of others."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.relay.veil import Veil

SECRET = 't0p+secret/of "ours"=='


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        SECRET.replace('"', '\\"'),
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(form: str) -> None:
    said = Veil([SECRET]).over(f"no such token: {form}, sorry")
    assert form.rstrip("=")[2:-2] not in said
    assert said.startswith("no such token: ")
    assert said.endswith(", sorry")
    assert "********" in said


@given(user=st.text("abc", max_size=7), secret=st.text("xyz0189", min_size=8, max_size=40))
def test_the_password_of_basic_authentication_is_hidden(user: str, secret: str) -> None:
    credentials = base64.b64encode(f"{user}:{secret}".encode()).decode()
    said = Veil([secret]).over(f'{{"Authorization": "Basic {credentials}"}}')
    left = said.partition("Basic ")[2].partition('"')[0]
    head = left.partition("********")[0]
    assert "********" in left
    # What is left in front of the mask tells at most the bits that it shares with the user.
    assert len(head) * 6 < (len(user) + 1) * 8 + 6


@given(secret=st.text("xyz0189", min_size=8, max_size=40), cut=st.integers(5, 40))
def test_one_that_is_cut_off_at_the_end_is_hidden(secret: str, cut: int) -> None:
    said = Veil([secret]).over(f"your token {secret[:cut]}")
    assert secret[:5] not in said


def test_each_line_of_a_key_is_hidden() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIGJvZ3Vz\nYm9ndXNib2d1cw\n"
    said = Veil([key]).over("cannot read MC4CAQAwBQYDK2VwBCIEIGJvZ3Vz of it")
    assert said == "cannot read ******** of it"


def test_what_is_no_secret_stays() -> None:
    assert Veil(["abc", ""]).over("abc is too short to hide") == "abc is too short to hide"
    assert Veil([]).over("see https://me:pw@example.com/") == "see https://********@example.com/"
    assert SECRET not in repr(Veil([SECRET]))
