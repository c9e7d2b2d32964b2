"""Steps, follow-ups, the track record, documents and links of recommendations over HTTP."""

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import body_of
from agentopt.lib.errors import NotFound
from projects.endpoints import JOB_STARTED, ProjectView, accepted
from projects.models import Role
from recommendations import reports, selectors, sharing, states, summaries, tracking, transitions
from recommendations.following_serializers import (
    FollowUpOut,
    NewShareLinkOut,
    RetellingOut,
    ShareLinkIn,
    ShareLinkOut,
    TrackRecordOut,
    TransitionsOut,
)
from recommendations.models import Recommendation


class _View(ProjectView):
    """A view of one recommendation."""

    def recommendation(self, pk: int, role: Role = Role.READER) -> Recommendation:
        rows = self.project(role).recommendations.select_related("project", "evaluation")
        found: Recommendation = get_object_or_404(rows, pk=pk)
        return found


class TransitionsView(_View):
    """The state of a recommendation, every step to it, and what may follow."""

    @extend_schema(operation_id="list_transitions", responses=TransitionsOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        recommendation = self.recommendation(pk)
        state = transitions.state_of(recommendation, now=timezone.now())
        found = {
            "state": state,
            "may_become": [one for one in states.STATES if states.may(state, one)],
            "transitions": selectors.transitions_json(recommendation),
        }
        return Response(TransitionsOut(found).data)


class FollowUpView(_View):
    """The follow-up of a recommendation: promised against realised, with every look."""

    @extend_schema(operation_id="get_follow_up", responses=FollowUpOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        found = selectors.following_json(self.recommendation(pk))
        if found is None:
            raise NotFound("No switch to the recommended model was seen in the logs, so nothing is followed.")
        return Response(FollowUpOut(found).data)


class TrackRecordView(ProjectView):
    """How acknowledged recommendations of a project fared, beside the confidence they stated."""

    @extend_schema(operation_id="get_track_record", responses=TrackRecordOut)
    def get(self, request: Request, project_id: str) -> Response:
        return Response(TrackRecordOut(tracking.as_json(tracking.record(self.project()))).data)


class MarkdownView(_View):
    """The recommendation as Markdown, without prompts."""

    @extend_schema(operation_id="get_recommendation_markdown", responses={(200, "text/markdown"): OpenApiTypes.STR})
    def get(self, request: Request, project_id: str, pk: int) -> HttpResponse:
        text = reports.markdown(selectors.document(self.recommendation(pk)))
        return HttpResponse(text, content_type="text/markdown; charset=utf-8")


class SummaryView(_View):
    """What a model wrote about a recommendation, checked; none until a person asks."""

    @extend_schema(operation_id="get_recommendation_summary", responses=RetellingOut)
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        found = selectors.summary_of(self.recommendation(pk))
        if found is None:
            raise NotFound("Nobody has asked a model to retell this recommendation.")
        return Response(RetellingOut(found).data)

    @extend_schema(operation_id="write_recommendation_summary", request=None, responses={202: JOB_STARTED})
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return accepted(summaries.ask(self.recommendation(pk, Role.MEMBER), by=self.person))


class ShareLinksView(_View):
    """Links that show a recommendation to people without an account."""

    keeps_answer = False  # the address is shown once

    @extend_schema(operation_id="list_share_links", responses=ShareLinkOut(many=True))
    def get(self, request: Request, project_id: str, pk: int) -> Response:
        links = self.recommendation(pk, Role.MEMBER).share_links.select_related("created_by").order_by("-pk")
        return Response(ShareLinkOut(links, many=True).data)

    @extend_schema(operation_id="share_recommendation", request=ShareLinkIn, responses={201: NewShareLinkOut})
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        recommendation = self.recommendation(pk, Role.MEMBER)
        given = body_of(ShareLinkIn, request)
        if given["shows_prompts"]:
            self.project(Role.OWNER)
        made = sharing.share(recommendation, by=self.person, now=timezone.now(), **given)
        url = request.build_absolute_uri(reverse("recommendations:shared", args=[made.secret]))
        return Response(NewShareLinkOut({"link": made.link, "url": url}).data, status=201)


class ShareLinkView(_View):
    """One link."""

    @extend_schema(operation_id="revoke_share_link", responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int, link: int) -> Response:
        recommendation = self.recommendation(pk, Role.MEMBER)
        found = get_object_or_404(recommendation.share_links.select_related("recommendation__project"), pk=link)
        sharing.revoke(found, by=self.person, now=timezone.now())
        return Response(status=204)


_BASE = "recommendations/<slug:project_id>"
_ONE = f"{_BASE}/<int:pk>"
urlpatterns: list[URLPattern] = [
    path(f"{_BASE}/track-record", TrackRecordView.as_view(), name="api-track-record"),
    path(f"{_ONE}/transitions", TransitionsView.as_view(), name="api-recommendation-transitions"),
    path(f"{_ONE}/follow-up", FollowUpView.as_view(), name="api-recommendation-follow-up"),
    path(f"{_ONE}/markdown", MarkdownView.as_view(), name="api-recommendation-markdown"),
    path(f"{_ONE}/summary", SummaryView.as_view(), name="api-recommendation-summary"),
    path(f"{_ONE}/share-links", ShareLinksView.as_view(), name="api-share-links"),
    path(f"{_ONE}/share-links/<int:link>", ShareLinkView.as_view(), name="api-share-link"),
]
