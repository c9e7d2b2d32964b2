"""Cases of an evaluation over HTTP: where a candidate got worse, and the answers themselves."""

from collections.abc import Sequence
from typing import Any

from django.urls import URLPattern, path, reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.errors import Invalid
from evaluation import asked, cases, selectors
from evaluation.case_serializers import AskedOut, CasesOut, OneCaseOut
from evaluation.cases import Cell, Side
from evaluation.models import Candidate, Evaluation
from projects.endpoints import ProjectView

_QUERY = [
    OpenApiParameter("candidate", str, description="gateway name; default: the recommended one, the leader, the first"),
    OpenApiParameter("show", str, enum=list(cases.SHOWN), description="kind of cases, default all"),
    OpenApiParameter("sort", str, enum=list(cases.SORTS), description="largest drop first (default), or by case"),
    OpenApiParameter("page", int, description="from 1"),
]


class CasesView(ProjectView):
    """Prompts of an evaluation with what each model made of them."""

    @extend_schema(operation_id="list_cases", parameters=_QUERY, responses=CasesOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        evaluation = selectors.named(self.project(), number)
        asked = request.query_params
        found = cases.read(evaluation)
        at = found.column(_position(found.arms, asked.get("candidate")))
        show, sort = _one_of("show", asked, cases.SHOWN), _one_of("sort", asked, cases.SORTS, default="drop")
        page = _page(asked.get("page", "1"))
        shown = found.shown(at, kind=show, sort=sort)
        items = shown[(page - 1) * cases.PAGE : page * cases.PAGE]
        more = page * cases.PAGE < len(shown)
        out = {
            "candidate": found.arms[at].offer.name if found.arms else "",
            "counts": found.counts(at) if found.arms else {},
            "reached": found.reached,
            "items": [
                {
                    "case": one.position,
                    "url": reverse("api-evaluation-case", args=[project_id, number, one.position]),
                    "log": one.record,
                    "use_case": one.use_case,
                    "preview": one.preview,
                    "models": [_cell(arm, cell) for arm, cell in zip(found.arms, one.cells, strict=True)],
                }
                for one in items
            ],
            "next": str(page + 1) if more else None,
        }
        return Response(CasesOut(out).data)


class CaseView(ProjectView):
    """One case with its answers and verdicts."""

    @extend_schema(operation_id="get_case", responses=OneCaseOut)
    def get(self, request: Request, project_id: str, number: int, position: int) -> Response:
        evaluation: Evaluation = selectors.named(self.project(), number)
        found = cases.one(evaluation, position)
        out = {
            "case": found.sample.position,
            "log": found.sample.record_id,
            "use_case": found.sample.use_case,
            "models": [_side(side) for side in found.sides],
        }
        return Response(OneCaseOut(out).data)


def _cell(arm: Candidate, cell: Cell) -> dict[str, Any]:
    return {"model": arm.offer.name, "position": arm.position, **vars(cell)}


def _side(side: Side) -> dict[str, Any]:
    answers = [*([side.shown] if side.shown else []), *side.others]
    return {**_cell(side.arm, side.cell), "answers": answers, "verdicts": side.said}


def _position(arms: Sequence[Candidate], name: str | None) -> int | None:
    if not name:
        return None
    found = next((arm.position for arm in arms if arm.position and arm.offer.name == name), None)
    if found is None:
        names = ", ".join(arm.offer.name for arm in arms if arm.position)
        raise Invalid(f"No such candidate: {name}.", fields={"candidate": f"Expected one of: {names or 'none'}."})
    return found


def _one_of(name: str, asked: Any, known: Any, *, default: str = "all") -> str:
    value = str(asked.get(name) or default)
    if value not in known:
        raise Invalid(f"No such {name}: {value}.", fields={name: f"Expected one of: {', '.join(known)}."})
    return value


def _page(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise Invalid(f"No such page: {text}.", fields={"page": "Expected a whole number from 1."})
    return int(text)


class AskedView(ProjectView):
    """How the models were asked, and what that shows."""

    @extend_schema(operation_id="get_asked", responses=AskedOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        return Response(AskedOut(asked.read(selectors.named(self.project(), number))).data)


_ONE = "evaluations/<slug:project_id>/<int:number>/cases"
urlpatterns: list[URLPattern] = [
    path("evaluations/<slug:project_id>/<int:number>/asked", AskedView.as_view(), name="api-evaluation-asked"),
    path(_ONE, CasesView.as_view(), name="api-evaluation-cases"),
    path(f"{_ONE}/<int:position>", CaseView.as_view(), name="api-evaluation-case"),
]
