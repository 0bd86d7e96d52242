"""Every convention of the REST API, on a real port, by a sample API of notes."""

import json
import re
from typing import Any

import aiohttp
import pytest
from yarl import URL

from hub.gateway.service import Tuning
from hub.settings import HttpSettings
from tests.fixtures.gateway import WRITER, RunSite, Site

NOTES = "/api/v1/notes"
NOTE = f"{NOTES}/n001"
PATCH = {"Content-Type": "application/merge-patch+json"}


async def problem_in(response: aiohttp.ClientResponse, status: int, code: str) -> dict[str, Any]:
    """Check that this is a problem document of that kind, and give it."""
    assert response.status == status, await response.text()
    assert response.content_type == "application/problem+json"
    problem: dict[str, Any] = json.loads(await response.text())
    assert problem["type"] == f"/problems/{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["instance"] == f"urn:uuid:{response.headers['X-Request-Id']}"
    return problem


async def make_note(site: Site, text: str = "milk") -> aiohttp.ClientResponse:
    """Make one note."""
    async with site.request("POST", NOTES, json={"text": text}) as response:
        assert response.status == 201, await response.text()
        return response  # type: ignore[no-any-return]


# ── success ───────────────────────────────────────────────────────────────────────────────────


async def test_create_answers_201_with_location_body_and_etag(site: Site) -> None:
    body = {"text": "milk", "stars": 2, "password": "hunter2"}
    async with site.request("POST", NOTES, json=body) as response:
        assert response.status == 201
        assert response.headers["Location"] == NOTE
        assert response.headers["ETag"] == '"v1"'
        assert response.content_type == "application/json"
        assert await response.json() == {
            "id": "n001", "text": "milk", "stars": 2, "labels": {},
        }  # fmt: skip


async def test_delete_answers_204_without_body_and_then_404(site: Site) -> None:
    await make_note(site)
    async with site.request("DELETE", NOTE) as response:
        assert response.status == 204
        assert await response.read() == b""
        assert "Content-Type" not in response.headers
    async with site.request("DELETE", NOTE) as response:
        await problem_in(response, 404, "not-found")


async def test_head_answers_as_get_without_the_body(site: Site) -> None:
    await make_note(site)
    async with site.request("GET", NOTE) as got, site.request("HEAD", NOTE) as head:
        body = await got.read()
        assert head.status == 200
        assert await head.read() == b""
        assert head.headers["Content-Length"] == str(len(body))
        assert head.headers["ETag"] == got.headers["ETag"]


async def test_options_says_what_is_allowed(site: Site) -> None:
    async with site.http.options(f"{site.url}{NOTE}") as response:
        assert response.status == 204
        assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
        assert response.headers["Accept-Patch"] == "application/merge-patch+json"


async def test_a_merge_patch_changes_and_null_removes(site: Site) -> None:
    await make_note(site)
    patch = b'{"stars": 3, "labels": {"a": "1", "b": "2"}}'
    async with site.request("PATCH", NOTE, data=patch, headers=PATCH) as response:
        assert response.status == 200
    async with site.request(
        "PATCH", NOTE, data=b'{"labels": {"a": null}}', headers=PATCH
    ) as response:
        note = await response.json()
    assert (note["stars"], note["labels"], note["text"]) == (3, {"b": "2"}, "milk")


async def test_pages_are_linked_and_keep_the_other_parameters(site: Site) -> None:
    for number in range(5):
        await make_note(site, f"note {number}")
    target, seen = f"{NOTES}?limit=2&tag=a%20b&tag=c", []
    while target:
        async with site.request("GET", target) as response:
            assert response.status == 200, await response.text()
            seen += [note["text"] for note in await response.json()]
            link = response.headers.get("Link", "")
        found = re.fullmatch(r'<(/[^>]*)>; rel="next"', link)
        target = found[1] if found else ""
        assert not found or ("limit=2&tag=a+b&tag=c&cursor=" in target)
    assert seen == [f"note {number}" for number in range(5)]


async def test_every_answer_carries_the_security_headers(site: Site) -> None:
    for path, status in (("/api/v1/me", 200), ("/nowhere", 404), ("/trouble/crash", 500)):
        async with site.request("GET", path) as response:
            assert response.status == status
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert "Server" not in response.headers
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Strict-Transport-Security" not in response.headers


