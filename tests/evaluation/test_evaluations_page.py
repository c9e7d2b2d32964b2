"""Pages of evaluations: the list, a new one, one of them in each of its states, and who may do what."""

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from agentopt.sandbox.server import Sandbox
from evaluation import proposals, services
from evaluation.models import Evaluation
from ingestion import usecases
from ingestion.catalog import loader
from ingestion.gateway import GatewayModel
from projects import services as projects
from projects.models import Privacy, Project, User
from tests.evaluation import studies

HTMX = {"HX-Request": "true"}
HOSTILE = "<script>alert(1)</script>"
State = Evaluation.State
Clients = Callable[[User], Client]


@pytest.fixture
def opened(ready: Project, sandbox: Sandbox) -> Evaluation:
    """An evaluation that waits for a worker."""
    return studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)


def _list(project: Project) -> str:
    return reverse("evaluation:list", args=[project.slug])


def _new(project: Project) -> str:
    return reverse("evaluation:create", args=[project.slug])


def _in_state(evaluation: Evaluation, state: str, message: str = "") -> str:
    """Put an evaluation into a state and return the address of its page."""
    evaluation.project.evaluations.filter(pk=evaluation.pk).update(state=state, message=message)
    return evaluation.get_absolute_url()


def _body(response: object) -> str:
    return response.content.decode()  # type: ignore[attr-defined, no-any-return]


# ------------------------------------------------------------------------------------------------ who may
def test_everyone_of_the_project_reads_and_a_reader_gets_no_actions(
    opened: Evaluation, owner: User, member: User, reader: User, client_of: Clients
) -> None:
    pages = [_body(client_of(user).get(opened.get_absolute_url())) for user in (owner, member, reader)]

    assert ["Pause" in page for page in pages] == [True, True, False]
    assert all("Which model serves Support agent better than aurora-large?" in page for page in pages)


def test_a_stranger_finds_nothing_and_a_visitor_is_asked_to_sign_in(
    opened: Evaluation, stranger: User, client_of: Clients
) -> None:
    for address in (_list(opened.project), _new(opened.project), opened.get_absolute_url()):
        assert client_of(stranger).get(address).status_code == 404
        assert Client().get(address).status_code == 302


def test_a_reader_may_not_start_pause_resume_or_cancel(opened: Evaluation, reader: User, client_of: Clients) -> None:
    client = client_of(reader)

    assert client.get(_new(opened.project)).status_code == 403
    assert client.post(_new(opened.project), {"limit": 10}).status_code == 403
    for action in ("pause", "resume", "cancel"):
        assert client.post(f"{opened.get_absolute_url()}{action}/").status_code == 403
    opened.refresh_from_db()
    assert opened.state == State.QUEUED


# ------------------------------------------------------------------------------------------------ list
def test_an_empty_list_offers_the_first_evaluation_to_those_who_may_start_it(
    project: Project, member: User, reader: User, client_of: Clients
) -> None:
    offered = _body(client_of(member).get(_list(project)))

    assert "A run replays calls you already had on other models" in offered
    assert _new(project) in offered
    assert _new(project) not in _body(client_of(reader).get(_list(project)))


def test_the_list_says_state_result_and_spend(opened: Evaluation, reader: User, client_of: Clients) -> None:
    _in_state(opened, State.AT_CAP, "Stopped at the cap: $1.00 of $1.00 are spent.")

    page = _body(client_of(reader).get(_list(opened.project)))

    assert "stopped at the cap" in page
    assert "Stopped at the cap: $1.00 of $1.00 are spent." in page
    assert opened.get_absolute_url() in page
    assert "every 5s" not in page  # nothing runs


def test_the_list_pages_by_number(opened: Evaluation, reader: User, client_of: Clients) -> None:
    client = client_of(reader)

    assert opened.get_absolute_url() not in _body(client.get(_list(opened.project), {"before": opened.number}))
    assert opened.get_absolute_url() in _body(client.get(_list(opened.project), {"before": "nonsense"}))


