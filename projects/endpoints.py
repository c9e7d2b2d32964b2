"""What the API views of all apps share: the project in the address, repeats of a POST, and the answer of long work."""

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agentopt.lib.crypto import keyed_hash
from agentopt.lib.errors import Conflict, Invalid, TooLarge
from projects import access
from projects.models import ApiToken, IdempotencyKey, Job, Project, Role, User

_KEPT_FOR = timedelta(days=1)
_ABANDONED_AFTER = timedelta(minutes=2)


class KeyReused(Conflict):
    """The Idempotency-Key stands for another request, or one under way."""

    code = "idempotency_key_reused"


class ApiView(APIView):
    """Base of every API view; a POST honours Idempotency-Key."""

    keeps_answer: ClassVar[bool] = True  # False where the answer holds a secret

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse a large body before anything reads it."""
        super().initial(request, *args, **kwargs)
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > limit:
            raise TooLarge(f"A request may carry {limit // 2**20} MB: send smaller ones, or import a file of logs.")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "post" in cls.__dict__:
            setattr(cls, "post", _once_per_key(cls.__dict__["post"]))  # noqa: B010 — post is no attribute of APIView

    @property
    def person(self) -> User | None:
        """Who asks, for `by=`; None for a project token."""
        return access.person(self.request.user)


class ProjectView(ApiView):
    """A view whose address names a project as `project_id`, by number or slug."""

    def project(self, role: Role = Role.READER, *, scope: str | None = None) -> Project:
        """The project, or NotFound or NotAllowed, as access says."""
        return access.project_for(self.request.user, self.kwargs["project_id"], role, scope=scope)


JOB_STARTED = inline_serializer(
    "JobStarted",
    {"job": inline_serializer("JobLink", {"id": serializers.IntegerField(), "url": serializers.CharField()})},
)


def accepted(job: Job) -> Response:
    """202 with the address to poll."""
    return Response({"job": {"id": job.pk, "url": reverse("api-job", args=[job.pk])}}, status=202)


# ------------------------------------------------------------------------------------------------ repeats
def _once_per_key(post: Callable[..., Response]) -> Callable[..., Response]:
    @functools.wraps(post)
    def handle(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return post(view, request, *args, **kwargs)
        if len(key) > 200:
            raise Invalid("The Idempotency-Key is too long.", fields={"Idempotency-Key": "At most 200 characters."})
        row, is_new = _take(request, key)
        if not is_new:
            return _repeat(row)
        try:
            answer = post(view, request, *args, **kwargs)
        except BaseException:
            row.delete()  # nothing was done: the next try counts as the first
            raise
        row.status = answer.status_code
        row.body = json.loads(JSONRenderer().render(answer.data)) if view.keeps_answer else None
        row.save(update_fields=["status", "body"])
        return answer

    return handle


def _take(request: Request, key: str) -> tuple[IdempotencyKey, bool]:
    """Return the key's row, and whether this request is its first.

    Raises:
        KeyReused: it stands for a different request.
    """
    token = request.auth
    owner = f"token {token.pk}" if isinstance(token, ApiToken) else f"person {request.user.pk}"
    # keyed: a plain hash of a prompt or of a person's id could be guessed
    seen = keyed_hash(settings.SECRET_KEY, f"{request.method} {request.path}\n".encode() + request.body)
    now = timezone.now()
    mine = IdempotencyKey.objects.filter(owner=owner)
    mine.filter(created_at__lt=now - _KEPT_FOR).delete()
    mine.filter(status=None, created_at__lt=now - _ABANDONED_AFTER).delete()  # its process died
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(owner=owner, key=key, request_hash=seen), True
    except IntegrityError:
        row = mine.get(key=key)
    if row.request_hash != seen:
        raise KeyReused("This Idempotency-Key was used for a different request: take a new one.")
    return row, False


def _repeat(row: IdempotencyKey) -> Response:
    if row.status is None:
        raise KeyReused("The first request with this Idempotency-Key is still under way: ask again in a moment.")
    if row.body is None and row.status != 204:
        raise KeyReused("This was done already, and its answer is shown once only.")
    return Response(row.body, status=row.status, headers={"Idempotent-Replay": "true"})