# ── who ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "authorization",
    ["Bearer nobody", "Bearer", "Bearer ", "Basic d3JpdGVy", "writer", "Bearer a b", "Bearer \xe9"],
)
async def test_no_valid_credential_is_401(site: Site, authorization: str) -> None:
    headers = {"Authorization": authorization}
    async with site.http.get(f"{site.url}{NOTES}", headers=headers) as response:
        await problem_in(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"] == (
            'Bearer realm="isaax", error="invalid_token"'
        )


async def test_no_credential_at_all_is_401_without_an_error_code(site: Site) -> None:
    async with site.http.get(f"{site.url}{NOTES}") as response:
        await problem_in(response, 401, "unauthenticated")
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="isaax"'


async def test_the_scheme_is_case_insensitive(site: Site) -> None:
    headers = {"Authorization": "bEARER  writer"}
    async with site.http.get(f"{site.url}{NOTES}", headers=headers) as response:
        assert response.status == 200


async def test_a_missing_scope_is_403_and_named(site: Site) -> None:
    reader = {"Authorization": "Bearer reader"}
    async with site.request("POST", NOTES, json={"text": "x"}, headers=reader) as response:
        problem = await problem_in(response, 403, "forbidden")
        assert "notes:write" in problem["detail"]
        assert 'scope="notes:write"' in response.headers["WWW-Authenticate"]
    assert site.notes.made == 0


async def test_authentication_comes_before_every_other_check(site: Site) -> None:
    headers = {"Content-Type": "text/plain", "Accept": "image/png"}
    async with site.http.post(f"{site.url}{NOTES}?x=1", data=b"{", headers=headers) as response:
        await problem_in(response, 401, "unauthenticated")


async def test_an_open_route_lets_everyone_in_but_no_false_credential(site: Site) -> None:
    async with site.http.get(f"{site.url}/api/v1/me") as response:
        assert (await response.json())["actor"] == "anonymous"
    async with site.request("GET", "/api/v1/me") as response:
        assert (await response.json())["actor"] == "apt_writer"
    headers = {"Authorization": "Bearer nobody"}
    async with site.http.get(f"{site.url}/api/v1/me", headers=headers) as response:
        await problem_in(response, 401, "unauthenticated")


async def test_an_authenticator_that_cannot_tell_is_503_not_401(site: Site) -> None:
    headers = {"Authorization": "Bearer unlucky"}
    async with site.http.get(f"{site.url}{NOTES}", headers=headers) as response:
        await problem_in(response, 503, "unavailable")
        assert response.headers["Retry-After"] == "2"


async def test_two_authorizations_are_refused(site: Site) -> None:
    head = "GET /api/v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += "Authorization: Bearer writer\r\nAuthorization: Bearer stranger\r\n\r\n"
    assert (await site.raw(head.encode())).startswith(b"HTTP/1.1 400 ")


