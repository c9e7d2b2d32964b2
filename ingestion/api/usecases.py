"""Use cases over HTTP: read them, name, merge and split them, find them anew."""

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import WINDOW_PARAMETERS, body_of
from ingestion import portraits, selectors, usecases
from ingestion.models import UseCase
from ingestion.serializers.usecases import MergeIn, NameIn, RefreshIn, UseCaseDetailOut, UseCasesOut
from ingestion.values import LogFilter
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role


class UseCasesView(ProjectView):
    """The kinds of requests that an agent gets."""

    @extend_schema(operation_id="list_use_cases", parameters=WINDOW_PARAMETERS, responses=UseCasesOut)
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        window = selectors.read_filter(request.query_params)
        state = portraits.state(project)
        body = {
            "items": portraits.portraits(project, window.since, window.until),
            "refused": state.refused,
            "calls_behind": state.behind,
            "sample": state.n_texts,
        }
        return Response(UseCasesOut(body).data)


class RefreshView(ProjectView):
    """Assign new calls in the background, or find the use cases anew."""

    @extend_schema(operation_id="refresh_use_cases", request=RefreshIn, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.MEMBER)
        return accepted(usecases.start(project, refit=body_of(RefreshIn, request)["refit"], by=self.person))


class _OneView(ProjectView):
    """What addresses one use case."""

    def use_case(self, role: Role = Role.READER) -> UseCase:
        return usecases.numbered(self.project(role), self.kwargs["number"])

    def shown(self, use_case: UseCase, window: LogFilter | None = None) -> Response:
        """A use case as it stands now."""
        since, until = (window.since, window.until) if window else (None, None)
        found = portraits.portrait(use_case.project, use_case, since, until)
        found.use_case = use_case
        body = UseCaseDetailOut(_Detail(found, use_case)).data
        return Response(body)


class _Detail:
    """A portrait with what stands around it."""

    def __init__(self, portrait: portraits.Portrait, use_case: UseCase) -> None:
        self._portrait = portrait
        self.merged_into = use_case.merged_into.number if use_case.merged_into else None
        self.split_from = use_case.split_from.number if use_case.split_from else None
        self.is_found = use_case.retired_at is None
        self.merged = list(use_case.merged.order_by("number"))
        self.examples = portraits.examples(use_case.project, use_case)

    def __getattr__(self, name: str) -> object:
        return getattr(self._portrait, name)

    def at(self, measure: str, quantile: float) -> int | None:
        return self._portrait.at(measure, quantile)


class UseCaseView(_OneView):
    """One use case: its figures, examples and name."""

    @extend_schema(operation_id="get_use_case", parameters=WINDOW_PARAMETERS, responses=UseCaseDetailOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        return self.shown(self.use_case(), selectors.read_filter(request.query_params))

    @extend_schema(operation_id="rename_use_case", request=NameIn, responses=UseCaseDetailOut)
    def patch(self, request: Request, project_id: str, number: int) -> Response:
        use_case = self.use_case(Role.MEMBER)
        return self.shown(usecases.rename(use_case, body_of(NameIn, request)["name"], by=self.person))


class MergeView(_OneView):
    """Let one use case stand for others."""

    @extend_schema(operation_id="merge_use_cases", request=MergeIn, responses=UseCaseDetailOut)
    def post(self, request: Request, project_id: str, number: int) -> Response:
        use_case = self.use_case(Role.MEMBER)
        others = [usecases.numbered(use_case.project, one) for one in body_of(MergeIn, request)["numbers"]]
        return self.shown(usecases.merge(use_case, others, by=self.person))


class TakeOutView(_OneView):
    """Undo a merge."""

    @extend_schema(operation_id="take_out_use_case", request=None, responses=UseCaseDetailOut)
    def post(self, request: Request, project_id: str, number: int) -> Response:
        return self.shown(usecases.take_out(self.use_case(Role.MEMBER), by=self.person))


class SplitView(_OneView):
    """Cut a use case in two by what its calls ask; merging the two undoes it."""

    @extend_schema(operation_id="split_use_case", request=None, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str, number: int) -> Response:
        return accepted(usecases.split(self.use_case(Role.MEMBER), by=self.person))


_ALL = "projects/<slug:project_id>/use-cases"
_ONE = f"{_ALL}/<int:number>"
urlpatterns: list[URLPattern] = [
    path(_ALL, UseCasesView.as_view(), name="api-use-cases"),
    path(f"{_ALL}/refresh", RefreshView.as_view(), name="api-use-cases-refresh"),
    path(_ONE, UseCaseView.as_view(), name="api-use-case"),
    path(f"{_ONE}/merge", MergeView.as_view(), name="api-use-case-merge"),
    path(f"{_ONE}/take-out", TakeOutView.as_view(), name="api-use-case-take-out"),
    path(f"{_ONE}/split", SplitView.as_view(), name="api-use-case-split"),
]
