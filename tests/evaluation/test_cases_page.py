"""Cases of an evaluation: the list with its kinds and order, one case side by side, and who sees them."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentopt.sandbox.server import Sandbox
from evaluation import case_pages, cases, comparison
from evaluation.case_pages import Wanted
from evaluation.models import Evaluation, Replay, Verdict
from projects.models import Project, User
from tests.evaluation import studies

HOSTILE = "<script>alert(1)</script>"
Clients = Callable[[User], Client]


@pytest.fixture(scope="module")
def ended_once(ready_once: Project, sandbox: Sandbox) -> int:
    gateway = studies.connect(ready_once, sandbox.url)
    evaluation = studies.open_study(ready_once, gateway, candidates=("corvus-medium", "lumen-flash"), limit=60)
    return studies.run_to_end(evaluation, gateway).pk


@pytest.fixture
def ended(ended_once: int, db: None) -> Evaluation:
    return Evaluation.objects.get(pk=ended_once)


def _list(evaluation: Evaluation) -> str:
    return reverse("evaluation:cases", args=[evaluation.project.slug, evaluation.number])


def _case(evaluation: Evaluation, position: int) -> str:
    return reverse("evaluation:case", args=[evaluation.project.slug, evaluation.number, position])


def _wanted(**more: Any) -> Wanted:
    return Wanted(**({"position": None, "show": "all", "sort": "drop", "diff": "words", "page": 1} | more))


def test_scores_and_changes_are_those_the_decision_has(ended: Evaluation) -> None:
    quality = comparison.read(ended).samples.guards["quality"]

    found = cases.read(ended)

    assert found.rows
    for one in found.rows:
        own = [cell.score for cell in one.cells]
        assert own == pytest.approx([None if math.isnan(x) else x for x in quality[one.position]])
        for cell in one.cells[1:]:
            if cell.change is not None:
                assert cell.change == pytest.approx((cell.score or 0) - (one.cells[0].score or 0))


def test_kinds_part_the_cases_and_the_largest_drop_stands_first(ended: Evaluation) -> None:
    found = cases.read(ended)
    at = found.column(1)

    counts = found.counts(at)
    worse = found.shown(at, kind="worse", sort="drop")

    scored = sum(one.cells[at].change is not None for one in found.rows)
    assert counts["worse"] + counts["same"] + counts["better"] == scored
    assert len(worse) == counts["worse"]
    drops = [one.cells[at].change or 0 for one in worse]
    assert drops == sorted(drops)
    assert [one.position for one in found.shown(at, kind="all", sort="case")] == sorted(
        one.position for one in found.rows if one.cells[at].status
    )


def test_a_list_takes_the_same_queries_for_few_cases_and_for_many(
    ended: Evaluation, reader: User, client_of: Clients, django_assert_max_num_queries: Any
) -> None:
    client = client_of(reader)

    with django_assert_max_num_queries(18):
        page = client.get(_list(ended)).content.decode()
    with django_assert_max_num_queries(24):
        client.get(_case(ended, 0))

    assert f'href="{_list(ended)}" aria-current="page"' in page


def test_a_case_shows_both_answers_the_verdicts_and_leads_to_the_call(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    sample = ended.samples.get(position=3)

    page = client_of(reader).get(_case(ended, 3) + "?with=1&diff=off").content.decode()

    for replay in sample.replays.filter(candidate__position__in=[0, 1], repetition=0):
        assert replay.answer.split("'")[0][:40] in page
    assert "in production, as logged" in page
    assert "replayed" in page
    assert "Correctness" in page
    assert reverse("ingestion:log", args=[ended.project.slug, sample.record_id]) in page


def test_a_case_tells_tokens_read_from_a_cache_written_to_it_and_of_reasoning(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    answers = Replay.objects.filter(sample__evaluation=ended, sample__position=0, candidate__position__gt=0)
    answers.update(
        input_tokens=4000, output_tokens=300, cached_tokens=2500, cache_write_tokens=1200, reasoning_tokens=250
    )

    page = client_of(reader).get(_case(ended, 0)).content.decode()

    assert "<b>4,000</b> tokens in, 2,500 read from cache, 1,200 written to cache" in page
    assert "<b>300</b> tokens out, 250 of them reasoning" in page


def test_next_and_previous_follow_the_kind_and_its_order(ended: Evaluation) -> None:
    found = cases.read(ended)
    at = found.column(1)
    order = [one.position for one in found.shown(at, kind="all", sort="drop")]

    page = case_pages.page(ended, order[1], _wanted(position=1))

    assert (page.previous, page.following) == (str(order[0]), str(order[2]))
    assert page.place == 2


def test_texts_of_models_are_escaped(ended: Evaluation, reader: User, client_of: Clients) -> None:
    sample = ended.samples.get(position=0)
    sample.replays.update(answer=HOSTILE, message=HOSTILE, tool_calls=[{"function": {"name": HOSTILE, "arguments": 7}}])
    Verdict.objects.filter(replay__sample=sample).update(explanation=HOSTILE)

    for diff in ("words", "lines", "json", "off"):
        page = client_of(reader).get(f"{_case(ended, 0)}?diff={diff}").content.decode()

        assert HOSTILE not in page
        assert "&lt;script" in page


def test_a_failed_answer_says_why_and_what_was_adapted_stands_beside_it(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    one = Replay.objects.get(sample__evaluation=ended, sample__position=2, candidate__position=1)
    Replay.objects.filter(pk=one.pk).update(
        status="failed", reason="server_error", answer="", message="upstream said no", adapted="1:temperature_lowered"
    )

    page = client_of(reader).get(_case(ended, 2) + "?with=1").content.decode()
    errors = client_of(reader).get(_list(ended) + "?with=1&show=errors").content.decode()

    assert "failed: server error" in page
    assert "upstream said no" in page
    assert "A temperature above 1 is sent as 1," in page
    assert _case(ended, 2) in errors
    assert _case(ended, 3) + "?" not in errors


def test_what_the_address_asks_for_wrongly_counts_as_absent(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    odd = "?with=x&show=nothing&sort=up&diff=colour&page=99999999"

    assert client_of(reader).get(_list(ended) + odd).status_code == 200
    assert client_of(reader).get(_case(ended, 0) + odd).status_code == 200
    assert client_of(reader).get(_case(ended, 9999)).status_code == 404


def test_an_evaluation_without_an_answer_yet_says_so(
    ready_once: Project, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    opened = studies.open_study(ready_once, studies.connect(ready_once, sandbox.url), limit=30)

    assert "No case yet" in client_of(reader).get(_list(opened)).content.decode()
    assert "No candidate was asked" in client_of(reader).get(_case(opened, 0)).content.decode()


# ------------------------------------------------------------------------------------------------ over HTTP
def test_the_api_gives_the_same_cases_and_the_answers_themselves(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    client, own = client_of(reader), [ended.project.slug, ended.number]
    found = cases.read(ended)
    at = found.column(1)
    name = found.arms[at].offer.name

    listed = client.get(reverse("api-evaluation-cases", args=own), {"candidate": name, "show": "worse"}).json()
    one = client.get(reverse("api-evaluation-case", args=[*own, 4])).json()

    assert listed["candidate"] == name
    assert listed["counts"] == found.counts(at)
    shown = found.shown(at, kind="worse", sort="drop")
    assert [item["case"] for item in listed["items"]] == [case.position for case in shown][: cases.PAGE]
    answers = {model["model"]: model["answers"][0] for model in one["models"] if model["answers"]}
    replay = Replay.objects.get(sample__evaluation=ended, sample__position=4, candidate__offer__name=name)
    assert answers[name]["answer"] == replay.answer
    assert answers[name]["source"] == "called"


@pytest.mark.parametrize("odd", [{"candidate": "nobody"}, {"show": "x"}, {"sort": "x"}, {"page": "0"}, {"page": "x"}])
def test_the_api_refuses_what_it_does_not_know(
    ended: Evaluation, reader: User, client_of: Clients, odd: dict[str, str]
) -> None:
    address = reverse("api-evaluation-cases", args=[ended.project.slug, ended.number])

    answer = client_of(reader).get(address, odd)

    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == list(odd)


def test_cases_are_narrowed_to_a_use_case_and_to_calls_without_an_answer(
    ended: Evaluation, reader: User, client_of: Clients
) -> None:
    found = cases.read(ended)
    name = found.rows[0].use_case
    own = [one for one in found.rows if one.use_case == name and one.cells[1].status]
    arm = ended.candidates.get(position=1)
    Replay.objects.filter(sample__evaluation=ended, candidate=arm, sample__position=own[0].position).update(
        refused=True
    )

    address = f"{_list(ended)}?{_wanted(use_case=name, position=1).query()[1:]}"
    listed = client_of(reader).get(address).content.decode()
    unanswered = cases.read(ended).shown(1, kind="unanswered", sort="case")

    assert f'<h2 id="cases-t">{len(own)} case' in listed
    assert own[0].position in [one.position for one in unanswered]
    assert len(unanswered) < len(found.rows)
    assert case_pages.listing(ended, _wanted(use_case="no such use case")).rows == []