# ── what ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 422, "/text"),
        ({"text": 1}, 422, "/text"),
        ({"text": ""}, 422, "/text"),
        ({"text": "x", "stars": 9}, 422, "/stars"),
        ({"text": "x", "stars": "1"}, 422, "/stars"),
        ({"text": "x", "stars": 1.5}, 422, "/stars"),
        ({"text": "x", "stars": True}, 422, "/stars"),
        ({"text": "x", "stars": 2**70}, 422, "/stars"),
        ({"text": "x", "unknown~/": 1}, 422, "/unknown~0~1"),
        ({"text": "nul\0"}, 422, "/text"),
        ({"text": "x", "labels": {"a": "\0"}}, 422, "/labels/a"),
        ({"text": "x", "labels": {"a\0": "b"}}, 422, "/labels"),
        ({"text": "x", "password": "********"}, 422, "/password"),
        ([], 422, ""),
        (None, 422, ""),
        ("text", 422, ""),
    ],
)
async def test_an_invalid_body_is_422_with_a_pointer(
    site: Site, body: Any, status: int, pointer: str
) -> None:
    headers = {"Content-Type": "application/json"}
    data = json.dumps(body).encode()
    async with site.request("POST", NOTES, data=data, headers=headers) as response:
        problem = await problem_in(response, status, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["errors"][0]["detail"]
    assert site.notes.made == 0


async def test_a_secret_is_not_repeated_in_an_error(site: Site) -> None:
    body = {"text": "x", "password": ["hunter2"], "stars": "hunter2"}
    async with site.request("POST", NOTES, json=body) as response:
        await problem_in(response, 422, "invalid")
        assert "hunter2" not in await response.text()


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"{]", b'{"a":}', b"\xff", b'"\xff"', b'"\\ud800"', b"NaN", b"{}{}", b"'a'"],
)
async def test_what_is_not_json_is_400(site: Site, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with site.request("POST", NOTES, data=body, headers=headers) as response:
        await problem_in(response, 400, "malformed")


@pytest.mark.parametrize("depth", [33, 1_000, 100_000])
async def test_deep_nesting_is_refused(site: Site, depth: int) -> None:
    body = b'{"text": "x", "labels": ' + b"[" * depth + b"]" * depth + b"}"
    headers = {"Content-Type": "application/json"}
    async with site.request("POST", NOTES, data=body, headers=headers) as response:
        problem = await problem_in(response, 422, "invalid")
    assert "levels" in problem["errors"][0]["detail"]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999"])
async def test_a_number_beyond_a_double_is_refused(site: Site, number: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"text": "x", "stars": ' + number + b"}"
    async with site.request("POST", NOTES, data=body, headers=headers) as response:
        await problem_in(response, 422, "invalid")


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain", "application/merge-patch+json", "application/json; charset=latin1",
        "application/x-www-form-urlencoded", "nonsense", "application/json/x",
    ],
)  # fmt: skip
async def test_another_media_type_is_415(site: Site, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with site.request("POST", NOTES, data=b'{"text":"x"}', headers=headers) as response:
        await problem_in(response, 415, "unsupported-media-type")
        assert response.headers["Accept-Post"] == "application/json"


@pytest.mark.parametrize(
    "content_type", ["application/json", 'APPLICATION/json; charset="UTF-8"', "application/json;"]
)
async def test_json_is_taken_however_it_is_written(site: Site, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    async with site.request("POST", NOTES, data=b'{"text":"x"}', headers=headers) as response:
        assert response.status == 201


@pytest.mark.parametrize("header", ["Accept", "Content-Type", "Prefer"])
async def test_no_header_keeps_the_hub_busy(site: Site, header: str) -> None:
    """Blanks between semicolons can be dealt out in 2 ** 3000 ways; nobody may try them all."""
    headers = {"Content-Type": "application/json", header: "a/b" + "; " * 3000 + "=,"}
    async with site.request("POST", NOTES, data=b'{"text":"x"}', headers=headers) as response:
        assert response.status == {"Accept": 400, "Content-Type": 415, "Prefer": 201}[header]


async def test_a_patch_must_be_a_merge_patch(site: Site) -> None:
    await make_note(site)
    async with site.request("PATCH", NOTE, json={"stars": 1}) as response:
        await problem_in(response, 415, "unsupported-media-type")
        assert response.headers["Accept-Patch"] == "application/merge-patch+json"
    async with site.request("PATCH", NOTE, data=b"[]", headers=PATCH) as response:
        await problem_in(response, 422, "invalid")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_refused_unread(site: Site, encoding: str) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    body = b"\x1f\x8b" + b"0" * 99
    async with site.request("POST", NOTES, data=body, headers=headers) as response:
        await problem_in(response, 415, "unsupported-media-type")
        assert response.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_is_413(run_site: RunSite, chunked: bool) -> None:
    async with run_site(HttpSettings(port=0, max_body=1000)) as site:
        body = json.dumps({"text": "x" * 2000}).encode()

        async def pieces() -> Any:
            yield body[:999]
            yield body[999:]

        headers = {"Content-Type": "application/json"}
        data = pieces() if chunked else body
        async with site.request("POST", NOTES, data=data, headers=headers) as response:
            problem = await problem_in(response, 413, "body-too-large")
        assert "1000" in problem["detail"]
        assert site.notes.made == 0


async def test_a_body_where_none_is_taken_is_refused(site: Site) -> None:
    for path in (NOTES, "/healthz"):
        async with site.request("GET", path, data=b"hello") as response:
            await problem_in(response, 400, "malformed")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"), ("limit=201", "/limit"), ("limit=+1", "/limit"),
        ("limit=1.0", "/limit"), ("limit=01", "/limit"), ("limit=", "/limit"),
        ("limit=%D9%A1", "/limit"), ("limit=99999999999999999999", "/limit"),
        ("limit=9999999999999999999", "/limit"),
        ("limit=1&limit=2", "/limit"), ("starred=1", "/starred"), ("starred=True", "/starred"),
        ("starred=null", "/starred"), ("kind=medium", "/kind"), ("nope=1", "/nope"),
        ("cursor=a%00b", "/cursor"), ("cursor=nonsense", "/cursor"), ("a%2Fb=1", "/a~1b"),
    ],
)  # fmt: skip
async def test_a_wrong_query_is_422_with_a_pointer(site: Site, query: str, pointer: str) -> None:
    url = URL(f"{site.url}{NOTES}?{query}", encoded=True)
    async with site.http.get(url, headers=WRITER) as response:
        problem = await problem_in(response, 422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("query", ["cursor=%FF", "x=" + "&x=" * 200])
async def test_a_query_that_is_no_query_is_400(site: Site, query: str) -> None:
    url = URL(f"{site.url}{NOTES}?{query}", encoded=True)
    async with site.http.get(url, headers=WRITER) as response:
        await problem_in(response, 400, "malformed")


@pytest.mark.parametrize("starred", [True, False])
async def test_a_boolean_parameter_is_read(site: Site, starred: bool) -> None:
    await make_note(site)
    async with site.request("GET", f"{NOTES}?starred={str(starred).lower()}") as response:
        assert len(await response.json()) == (0 if starred else 1)


# ── where ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    ["/", "/nowhere", "/api/v1", f"{NOTES}/", f"/{NOTES}", f"{NOTES}/a/b", "/API/v1/notes",
     f"{NOTES}/%00", f"{NOTES}/a%0Ab", "/api/v1/notes;x", "/healthz/"],
)  # fmt: skip
async def test_nothing_there_is_404(site: Site, path: str) -> None:
    async with site.http.get(URL(f"{site.url}{path}", encoded=True), headers=WRITER) as response:
        await problem_in(response, 404, "no-such-path")