# ------------------------------------------------------------------------------------------------ one evaluation
@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_a_page_that_runs_asks_for_its_moving_part_every_two_seconds(
    opened: Evaluation, reader: User, client_of: Clients, state: str
) -> None:
    page = _body(client_of(reader).get(_in_state(opened, state)))

    assert 'hx-trigger="every 2s"' in page
    assert f'hx-get="{opened.get_absolute_url()}?looks=0"' in page
    assert "Progress" in page
    assert "of at most" in page


def test_the_part_is_a_fragment_and_a_plain_visit_the_whole_page(
    opened: Evaluation, reader: User, client_of: Clients
) -> None:
    client, address = client_of(reader), _in_state(opened, State.RUNNING)

    part, whole = client.get(address, headers=HTMX), client.get(address)

    assert "<html" not in _body(part)
    assert 'id="live"' in _body(part)
    assert 'hx-swap-oob="true"' in _body(part)
    assert "<html" in _body(whole)
    assert "hx-swap-oob" not in _body(whole)
    assert "HX-Request" in part["Vary"]
    assert "HX-Request" in whole["Vary"]


def test_checks_of_the_candidate_being_tried_stand_beside_its_looks(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))
    opened.candidates.filter(position=1).update(state="trying")
    opened.project.evaluations.update(outcome=None)

    page = _body(client_of(reader).get(_in_state(opened, State.RUNNING)))

    last = opened.looks.order_by("-prompts")[0]
    assert f"corvus-medium against aurora-large, {last.prompts} fresh prompts" in page
    assert page.count(">not shown yet<") + page.count(">shown<") + page.count(">fails<") == len(last.conditions)
    assert "What is the margin?" in page


def test_a_figure_is_sent_again_only_after_a_new_look(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))
    client, address = client_of(reader), _in_state(opened, State.RUNNING)

    fresh = client.get(address, {"looks": "0"}, headers=HTMX)
    known = client.get(address, {"looks": str(opened.looks.count())}, headers=HTMX)

    assert 'data-figure="looks"' in _body(fresh)
    assert 'data-figure="looks"' not in _body(known)
    assert 'class="range' in _body(known)


@pytest.mark.parametrize("state", [State.PAUSED, State.AT_CAP, State.DONE, State.FAILED, State.CANCELLED])
def test_polling_ends_when_the_run_does(opened: Evaluation, reader: User, client_of: Clients, state: str) -> None:
    part = client_of(reader).get(_in_state(opened, state), headers=HTMX)

    assert "hx-trigger" not in _body(part)
    assert part["HX-Refresh"] == "true"


@pytest.mark.parametrize(
    ("state", "there", "absent"),
    [
        (State.PAUSED, ["Resume", "Cancel", "Nothing is sent while it is paused"], ["Pause<"]),
        (State.AT_CAP, ["Resume with this cap", "Cancel", "with a higher cap it goes on"], ["Pause<"]),
        (State.FAILED, ["Resume", "once the cause is mended"], ["Pause<"]),
        (State.CANCELLED, ["It was cancelled"], ["Resume", "Pause<", "Cancel<"]),
    ],
)
def test_a_page_that_stands_still_says_why_and_offers_the_way_on(
    opened: Evaluation, member: User, client_of: Clients, state: str, there: list[str], absent: list[str]
) -> None:
    page = _body(client_of(member).get(_in_state(opened, state)))

    assert [text for text in there if text not in page] == []
    assert [text for text in absent if text in page] == []


