"""Labels of people, the queue and the accuracy cards over HTTP."""

from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, body_of, page_of, page_schema, paging
from agentopt.lib.errors import Invalid
from evaluation import accuracy, anchors, labels, selectors
from evaluation.models import HumanLabel
from evaluation.people_serializers import AccuracyOut, JudgeChangesOut, LabelOut, LabelsIn, QueueOut
from evaluation.statistics import fitness, labeling
from projects import jobs
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role

_QUEUE = 100


class LabelsView(ProjectView):
    """What people said of answers."""

    @extend_schema(operation_id="list_labels", parameters=PAGE_PARAMETERS, responses=page_schema("LabelPage", LabelOut))
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        rows = self.project().labels.select_related("replay__sample__evaluation", "replay__candidate__offer")
        page = page_of(rows, key="pk", after=after, limit=limit)
        return Response({"items": LabelOut(page.rows, many=True).data, "next": page.next})

    @extend_schema(operation_id="add_labels", request=LabelsIn, responses={201: LabelOut(many=True)})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.MEMBER)
        given = body_of(LabelsIn, request)
        rater = given.get("rater") or (labels.rater_of(self.person) if self.person else "")
        if not rater:
            raise Invalid("A token is no person: say who labeled.", fields={"rater": "Expected a name."})
        said = [
            labels.Said(row, one["score"], one["harmful"])
            for row, one in zip(labels.find(project, given["labels"]), given["labels"], strict=True)
        ]
        rows = labels.add(project, said, rater=rater, source=HumanLabel.Source.API, blind=given["blind"])
        return Response(LabelOut(rows, many=True).data, status=201)


class LabelQueueView(ProjectView):
    """Which cases of an evaluation should be labeled next."""

    @extend_schema(operation_id="label_queue", responses=QueueOut)
    def get(self, request: Request, project_id: str, number: int) -> Response:
        evaluation = selectors.named(self.project(), number)
        rater = labels.rater_of(self.person) if self.person else ""
        queue = labels.queue(evaluation, rater)
        left = [pair.position for pair in queue.order if rater not in queue.by_pair[pair.key]]
        found = {
            "evaluation": evaluation.number,
            "model": queue.candidate.offer.name,
            "criterion": labeling.CRITERION,
            "pairs": len(queue.order),
            "labeled": queue.done,
            "shared": queue.shared,
            "next": left[:_QUEUE],
        }
        return Response(QueueOut(found).data)


class AccuracyView(ProjectView):
    """How far each judge agrees with people."""

    @extend_schema(operation_id="judge_accuracy", responses=AccuracyOut)
    def get(self, request: Request, project_id: str) -> Response:
        found = accuracy.report(self.project())
        return Response(AccuracyOut({"rule": fitness.RULE, "cards": found.cards, "people": found.people}).data)


class JudgeChangesView(ProjectView):
    """When the judges changed, and what that did to scores."""

    @extend_schema(operation_id="judge_changes", responses=JudgeChangesOut)
    def get(self, request: Request, project_id: str) -> Response:
        project = self.project()
        found = {
            "anchors": project.anchors.count(),
            "lacking": len(anchors.lacking(project)),
            "changes": anchors.changes(project),
        }
        return Response(JudgeChangesOut(found).data)

    @extend_schema(operation_id="judge_anchors", request=None, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str) -> Response:
        """Have the judges in use score the fixed set."""
        project = self.project(Role.MEMBER)
        anchors.check(project)
        return accepted(jobs.start("anchors", project, by=self.person))


urlpatterns: list[URLPattern] = [
    path("projects/<slug:project_id>/labels", LabelsView.as_view(), name="api-labels"),
    path("projects/<slug:project_id>/judges/changes", JudgeChangesView.as_view(), name="api-judge-changes"),
    path("projects/<slug:project_id>/judges/accuracy", AccuracyView.as_view(), name="api-judge-accuracy"),
    path(
        "evaluations/<slug:project_id>/<int:number>/label-queue", LabelQueueView.as_view(), name="api-label-queue"
    ),
]  # fmt: skip