async def test_an_escaped_slash_stays_inside_its_parameter(site: Site) -> None:
    url = URL(f"{site.url}{NOTES}/a%2Fb", encoded=True)
    async with site.http.get(url, headers=WRITER) as response:
        await problem_in(response, 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "TRACE", "PROPFIND", "M-SEARCH"])
async def test_another_method_is_405_with_allow(site: Site, method: str) -> None:
    async with site.request(method, NOTE) as response:
        await problem_in(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"


@pytest.mark.parametrize(
    "accept",
    ["application/json", "*/*", "application/*", "text/html, */*;q=0.1", "", "a/b,,*/*"],
)  # fmt: skip
async def test_json_is_given_to_who_accepts_it(site: Site, accept: str) -> None:
    async with site.request("GET", NOTES, headers={"Accept": accept}) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("accept", "status", "code"),
    [
        ("text/html", 406, "not-acceptable"),
        ("application/json;q=0", 406, "not-acceptable"),
        ("*/*, application/json;q=0", 406, "not-acceptable"),
        ("nonsense", 400, "malformed"),
        ("application/json;q=2", 400, "malformed"),
    ],
)
async def test_nobody_gets_what_he_does_not_accept(
    site: Site, accept: str, status: int, code: str
) -> None:
    async with site.request("GET", NOTES, headers={"Accept": accept}) as response:
        await problem_in(response, status, code)


# ── versions ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"v1"', 304), ('W/"v1"', 304), ('"x", "v1"', 304), ("*", 304), ('"v2"', 200), ('"*"', 200)],
)
async def test_if_none_match(site: Site, tag: str, status: int) -> None:
    await make_note(site)
    async with site.request("GET", NOTE, headers={"If-None-Match": tag}) as response:
        assert response.status == status
        assert response.headers["ETag"] == '"v1"'
        assert bool(await response.read()) == (status == 200)