def test_a_finished_page_says_what_came_out_with_figures_and_tables(
    opened: Evaluation, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    done = studies.run_to_end(opened, studies.connect(opened.project, sandbox.url))

    page = _body(client_of(reader).get(done.get_absolute_url()))

    assert done.state == State.DONE
    assert "What came out" in page
    assert reverse("recommendations:list", args=[done.project.slug]) in page
    assert 'data-figure="looks"' in page
    assert "Bound that decides" in page
    assert "corvus-medium against aurora-large" in page
    assert "saves" in page
    assert "every 2s" not in page
    outcome = done.outcome or {}
    assert (outcome["next_step"] is None) == bool(outcome["recommended"])
    assert ("Next step</dt>" in page) == (not outcome["recommended"])
    assert "a month (" in page  # what it would save
    told = client_of(reader).get(f"/api/v1/evaluations/{done.project.slug}/{done.number}").json()["outcome"]
    assert told["next_step"] == outcome["next_step"]
    assert told["saving"]["low_usd"] <= told["saving"]["saving_usd"] <= told["saving"]["high_usd"]


def test_models_left_out_stand_there_with_their_reasons(
    ready: Project, sandbox: Sandbox, reader: User, client_of: Clients
) -> None:
    projects.change_project(ready, {"banned_models": ["corvus-medium"]}, by=None)
    ready.refresh_from_db()
    evaluation = studies.open_study(ready, studies.connect(ready, sandbox.url), rubrics=["correctness"], limit=30)

    page = _body(client_of(reader).get(evaluation.get_absolute_url()))

    assert "The project bans it." in page
    assert "in order of expected cost" in page
    assert "Selection version 3" in page
    assert f"/api/v1/evaluations/{ready.slug}/{evaluation.number}" in page
    assert "No candidate was left to try" in page


def test_hostile_messages_are_text(opened: Evaluation, reader: User, client_of: Clients) -> None:
    page = _body(client_of(reader).get(_in_state(opened, State.FAILED, HOSTILE)))

    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_unknown_number_is_not_found(ready: Project, reader: User, client_of: Clients) -> None:
    assert client_of(reader).get(reverse("evaluation:detail", args=[ready.slug, 99])).status_code == 404


# ------------------------------------------------------------------------------------------------ actions
def test_a_member_pauses_and_cancels(opened: Evaluation, member: User, client_of: Clients) -> None:
    client = client_of(member)

    paused = client.post(f"{opened.get_absolute_url()}pause/", follow=True)
    cancelled = client.post(f"{opened.get_absolute_url()}cancel/", follow=True)
    again = client.post(f"{opened.get_absolute_url()}cancel/")

    assert "Paused." in _body(paused)
    assert "Cancelled." in _body(cancelled)
    assert again.status_code == 409


@pytest.mark.parametrize("given", ["", "0.5", "a lot"])
def test_resuming_at_the_cap_needs_a_higher_one(
    opened: Evaluation, member: User, client_of: Clients, given: str
) -> None:
    opened.project.evaluations.update(cap_nanousd=1_000_000_000)
    address = _in_state(opened, State.AT_CAP)

    answer = client_of(member).post(f"{address}resume/", {"max_cost_usd": given})

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in _body(answer)
    opened.refresh_from_db()
    assert opened.state == State.AT_CAP


def test_resuming_with_a_higher_cap_goes_on(opened: Evaluation, member: User, client_of: Clients) -> None:
    opened.project.evaluations.update(cap_nanousd=1_000)

    answer = client_of(member).post(f"{_in_state(opened, State.AT_CAP)}resume/", {"max_cost_usd": "5"})

    assert answer["Location"] == opened.get_absolute_url()
    opened.refresh_from_db()
    assert opened.cap_nanousd == 5_000_000_000
    assert opened.state == State.DONE  # the tests' queue runs a job where it is started


# ------------------------------------------------------------------------------------------------ a new one
def test_the_form_shows_models_prices_reasons_and_what_it_takes(
    ready: Project, member: User, client_of: Clients
) -> None:
    page = _body(client_of(member).get(_new(ready)))

    assert 'value="corvus-medium"' in page
    assert "a judge must not score its own answers" in page
    assert "Start, at most $" in page
    assert "can be replayed" in page
    assert "through your gateway" in page
    assert "Tokens" in page
    assert "in order of expected cost" in page
    assert not ready.evaluations.exists()


def test_a_change_gets_only_the_summary_and_a_copied_address_the_page(
    ready: Project, member: User, client_of: Clients
) -> None:
    client = client_of(member)
    asked = {"candidates": ["corvus-medium"], "suggested": ["aurora-mini"], "sample": "10", "max_cost_usd": "3"}

    part, whole = client.get(_new(ready), asked, headers=HTMX), client.get(_new(ready), asked)

    assert "<html" not in _body(part)
    assert "Start, at most $3.00" in _body(part)
    assert "Start, at most $3.00" in _body(whole)
    assert "<html" in _body(whole)
    assert "HX-Request" in part["Vary"]


def test_a_link_may_name_the_use_case_and_the_model_and_leaves_the_rest_as_usual(
    ready: Project, member: User, client_of: Clients
) -> None:
    usecases.refresh(ready, now=timezone.now())
    name = ready.use_cases.order_by("pk").values_list("name", flat=True)[0]
    client = client_of(member)

    page = _body(client.get(_new(ready), {"use_case": name, "baseline": "aurora-large"}))
    unknown = _body(client.get(_new(ready), {"baseline": "nope"}))
    client.post(_new(ready), {"use_case": name, "limit": "5"})

    assert f'<option value="{name}" selected>' in page
    assert 'value="100"' in page  # the sample size of the project
    assert "Start, at most $" in page
    assert "No call of nope is logged." in unknown
    assert ready.evaluations.get().use_case == name


def test_an_evaluation_of_one_version_of_the_prompt_says_so_wherever_its_scope_stands(
    ready: Project, member: User, client_of: Clients
) -> None:
    client, url = client_of(member), f"/api/v1/evaluations/{ready.slug}"
    version = ready.logs.exclude(prompt_version="").values_list("prompt_version", flat=True)[0]

    page, unknown = (_body(client.get(_new(ready), {"prompt_version": name})) for name in (version, "nope"))
    client.post(_new(ready), {"prompt_version": version, "limit": "5"})
    made = ready.evaluations.get()
    asked = {"project": ready.slug, "prompt_version": "nope"}
    refused = client.post("/api/v1/evaluations", asked, content_type="application/json")

    assert f'value="{version}"' in page
    assert "No call of prompt version nope is logged." in unknown
    assert f"Expected one of: {version}." in unknown
    assert f'href="{_new(ready)}">Choose again' in unknown
    assert (made.prompt_version, made.population["prompt_version"]) == (version, version)
    assert f"of prompt version {version}, started by" in _body(client.get(made.get_absolute_url()))
    assert f", prompt version {version}" in _body(client.get(reverse("evaluation:list", args=[ready.slug])))
    assert client.get(url).json()["items"][0]["prompt_version"] == version
    assert (refused.status_code, list(refused.json()["error"]["fields"])) == (400, ["prompt_version"])


def test_starting_opens_what_was_chosen_and_leads_to_its_page(ready: Project, member: User, client_of: Clients) -> None:
    asked = {"candidates": ["corvus-medium"], "suggested": ["aurora-mini"], "limit": "10", "seed": "3",
             "max_cost_usd": "3"}  # fmt: skip

    answer = client_of(member).post(_new(ready), asked)

    evaluation = ready.evaluations.get()
    kept = evaluation.candidates.filter(position__gt=0).values_list("offer__name", flat=True)
    assert answer["Location"] == evaluation.get_absolute_url()
    assert list(kept) == ["corvus-medium"]
    assert (evaluation.limit, evaluation.seed, evaluation.cap_nanousd) == (10, 3, 3_000_000_000)
    assert evaluation.created_by == member


def test_the_products_own_choice_stays_its_own(ready: Project, member: User, client_of: Clients) -> None:
    names = ["corvus-medium", "aurora-mini"]

    client_of(member).post(_new(ready), {"candidates": names, "suggested": names, "limit": "10"})

    assert ready.evaluations.get().candidates.filter(state="pruned").exists()  # chosen anew from all models


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"candidates": ["nope"]}, "No such model: nope."),
        ({"suggested": ["corvus-medium"]}, "Name at least one candidate."),
        ({"sample": "0"}, "greater than or equal to 1"),
        ({"max_cost_usd": "-1"}, "greater than or equal to 0"),
    ],
)
def test_what_makes_no_sense_is_said_and_starts_nothing(
    ready: Project, member: User, client_of: Clients, asked: dict[str, object], said: str
) -> None:
    answer = client_of(member).post(_new(ready), asked)

    assert answer.status_code == 422
    assert said in _body(answer)
    assert not ready.evaluations.exists()


