"""The log-export control plane, with the quirks of the real one."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agentopt.sandbox import server
from tests.sandbox.conftest import client

NOW = datetime(2026, 5, 20, 12, 34, tzinfo=UTC)


@pytest.fixture(scope="module")
def frozen() -> Iterator[server.Sandbox]:
    with server.running(now=NOW, denied_fields=("config",)) as running:
        yield running


@pytest.fixture
def http(frozen: server.Sandbox) -> Iterator[httpx.Client]:
    with client(frozen) as opened:
        yield opened


def draft(http: httpx.Client, *, requested: list[str] | None = None, **filters: Any) -> dict[str, Any]:
    body = {"description": "a test", "filters": filters, "requested_data": requested or ["id", "request"]}
    made: dict[str, Any] = http.post("/logs/exports", json=body).json()
    return made


def finished(http: httpx.Client, **more: Any) -> str:
    export: str = draft(http, **more)["id"]
    http.post(f"/logs/exports/{export}/start")
    while http.get(f"/logs/exports/{export}").json()["status"] not in ("success", "failed"):
        pass
    return export


def lines(http: httpx.Client, export: str) -> list[dict[str, Any]]:
    url = http.get(f"/logs/exports/{export}/download").json()["signed_url"]
    return [json.loads(line) for line in httpx.get(url).text.splitlines()]


def test_an_export_passes_through_its_states_poll_by_poll(http: httpx.Client) -> None:
    export = draft(http)["id"]
    before = [http.get(f"/logs/exports/{export}").json()["status"] for _ in range(2)]

    http.post(f"/logs/exports/{export}/start")
    after = [http.get(f"/logs/exports/{export}").json()["status"] for _ in range(4)]

    assert before == ["draft", "draft"]
    assert after == ["queued", "in_progress", "success", "success"]


def test_the_draft_already_tells_the_total(http: httpx.Client) -> None:
    made = draft(http)

    assert made["object"] == "export"
    assert made["total"] == len(lines(http, finished(http)))


def test_a_description_is_required_in_practice(http: httpx.Client) -> None:
    reply = http.post("/logs/exports", json={"filters": {}, "requested_data": ["id"]})

    assert reply.status_code == 400
    assert reply.json()["data"]["errorCode"] == "AB01"


def test_pages_count_from_zero_and_are_disjoint(http: httpx.Client) -> None:
    total = draft(http)["total"]
    pages = [lines(http, finished(http, page_size=900, current_page=page)) for page in range(3)]

    ids = [row["id"] for page in pages for row in page]
    assert [len(page) for page in pages] == [900, 900, total - 1800]
    assert len(set(ids)) == total


def test_a_window_takes_only_its_calls(http: httpx.Client) -> None:
    since = NOW - timedelta(days=3)

    export = finished(
        http,
        requested=["created_at"],
        time_of_generation_min=since.isoformat().replace("+00:00", "Z"),
        time_of_generation_max=(since + timedelta(days=1)).isoformat(),
    )

    days = {row["created_at"][4:10] for row in lines(http, export)}
    assert days == {"May 17", "May 18"}


def test_start_takes_no_body_and_works_once(http: httpx.Client) -> None:
    export = draft(http)["id"]

    codes = [http.post(f"/logs/exports/{export}/start", content=body).status_code for body in (b"{}", b"", b"")]

    assert codes == [400, 200, 400]


def test_only_an_export_under_way_can_be_cancelled(http: httpx.Client) -> None:
    export = draft(http)["id"]
    early = http.post(f"/logs/exports/{export}/cancel").status_code

    http.post(f"/logs/exports/{export}/start")
    cancelled = http.post(f"/logs/exports/{export}/cancel").status_code

    assert (early, cancelled) == (400, 200)
    assert http.get(f"/logs/exports/{export}").json()["status"] == "stopped"
    assert http.post(f"/logs/exports/{export}/cancel").status_code == 400


def test_only_a_draft_can_be_changed(http: httpx.Client) -> None:
    export = draft(http)["id"]

    changed = http.put(f"/logs/exports/{export}", json={"filters": {"ai_model": "corvus-medium"}})
    http.post(f"/logs/exports/{export}/start")
    late = http.put(f"/logs/exports/{export}", json={"filters": {}})

    assert 0 < changed.json()["total"] < draft(http)["total"]
    assert late.status_code == 400


def test_the_signed_address_refuses_the_key_header(http: httpx.Client) -> None:
    url = http.get(f"/logs/exports/{finished(http)}/download").json()["signed_url"]

    assert url.startswith("http://127.0.0.1:")
    assert http.get(url).status_code == 400
    assert httpx.get(url).status_code == 200


def test_a_signed_address_can_be_fetched_from_the_middle(http: httpx.Client) -> None:
    url = http.get(f"/logs/exports/{finished(http)}/download").json()["signed_url"]

    rest = httpx.get(url, headers={"Range": "bytes=1000-"})

    assert rest.status_code == 206
    assert rest.content == httpx.get(url).content[1000:]


def test_every_download_mints_an_address_of_its_own_and_it_expires() -> None:
    with server.running(now=NOW, url_ttl_s=0) as short, client(short) as http:
        export = finished(http)
        urls = [http.get(f"/logs/exports/{export}/download").json()["signed_url"] for _ in range(2)]

        assert urls[0] != urls[1]
        assert httpx.get(urls[0]).status_code == 403


def test_a_draft_cannot_be_downloaded(http: httpx.Client) -> None:
    assert http.get(f"/logs/exports/{draft(http)['id']}/download").status_code == 400


def test_metadata_and_headers_come_along_unasked(http: httpx.Client) -> None:
    row = lines(http, finished(http, requested=["id"]))[0]

    assert set(row) == {"id", "metadata", "portkeyHeaders"}


def test_denied_fields_are_named_and_refused(http: httpx.Client) -> None:
    named = http.get("/logs/exports/field-restrictions").json()["denied_fields"]
    made = draft(http, requested=["id", "config"])

    assert named == ["config"]
    assert made["data"]["errorCode"] == "AB01"


def test_what_makes_no_sense_is_refused(http: httpx.Client) -> None:
    for body in ({"requested_data": ["nonsense"]}, {"filters": {"current_page": -1}}, {"filters": {"page_size": "x"}}):
        reply = http.post("/logs/exports", json={"description": "d", **body})
        assert (reply.status_code, reply.json()["data"]["errorCode"]) == (400, "AB01")
    assert http.post("/logs/exports", content=b"x").status_code == 400
    assert http.post("/logs/exports", content=b"[]").status_code == 400


def test_an_export_of_another_workspace_is_not_found(frozen: server.Sandbox, http: httpx.Client) -> None:
    export = draft(http)["id"]

    with client(frozen, key="sandbox-returns") as other:
        assert other.get(f"/logs/exports/{export}").status_code == 404
        assert export not in {row["id"] for row in other.get("/logs/exports").json()["data"]}
    assert export in {row["id"] for row in http.get("/logs/exports").json()["data"]}


def test_an_export_can_fail_or_hold_a_malformed_line_or_say_an_unknown_word() -> None:
    with (
        server.running(now=NOW, faults=["export-failed:1", "export-unknown-status:1"]) as failing,
        client(failing) as http,
    ):
        export = draft(http)["id"]
        http.post(f"/logs/exports/{export}/start")
        words = [http.get(f"/logs/exports/{export}").json()["status"] for _ in range(4)]
    with server.running(now=NOW, faults=["export-malformed:1"]) as malformed, client(malformed) as http:
        url = http.get(f"/logs/exports/{finished(http)}/download").json()["signed_url"]
        raw = httpx.get(url).text.splitlines()

    assert words == ["queued", "in_progress", "archiving", "failed"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw[2])
    assert json.loads(raw[3])
