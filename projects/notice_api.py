"""Channels of notices over HTTP, and the log of what arrived."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from agentopt.lib.drf import PAGE_PARAMETERS, Given, body_of, page_body, page_of, page_schema, paging
from projects import selectors
from projects.endpoints import ProjectView
from projects.models import Channel, NoticeDelivery, Role
from projects.notifications import addresses, outbox
from projects.notifications.kinds import WHEN

_Out = serializers.Serializer[Any]


def _wants(**options: Any) -> serializers.DictField:
    return serializers.DictField(child=serializers.ChoiceField(choices=list(WHEN.items())), **options)


class ChannelOut(_Out):
    """A channel; the address of a webhook is a secret, so only its host and last letters are shown."""

    id = serializers.IntegerField()
    form = serializers.ChoiceField(choices=Channel.Form.choices)
    name = serializers.CharField()
    to = serializers.SerializerMethodField()
    enabled = serializers.BooleanField()
    wants = serializers.SerializerMethodField(help_text="{kind: now, digest or off}")
    quiet_from = serializers.TimeField(allow_null=True)
    quiet_until = serializers.TimeField(allow_null=True)
    timezone = serializers.CharField(help_text="of the quiet hours")
    failing_since = serializers.DateTimeField(allow_null=True)

    def get_to(self, row: Channel) -> str:
        return addresses.where(row)

    def get_wants(self, row: Channel) -> dict[str, str]:
        return addresses.choices_of(row)


class NewChannelOut(ChannelOut):
    """A channel just made; `secret` signs what is sent to a signed webhook, and is shown this once."""

    secret = serializers.CharField(help_text="empty for other channels")


class ChannelSecretOut(_Out):
    """A new key of a signed webhook, shown this once."""

    secret = serializers.CharField()


class _ChannelIn(Given):
    name = serializers.CharField(max_length=80)
    address = serializers.CharField(max_length=490, write_only=True)
    enabled = serializers.BooleanField(required=False)
    wants = _wants(required=False)
    quiet_from = serializers.TimeField(required=False, allow_null=True)
    quiet_until = serializers.TimeField(required=False, allow_null=True)
    timezone = serializers.CharField(max_length=64, required=False)


class ChannelIn(_ChannelIn):
    """A new channel."""

    form = serializers.ChoiceField(choices=Channel.Form.choices)


class ChannelChangeIn(_ChannelIn):
    """What changes; absent fields stay."""

    name = serializers.CharField(max_length=80, required=False)
    address = serializers.CharField(max_length=490, required=False, write_only=True)


class NoticeDeliveryOut(_Out):
    """A notice on its way to a channel."""

    id = serializers.IntegerField()
    kind = serializers.CharField(source="notice.kind")
    sentence = serializers.CharField(source="notice.context.sentence", default="")
    channel = serializers.CharField(source="channel_name")
    state = serializers.ChoiceField(choices=NoticeDelivery.State.choices)
    attempts = serializers.IntegerField()
    error = serializers.CharField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)


class _ChannelView(ProjectView):
    def _channel(self, pk: int) -> Channel:
        channel: Channel = get_object_or_404(self.project(Role.OWNER).channels.select_related("project"), pk=pk)
        return channel


class ChannelsView(ProjectView):
    """Where a project's notices go; an answer that holds a key is not kept for repeats."""

    keeps_answer = False

    @extend_schema(
        operation_id="list_channels", parameters=PAGE_PARAMETERS, responses=page_schema("ChannelPage", ChannelOut)
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        page = page_of(selectors.channels_of(self.project(Role.OWNER)), key="pk", after=after, limit=limit)
        return Response(page_body(page, ChannelOut))

    @extend_schema(operation_id="add_channel", request=ChannelIn, responses={201: NewChannelOut})
    def post(self, request: Request, project_id: str) -> Response:
        project = self.project(Role.OWNER)
        added = addresses.add(project, by=self.person, **body_of(ChannelIn, request))
        return Response({**ChannelOut(added.channel).data, "secret": added.secret}, status=201)


class ChannelView(_ChannelView):
    """One channel."""

    @extend_schema(operation_id="change_channel", request=ChannelChangeIn, responses=ChannelOut)
    def patch(self, request: Request, project_id: str, pk: int) -> Response:
        channel = self._channel(pk)
        return Response(ChannelOut(addresses.change(channel, body_of(ChannelChangeIn, request), by=self.person)).data)

    @extend_schema(operation_id="remove_channel", responses={204: None})
    def delete(self, request: Request, project_id: str, pk: int) -> Response:
        addresses.remove(self._channel(pk), by=self.person)
        return Response(status=204)


class ChannelTestView(_ChannelView):
    """Send a test notice here and now."""

    @extend_schema(operation_id="test_channel", request=None, responses=NoticeDeliveryOut)
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return Response(NoticeDeliveryOut(outbox.send_test(self._channel(pk), now=timezone.now)).data)


class ChannelSecretView(_ChannelView):
    """Give a signed webhook a new key."""

    keeps_answer = False

    @extend_schema(operation_id="renew_channel_secret", request=None, responses=ChannelSecretOut)
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        return Response({"secret": addresses.renew_secret(self._channel(pk), by=self.person)})


class NoticesView(ProjectView):
    """What was brought to the channels of a project, the newest first."""

    @extend_schema(
        operation_id="list_notices",
        parameters=PAGE_PARAMETERS,
        responses=page_schema("NoticeDeliveryPage", NoticeDeliveryOut),
    )
    def get(self, request: Request, project_id: str) -> Response:
        after, limit = paging(request)
        page = page_of(selectors.deliveries_of(self.project(Role.OWNER)), key="pk", after=after, limit=limit)
        return Response(page_body(page, NoticeDeliveryOut))


class NoticeAgainView(ProjectView):
    """Have a failed delivery tried anew."""

    @extend_schema(operation_id="resend_notice", request=None, responses={202: NoticeDeliveryOut})
    def post(self, request: Request, project_id: str, pk: int) -> Response:
        delivery = get_object_or_404(selectors.deliveries_of(self.project(Role.OWNER)), pk=pk)
        outbox.again(delivery, now=timezone.now())
        delivery.refresh_from_db()
        return Response(NoticeDeliveryOut(delivery).data, status=202)


_CHANNEL = "projects/<slug:project_id>/channels/<int:pk>"
urlpatterns: list[URLPattern] = [
    path("projects/<slug:project_id>/channels", ChannelsView.as_view(), name="api-channels"),
    path(_CHANNEL, ChannelView.as_view(), name="api-channel"),
    path(f"{_CHANNEL}/test", ChannelTestView.as_view(), name="api-channel-test"),
    path(f"{_CHANNEL}/secret", ChannelSecretView.as_view(), name="api-channel-secret"),
    path("projects/<slug:project_id>/notices", NoticesView.as_view(), name="api-notices"),
    path("projects/<slug:project_id>/notices/<int:pk>/again", NoticeAgainView.as_view(), name="api-notice-again"),
]
