"""Use cases of a project: found the same each time, assigned in slices, and kept as people changed them."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from agentopt.lib.errors import Conflict, Invalid
from ingestion import assigning, grouping, store, usecases
from ingestion.models import DirtyHour, LogRecord, UseCase, UseCaseAssignment, UseCaseFit
from projects import jobs
from projects.models import Job, Project
from tests.ingestion.conftest import encoded, portkey_row
from tests.ingestion.test_clustering import TOPICS, planted

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def row(number: int, text: str, **changes: Any) -> dict[str, Any]:
    system = {"role": "system", "content": "You are the agent of a shop: refund, deliver, reset passwords."}
    messages = [system, {"role": "user", "content": text}]
    return portkey_row(number, request={"model": "gpt-4o-mini", "messages": messages}, **changes)


def take_in(project: Project, rows: Sequence[dict[str, Any]]) -> None:
    store.append(project, encoded(*rows), format="portkey", source="file", label="a", simulated=False, now=NOW)


def rows_of(n: int, *, seed: int = 0, first: int = 0, topics: Sequence[str] = tuple(TOPICS)) -> list[dict[str, Any]]:
    texts, names = planted(n, seed=seed, topics=topics)
    return [row(first + at, text, metadata={"topic": names[at]}) for at, text in enumerate(texts)]


def labels_of(project: Project) -> dict[str, int]:
    """Number of the shown use case of each call, by the source's id."""
    roots = usecases.roots(project)
    numbers = dict(project.use_cases.values_list("pk", "number"))
    rows = UseCaseAssignment.objects.filter(record__project=project).values_list("record__source_id", "use_case_id")
    return {source_id: numbers[roots[use_case]] for source_id, use_case in rows}


def of_topic(project: Project, topic: str) -> UseCase:
    """The use case that most calls of a topic are assigned to."""
    mine = LogRecord.objects.filter(project=project, metadata__topic=topic).values_list("assignment__use_case_id")
    found = [pk for (pk,) in mine if pk]
    return UseCase.objects.get(pk=max(set(found), key=found.count))


def refresh(project: Project, **options: Any) -> bool:
    project.refresh_from_db()
    return usecases.refresh(project, now=NOW, **options)


@pytest.fixture
def busy(agent: Project) -> Project:
    """A project with 240 calls of four topics, grouped."""
    take_in(agent, rows_of(240))
    assert refresh(agent)
    return agent


# ------------------------------------------------------------------------------------------------ tables
def _use_case(agent: Project, number: int, name: str, **fields: Any) -> UseCase:
    return UseCase.objects.create(project=agent, number=number, name=name, origin=UseCase.Origin.FOUND, **fields)


def test_a_call_is_shown_under_the_use_case_that_its_own_was_merged_into(agent: Project) -> None:
    take_in(agent, [portkey_row(number) for number in range(3)])
    first, second, third = LogRecord.objects.order_by("pk").values_list("pk", flat=True)
    refunds = _use_case(agent, 1, "refunds")
    labels = _use_case(agent, 2, "return labels", merged_into=refunds)
    UseCaseAssignment.objects.create(record_id=first, use_case=refunds)
    UseCaseAssignment.objects.create(record_id=second, use_case=labels)

    assert usecases.labels(agent, [first, second, third]) == {first: "refunds", second: "refunds"}
    assert usecases.roots(agent) == {refunds.pk: refunds.pk, labels.pk: refunds.pk}


def test_a_stranger_project_has_none_of_the_labels(busy: Project, make_project: Callable[..., Project]) -> None:
    calls = LogRecord.objects.values_list("pk", flat=True)

    assert usecases.labels(make_project("other"), calls) == {}
    assert len(usecases.labels(busy, calls)) == 240


def test_two_use_cases_that_are_shown_never_have_one_name(agent: Project) -> None:
    refunds = _use_case(agent, 1, "refunds")
    _use_case(agent, 2, "refunds", merged_into=refunds)

    with pytest.raises(IntegrityError), transaction.atomic():
        _use_case(agent, 3, "refunds")


