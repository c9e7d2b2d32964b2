"""People of a project over HTTP: who they are, add one, change a role, take one out."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, Given, body_of, page_body, page_of, page_schema, paging
from agentopt.lib.errors import NotAllowed
from projects import people, selectors, services
from projects.endpoints import ProjectView
from projects.models import Membership, Role

_Out = serializers.Serializer[Any]


class MemberOut(_Out):
    """A person and their role in a project."""

    id = serializers.IntegerField()
    email = serializers.CharField(source="user.email")
    role = serializers.ChoiceField(choices=Role.choices)
    created_at = serializers.DateTimeField()


class NewMemberOut(MemberOut):
    """A member just added; `first_password` is shown this once, to whoever is new on this instance."""

    first_password = serializers.CharField(allow_null=True, help_text="null: the person was here already")


class MemberIn(Given):
    """A person to add."""

    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(choices=Role.choices)


class MemberRoleIn(Given):
    """Another role."""

    role = serializers.ChoiceField(choices=Role.choices)


class MembersView(ProjectView):
    """People of a project; an answer that holds a password is not kept for repeats."""

    keeps_answer = False

    @extend_schema(
        operation_id="list_members", parameters=PAGE_PARAMETERS, responses=page_schema("MemberPage", MemberOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        rows = selectors.members_of(self.project(Role.OWNER))
        return Response(page_body(page_of(rows, key="pk", after=after, limit=limit), MemberOut))

    @extend_schema(operation_id="add_member", request=MemberIn, responses={201: NewMemberOut})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        if self.person is None:
            raise NotAllowed("Only a person can add people.")
        given = body_of(MemberIn, request)
        invited = people.invite(project, given["email"], role=given["role"], by=self.person)
        told = MemberOut(invited.membership).data
        return Response({**told, "first_password": invited.first_password}, status=201)


class MemberView(ProjectView):
    """One person of a project."""

    @extend_schema(operation_id="change_member", request=MemberRoleIn, responses=MemberOut)
    def patch(self, request: Request, project_id: str, pk: int) -> Response:
        membership = self._membership(pk)
        role = Role(body_of(MemberRoleIn, request)["role"])
        return Response(MemberOut(services.change_role(membership, role, by=self.person)).data)

    @extend_schema(operation_id="remove_member", responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int) -> Response:
        services.remove_member(self._membership(pk), by=self.person)
        return Response(status=204)

    def _membership(self, pk: int) -> Membership:
        found: Membership = get_object_or_404(selectors.members_of(self.project(Role.OWNER)), pk=pk)
        return found


urlpatterns: list[URLPattern] = [
    path("projects/<slug:project_id>/members", MembersView.as_view(), name="api-members"),
    path("projects/<slug:project_id>/members/<int:pk>", MemberView.as_view(), name="api-member"),
]
