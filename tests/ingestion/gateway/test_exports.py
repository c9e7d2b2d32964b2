"""Log exports against a server on loopback that behaves well, badly and maliciously."""

import gzip
import json
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestion.gateway import errors, exports, transfer
from ingestion.gateway.base import Draft
from ingestion.gateway.control import ControlPlane
from ingestion.gateway.exports import LogExports
from tests.ingestion.gateway.fake import Answer, Fake, Handler, by_path, in_turn, serving

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
DESCRIPTION = "agentopt 2026-11-01T00:00:00.000Z to 2026-11-02T00:00:00.000Z"
NO_RESTRICTION: Answer = lambda h: h.send({"error": {"message": "no route"}}, status=404)  # noqa: E731
NONE_THERE: Answer = lambda h: h.send({"object": "list", "total": 0, "data": []})  # noqa: E731
CREATED: Answer = lambda h: h.send({"id": "e1", "total": 12, "object": "export"})  # noqa: E731


def of(fake: Fake) -> LogExports:
    return LogExports(ControlPlane(fake.endpoint(), timeout_s=1, deadline_s=8))


def creating(**routes: Answer) -> Answer:
    return by_path(
        {
            "GET /logs/exports/field-restrictions": routes.get("restrictions", NO_RESTRICTION),
            "GET /logs/exports": routes.get("found", NONE_THERE),
            "POST /logs/exports": routes.get("create", CREATED),
            "POST /logs/exports/e1/start": routes.get("start", lambda h: h.send({"message": "ok"})),
            "GET /logs/exports/e1": routes.get("state", _state("queued")),
            "GET /logs/exports/e1/download": routes.get("download", _signed),
        }
    )


def _state(status: str) -> Answer:
    return lambda h: h.send({"id": "e1", "status": status, "total_records": None})


def _signed(handler: Handler) -> None:
    handler.send({"signed_url": f"{handler.fake.url}/logs/exports/store?signature=secret"})


def downloading(store: Answer) -> Answer:
    """The control plane and the object store behind one port."""
    plane = creating()

    def answer(handler: Handler) -> None:
        (store if "/store" in handler.asked.path else plane)(handler)

    return answer


def test_a_draft_names_window_description_and_fields_and_tells_the_total() -> None:
    with serving(creating()) as fake:
        draft = of(fake).create(SINCE, UNTIL)

    body = fake.asked[-1].json()
    assert draft == Draft("e1", 12)
    assert body["filters"] == {
        "time_of_generation_min": "2026-11-01T00:00:00.000Z",
        "time_of_generation_max": "2026-11-02T00:00:00.000Z",
    }
    assert body["description"] == DESCRIPTION  # trap 13: required, whatever the documents say
    assert {"id", "created_at", "request", "response", "req_units"} <= set(body["requested_data"])


def test_denied_fields_are_asked_first_and_not_requested() -> None:
    denied: Answer = lambda h: h.send({"deniedFields": ["request", "response"]})  # noqa: E731
    with serving(creating(restrictions=denied)) as fake:
        found = of(fake).denied_fields()
        of(fake).create(SINCE, UNTIL)

    assert found == {"request", "response"}
    assert not found & set(fake.asked[-1].json()["requested_data"])
    assert fake.paths().count("GET /v1/logs/exports/field-restrictions") == 2  # once by each


def test_a_create_whose_answer_was_lost_is_not_repeated_blindly() -> None:
    made: list[bool] = []

    def create(handler: Handler) -> None:
        made.append(True)
        handler.disconnect()

    def listed(handler: Handler) -> None:
        rows = [{"id": "old", "status": "failed", "description": DESCRIPTION}, {"id": "x", "description": "another"}]
        if made:
            rows.append({"id": "e7", "status": "draft", "description": DESCRIPTION, "total_records": "?"})
        handler.send({"object": "list", "total": len(rows), "data": rows})

    with serving(creating(create=create, found=listed)) as fake:
        draft = of(fake).create(SINCE, UNTIL)

    assert draft == Draft("e7", None)
    assert fake.paths().count("POST /v1/logs/exports") == 1


def test_a_key_that_may_not_list_may_still_create() -> None:
    with serving(creating(found=lambda h: h.send({"error": {"code": "AB03"}}, status=403))) as fake:
        assert of(fake).create(SINCE, UNTIL).id == "e1"


@pytest.mark.parametrize(
    ("status", "draft", "ready", "failed"),
    [
        ("draft", True, False, False), ("queued", False, False, False), ("in_progress", False, False, False),
        ("warming_up", False, False, False), ("success", False, True, False), ("failed", False, False, True),
        ("stopped", False, False, True), ("Expired", False, False, True),
    ],
)  # fmt: skip
def test_an_unknown_state_means_wait(status: str, draft: bool, ready: bool, failed: bool) -> None:
    with serving(creating(state=_state(status))) as fake:
        found = of(fake).state("e1")

    assert (found.status, found.draft, found.ready, found.failed) == (status, draft, ready, failed)
    assert found.total is None