# ------------------------------------------------------------------------------------------------ what is found
def test_calls_are_grouped_by_what_is_asked_and_not_by_the_shared_system_prompt(busy: Project) -> None:
    shown = usecases.shown(busy)

    assert len(shown) == 4
    for topic, vocabulary in TOPICS.items():
        use_case = of_topic(busy, topic)
        assert set(use_case.terms) & set(vocabulary.split())
        assert set(use_case.name.split(", ")) <= set(vocabulary.split())


def test_the_order_of_imports_changes_no_label(make_project: Callable[..., Project]) -> None:
    rows = rows_of(200)
    shuffled = random.Random(4).sample(rows, len(rows))  # noqa: S311
    one, other = make_project("one"), make_project("other")
    Project.objects.filter(pk=other.pk).update(hash_key=one.hash_key)
    one.refresh_from_db()
    other.refresh_from_db()
    take_in(one, rows)
    for start in range(0, 200, 37):
        take_in(other, shuffled[start : start + 37])

    refresh(one)
    refresh(other)

    assert labels_of(one) == labels_of(other)
    assert [one.name for one in usecases.shown(one)] == [one.name for one in usecases.shown(other)]
    fits = [bytes(UseCaseFit.objects.get(project=project).model or b"") for project in (one, other)]
    assert fits[0] == fits[1]


def test_new_calls_are_assigned_by_the_stored_model_without_a_new_fit(busy: Project) -> None:
    before = labels_of(busy)
    take_in(busy, rows_of(40, seed=9, first=1000))

    refresh(busy)

    after = labels_of(busy)
    assert UseCaseFit.objects.filter(project=busy).count() == 1
    assert {key: after[key] for key in before} == before
    assert len(after) == 280


def test_twice_the_calls_are_a_reason_to_fit_again_and_labels_stay(agent: Project) -> None:
    take_in(agent, rows_of(120, topics=("refunds", "delivery", "passwords")))
    refresh(agent)
    before, names = labels_of(agent), [one.name for one in usecases.shown(agent)]
    take_in(agent, rows_of(160, seed=3, first=500))

    refresh(agent)

    after = labels_of(agent)
    assert UseCaseFit.objects.filter(project=agent).count() == 2
    assert sum(after[key] == before[key] for key in before) >= 0.97 * len(before)
    assert [one.name for one in usecases.shown(agent)][:3] == names
    assert len(usecases.shown(agent)) == 4


def test_calls_of_one_conversation_count_once_in_a_fit(agent: Project) -> None:
    take_in(agent, rows_of(60))
    take_in(agent, [row(900 + at, "the password login of my account", trace_id="long") for at in range(200)])

    refresh(agent)

    assert UseCaseFit.objects.get(project=agent).n_texts == 61


def test_a_later_version_of_a_call_is_assigned_too(busy: Project) -> None:
    (changed,) = rows_of(1)
    take_in(busy, [{**changed, "cost": 0.5}])

    refresh(busy)

    newest = LogRecord.objects.filter(project=busy).newest()
    assert UseCaseAssignment.objects.filter(record__in=newest).count() == 240


def test_hashed_projects_are_refused_with_the_reason(make_project: Callable[..., Project]) -> None:
    hashed = make_project("secret", "hashed")
    take_in(hashed, rows_of(50))

    with pytest.raises(grouping.HashedProject, match="hashes of prompts"):
        refresh(hashed)
    with pytest.raises(grouping.HashedProject):
        usecases.start(hashed)
    assert usecases.start_if_due(hashed) is None


