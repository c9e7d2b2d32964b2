"""Use cases of a project, and which call belongs to which."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from ingestion import store, usecases
from ingestion.models import LogRecord, UseCase, UseCaseAssignment
from projects.models import Project
from tests.ingestion.conftest import encoded, portkey_row


def _calls(agent: Project, count: int = 3) -> list[int]:
    rows = encoded(*(portkey_row(number) for number in range(count)))
    store.append(agent, rows, format="portkey", source="file", label="a", simulated=False, now=timezone.now())
    return list(LogRecord.objects.filter(project=agent).order_by("pk").values_list("pk", flat=True))


def _use_case(agent: Project, number: int, name: str, **fields: object) -> UseCase:
    return UseCase.objects.create(project=agent, number=number, name=name, origin=UseCase.Origin.FOUND, **fields)


def test_a_call_is_shown_under_the_use_case_that_its_own_was_merged_into(agent: Project) -> None:
    first, second, third = _calls(agent)
    refunds = _use_case(agent, 1, "refunds")
    labels = _use_case(agent, 2, "return labels", merged_into=refunds)
    UseCaseAssignment.objects.create(record_id=first, use_case=refunds)
    UseCaseAssignment.objects.create(record_id=second, use_case=labels)

    assert usecases.labels(agent, [first, second, third]) == {first: "refunds", second: "refunds"}
    assert usecases.roots(agent) == {refunds.pk: refunds.pk, labels.pk: refunds.pk}


def test_a_stranger_project_has_none_of_the_labels(agent: Project, make_project: object) -> None:
    (call,) = _calls(agent, 1)
    UseCaseAssignment.objects.create(record_id=call, use_case=_use_case(agent, 1, "refunds"))

    assert usecases.labels(make_project("other"), [call]) == {}  # type: ignore[operator]


def test_two_use_cases_that_are_shown_never_have_one_name(agent: Project) -> None:
    refunds = _use_case(agent, 1, "refunds")
    _use_case(agent, 2, "refunds", merged_into=refunds)

    with pytest.raises(IntegrityError), transaction.atomic():
        _use_case(agent, 3, "refunds")
