"""Pages of people's labels: one pair after the other, blind; and how far each judge agrees with them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from agentopt.lib import htmx
from agentopt.lib.errors import Conflict
from evaluation import anchors, labels, pages, people_pages, selectors
from evaluation.forms import LabelForm
from evaluation.models import Evaluation, HumanLabel
from projects import access, jobs
from projects.models import Role, User

_MOST_PASSED = 500


def _numbers(query: QueryDict, name: str) -> list[int]:
    parts = query.get(name, "").split(",")[:_MOST_PASSED]
    return [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 8]


@login_required
@require_http_methods(["GET", "POST"])
def label(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The pair that a person labels next (GET), or what they said of one (POST)."""
    project = access.project_for(request.user, slug, Role.MEMBER)
    evaluation = selectors.named(project, number)
    person = access.person(request.user)
    assert person is not None  # noqa: S101  # a page is opened by a person
    form = LabelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return htmx.redirect(request, _save(evaluation, person, form, passed=request.POST.get("passed", "")))
    asked = request.POST if request.method == "POST" else request.GET
    case, saved = _numbers(asked, "case"), _numbers(asked, "saved")
    page = people_pages.label_page(
        evaluation,
        person,
        case=case[0] if case else None,
        passed=_numbers(asked, "passed"),
        saved=saved[0] if saved else None,
        is_picked=bool(request.POST.get("picked")) if request.method == "POST" else bool(case),
    )
    context = {
        "project": project,
        "evaluation": evaluation,
        "sight": pages.heading(evaluation),
        "tab": "label",
        "page": page,
        "form": form,
    }
    return htmx.render(request, "evaluation/label.html", context, status=422 if form.errors else 200)


def _save(evaluation: Evaluation, person: User, form: LabelForm, *, passed: str) -> str:
    """Store what a person said of both answers; returns the address of the next pair."""
    rater, said = labels.rater_of(person), form.cleaned_data
    pair = labels.pair_at(evaluation, said["case"])
    left, right = people_pages.sides(rater, pair)
    rows = {row.pk: row for row in labels.answers_of(pair)}
    if said["pair"] != pair.token:  # another candidate leads by now: the scores would go to the wrong answers
        raise Conflict("This pair is no longer the one that you saw. Open the queue again.")
    labels.add(
        evaluation.project,
        [
            labels.Said(rows[left], said["left_score"], said["left_harmful"]),
            labels.Said(rows[right], said["right_score"], said["right_harmful"]),
        ],
        rater=rater,
        source=HumanLabel.Source.PAGE,
        blind=not said["picked"],
        left=left,
    )
    query = urlencode({name: value for name, value in (("saved", pair.position), ("passed", passed)) if value != ""})
    return f"{reverse('evaluation:label', args=[evaluation.project.slug, evaluation.number])}?{query}"


@login_required
@require_GET
def accuracy(request: HttpRequest, slug: str) -> HttpResponse:
    """How far each judge agrees with people, and whether that makes it fit."""
    project = access.project_for(request.user, slug)
    context = {
        "project": project,
        "page": people_pages.accuracy_page(project),
        "may_work": access.may(request.user, project, Role.MEMBER),
    }
    return htmx.render(request, "evaluation/accuracy.html", context)


@login_required
@require_POST
def judge_anchors(request: HttpRequest, slug: str) -> HttpResponse:
    """Have the judges in use score the project's anchors."""
    project = access.project_for(request.user, slug, Role.MEMBER)
    anchors.check(project)
    jobs.start("anchors", project, by=access.person(request.user))
    messages.success(request, "The anchors are being judged. Reload this page in a minute.")
    return htmx.redirect(request, "evaluation:accuracy", slug)