def test_a_request_without_any_field_is_the_default_one_and_needs_a_gateway(
    project: Project, member: User, client_of: Clients
) -> None:
    answer = client_of(member).post(_new(project))

    assert answer.status_code == 422
    assert "No gateway is set" in _body(answer)


def test_hostile_model_names_are_text(ready: Project, member: User, client_of: Clients) -> None:
    loader.learn([GatewayModel(HOSTILE, "nobody", HOSTILE)], ready)

    page = _body(client_of(member).get(_new(ready)))

    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_without_logs_the_form_gives_way_to_the_way_out(
    project: Project, sandbox: Sandbox, member: User, client_of: Clients
) -> None:
    studies.connect(project, sandbox.url)
    services.set_judges(project, [studies.JUDGE])

    page = _body(client_of(member).get(_new(project)))

    assert "There are no calls to replay yet" in page
    assert reverse("ingestion:logs", args=[project.slug]) in page
    assert "Start, at most" not in page


def test_without_a_gateway_judges_or_prompts_the_way_out_is_in_the_settings(
    ready: Project, owner: User, member: User, client_of: Clients
) -> None:
    client, way_out = client_of(member), reverse("projects:settings", args=[ready.slug])
    services.set_judges(ready, [])
    no_judges = _body(client.get(_new(ready)))
    ready.connection.__class__.objects.filter(project=ready).update(base_url="")
    no_gateway = _body(client.get(_new(ready)))
    hashed = projects.create_project("Hashed", owner=owner, privacy=Privacy.HASHED)
    projects.connect(hashed, by=None, base_url="http://127.0.0.1:9/v1", api_key="key")
    nothing = _body(client_of(owner).get(_new(hashed)))

    assert "No judge is set" in no_judges
    assert "No gateway is set" in no_gateway
    assert "Nothing can be replayed here" in nothing
    assert all(way_out in page for page in (no_judges, no_gateway))