async def test_a_list_has_a_weak_etag_of_its_content(site: Site) -> None:
    await make_note(site)
    async with site.request("GET", NOTES) as response:
        tag = response.headers["ETag"]
        assert tag.startswith('W/"')
    async with site.request("GET", NOTES, headers={"If-None-Match": f'"x", {tag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
    await make_note(site, "bread")
    async with site.request("GET", NOTES, headers={"If-None-Match": tag}) as response:
        assert response.status == 200
        assert response.headers["ETag"] != tag
        tag = response.headers["ETag"]
    async with site.request("GET", NOTES, headers={"If-Match": tag}) as response:
        await problem_in(response, 412, "precondition-failed")  # a weak one never matches there


async def test_a_change_may_not_ask_for_absence_of_what_it_changes(site: Site) -> None:
    nothing = {**PATCH, "If-None-Match": "*"}
    async with site.request("PATCH", NOTE, data=b"{}", headers=nothing) as response:
        await problem_in(response, 404, "not-found")
    await make_note(site)
    async with site.request("PATCH", NOTE, data=b"{}", headers=nothing) as response:
        await problem_in(response, 412, "precondition-failed")
    tagged = {**PATCH, "If-None-Match": '"v1"'}
    async with site.request("PATCH", NOTE, data=b"{}", headers=tagged) as response:
        await problem_in(response, 400, "malformed")


@pytest.mark.parametrize(
    ("tag", "status"),
    [('"v1"', 200), ('"x" , "v1"', 200), ("*", 200), ('"v2"', 412), ('W/"v1"', 412), ('"*"', 412)],
)
async def test_if_match_guards_a_change(site: Site, tag: str, status: int) -> None:
    await make_note(site)
    headers = {"If-Match": tag}
    async with site.request("PUT", NOTE, json={"text": "new"}, headers=headers) as response:
        if status == 412:
            await problem_in(response, 412, "precondition-failed")
        else:
            assert response.headers["ETag"] == '"v2"'
        assert response.status == status


@pytest.mark.parametrize(("tag", "status"), [('"v1"', 200), ('"v2"', 412), ("v1", 400)])
async def test_if_match_guards_a_read_too(site: Site, tag: str, status: int) -> None:
    await make_note(site)
    async with site.request("GET", NOTE, headers={"If-Match": tag}) as response:
        assert response.status == status


async def test_a_change_without_if_match_is_428_where_it_is_required(site: Site) -> None:
    await make_note(site)
    async with site.request("PUT", NOTE, json={"text": "new"}) as response:
        await problem_in(response, 428, "precondition-required")


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_a_malformed_condition_is_400_even_where_there_is_no_version(
    site: Site, header: str
) -> None:
    async with site.request("GET", "/api/v1/me", headers={header: "v1"}) as response:
        await problem_in(response, 400, "malformed")


@pytest.mark.parametrize("stars", [b"3.0", b"3", b"30e-1", b"0.3e1"])
async def test_an_integer_may_be_written_with_a_point(site: Site, stars: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"text": "x", "stars": ' + stars + b"}"
    async with site.request("POST", NOTES, data=body, headers=headers) as response:
        assert (await response.json())["stars"] == 3


@pytest.mark.parametrize("tag", ["v1", '"v1', "", '"a" "b"', 'w/"v1"', '"\u2603"'])
async def test_a_malformed_tag_is_400(site: Site, tag: str) -> None:
    await make_note(site)
    headers = {"If-Match": tag}
    async with site.request("PUT", NOTE, json={"text": "new"}, headers=headers) as response:
        await problem_in(response, 400, "malformed")


# ── faults ────────────────────────────────────────────────────────────────────────────────────


async def test_a_fault_of_ours_tells_nothing_but_the_request_id(site: Site) -> None:
    async with site.request("GET", "/trouble/crash") as response:
        problem = await problem_in(response, 500, "internal")
        assert "hunter2" not in await response.text()
        assert problem["title"] == "The hub could not do this"


async def test_what_is_unavailable_says_when_to_come_back(site: Site) -> None:
    async with site.request("GET", "/trouble/refuse") as response:
        problem = await problem_in(response, 503, "unavailable")
        assert problem["detail"] == "Postgres does not answer"
        assert response.headers["Retry-After"] == "2"


async def test_a_handler_has_a_deadline(run_site: RunSite) -> None:
    async with (
        run_site(tuning=Tuning(deadline=0.05)) as site,
        site.request("GET", "/trouble/wait") as response,
    ):
        await problem_in(response, 504, "deadline-exceeded")


async def test_the_type_of_every_problem_leads_to_a_page(site: Site) -> None:
    async with site.request("GET", "/nowhere") as response:
        problem = await problem_in(response, 404, "no-such-path")
    async with site.http.get(f"{site.url}{problem['type']}") as response:
        assert response.status == 200
        page = await response.json()
    assert (page["title"], page["status"]) == (problem["title"], 404)
    async with site.http.get(f"{site.url}/problems/nonsense") as response:
        await problem_in(response, 404, "no-such-path")