def test_in_redacted_mode_only_redacted_words_are_seen(make_project: Callable[..., Project]) -> None:
    redacted = make_project("careful", "redacted")
    texts, _ = planted(80)
    take_in(redacted, [row(at, f"{text} write to ann.smith@example.com") for at, text in enumerate(texts)])

    refresh(redacted)

    stored = {term for fit in UseCaseFit.objects.all() for term in assigning.model_of(fit).terms}  # type: ignore[union-attr]
    assert stored
    assert not stored & {"ann", "smith", "example", "removed"}


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["hello"],
        [""] * 60,
        ["Where is it?"] * 60,
        ["<script>alert(1)</script>"] * 60,
        ["x" * 1_000_000, *["short text"] * 30],
        ["naïve café ﷽ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u202e\u0000 取消航班 " + "é" * n for n in range(40)],
        [str(n) for n in range(60)],
    ],
    ids=["none", "one", "empty", "equal", "html", "megabyte", "unicode", "numbers"],
)
def test_odd_texts_break_nothing(agent: Project, texts: list[str]) -> None:
    take_in(agent, [row(at, text) for at, text in enumerate(texts)])

    assert refresh(agent)
    assert refresh(agent, refit=True)

    assert all(use_case.name.isprintable() for use_case in usecases.shown(agent))


# ------------------------------------------------------------------------------------------------ named by the logs
def test_a_use_case_that_the_logs_name_is_taken_from_them(busy: Project) -> None:
    take_in(busy, [row(2000 + at, "refund money charged", metadata={"use_case": "billing"}) for at in range(5)])

    refresh(busy)

    given = UseCase.objects.get(project=busy, given_name="billing")
    assert given.origin == UseCase.Origin.GIVEN
    assert given.assignments.count() == 5
    assert given in usecases.shown(busy)


def test_logs_that_all_name_their_use_case_are_not_clustered(agent: Project) -> None:
    take_in(agent, [{**one, "metadata": {"use_case": one["metadata"]["topic"]}} for one in rows_of(60)])

    refresh(agent)

    assert {one.name for one in usecases.shown(agent)} == set(TOPICS)
    assert UseCaseFit.objects.get(project=agent).n_texts == 0


def test_no_more_than_200_names_of_logs_become_use_cases(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigning, "MAX_GIVEN", 3)
    take_in(agent, [row(at, "hello", metadata={"use_case": f"name {at}"}) for at in range(10)])

    refresh(agent)

    assert len(usecases.shown(agent)) == 3


