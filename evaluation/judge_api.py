"""Judges over HTTP: the library and its versions, own judges and their dry run, rules, the panel of an evaluation."""

from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import body_of
from evaluation import bearing, dry_run, library, selectors
from evaluation.judge_serializers import (
    DryRunOut,
    EditionOut,
    LibraryEntryOut,
    OwnJudgeIn,
    PanelOut,
    RuleIn,
)
from evaluation.library import OwnJudge
from ingestion.gateway import open_gateway
from projects.endpoints import ProjectView
from projects.models import Project, Role


def _entry(project: Project, name: str) -> Response:
    found = next(entry for entry in library.entries(project) if entry.name == name)
    return Response(LibraryEntryOut(found).data)


class JudgeLibraryView(ProjectView):
    """Every judge and rule of a project."""

    @extend_schema(operation_id="list_judge_library", responses=LibraryEntryOut(many=True))
    def get(self, request: Request, project_id: str) -> Response:
        return Response(LibraryEntryOut(library.entries(self.project()), many=True).data)

    @extend_schema(operation_id="save_own_judge", request=OwnJudgeIn, responses=LibraryEntryOut)
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        wanted = _wanted(request)
        library.save_own(project, wanted, by=self.person)
        return _entry(project, wanted.name)


class JudgeDryRunView(ProjectView):
    """An own judge on five logged answers; nothing is stored but what it cost."""

    @extend_schema(operation_id="try_own_judge", request=OwnJudgeIn, responses=DryRunOut)
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        wanted, gateway = _wanted(request), open_gateway(project.connection)
        return Response(DryRunOut(dry_run.run(project, wanted, gateway=gateway, now=timezone.now)).data)


def _wanted(request: Request) -> OwnJudge:
    return OwnJudge(**body_of(OwnJudgeIn, request))


class JudgeVersionsView(ProjectView):
    """Versions of a judge or rule, the newest first."""

    @extend_schema(operation_id="list_judge_versions", responses=EditionOut(many=True))
    def get(self, request: Request, project_id: str, name: str) -> Response:
        return Response(EditionOut(library.history(self.project(), name), many=True).data)


class RuleView(ProjectView):
    """A rule of a project."""

    @extend_schema(operation_id="set_rule", request=RuleIn, responses=LibraryEntryOut)
    def put(self, request: Request, project_id: str, name: str) -> Response:
        project = self.project(Role.OWNER)
        given = body_of(RuleIn, request)
        library.set_rule(
            project, name, given.get("settings") or {}, counts_as=given["counts_as"], margin=given.get("margin"),
            by=self.person,
        )  # fmt: skip
        return _entry(project, name)


class JudgeRetireView(ProjectView):
    """Take an own judge or a rule out of force."""

    @extend_schema(operation_id="retire_judge", request=None, responses=LibraryEntryOut)
    def post(self, request: Request, project_id: str, name: str) -> Response:
        project = self.project(Role.OWNER)
        library.retire(project, name, by=self.person)
        return _entry(project, name)


class EvaluationPanelView(ProjectView):
    """Who judged an evaluation."""

    @extend_schema(operation_id="get_evaluation_panel", responses=PanelOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        found = bearing.read(selectors.named(self.project(), number))
        alpha = found.together.alpha
        whole = {
            **vars(found),
            "spreads": [{"model": name, "spread": spread} for name, spread in found.spreads],
            "alpha": alpha.value if alpha is not None else None,
        }
        return Response(PanelOut(whole).data)


_JUDGES = "projects/<slug:project_id>/judges"
urlpatterns: list[URLPattern] = [
    path(f"{_JUDGES}/library", JudgeLibraryView.as_view(), name="api-judge-library"),
    path(f"{_JUDGES}/dry-run", JudgeDryRunView.as_view(), name="api-judge-dry-run"),
    path(f"{_JUDGES}/library/<slug:name>/versions", JudgeVersionsView.as_view(), name="api-judge-versions"),
    path(f"{_JUDGES}/library/<slug:name>/retire", JudgeRetireView.as_view(), name="api-judge-retire"),
    path(f"{_JUDGES}/rules/<slug:name>", RuleView.as_view(), name="api-judge-rule"),
    path(
        "evaluations/<slug:project_id>/<int:number>/judges", EvaluationPanelView.as_view(), name="api-evaluation-panel"
    ),
]