def test_the_retirement_of_the_model_in_production_is_a_reason(
    ready: Project, sandbox: Sandbox, member: User, client_of: Clients
) -> None:
    studies.connect(ready, sandbox.url)
    production = ready.logs.values_list("model", flat=True)[0]
    on = timezone.now().date() + timedelta(days=41)
    ready.offers.filter(model=production).update(retires_on=on)

    page = _body(client_of(member).get(_new(ready)))

    assert f"{production}, in production, retires on" in page
    assert "in 41 days" in page
    assert "a reason to evaluate now" in page


def test_a_gateway_that_is_down_is_a_notice(
    ready: Project, member: User, client_of: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "DEADLINE_S", 0.5)
    projects.connect(ready, by=None, base_url="http://127.0.0.1:9/v1")
    client = client_of(member)

    shown, refused = client.get(_new(ready)), client.post(_new(ready), {"limit": "10"})

    assert shown.status_code == 200
    assert "The gateway cannot be asked now" in _body(shown)
    assert "Try again" in _body(shown)
    assert refused.status_code == 422
    assert not ready.evaluations.exists()


def test_pages_do_not_load_what_only_work_in_the_background_needs() -> None:
    heavy = "{'numpy', 'scipy', 'pandas', 'aiohttp', 'portkey_ai', 'plotly'}"
    code = f"import django, sys; django.setup(); import evaluation.urls; print(sorted({heavy} & set(sys.modules)))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"


def test_the_same_choice_again_is_no_choice() -> None:
    from evaluation.forms import chosen

    assert chosen(["b", "a"], suggested=["a", "b"]) is None
    assert chosen([], suggested=[]) is None
    assert chosen([], suggested=["a"]) == ()
    assert chosen(["a", "a", "c"], suggested=["a"]) == ("a", "c")


def test_prices_keep_the_digits_they_have() -> None:
    # nano-dollars per million tokens
    assert proposals._prices(150_000_000, 37_500_000) == "0.15 / 0.0375"
    assert proposals._prices(24_000_000_000, 1_250_000_000) == "24.00 / 1.25"
    assert proposals._prices(None, 1) == ""
