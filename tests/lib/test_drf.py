"""The API's envelope, its keyset pages and its schema."""

from datetime import UTC, datetime
from importlib import import_module
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from agentopt.lib import drf
from agentopt.lib.errors import Invalid
from projects.models import AuditEntry


def test_pages_by_a_moment_lose_and_repeat_nothing_where_moments_tie(db: None) -> None:
    moments = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1, 3, 2, 3, 1, 2)]
    for moment in moments:
        entry = AuditEntry.objects.create(action="x")
        AuditEntry.objects.filter(pk=entry.pk).update(at=moment)
    expected = list(AuditEntry.objects.order_by("-at", "-pk").values_list("pk", flat=True))

    seen: list[int] = []
    after: str | None = None
    while True:
        page = drf.page_of(AuditEntry.objects.all(), key="at", after=after, limit=2)
        seen += [row.pk for row in page.rows]
        after = page.next
        if after is None:
            break

    assert seen == expected


def test_a_field_that_is_not_known_is_refused_by_name_with_those_that_are() -> None:
    class Inner(drf.Given):
        low = serializers.IntegerField(required=False)

    class Outer(drf.Given):
        name = serializers.CharField(required=False)
        part = Inner(required=False)

    form, nested = Outer(data={"title": "x", "name": "y"}, partial=True), Outer(data={"part": {"top": 1}})

    assert not form.is_valid()
    assert not nested.is_valid()
    assert form.errors == {"title": ["There is no such field. Expected name, part."]}
    assert nested.errors == {"part": {"top": ["There is no such field. Expected low."]}}
    half = Outer(data={"\ud800": 1})
    assert not half.is_valid()
    assert list(half.errors) == ["\\ud800"]


def test_every_body_that_the_api_takes_refuses_fields_it_does_not_know() -> None:
    import_module("agentopt.api")

    def below(kind: Any) -> set[Any]:
        return {kind}.union(*(below(one) for one in kind.__subclasses__()))

    taken = {one for one in below(serializers.Serializer) if one.__name__.endswith("In")}

    assert len(taken) > 30
    assert {one.__name__ for one in taken if not issubclass(one, drf.Given)} == set()


@pytest.mark.parametrize("cursor", ["", "x", "W10", "bnVsbA", "WyJ0IiwgImEiLCAxXQ", "WyJ2IiwgW10sIDFd", "é"])
def test_a_foreign_cursor_is_refused(db: None, cursor: str) -> None:
    with pytest.raises(Invalid):
        drf.page_of(AuditEntry.objects.all(), key="at", after=cursor, limit=2)


def test_nested_shape_errors_come_out_by_their_dotted_names() -> None:
    error = ValidationError(
        {"goal": {"weights": {"cost": ["No number."]}}, "logs": [{}, {"id": ["Missing.", "Too bad."]}]}
    )

    answer = drf.error_envelope(error, {})

    assert answer.data["error"]["fields"] == {"goal.weights.cost": "No number.", "logs.1.id": "Missing. Too bad."}


def test_a_fault_of_our_own_tells_nothing() -> None:
    context = {"view": SimpleNamespace(), "request": Request(HttpRequest())}

    answer = drf.error_envelope(KeyError("my card is 4111"), context)

    assert (answer.status_code, answer.data["error"]["code"]) == (500, "internal")
    assert "4111" not in str(answer.data)


def test_the_schema_is_valid_and_gives_every_operation_the_envelope() -> None:
    out = StringIO()

    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out)

    assert out.getvalue().count('"#/components/schemas/Error"') >= out.getvalue().count('"operationId"') > 10
