"""What is sent, what comes back and whose failure it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from agentopt.lib.errors import Conflict
from agentopt.sandbox.server import Sandbox, running
from evaluation import comparison, replay, services
from evaluation.calls import Ended, Limits
from evaluation.claims import LEASE, Claims
from evaluation.models import Evaluation, Replay
from ingestion.catalog import pricing
from ingestion.gateway import ChatReply, Usage, errors, open_gateway, patience
from ingestion.models import LogBody, ModelOffer
from ingestion.values import Price, usage_of
from ingestion.values import Usage as UsageOfCall
from projects.models import Project
from tests.evaluation import studies
from tests.ingestion.gateway.fake import completion, serving

Status = Replay.Status


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.CALL_TIMEOUT_S = 2
    for name in ("WAIT_INITIAL_S", "WAIT_MAX_S", "WAIT_JITTER_S"):
        monkeypatch.setattr(patience, name, 0.01)


@pytest.fixture
def study(project: Project, sandbox: Sandbox, tmp_path: Path) -> Evaluation:
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(40), tmp_path)
    return studies.open_study(project, gateway, limit=30)


def answer(evaluation: Evaluation, *, rows: int = 5, model: str | None = None) -> list[Replay]:
    """Replay the first rows on the candidate (by another model, where one is named) and return what was stored."""
    if model is not None:
        offer = ModelOffer.objects.create(project=evaluation.project, name=model, model=model)
        evaluation.candidates.filter(position=1).update(offer=offer)
    send(evaluation, rows=rows)
    stored = Replay.objects.filter(sample__evaluation=evaluation, candidate__position=1)
    return list(stored.order_by("sample__position"))


def send(evaluation: Evaluation, *, rows: int) -> Ended[Any]:
    limits = Limits(10**12, 0, deadline=float("inf"), beat=lambda: True, concurrency=8)
    columns = comparison.columns_of(evaluation)
    with open_gateway(evaluation.project.connection).chat() as session:
        return replay.run_waiting(evaluation, columns, rows=rows, session=session, limits=limits, now=timezone.now)


def test_a_request_goes_out_as_it_was_logged_but_for_the_model() -> None:
    logged = {"model": "a", "messages": [{"role": "user", "content": "x"}], "temperature": 0.3, "stream": True,
              "stream_options": {"include_usage": True}, "tools": [{"type": "function"}], "seed": 5}  # fmt: skip

    body = replay.logged_body(LogBody(request=json.dumps(logged)))

    assert body == {key: value for key, value in logged.items() if key != "model"}


@pytest.mark.parametrize("request_body", ["", "not json", "[]", "{}", '{"messages": []}', '"hash"'])
def test_a_body_without_messages_cannot_be_asked_again(request_body: str) -> None:
    assert replay.logged_body(LogBody(request=request_body)) is None
    assert replay.logged_body(None) is None


def test_answers_are_stored_with_tokens_cost_and_time(study: Evaluation) -> None:
    rows = answer(study)

    assert len(rows) == 5
    for row in rows:
        assert (row.status, row.source, row.calls, row.simulated) == (Status.ANSWERED, "called", 1, True)
        assert row.answer or row.tool_calls
        # corvus-medium: 0.85 and 3.40 dollars per million tokens, so 850 and 3400 nano-dollars a token
        assert row.cost_nanousd == row.paid_nanousd == 850 * (row.input_tokens or 0) + 3400 * (row.output_tokens or 0)
        assert row.latency_us
        assert row.trace_id


def test_tokens_of_every_kind_are_kept_so_the_cost_can_be_computed_again(study: Evaluation) -> None:
    usage = {"prompt_tokens": 900, "completion_tokens": 80, "completion_tokens_details": {"reasoning_tokens": 50},
             "prompt_tokens_details": {"cached_tokens": 300, "cache_write_tokens": 200}}  # fmt: skip
    with serving(lambda handler: handler.send(completion() | {"usage": usage})) as fake:
        studies.connect(study.project, fake.url, simulated=False)
        study.refresh_from_db()
        rows = answer(Evaluation.objects.get(pk=study.pk), rows=1)

    price = replay.read_prices(study.project, now=timezone.now())["corvus-medium"]
    assert usage_of(rows[0]) == UsageOfCall(900, 80, 300, 200, 50)
    assert rows[0].cost_nanousd == pricing.cost_nanousd(usage_of(rows[0]), price)


def test_nothing_is_asked_twice(study: Evaluation, sandbox: Sandbox) -> None:
    answer(study)
    sent = sandbox.chat_calls

    answer(study, rows=8)

    assert sandbox.chat_calls - sent == 3


def test_the_same_question_is_paid_once(project: Project, tmp_path: Path) -> None:
    answers = {"Where is it?": {"old": ("Here.", 5.0), "new": ("There.", 5.0)}}
    logged = studies.record(tmp_path, answers)
    with running(recordings=tmp_path) as recorded:
        gateway = studies.connect(project, recorded.url, simulated=False)
        rows = [{**logged[0], "id": f"call-{i}", "trace_id": f"trace-{i}"} for i in range(30)]
        studies.take_in(project, rows, tmp_path)
        evaluation = studies.open_study(
            project, gateway, candidates=["new"], judges=["recorded-judge"], rubrics=["quality"], limit=30
        )
        stored = answer(evaluation, rows=30)

        assert recorded.chat_calls == 1
    assert [row.answer for row in stored] == ["There."] * 30
    assert sorted(row.source for row in stored) == ["cached"] * 29 + ["called"]


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("fault-500", Status.FAILED, "server_error"),
        ("fault-html", Status.FAILED, "bad_answer"),
        ("fault-empty", Status.FAILED, "bad_answer"),
        ("fault-timeout", Status.FAILED, "timed_out"),
        ("no-such-model", Status.MISSING, "not_found"),
    ],
)
def test_a_failure_is_the_models_or_ours(study: Evaluation, model: str, status: str, reason: str) -> None:
    rows = answer(study, rows=2, model=model)

    assert [(row.status, row.reason, row.answer) for row in rows] == [(status, reason, "")] * 2
    assert all(row.cost_nanousd is None and row.paid_nanousd == 0 for row in rows)


def test_a_model_that_recovers_within_our_patience_has_answered(study: Evaluation) -> None:
    rows = answer(study, rows=1, model="fault-flaky-2")

    assert [(row.status, row.calls) for row in rows] == [(Status.ANSWERED, 3)]


def test_a_rate_limit_leaves_places_waiting_instead_of_filling_them(study: Evaluation) -> None:
    with running(faults=["429:1"], retry_after_s=0.01) as busy:
        studies.connect(study.project, busy.url)
        ended = send(Evaluation.objects.get(pk=study.pk), rows=20)

    assert ended.end == "unreachable"
    rows = Replay.objects.filter(sample__evaluation=study, candidate__position=1)
    assert list(rows.values_list("status", "reason", "message")) == []


def test_a_prompt_whose_body_is_gone_is_missing(study: Evaluation, sandbox: Sandbox) -> None:
    from agentopt.lib.immutable import door

    first = study.samples.get(position=0)
    with door():
        LogBody.objects.filter(record=first.record_id).delete()
    sent = sandbox.chat_calls

    rows = answer(study, rows=2)

    assert [(row.status, row.reason) for row in rows] == [(Status.MISSING, "no_body"), (Status.ANSWERED, "")]
    assert sandbox.chat_calls - sent == 1


def test_what_was_not_recorded_is_missing_in_every_metric(project: Project, tmp_path: Path) -> None:
    answers: dict[str, dict[str, tuple[str, float | None]]] = {
        f"What is {i}?": {"old": (f"No. {i}", 4.0), "new": (f"Yes. {i}", 9.0)} for i in range(30)
    }
    del answers["What is 3?"]["new"]
    logged = studies.record(tmp_path, answers)

    with running(recordings=tmp_path) as recorded:
        gateway = studies.connect(project, recorded.url, simulated=False)
        studies.take_in(project, logged, tmp_path)
        evaluation = studies.open_study(
            project, gateway, candidates=["new"], judges=["recorded-judge"], rubrics=["quality"], limit=30
        )
        studies.run_to_end(evaluation, gateway)

    missing = Replay.objects.get(sample__evaluation=evaluation, status=Status.MISSING)
    samples = comparison.read(evaluation).samples
    assert missing.reason == "not_found"
    assert np.isnan(samples.guards["quality"][missing.sample.position]).tolist() == [False, True]
    assert np.isnan(samples.guards["answered"][missing.sample.position]).tolist() == [False, True]
    assert samples.cost_usd is None
    assert samples.latency_s is None
    assert evaluation.outcome is not None
    assert (evaluation.outcome["missing"], evaluation.outcome["unknown"]) == (1, ["cost", "latency"])


def test_latency_counts_where_the_baseline_was_called_too(project: Project, sandbox: Sandbox, tmp_path: Path) -> None:
    gateway = studies.connect(project, sandbox.url)
    studies.take_in(project, studies.support_log(40), tmp_path)
    evaluation = studies.open_study(project, gateway, limit=30, replay_baseline=True)

    studies.run_to_end(evaluation, gateway)

    again = Replay.objects.filter(sample__evaluation=evaluation, candidate__position=0, repetition=1)
    samples = comparison.read(evaluation).samples
    assert again.count() == 30
    assert samples.latency_s is not None
    assert samples.latency_s.shape == (30, 2)
    assert evaluation.outcome is not None
    assert evaluation.outcome["unknown"] == []


def reply(**given: Any) -> ChatReply:
    usual = {"text": "Yes.", "tool_calls": (), "finish_reason": "stop", "model": "", "refusal": None, "latency_us": 1,
             "usage": Usage(1, 1, None), "first_token_us": None, "calls": 1, "simulated": False}  # fmt: skip
    return ChatReply(**{**usual, **given})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (Status.ANSWERED, "", False)),
        ({"text": "", "tool_calls": ({"function": {}},)}, (Status.ANSWERED, "", False)),
        ({"text": "A long answer th", "finish_reason": "length"}, (Status.ANSWERED, "", False)),
        ({"text": " ", "finish_reason": "length"}, (Status.FAILED, "cut_off", None)),
        ({"text": ""}, (Status.FAILED, "empty", None)),
        ({"text": "", "finish_reason": "content_filter"}, (Status.ANSWERED, "", True)),
        ({"text": "", "refusal": "No."}, (Status.ANSWERED, "", True)),
        ({"text": "I'm sorry, but I can't assist with that."}, (Status.ANSWERED, "", True)),
    ],
)
def test_a_completed_call_is_an_answer_a_refusal_or_a_failure(
    given: dict[str, Any], expected: tuple[str, str, bool | None]
) -> None:
    outcome = replay.read_reply(reply(**given), (("user", "Is it?"),))

    assert (outcome.status, outcome.reason, outcome.refused) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("context_length_exceeded", (Status.FAILED, "context_length_exceeded", None)),
        ("content_filter", (Status.ANSWERED, "content_filter", True)),
        ("unsupported_parameter", (Status.MISSING, "bad_request", None)),
    ],
)
def test_a_rejected_request_is_read_by_its_code(code: str, expected: tuple[str, str, bool | None]) -> None:
    outcome = replay.read_error(errors.Rejected("refused", upstream_status=400, provider_code=code))

    assert (outcome.status, outcome.reason, outcome.refused) == expected


def test_the_key_of_a_question_holds_what_changes_its_answer_and_nothing_else() -> None:
    project = Project(hash_key="k")
    body = {"messages": [{"role": "user", "content": "x"}], "temperature": 0.1}

    key = replay.cache_key(project, "a", body, repetition=0)

    assert key == replay.cache_key(project, "a", dict(reversed(body.items())), repetition=0)
    others = [
        replay.cache_key(project, "b", body, repetition=0),
        replay.cache_key(project, "a", {**body, "temperature": 0.2}, repetition=0),
        replay.cache_key(project, "a", body, repetition=1),
        replay.cache_key(Project(hash_key="other"), "a", body, repetition=0),
    ]
    assert len({key, *others}) == 5


def test_a_streamed_request_is_replayed_as_a_stream_and_its_first_token_timed(
    project: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    gateway = studies.connect(project, sandbox.url)
    rows = studies.support_log(40)
    for row in rows[20:]:
        row["request"]["stream"] = True
    studies.take_in(project, rows, tmp_path)
    evaluation = studies.open_study(project, gateway, limit=40)

    stored = answer(evaluation, rows=40)

    streamed = {row["id"] for row in rows[20:]}
    assert len(stored) == 40
    for replayed in stored:
        is_streamed = replayed.sample.record.source_id in streamed
        assert (replayed.first_token_us is not None) == is_streamed
        assert replayed.cost_nanousd
        assert replayed.first_token_us is None or replayed.first_token_us <= (replayed.latency_us or 0)


def test_the_key_holds_what_changes_an_answer_and_nothing_else(project: Project) -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "temperature": 0.3}
    same = {**body, "stream": True, "stream_options": {"include_usage": True}, "user": "u", "metadata": {"a": "b"}}

    key = replay.cache_key(project, "a", body, repetition=0)

    assert replay.cache_key(project, "a", same, repetition=0) == key
    others = [("b", body, 0), ("a", {**body, "temperature": 0.4}, 0), ("a", {**body, "seed": 1}, 0), ("a", body, 1)]
    keys = {replay.cache_key(project, model, asked, repetition=turn) for model, asked, turn in others}
    assert len(keys | {key}) == 5


def test_what_was_adapted_is_stored_with_each_answer(study: Evaluation) -> None:
    offer = study.candidates.get(position=1).offer
    able = offer.versions.latest("valid_from", "revision")
    able.pk, able.revision, able.output_limit = None, able.revision + 1, 50
    able.save()

    rows = answer(study, rows=5)

    wants = [json.loads(row.sample.record.body.request).get("max_tokens") or 0 for row in rows]
    assert [row.adapted for row in rows] == ["1:token_limit_lowered" if want > 50 else "" for want in wants]


def test_failed_calls_are_asked_again_of_all_models_once_a_person_says_so(study: Evaluation, sandbox: Sandbox) -> None:
    with running(faults=["500:1"]) as broken:
        studies.connect(study.project, broken.url)
        study.refresh_from_db()
        send(Evaluation.objects.get(pk=study.pk), rows=3)
    failed = Replay.objects.filter(sample__evaluation=study, candidate__position=1)
    before = sum(row.calls for row in failed)
    assert {row.status for row in failed} == {Status.FAILED}
    studies.connect(study.project, sandbox.url)
    Evaluation.objects.filter(pk=study.pk).update(state=Evaluation.State.PAUSED)
    paused = Evaluation.objects.get(pk=study.pk)

    services.retry_failed(paused, None)

    rows = Replay.objects.filter(sample__evaluation=study, candidate__position=1, sample__position__lt=3)
    assert [(row.status, row.again) for row in rows] == [(Status.ANSWERED, False)] * 3
    assert sum(row.calls for row in rows) >= before + 3  # a model of the sandbox may fail now and then by itself


@pytest.mark.parametrize("state", [Evaluation.State.DONE, Evaluation.State.PAUSED, Evaluation.State.CANCELLED])
def test_nothing_is_asked_again_of_evidence_nor_where_nothing_failed(study: Evaluation, state: str) -> None:
    Evaluation.objects.filter(pk=study.pk).update(state=state)

    with pytest.raises(Conflict):
        services.retry_failed(Evaluation.objects.get(pk=study.pk), None)


def test_a_question_that_another_process_asks_is_left_to_it(study: Evaluation) -> None:
    with Claims(study.project, timezone.now) as other:
        taken = other.take({"a", "b"})
        with Claims(study.project, timezone.now) as own:
            assert own.take({"b", "c"}) == {"c"}
            other.free({"b"})
            assert own.take({"b"}) == {"b"}
        assert taken == {"a", "b"}
    late = timezone.now() + LEASE * 2
    dead = Claims(study.project, timezone.now)
    dead.take({"d"})
    assert Claims(study.project, timezone.now).take({"d"}) == set()
    assert Claims(study.project, lambda: late).take({"d"}) == {"d"}


def test_tokens_written_to_a_cache_and_of_reasoning_have_their_own_price() -> None:
    price = Price(10**9, 2 * 10**9, 10**8, 125 * 10**7, 4 * 10**9)
    given = reply(usage=Usage(1_000, 500, 400, 200, 300))

    # by hand, in nano-dollars a token: in 400 at 1,000, 400 read at 100, 200 written at 1,250; out 200 and 300
    expected = 400 * 1_000 + 400 * 100 + 200 * 1_250 + 200 * 2_000 + 300 * 4_000
    assert replay.cost_of(given, price) == expected
