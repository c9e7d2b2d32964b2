"""The labeling page: blind, mixed sides, one pair after the other; the page of accuracy cards; and the API of both."""

import re
from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from agentopt.sandbox.server import Sandbox
from evaluation import labels, people_pages
from evaluation.labels import Pair
from evaluation.models import Evaluation, HumanLabel
from projects.models import Project, User
from tests.evaluation import people, studies

Clients = Callable[[User], Client]


def _judge(place: int, candidate: bool) -> float | None:
    return 0.5 + (0.2 if place % 3 else -0.2) * candidate


@pytest.fixture
def study(ready: Project, sandbox: Sandbox) -> Evaluation:
    """A judged evaluation without labels."""
    return people.study(ready, sandbox, _judge, limit=40)


def _label(evaluation: Evaluation) -> str:
    return reverse("evaluation:label", args=[evaluation.project.slug, evaluation.number])


def _body(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined, no-any-return]  # the test client answers untyped


def _hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(case|pair|passed)" value="([^"]*)">', page)
    return dict(found)


# ------------------------------------------------------------------------------------------------ the page
def test_the_page_tells_no_model_and_nothing_that_a_model_wrote_as_markup(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    page = _body(client_of(member).get(_label(study)))

    start = page.index('<form class="stackd loose"')
    form = page[start : page.index("</form>", start)]
    assert "corvus-medium" not in form
    assert "aurora-large" not in form
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert form.count('type="radio"') == 10


def test_scores_reach_the_answers_they_stood_beside_and_names_come_after_the_vote(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    client = client_of(member)
    hidden = _hidden(_body(client.get(_label(study))))
    position = int(hidden["case"])
    pair = labels.pair_at(study, position)
    left, right = people_pages.sides(labels.rater_of(member), pair)

    scores = {"left_score": "1.00", "right_score": "0.25", "right_harmful": "on"}
    answer = client.post(_label(study), {**hidden, **scores})

    assert answer.status_code == 303
    said = {row.replay_id: row for row in HumanLabel.objects.all()}
    assert (said[left].score, said[left].harmful, said[left].stood_left) == (1.0, False, True)
    assert (said[right].score, said[right].harmful, said[right].stood_left) == (0.25, True, False)
    assert all(row.blind and row.rater == labels.rater_of(member) for row in said.values())
    page = _body(client.get(answer["Location"]))
    notice = page[page.index("The pair before") : page.index("</section>", page.index("The pair before"))]
    assert "corvus-medium" in notice
    assert "aurora-large" in notice
    assert _hidden(page)["case"] != hidden["case"]


def test_a_vote_with_one_score_is_refused_and_the_pair_stays(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    client = client_of(member)
    hidden = _hidden(_body(client.get(_label(study))))

    answer = client.post(_label(study), {**hidden, "left_score": "1.00"})

    assert answer.status_code == 422
    assert "Score the right answer." in _body(answer)
    assert _hidden(_body(answer))["case"] == hidden["case"]
    assert not HumanLabel.objects.exists()


def test_a_pair_that_is_no_longer_the_one_seen_is_refused(study: Evaluation, member: User, client_of: Clients) -> None:
    client = client_of(member)
    hidden = _hidden(_body(client.get(_label(study)))) | {"pair": "0" * 16}

    answer = client.post(_label(study), {**hidden, "left_score": "1.00", "right_score": "0.25"})

    assert answer.status_code == 409
    assert not HumanLabel.objects.exists()


def test_later_puts_a_pair_off(study: Evaluation, member: User, client_of: Clients) -> None:
    client = client_of(member)
    page = _body(client.get(_label(study)))
    later = re.search(r'data-later href="([^"]+)"', page)
    assert later is not None

    after = _body(client.get(later[1]))

    assert _hidden(after)["case"] != _hidden(page)["case"]
    assert _hidden(after)["passed"] == _hidden(page)["case"]


def test_a_case_that_a_person_picked_does_not_count_as_blind(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    client, case = client_of(member), people.answered(study)[7]
    page = _body(client.get(f"{_label(study)}?case={case}"))
    hidden = _hidden(page)
    assert hidden["case"] == str(case)
    assert 'name="picked" value="1"' in page

    client.post(_label(study), {**hidden, "picked": "1", "left_score": "1.00", "right_score": "0.25"})

    assert [row.blind for row in HumanLabel.objects.all()] == [False, False]


def test_sides_are_mixed_by_chance_and_stay_for_one_person() -> None:
    pairs = [Pair(i, 2 * i, 2 * i + 1) for i in range(400)]

    left = [people_pages.sides("person 1", pair)[0] == pair.candidate for pair in pairs]

    assert 150 < sum(left) < 250  # five standard errors
    assert left == [people_pages.sides("person 1", pair)[0] == pair.candidate for pair in pairs]
    assert left != [people_pages.sides("person 2", pair)[0] == pair.candidate for pair in pairs]


def test_an_evaluation_without_answers_says_why_there_is_nothing_to_label(
    ready: Project, sandbox: Sandbox, member: User, client_of: Clients
) -> None:
    waiting = studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)

    assert "No pair to label yet" in _body(client_of(member).get(_label(waiting)))


# ------------------------------------------------------------------------------------------------ the cards
def test_the_accuracy_page_says_what_is_not_known_and_then_the_verdict(
    study: Evaluation, reader: User, client_of: Clients
) -> None:
    address, client = reverse("evaluation:accuracy", args=[study.project.slug]), client_of(reader)
    before = _body(client.get(address))

    people.label(
        study, people.answered(study), lambda place, candidate: 0.5 + (0.25 if place % 2 else -0.25) * candidate
    )

    after = _body(client.get(address))
    assert "No labels yet" in before
    assert "Label pairs of" not in before  # a reader may not
    assert "near chance" in after
    assert "unfit" in after
    assert studies.JUDGE in after


# ------------------------------------------------------------------------------------------------ API
def test_a_program_sends_labels_of_a_named_person_and_reads_them_back(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    client, address = client_of(member), reverse("api-labels", args=[study.project.slug])
    said = {"evaluation": study.number, "case": 3, "model": "corvus-medium", "score": 0.75}

    stored = client.post(address, {"rater": "ann", "labels": [said]}, content_type="application/json")

    assert stored.status_code == 201
    (one,) = client.get(address).json()["items"]
    assert {name: one[name] for name in (*said, "rater", "via", "blind", "harmful")} == {
        **said, "rater": "ann", "via": "api", "blind": False, "harmful": None,
    }  # fmt: skip


def test_an_unknown_answer_or_a_name_that_looks_like_a_person_is_refused_by_name(
    study: Evaluation, member: User, client_of: Clients
) -> None:
    client, address = client_of(member), reverse("api-labels", args=[study.project.slug])
    said = {"evaluation": study.number, "case": 3, "model": "nobody", "score": 0.75}

    unknown = client.post(address, {"labels": [said]}, content_type="application/json")
    forged = client.post(address, {"rater": "person 1", "labels": [said]}, content_type="application/json")

    assert unknown.status_code == 400
    assert unknown.json()["error"]["fields"] == {"labels.0": "There is no such answer."}
    assert forged.status_code == 400
    assert "rater" in forged.json()["error"]["fields"]


def test_queue_and_cards_are_there_for_programs(study: Evaluation, member: User, client_of: Clients) -> None:
    client, slug = client_of(member), study.project.slug
    people.label(study, people.answered(study)[:5], _judge, rater=labels.rater_of(member))

    queue = client.get(reverse("api-label-queue", args=[slug, study.number])).json()
    found = client.get(reverse("api-judge-accuracy", args=[slug])).json()

    assert (queue["pairs"], queue["labeled"]) == (len(people.answered(study)), 5)
    assert set(queue["next"]) == set(people.answered(study)[5:])
    (card,) = found["cards"]
    assert (card["n"], card["fitness"], card["why"]) == (5, "unknown", "too_few")
    assert card["rubrics"].keys() == {"correctness"}