def test_a_start_whose_answer_was_lost_counts_as_started() -> None:
    turns = in_turn(lambda h: h.disconnect(), lambda h: h.send({"error": {"code": "AB01"}}, status=400))
    with serving(creating(start=turns, state=_state("queued"))) as fake:
        of(fake).start("e1")

    assert fake.paths().count("POST /v1/logs/exports/e1/start") == 2


def test_a_start_that_is_refused_is_told() -> None:
    refused: Answer = lambda h: h.send({"error": {"code": "AB01"}}, status=400)  # noqa: E731
    with serving(creating(start=refused, state=_state("draft"))) as fake, pytest.raises(errors.Rejected, match="AB01"):
        of(fake).start("e1")


LINES = [json.dumps({"id": str(n), "text": "ü" * n}).encode() for n in range(300)]
FILE = b"\n".join(LINES) + b"\n"


TWO_MEMBERS = gzip.compress(FILE[:500]) + gzip.compress(FILE[500:])


@pytest.mark.parametrize(
    "file",
    [FILE, FILE[:-1], FILE.replace(b"\n", b"\r\n"), gzip.compress(FILE), TWO_MEMBERS],
    ids=["plain", "no end", "crlf", "gzip", "two members"],
)
def test_a_download_gives_lines(file: bytes) -> None:
    with serving(downloading(lambda h: h.send(file, kind="application/octet-stream"))) as fake:
        assert list(of(fake).lines("e1")) == LINES


def test_an_encoded_download_is_unpacked_once() -> None:
    with serving(downloading(lambda h: h.send(gzip.compress(FILE), content_encoding="gzip"))) as fake:
        assert list(of(fake).lines("e1")) == LINES


def test_no_header_of_ours_reaches_the_object_store() -> None:
    with serving(downloading(lambda h: h.send(FILE))) as fake:
        list(of(fake).lines("e1"))

    headers = fake.asked[-1].headers
    assert "/store" in fake.asked[-1].path
    assert not any(name.startswith("x-portkey") or name == "authorization" for name in headers)
    assert "pk-secret-key" not in str(headers)


def test_a_broken_download_starts_again_behind_the_lines_already_given() -> None:
    def broken(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", str(len(FILE)))
        handler.end_headers()
        handler.wfile.write(FILE[: len(FILE) // 2])
        handler.close_connection = True

    turns = in_turn(broken, lambda h: h.send(status=403), lambda h: h.send(FILE))
    with serving(downloading(turns)) as fake:
        assert list(of(fake).lines("e1")) == LINES

    assert fake.paths().count("GET /v1/logs/exports/e1/download") == 3  # a fresh address each time


def test_an_address_that_stays_refused_is_told_without_its_signature() -> None:
    with serving(downloading(lambda h: h.send(status=403))) as fake, pytest.raises(errors.GatewayDown) as caught:
        list(of(fake).lines("e1"))

    assert "expired" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://store.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "", 7, None, "https://"]
)
def test_a_download_address_that_is_not_https_is_refused(url: Any) -> None:
    with serving(creating(download=lambda h: h.send({"signed_url": url}))) as fake, pytest.raises(errors.BadAnswer):
        list(of(fake).lines("e1"))


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[::ffff:127.0.0.1]"])
def test_a_download_address_inside_the_network_is_refused(host: str, settings: Any) -> None:
    store = exports._checked_address(f"https://{host}/latest/meta-data")
    settings.ALLOW_PRIVATE_ADDRESSES = False

    with pytest.raises(errors.AddressRefused):
        list(transfer.piece(store, transfer.Transfer()))


def test_a_redirecting_store_is_not_followed() -> None:
    elsewhere: Answer = lambda h: h.send(status=302, location="http://127.0.0.1:9/")  # noqa: E731
    with serving(downloading(elsewhere)) as fake, pytest.raises(errors.Rejected, match="redirect"):
        list(of(fake).lines("e1"))


def test_a_line_over_the_limit_is_cut_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_LINE_BYTES", 100)
    file = b'{"a": 1}\n"' + b"x" * 300_000 + b'"\n{"b": 2}\n'
    with serving(downloading(lambda h: h.send(file))) as fake:
        found = list(of(fake).lines("e1"))

    assert found == [b'{"a": 1}', b'"' + b"x" * 100, b'{"b": 2}']


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_over_the_limit_is_refused(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "MAX_EXPORT_BYTES", 2_000_000)
    file = b"x\n" * 2_000_000
    raw = gzip.compress(file) if packed else file
    with serving(downloading(lambda h: h.send(raw))) as fake, pytest.raises(errors.BadAnswer, match="larger"):
        list(of(fake).lines("e1"))


def test_a_gzip_file_that_is_cut_is_refused() -> None:
    cut = gzip.compress(FILE)[:-20]
    assert zlib.decompressobj(31).decompress(cut)
    with serving(downloading(lambda h: h.send(cut))) as fake, pytest.raises(errors.BadAnswer, match="compressed"):
        list(of(fake).lines("e1"))