# ------------------------------------------------------------------------------------------------ slices
def test_a_killed_run_goes_on_where_it_stopped(agent: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for start in range(0, 240, 40):
        take_in(agent, rows_of(240)[start : start + 40])
    monkeypatch.setattr(assigning, "CHUNK_CALLS", 40)
    done = iter(range(2))

    def killed(**_progress: object) -> None:
        if UseCaseAssignment.objects.exists() and next(done, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refresh(agent, name="job 1", beat=killed)
    half = UseCaseAssignment.objects.count()
    assert 0 < half < 240

    assert refresh(agent, name="job 1")
    assert UseCaseAssignment.objects.count() == 240
    assert UseCaseFit.objects.count() == 1


def test_a_slice_ends_when_its_time_is_over(agent: Project) -> None:
    take_in(agent, rows_of(100))

    assert not refresh(agent, name="job 1", deadline=time.monotonic() - 1)
    assert UseCaseFit.objects.count() == 1
    assert refresh(agent, name="job 1")


def test_the_same_chunk_delivered_twice_is_written_once(busy: Project) -> None:
    fit = assigning.newest_fit(busy)
    assert fit is not None
    stale = UseCaseFit.objects.get(pk=fit.pk)
    take_in(busy, rows_of(10, seed=2, first=700))
    model = assigning.model_of(fit)

    assert assigning._next_batches(fit, model) == 10
    assert assigning._next_batches(stale, model) == 0

    stored = UseCaseFit.objects.get(pk=fit.pk)
    assert stored.figures["seen"] == 10


def test_an_assignment_marks_the_hour_of_its_call(agent: Project) -> None:
    take_in(agent, rows_of(60))
    DirtyHour.objects.all().delete()

    refresh(agent)
    assert DirtyHour.objects.filter(project=agent).count() == 1
    DirtyHour.objects.all().delete()
    refresh(agent)

    assert not DirtyHour.objects.exists()


# ------------------------------------------------------------------------------------------------ by hand
def test_a_name_by_hand_survives_a_new_fit_and_can_be_given_back(busy: Project) -> None:
    use_case = of_topic(busy, "recipes")
    automatic = use_case.name

    usecases.rename(use_case, "  Cooking   questions ", by=None)
    refresh(busy, refit=True)

    assert of_topic(busy, "recipes").name == "Cooking questions"
    assert usecases.rename(of_topic(busy, "recipes"), "", by=None).name.split(", ")[0] == automatic.split(", ")[0]
    assert busy.audit.filter(action="use_case.rename").count() == 2


@pytest.mark.parametrize("name", ["x" * 81, "a\x00b", "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_refused(busy: Project, name: str) -> None:
    with pytest.raises(Invalid):
        usecases.rename(usecases.shown(busy)[0], name, by=None)


def test_a_name_that_another_has_is_refused(busy: Project) -> None:
    one, other = usecases.shown(busy)[:2]

    with pytest.raises(Invalid, match="Another use case"):
        usecases.rename(one, other.name, by=None)


def test_a_merge_moves_no_call_survives_a_new_fit_and_can_be_undone(busy: Project) -> None:
    refunds, delivery = of_topic(busy, "refunds"), of_topic(busy, "delivery")
    before = labels_of(busy)

    usecases.merge(refunds, [delivery], by=None)
    merged = labels_of(busy)
    refresh(busy, refit=True)
    again = labels_of(busy)
    usecases.take_out(UseCase.objects.get(pk=delivery.pk), by=None)

    assert {merged[key] for key in before if before[key] == delivery.number} == {refunds.number}
    assert sum(again[key] == merged[key] for key in merged) >= 0.97 * len(merged)
    assert len(set(again.values())) == 3
    assert sum(labels_of(busy)[key] == before[key] for key in before) >= 0.97 * len(before)


def test_merging_again_leads_to_the_last_in_one_step(busy: Project) -> None:
    one, two, three, _ = usecases.shown(busy)

    usecases.merge(two, [one], by=None)
    usecases.merge(three, [UseCase.objects.get(pk=two.pk)], by=None)

    roots = usecases.roots(busy)
    assert {roots[one.pk], roots[two.pk], roots[three.pk]} == {three.pk}


@pytest.mark.parametrize("case", ["itself", "nothing", "merged", "stranger"])
def test_what_cannot_be_merged_is_refused(busy: Project, make_project: Callable[..., Project], case: str) -> None:
    one, two, three, _ = usecases.shown(busy)
    usecases.merge(three, [two], by=None)
    stranger = _use_case(make_project("other"), 1, "theirs")
    others = {"itself": [one], "nothing": [], "merged": [UseCase.objects.get(pk=two.pk)], "stranger": [stranger]}

    with pytest.raises(Invalid):
        usecases.merge(one, others[case], by=None)


def test_a_split_stays_through_a_new_fit_and_leaves_the_others_alone(busy: Project) -> None:
    use_case, before = of_topic(busy, "passwords"), labels_of(busy)

    usecases.split(use_case, by=None)
    job = busy.jobs.get(kind="use_cases")
    assert jobs.run_here(job).state == Job.State.DONE, job.error
    parts = labels_of(busy)
    refresh(busy, refit=True)
    again = labels_of(busy)

    new = UseCase.objects.get(project=busy, split_from=use_case)
    assert {parts[key] for key in before if before[key] == use_case.number} == {use_case.number, new.number}
    assert all(parts[key] == before[key] for key in before if before[key] != use_case.number)
    inside = [key for key in before if before[key] == use_case.number]
    assert {use_case.number, new.number} <= {again[key] for key in inside}
    assert sum(again[key] == parts[key] for key in parts) >= 0.85 * len(parts)


def test_a_killed_split_is_done_once(busy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    use_case = of_topic(busy, "passwords")
    monkeypatch.setattr(assigning, "CHUNK_CALLS", 10)

    assert not refresh(busy, name="job 7", split=use_case.pk, deadline=time.monotonic() + 0.0)
    while not refresh(busy, name="job 7", split=use_case.pk, deadline=time.monotonic() + 0.05):
        pass

    assert UseCase.objects.filter(split_from=use_case).count() == 1
    assert UseCaseFit.objects.filter(project=busy).count() == 2


def test_a_split_that_cannot_be_is_refused(busy: Project) -> None:
    take_in(busy, [row(3000 + at, "hello", metadata={"use_case": "given"}) for at in range(3)])
    refresh(busy)
    one, two = usecases.shown(busy)[:2]
    usecases.merge(one, [two], by=None)

    with pytest.raises(Conflict, match="logs themselves"):
        usecases.split(UseCase.objects.get(given_name="given"), by=None)
    with pytest.raises(Conflict, match="take those out"):
        usecases.split(UseCase.objects.get(pk=one.pk), by=None)
    with pytest.raises(Conflict, match="merged into another"):
        usecases.split(UseCase.objects.get(pk=two.pk), by=None)


# ------------------------------------------------------------------------------------------------ when it runs
@pytest.fixture
def queue(settings: Any) -> None:
    """Jobs wait for a worker, as in production."""
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "sync": False}


@pytest.mark.usefixtures("queue")
def test_the_job_is_due_when_calls_are_new_and_waits_once(agent: Project) -> None:
    assert usecases.start_if_due(agent) is None
    take_in(agent, rows_of(60))

    job = usecases.start_if_due(agent)

    assert job is not None
    assert usecases.start_if_due(agent) is None
    assert usecases.start(agent) == job
    with pytest.raises(Conflict):
        usecases.start(agent, refit=True)
    assert jobs.run_here(job).state == Job.State.DONE
    assert len(usecases.shown(agent)) >= 3


def test_fewer_calls_than_a_fit_needs_start_nothing(agent: Project) -> None:
    take_in(agent, rows_of(19))

    assert usecases.start_if_due(agent) is None


@pytest.mark.usefixtures("queue")
def test_a_few_new_calls_wait_until_the_last_run_is_five_minutes_ago(agent: Project) -> None:
    take_in(agent, rows_of(60))
    job = usecases.start_if_due(agent)
    assert job is not None
    jobs.run_here(job)
    take_in(agent, rows_of(5, seed=8, first=500))

    assert usecases.start_if_due(agent) is None
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=6))
    assert usecases.start_if_due(agent) is not None


def test_calls_unlike_those_of_the_fit_are_a_reason_to_fit_again(
    busy: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "MIN_SEEN", 30)
    strange = ["quantum", "entanglement", "boson", "fermion", "lattice", "gauge", "photon", "spin"]
    texts = [" ".join(random.Random(at).sample(strange, 6)) for at in range(60)]  # noqa: S311
    take_in(busy, [row(4000 + at, text) for at, text in enumerate(texts)])

    refresh(busy)

    assert UseCaseFit.objects.filter(project=busy).count() == 2
    assert any(set(one.terms) & set(strange) for one in usecases.shown(busy))


def test_only_the_newest_model_is_kept(busy: Project) -> None:
    refresh(busy, refit=True)

    kept = UseCaseFit.objects.filter(project=busy).order_by("number").values_list("model", flat=True)
    assert [model is not None for model in kept] == [False, True]


def test_names_of_texts_are_never_longer_than_a_name_may_be() -> None:
    words = ["donaudampfschifffahrtsgesell"[:30]] * 8

    first = assigning.name_of(words, number=1, taken=[])
    assert len(first) <= usecases.MAX_NAME
    assert assigning.name_of([], number=7, taken=[]) == "Use case 7"
    assert len({first, assigning.name_of(words, number=2, taken=[first])}) == 2
