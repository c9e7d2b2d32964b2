"""Pages of an evaluation's cases: where it got worse, the answers beside each other, and how models were asked."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from agentopt.lib import htmx
from evaluation import asked, case_pages, pages, selectors
from evaluation.case_pages import Wanted
from evaluation.models import Evaluation
from projects import access
from projects.models import Role


@login_required
@require_GET
def listing(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Cases by how much a candidate's answer changed."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    wanted = Wanted.of(request.GET)
    page = case_pages.listing(evaluation, wanted)
    context = _frame(evaluation, f"prompt by prompt, against {page.baseline} in production") | {"page": page}
    return htmx.render(request, "evaluation/cases.html", context)


@login_required
@require_GET
def detail(request: HttpRequest, slug: str, number: int, position: int) -> HttpResponse:
    """One case, side by side."""
    project = access.project_for(request.user, slug)
    evaluation = selectors.named(project, number)
    page = case_pages.page(evaluation, position, Wanted.of(request.GET))
    context = _frame(evaluation) | {"page": page, "may_work": access.may(request.user, project, Role.MEMBER)}
    return htmx.render(request, "evaluation/case.html", context)


@login_required
@require_GET
def replay(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """How the models were asked: conditions, stability, drift of latency, tool calls, what was adapted."""
    evaluation = selectors.named(access.project_for(request.user, slug), number)
    context = _frame(evaluation, "conditions and what they show") | {"asked": asked.read(evaluation), "tab": "replay"}
    return htmx.render(request, "evaluation/replay.html", context)


def _frame(evaluation: Evaluation, question: str = "") -> dict[str, Any]:
    """What every tab shows."""
    sight = {"tone": pages.TONES[Evaluation.State(evaluation.state)], "question": question}
    return {"project": evaluation.project, "evaluation": evaluation, "sight": sight, "tab": "cases"}
